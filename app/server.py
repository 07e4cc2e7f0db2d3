"""uvicorn, with the media socket taken over and an end that does not cut live calls.

No ASGI server lets a live socket finish on SIGTERM by itself. Here the first signal stops
new calls (``/ready`` says 503, callers hear a sentence or reach a person) while the live ones
go on, up to ``DRAIN_SECONDS``; then those that are left get the failure treatment, and the
server stays until Twilio has asked what it has to ask about them. A second signal ends at once.
"""

import functools
import gc
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from app.http.wire import BoundedHttp, Bounds
from app.main import Switchboard
from app.settings import Settings
from app.transports.takeover import TakenOver

LINGER_S = 1.0
"""After the last call: Twilio still reports its end, and an error there alarms an operator."""
LET_GO_WITHIN_S = 15
"""From the end of the drain to ours: the failure treatment takes REST and Twilio's ``stop``."""

log = structlog.get_logger("server")


class DrainingServer(uvicorn.Server):
    """Serves a switchboard until its last call has ended."""

    def __init__(self, config: uvicorn.Config, board: Switchboard, drain_s: int) -> None:
        super().__init__(config)
        self._board = board
        self._drain_s = drain_s
        self._drained_at: float | None = None
        self._let_go = False
        self._busy_at = 0.0
        self._signal: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal, between any two instructions: noted here, obeyed in ``on_tick``.

        The second one ends at once.
        """
        if self._signal is None and not self.should_exit:
            self._signal = sig
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second whether to end."""
        now = time.monotonic()
        book = self._board.book
        if self._signal is not None and self._drained_at is None:
            self._drained_at = self._drain(now)
        # Once all were let go nobody waits for callers who are with a person.
        if book.live if self._let_go else book.unfinished:
            self._busy_at = now
        if self._drained_at is not None:
            self.should_exit = self.should_exit or self._drained(self._drained_at, now)
        return await super().on_tick(counter)

    def _drain(self, now: float) -> float:
        self._board.book.draining = True
        if self._board.book.unfinished:
            log.info("draining", calls=self._board.book.unfinished, drain_s=self._drain_s)
        return now + self._drain_s

    def _drained(self, until: float, now: float) -> bool:
        """Whether nobody is left; who still is there ``until`` then is let go."""
        if now >= until and not self._let_go:
            self._let_go = True
            self._board.book.let_go()
        return now - self._busy_at > LINGER_S or now >= until + LET_GO_WITHIN_S


def configuration(settings: Settings, board: Switchboard) -> uvicorn.Config:
    """uvicorn's configuration for this switchboard."""
    return uvicorn.Config(
        board.app,
        host=settings.host,
        port=settings.port,
        ws=functools.partial(TakenOver, board.door.admit),  # type: ignore[arg-type]
        http=functools.partial(BoundedHttp, Bounds()),  # type: ignore[arg-type]
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )


def serve(settings: Settings, board: Switchboard, announce: Callable[[], None]) -> bool:
    """Serve until told to end. False when the port could not be had; else ``announce`` once."""
    try:
        listener = _listener(settings.host, settings.port)
    except OSError as exc:
        print(
            f"PORT {settings.port} on {settings.host} cannot be used ({exc.strerror or exc}):"
            " end the program that has it, or set PORT or HOST.",
            file=sys.stderr,
        )
        return False
    # What was imported stays: a full collection need not walk it while all calls wait, which
    # took 57 ms for 78,000 objects and takes nothing now (2026-11). How often collections come
    # is left alone: there were two, of the youngest, in 48,000 messages.
    gc.collect()
    gc.freeze()
    announce()
    server = DrainingServer(configuration(settings, board), board, settings.drain_seconds)
    server.run(sockets=[listener])
    return bool(server.started)


def _listener(host: str, port: int) -> socket.socket:
    """Bound here, because uvicorn leaves the process where it cannot bind. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
