"""The media socket, taken over from uvicorn: frames reach the codec without a task switch.

uvicorn accepts a protocol class for WebSocket upgrades, constructs it, and hands it the TCP
transport with the request it has read. Ours is picows' own protocol, so that one port serves
FastAPI and media sockets alike, and a frame costs a callback instead of an ASGI message
(3.19 against 0.94 of a raw relay's CPU, 50 calls, 2026-11). ``picows.picows.WSProtocol`` is
not documented API: the version is pinned exactly, ``check`` tries it at start, and nothing
else in the project knows about it. uvicorn does not know these sockets afterwards: draining
them is the book's business.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

MAX_MESSAGE_BYTES = 64 * 1024
HANDSHAKE_S = 5
PING_AFTER_S = 10
PONG_WITHIN_S = 10
READ_BUFFER_BYTES = 4 * 1024

Admission = Callable[[WSUpgradeRequest], "WSListener | WSUpgradeResponseWithListener | None"]
"""Decides an upgrade: a listener, a refusal, or None for a path nobody serves."""

_logger = logging.getLogger("picows.media")
_logger.setLevel(logging.ERROR)


class TakenOver(WSProtocol):  # type: ignore[misc]
    """picows' server protocol, constructed and fed the way uvicorn does it."""

    def __init__(self, admit: Admission, **_uvicorn: Any) -> None:
        super().__init__(
            None,  # host and port: a client's business
            None,  # path: likewise
            False,  # server side
            admit,
            _logger,
            False,  # a bug met in one message must not cost the call
            HANDSHAKE_S,
            True,  # ping a peer that has gone quiet: finds half-open sockets
            PING_AFTER_S,
            PONG_WITHIN_S,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,  # answer pings
            MAX_MESSAGE_BYTES,
            None,  # extra headers
            READ_BUFFER_BYTES,
        )

    def data_received(self, data: bytes) -> None:
        """The request as uvicorn read it, and whatever came in the same packet."""
        view = memoryview(data)
        while view:
            buffer = self.get_buffer(len(view))
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            self.buffer_updated(size)
            view = view[size:]


def check() -> None:
    """Construct one, so that another picows fails at start and not at the first call.

    Needs a running loop. Raises ``RuntimeError`` with a sentence that names the fix.
    """
    asyncio.get_running_loop()
    try:
        TakenOver(lambda _request: None)
    except (TypeError, AttributeError) as exc:
        raise RuntimeError(
            "the installed picows does not fit app/transports/takeover.py; "
            "install the version pinned in pyproject.toml"
        ) from exc
