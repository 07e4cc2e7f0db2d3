"""Asking the operator's program who calls, over the network. Used by ``main`` alone.

Judged, bounded and signed like the webhooks that tell things; only this one's answer is read.
"""

import time

from app.call.lookup import MOST_ANSWER_BYTES
from app.jobs.signing import signed
from app.runtime.reception import Ask, Unanswered
from app.settings import Settings


def asker(settings: Settings) -> Ask:
    """What posts a question to a program of the operator's."""
    secrets = [one.get_secret_value() for one in settings.webhook_secrets]

    async def ask(url: str, name: str, body: str, within_s: float) -> bytes:
        # Eight megabytes of aiohttp, for who has such a program.
        from app.services.webhook_post import WebhookPost  # noqa: PLC0415

        post = WebhookPost(loopback=settings.webhook_loopback, patience_s=within_s)
        headers = signed(name, int(time.time()), body, secrets)
        posted = await post.post(url, body, headers, most_bytes=MOST_ANSWER_BYTES)
        if posted.status is None:
            raise Unanswered(posted.reason)
        if not 200 <= posted.status < 300:
            raise Unanswered(f"http_{posted.status}")
        return posted.body

    return ask
