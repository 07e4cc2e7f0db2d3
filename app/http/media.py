"""The door of the media socket: signature at the upgrade, one-time token at ``start``.

The signature of a constant URL is a constant, so it only keeps strangers out; the token ties
the stream to its call. Nothing is opened and nothing is remembered before both were right.
"""

import re
from collections.abc import Callable

import structlog
from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from app.protocol.twilio_signature import Secrets, verify_upgrade
from app.protocol.twilio_stream import Start
from app.runtime.metrics import SIGNATURE_FAILURES
from app.runtime.ports import CallerLine, Feed
from app.runtime.routing import Routing
from app.runtime.scripts import MEDIA_PATH

MULAW = ("audio/x-mulaw", 8000, 1)  # Twilio's one format
_OURS = re.compile(rf"{MEDIA_PATH}(/[0-9a-f]{{16}})?/?")
"""The name behind it is of a process, for who looks before us (``Scripts``)."""

Claim = Callable[[CallerLine, Start], Feed | None]
log = structlog.get_logger("media")


class MediaDoor:
    """Decides upgrades on the media path; everything else is 404."""

    def __init__(
        self,
        origin: str,
        signing: Secrets | None,
        routing: Routing,
        make_line: Callable[[Claim], WSListener],
    ) -> None:
        self._origin = f"ws{origin.removeprefix('http')}"
        self._signing = signing
        self._routing = routing
        self._make_line = make_line

    def admit(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        """A line for a signed upgrade, an HTTP refusal for any other."""
        path = request.path.decode("latin-1")
        if not _OURS.fullmatch(path):
            return _refused(404, b"no WebSocket lives here")
        if self._signing is None:
            return _refused(503, b"Twilio is not configured: set TWILIO_ACCOUNT_SID in .env")
        verdict = verify_upgrade(
            self._signing,
            url=self._origin + path,
            signature=request.headers.get("x-twilio-signature"),
            settings_header=request.headers.get("x-twilio-webhooks-signature-settings"),
        )
        if not verdict.accepted:
            SIGNATURE_FAILURES.labels("upgrade").inc()
            log.warning(
                "upgrade_refused",
                reason=verdict.reason,
                signed_url=verdict.loggable_url,
                secret_ids=verdict.secret_id,
            )
            return _refused(403, b"the signature does not match this URL")
        return self._make_line(self._claim)

    def _claim(self, line: CallerLine, start: Start) -> Feed | None:
        if (start.encoding, start.sample_rate_hz, start.channels) != MULAW:
            log.error("wrong_stream_format", call_sid=start.call_sid)
            return None
        token = start.parameters.get("token", "")
        return self._routing.claim(
            line, token, call_sid=start.call_sid, stream_sid=start.stream_sid
        )


def _refused(status: int, sentence: bytes) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, sentence)
    return WSUpgradeResponseWithListener(response, None)
