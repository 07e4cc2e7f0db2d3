"""The jobs process, with patience that fits a test: ``python -m tests.jobs.worker``."""

import os

from app.call import analysis
from app.jobs import engine, lease, process, workflows
from app.settings import load_settings

SETTLE_S = 1.5
STALE_S = 4.0


def main() -> None:
    """Work as ``python -m app jobs`` does."""
    lease.STALE_S, lease.BEAT_S, lease._TRUSTED_S = STALE_S, 1.0, 2.5
    process.BEAT_S = 1.0
    process.FORGET_EVERY_S = 1.0
    engine.KEEP_DAYS = int(os.environ.get("KEEP_DAYS", engine.KEEP_DAYS))
    workflows.PAUSES_S = (0.2, 0.4)
    workflows._LATER_S = (0.2,) * 5
    analysis.PAUSES_S = {
        why: tuple(0.2 for _ in pauses) for why, pauses in analysis.PAUSES_S.items()
    }
    process.run(load_settings(None), settle_s=float(os.environ.get("SETTLE_S", SETTLE_S)))


if __name__ == "__main__":
    main()
