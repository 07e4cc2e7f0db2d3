"""The jobs process, with patience that fits a test: ``python -m tests.jobs.worker``."""

import os
from functools import partial

from app.call import analysis
from app.jobs import engine, process, workflows
from app.services.webhook_post import WebhookPost
from app.settings import load_settings

SETTLE_S = 1.5


def main() -> None:
    """Work as ``python -m app jobs`` does."""
    process.BEAT_S = 1.0
    process.FORGET_EVERY_S = 1.0
    engine.KEEP_DAYS = int(os.environ.get("KEEP_DAYS", engine.KEEP_DAYS))
    workflows.PAUSES_S = (0.2, 0.4)
    workflows._LATER_S = (0.2,) * 5
    analysis.PAUSES_S = {
        why: tuple(0.2 for _ in pauses) for why, pauses in analysis.PAUSES_S.items()
    }
    if "PATIENCE_S" in os.environ:
        patience_s = float(os.environ["PATIENCE_S"])
        process.WebhookPost = partial(WebhookPost, patience_s=patience_s)  # type: ignore[misc,assignment]
    process.run(load_settings(None), settle_s=float(os.environ.get("SETTLE_S", SETTLE_S)))


if __name__ == "__main__":
    main()
