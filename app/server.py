"""uvicorn, with the media socket taken over and an end that does not cut live calls.

No ASGI server lets a live socket finish on SIGTERM by itself. Here the first signal stops
new calls (``/ready`` says 503, callers are sent to the processes beside this one, hear a sentence,
or reach a person) while the live ones go on, up to ``DRAIN_SECONDS``; then those that are left
get the failure treatment, and the server stays until Twilio has asked what it has to ask about
them. A second signal ends at once.
"""

import asyncio
import functools
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import OurFault
from app.http.wire import BACKLOG, bounded
from app.main import Switchboard
from app.runtime.draining import Drain
from app.settings import Settings
from app.transports.takeover import TakenOver

if sys.platform != "win32":
    import resource


PROCESS_HEADER = "x-patchline-process"
"""On every answer; ``deploy/haproxy.cfg`` reads it."""

log = structlog.get_logger("server")


class DrainingServer(uvicorn.Server):
    """Serves a switchboard until its last call has ended."""

    def __init__(
        self, config: uvicorn.Config, board: Switchboard, drain_s: int, *, shared: bool = False
    ) -> None:
        super().__init__(config)
        self._draining = Drain(board.book, drain_s, shared=shared)
        self._signal: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal, between any two instructions: noted here, obeyed in ``on_tick``.

        The second one ends at once, and one that comes before anybody could call as well: the
        start may be waiting for a database that does not answer.
        """
        if not self.started:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        if self._signal is None and not self.should_exit:
            self._signal = sig
        else:
            super().handle_exit(sig, frame)

    @property
    def broken(self) -> bool:
        """Something that goes on beside the calls failed, and the application's lifetime with it:
        every call would be a 500 from now on, under a ``/ready`` that says yes. Whoever started
        us starts another, and the calls go on there."""
        return bool(getattr(self.lifespan, "error_occurred", False))

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second whether to end."""
        now = time.monotonic()
        if self._signal is not None and not self._draining.begun:
            self._draining.begin(now)
            self._keep_no_connection()
        if self.broken and not self.should_exit:
            log.error("lifetime_ended")
        self.should_exit = self.should_exit or self.broken or self._draining.over(now)
        return await super().on_tick(counter)

    def _keep_no_connection(self) -> None:
        """From now on every answer is its connection's last: a proxy that has kept one would
        send the next call here."""
        self.config.encoded_headers = [*self.config.encoded_headers, (b"connection", b"close")]
        # What uvicorn builds from these once a second.
        self.server_state.default_headers = self.config.encoded_headers


class _Application:
    """The application, whose start may be refused by what it needs, a database for instance: in
    one sentence, where Starlette would tell the server a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed: list[Message] = []

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, told)
        except OurFault as fault:
            if failed:
                print(fault, file=sys.stderr)
                failed[:] = [{"type": "lifespan.startup.failed", "message": ""}]
            raise
        finally:
            for message in failed:
                await send(message)


def configuration(settings: Settings, board: Switchboard) -> uvicorn.Config:
    """uvicorn's configuration for this switchboard."""
    return uvicorn.Config(
        _Application(board.app),
        host=settings.host,
        port=settings.port,
        ws=functools.partial(TakenOver, board.door.admit),  # type: ignore[arg-type]
        http=bounded(_files(), settings.max_concurrent_calls),  # type: ignore[arg-type]
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        # The proxy learns who is who, and may bring a call's requests where the call is.
        headers=[(PROCESS_HEADER, board.instance)] if settings.several_processes else [],
        timeout_graceful_shutdown=20,
    )


def serve(settings: Settings, board: Switchboard, announce: Callable[[], None]) -> bool:
    """Serve until told to end. False when the port could not be had; else ``announce`` once.

    Not for a thread whose loop runs.
    """
    try:
        listener = _listener(settings.host, settings.port)
    except OSError as exc:
        print(
            f"PORT {settings.port} on {settings.host} cannot be used ({exc.strerror or exc}):"
            " end the program that has it, or set PORT or HOST.",
            file=sys.stderr,
        )
        return False
    # The web framework loads half of anyio when the first request needs a thread or a stream:
    # 21 to 75 ms in which all calls waited (2026-11), so it is made to need one now.
    asyncio.run(run_in_threadpool(int))
    # What was imported stays: a full collection need not walk it while all calls wait, which
    # took 57 ms for 78,000 objects and takes nothing now (2026-11). How often collections come
    # is left alone: there were two, of the youngest, in 48,000 messages.
    gc.collect()
    gc.freeze()
    announce()
    server = DrainingServer(
        configuration(settings, board),
        board,
        settings.drain_seconds,
        shared=settings.several_processes,
    )
    try:
        server.run(sockets=[listener])
    except SystemExit:
        return False  # uvicorn's way to say that the start failed; why was told.
    return server.started and not server.broken


def _files() -> int:
    """How many files, sockets among them, this process may have open."""
    if sys.platform == "win32":
        return sys.maxsize
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def _listener(host: str, port: int) -> socket.socket:
    """Bound here, because uvicorn leaves the process where it cannot bind. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
