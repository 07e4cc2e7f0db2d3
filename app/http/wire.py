"""How much, and for how long, a stranger may send before anybody knows who it is.

uvicorn's parser keeps a request's head in memory without an end and waits for the rest for
ever (its ``h11_max_incomplete_event_size`` does not reach httptools): one header that never
stops would hold the loop, which every call shares. The one rule: bytes are counted before
they are parsed, and every part of a request has a time by which it must be there. A quiet
connection between two requests is uvicorn's to close (``timeout_keep_alive``), and one too many
the room's (``room.py``).

    HEAD -> BODY -> IDLE -> HEAD …      any of them -> OVER: refused, or taken over
"""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.room import Room, places

BACKLOG = 256
"""Connections that may be accepted in one go, before anybody can be sent away for them."""

LEAVE = "patchline.leave"
"""Among a request's ASGI extensions: gives its socket back, whatever was still to be sent."""

log = structlog.get_logger("wire")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may take; Twilio's have a few KiB and come in one packet."""

    head_bytes: int = 32 * 1024
    """Request line and headers, with what ends them."""
    head_s: float = 10
    """From the connection, or from the first byte of a later request."""
    body_bytes: int = 256 * 1024
    """As it comes over the wire, with the frills of chunks and trailers; routes take less."""
    body_s: float = 10
    """From the end of the head."""
    ahead: int = 8
    """Requests on one connection that may wait for the answer to an earlier one; nobody who
    means well sends any."""


class Phase(Enum):
    """Which part of a request is awaited."""

    HEAD = auto()
    BODY = auto()
    IDLE = auto()
    """A request is complete: it is being answered, or another may come."""
    OVER = auto()
    """Nothing is read any more."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, with bounds. One per connection."""

    def __init__(self, bounds: Bounds, room: Room, *args: Any, **uvicorn: Any) -> None:
        super().__init__(*args, **uvicorn)
        self._bounds = bounds
        self._room = room
        self._phase = Phase.IDLE
        self._taken_bytes = 0
        """Of the phase."""
        self._overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._room.enter(self, self.client[0] if self.client else "")
        self._enter(Phase.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(Phase.OVER)
        self._room.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """In pieces no larger than what the phase may still have."""
        while data and self._phase is not Phase.OVER and not self.transport.is_closing():
            if self._phase is Phase.IDLE:
                self._enter(Phase.HEAD)
            room = self._most_bytes - self._taken_bytes
            piece, data = data[:room], data[room:]
            self._taken_bytes += len(piece)
            super().data_received(piece)
            if self._taken_bytes >= self._most_bytes:
                self._refuse(431 if self._phase is Phase.HEAD else 413)

    def on_message_begin(self) -> None:
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        super().on_message_begin()
        self.scope["extensions"] = {LEAVE: self.leave}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        if self._phase is Phase.OVER:
            return  # The parser still has what came in the packet that was refused.
        self._enter(Phase.BODY)
        super().on_headers_complete()
        if len(self.pipeline) > self._bounds.ahead:
            self.pipeline.clear()
            self._refuse(429)

    def on_body(self, body: bytes) -> None:
        if self._phase is not Phase.OVER:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._phase is not Phase.OVER:
            self._enter(Phase.IDLE)
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the socket is somebody else's, with bounds of its own."""
        self._enter(Phase.OVER)
        self._room.left(self)
        super().handle_websocket_upgrade()

    def leave(self) -> None:
        """Somebody else needs the place; what nobody reads is not waited for."""
        if self._phase is Phase.HEAD and not self.transport.get_write_buffer_size():
            self._refuse(503)
        else:
            self._enter(Phase.OVER)
            self.transport.abort()

    @property
    def _most_bytes(self) -> int:
        in_body = self._phase is Phase.BODY
        return self._bounds.body_bytes if in_body else self._bounds.head_bytes

    def _enter(self, phase: Phase) -> None:
        self._phase, self._taken_bytes = phase, 0
        self._room.moved(self)
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if phase in (Phase.HEAD, Phase.BODY):
            limit_s = self._bounds.head_s if phase is Phase.HEAD else self._bounds.body_s
            self._overdue = self.loop.call_later(limit_s, self._refuse, 408)

    def _refuse(self, status: int) -> None:
        """Close, with a word where none would fall into the middle of another answer."""
        silent = self._answer_under_way()
        self._enter(Phase.OVER)
        if self.transport.is_closing():
            return
        if status != 503:  # a crowd is told by the room, in one line
            log.info("request_cut", status=status)
        if not silent:
            self.transport.write(_refusal(status))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _answer_under_way(self) -> bool:
        if self._phase is Phase.BODY:
            return bool(self.cycle.response_started or self.pipeline)
        return self.cycle is not None and not self.cycle.response_complete


def bounded(files: int, calls: int) -> Callable[..., BoundedHttp]:
    """Makes the protocols of one server that may open so many files and take so many calls."""
    return functools.partial(BoundedHttp, Bounds(), Room(places(files - BACKLOG, calls)))


def _refusal(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    return head.encode("ascii")
