"""A local OpenAI Realtime server, strict and forgetful of nothing, to judge a client by.

It speaks the GA protocol over real sockets, writes and reads its JSON literally, and shares no
code with the application it judges. Every socket ever opened stays in ``connections`` with all
that was said on it; ``assert_clean`` is the verdict.
"""

import asyncio
import http
import json
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from app.emulators.realtime_desk import Terms
from app.emulators.realtime_deviations import Deviation
from app.emulators.realtime_errors import BAD_KEY_REASON, BETA_REASON, Refusal
from app.emulators.realtime_faults import ABRUPT, NO_FAULTS, Faults
from app.emulators.realtime_line import Bell
from app.emulators.realtime_response import Pace
from app.emulators.realtime_session import EmulatedSession
from app.emulators.realtime_turns import Brain

__all__ = ["ABRUPT", "EmulatedSession", "Faults", "RealtimeEmulator"]

_MOST_MESSAGE_BYTES = 21 * 1024 * 1024
_CLOSE_S = 1.0
"""A client that does not read keeps its writer from closing: after this it is cut off."""
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"


class RealtimeEmulator:
    """The server; an asynchronous context manager that leaves no task and no socket behind."""

    def __init__(
        self,
        brain: Brain | Callable[[], Brain],
        *,
        api_key: str = "sk-local",
        port: int = 0,
        pace: float = 4.0,
        delta_ms: Sequence[int] | int = 100,
        session_delay_ms: int = 0,
        session_s: float = 3600,
        idle_rate: float = 1.0,
        faults: Faults = NO_FAULTS,
        noise: bool = False,
        keep_audio: bool = True,
        watch: Callable[[EmulatedSession], None] = lambda session: None,
        most_sessions: int | None = None,
        remembered: int | None = None,
        deviations: type[Deviation] = Deviation,
    ) -> None:
        """One ``brain`` for all connections, or something that makes one for each.

        Speech is made ``pace`` times as fast as it sounds (0: at once), in deltas whose sizes
        are taken in turn from ``delta_ms``. ``session_s`` is the age at which sessions expire;
        idle timeouts pass ``idle_rate`` times as fast as they should. ``noise`` adds fields
        and events of the future. Without ``keep_audio`` no audio is kept, for long loads.
        ``watch`` is told of every session when it opens and when it is closed. Beyond
        ``most_sessions`` at a time handshakes are refused with 429; of closed sessions the
        last ``remembered`` are kept (None: all). ``deviations`` are those of another server.
        """
        self._new_brain = brain if callable(brain) else lambda: brain
        self._api_key = api_key
        self._port = port
        sizes = (delta_ms,) if isinstance(delta_ms, int) else tuple(delta_ms)
        self._pace = Pace(pace, sizes)
        self._session_delay_ms = session_delay_ms
        self._session_s = session_s
        self._idle_rate = idle_rate
        self._noise = noise
        self._keep_audio = keep_audio
        self._watch = watch
        self._most_sessions = most_sessions
        self._remembered = remembered
        self._deviations = deviations
        self._server: Server | None = None
        self._leaving = asyncio.Event()
        self._bell = Bell()
        self._attempts = 0
        self._brains: list[Brain] = [] if callable(brain) else [brain]
        self._suffering: WeakKeyDictionary[ServerConnection, Faults] = WeakKeyDictionary()
        self.faults = faults
        """Read when a connection arrives: may be changed between two of them."""
        self.connections: list[EmulatedSession] = []
        """Every socket that was ever opened, oldest first."""
        self.refusals = 0
        """Handshakes that were refused."""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self._port,
            process_request=self._admit,
            select_subprotocol=_select_subprotocol,
            compression=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=_CLOSE_S,
            max_size=_MOST_MESSAGE_BYTES,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving.set()
        if self._server is None:
            return
        self._server.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._server.wait_closed()
        except TimeoutError:
            for session in self.open_connections:
                session.abort()
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it was entered if none was chosen."""
        return self._port

    @property
    def base_url(self) -> str:
        """What the official client takes as ``base_url``."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def attempts(self) -> int:
        """Handshakes begun, whatever became of them."""
        return self._attempts

    @property
    def open_connections(self) -> list[EmulatedSession]:
        """The sockets that are open now."""
        return [session for session in self.connections if session.open]

    async def connected(self, count: int = 1, *, timeout_s: float = 30) -> EmulatedSession:
        """The ``count``-th connection, once there is one; raises TimeoutError. Cancel-safe."""
        await self._bell.until(
            lambda: len(self.connections) >= count,
            timeout_s=timeout_s,
            what=f"connection {count}",
        )
        return self.connections[count - 1]

    async def attempted(self, count: int = 1, *, timeout_s: float = 30) -> None:
        """Return once ``count`` handshakes were begun; raises TimeoutError. Cancel-safe."""
        await self._bell.until(
            lambda: self._attempts >= count, timeout_s=timeout_s, what=f"attempt {count}"
        )

    def assert_clean(self) -> None:
        """Raise AssertionError for any violation, and for any script that was not used up."""
        wrong = [
            f"connection {number}: {note}"
            for number, session in enumerate(self.connections, 1)
            for note in (*session.violations, *session.failures)
        ]
        if wrong:
            raise AssertionError("the client broke the protocol:\n- " + "\n- ".join(wrong))
        for brain in self._brains:
            brain.assert_consumed()

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self._attempts += 1
        suffers = self.faults.touch(self._attempts - 1)
        faults = self._suffering[socket] = self.faults if suffers else NO_FAULTS
        self._bell.ring()
        if faults.drops:
            socket.transport.close()
            return self._refuse(socket, 503, "server_error", "Never read: the line is gone.")
        if faults.never == "upgrade":
            await self._leaving.wait()
            return self._refuse(socket, 503, "server_error", "Leaving.")
        if faults.refuse_status is not None:
            return self._refuse(socket, faults.refuse_status, "refused", "Refused on purpose.")
        url = urlsplit(request.path)
        if not url.path.endswith("/v1/realtime"):
            return self._refuse(socket, 404, "not_found", f"Invalid URL ({url.path})")
        if self._deviations.needs_model and not parse_qs(url.query).get("model"):
            return self._refuse(socket, 400, "missing_model", "You must provide a model parameter.")
        if self._most_sessions is not None and len(self.open_connections) >= self._most_sessions:
            return self._refuse(socket, 429, "session_limit_reached", "Too many sessions.")
        if _key_of(request) is None:
            return self._refuse(socket, 401, "invalid_api_key", "Missing bearer authentication.")
        return None

    def _forget(self) -> None:
        """Let go of closed sessions, where only so many are remembered."""
        if self._remembered is None:
            return
        closed = [session for session in self.connections if not session.open]
        for session in closed[: max(0, len(closed) - self._remembered)]:
            self.connections.remove(session)
            if session.brain in self._brains:
                self._brains.remove(session.brain)

    def _refuse(self, socket: ServerConnection, status: int, code: str, message: str) -> Response:
        self.refusals += 1
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        response = socket.respond(http.HTTPStatus(status), json.dumps({"error": error}))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = "1"
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        request = socket.request
        if request is None:
            raise AssertionError("a socket is served after its handshake")
        brain = self._new_brain()
        if brain not in self._brains:
            self._brains.append(brain)
        self._forget()
        faults = self._suffering[socket]
        terms = Terms(
            brain=brain,
            pace=self._pace,
            faults=faults,
            noisy=self._noise,
            keep_audio=self._keep_audio,
            created_after_ms=self._session_delay_ms,
            life_s=self._session_s,
            idle_rate=self._idle_rate,
            deviation=self._deviations(),
        )
        model = parse_qs(urlsplit(request.path).query).get("model", ["(unnamed)"])[0]
        session = EmulatedSession(socket, model, _lowered(request), terms)
        self.connections.append(session)
        self._bell.ring()
        self._watch(session)
        if _is_beta(request):
            session.turn_away(_BETA, 4000, BETA_REASON)
            session.violations.append(f"handshake: {_BETA.code}: {_BETA.message}")
        elif faults.reject_key or _key_of(request) != self._api_key:
            session.turn_away(_BAD_KEY, 3000, BAD_KEY_REASON)
            if not faults.reject_key:
                session.violations.append(f"handshake: {_BAD_KEY.code}: {_BAD_KEY.message}")
        try:
            await session.run()
        finally:
            self._watch(session)


_BETA = Refusal(
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    "beta_api_shape_disabled",
)
_BAD_KEY = Refusal("Incorrect API key provided.", "invalid_api_key")


def _offered(request: Request) -> list[str]:
    offers = request.headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for offer in offers for name in offer.split(",")]


def _select_subprotocol(
    socket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None


def _is_beta(request: Request) -> bool:
    return "OpenAI-Beta" in request.headers or _BETA_SUBPROTOCOL in _offered(request)


def _key_of(request: Request) -> str | None:
    """The key of a Bearer token, of ``api-key`` (Azure) or of a browser's subprotocol."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token
    if key := request.headers.get("api-key"):
        return key
    keys = [name for name in _offered(request) if name.startswith(_KEY_SUBPROTOCOL)]
    return keys[0].removeprefix(_KEY_SUBPROTOCOL) if keys else None


def _lowered(request: Request) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.raw_items()}
