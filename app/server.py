"""uvicorn, with the media socket taken over and an end that does not cut live calls.

No ASGI server lets a live socket finish on SIGTERM by itself. Here the first signal stops
new calls (``/ready`` says 503, callers hear a sentence or reach a person) while the live ones
go on, up to ``DRAIN_SECONDS``; then those that are left get the failure treatment. A second
signal ends at once.
"""

import functools
import time
from types import FrameType

import structlog
import uvicorn

from app.main import Switchboard
from app.settings import Settings
from app.transports.takeover import TakenOver

log = structlog.get_logger("server")


class DrainingServer(uvicorn.Server):
    """Serves a switchboard until its last call has ended."""

    def __init__(self, config: uvicorn.Config, board: Switchboard, drain_s: int) -> None:
        super().__init__(config)
        self._board = board
        self._drain_s = drain_s
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain first, leave at the second one."""
        if self._drained_at is not None or self._board.book.live == 0:
            super().handle_exit(sig, frame)
            return
        self._board.book.draining = True
        self._drained_at = time.monotonic() + self._drain_s
        log.info("draining", live_calls=self._board.book.live, drain_s=self._drain_s)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second whether to end."""
        if self._drained_at is not None and (
            self._board.book.live == 0 or time.monotonic() >= self._drained_at
        ):
            self.should_exit = True
        return await super().on_tick(counter)


def configuration(settings: Settings, board: Switchboard) -> uvicorn.Config:
    """uvicorn's configuration for this switchboard."""
    return uvicorn.Config(
        board.app,
        host=settings.host,
        port=settings.port,
        ws=functools.partial(TakenOver, board.door.admit),  # type: ignore[arg-type]
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
        h11_max_incomplete_event_size=64 * 1024,
    )


def serve(settings: Settings, board: Switchboard) -> bool:
    """Serve until told to end. False when the port could not be had."""
    server = DrainingServer(configuration(settings, board), board, settings.drain_seconds)
    server.run()
    return bool(server.started)
