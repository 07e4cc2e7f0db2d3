"""The model line: the Realtime socket that we open, for one call, for one connection's life.

It carries no audio before ``session.updated`` has confirmed the format that was asked for, in
most dialects mu-law both ways: a session that silently kept its defaults would send the caller
static. It is not reopened behind anybody's
back either; whoever reopens it must know that the new session remembers nothing.

    CONNECTING ──session.created──▶ CONFIGURING ──session.updated──▶ READY ──▶ CLOSED
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from time import time

import structlog
from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSHandshakeError,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from app.call.faults import FATAL
from app.errors import ModelFault
from app.protocol.commands import (
    AppendAudio,
    AppendSilence,
    ChangeSession,
    SetTurnTaking,
    ToModel,
    TruncateItem,
)
from app.protocol.dialect import OPENAI, Dialect, Truncate
from app.protocol.errors import Malformed
from app.protocol.events import Event, ModelAlive, ModelError, ModelLineLost, SpeechAudio
from app.protocol.realtime_client_events import (
    APPEND_HEAD,
    APPEND_TAIL,
    SessionConfig,
    session_changed,
    session_update,
    write,
    writer,
)
from app.protocol.realtime_server_events import (
    Message,
    SessionCreated,
    SessionUpdated,
    Unknown,
    reader,
)
from app.protocol.session_changes import Changes, changed
from app.protocol.units import FRAME_MS, chars_of_bytes
from app.transports.frames import (
    ABNORMAL,
    CLOSE_WITHIN_S,
    Assembler,
    answer_close,
    begin_close,
    count,
    received_code,
)
from app.transports.outbox import Outbox

MAX_MESSAGE_BYTES = 4 << 20
PING_AFTER_S = 2
PONG_WITHIN_S = 2
"""A model line that is a black hole must be noticed while the caller still waits."""
READ_BUFFER_BYTES = 8 * 1024
STALE_AFTER_MS = 35_000
"""More caller audio than this does not wait for a server that does not read: the 30 s that a
new line may be given at once (``call.hearing``), of which no word may be lost, and 5 s."""
OK = 1000
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FATAL_CLOSE = frozenset({1008, 3000, 4000})
"""Against the server's policy, a wrong key, a wrong request: another attempt meets the same."""
TRUNCATE_NOT_EXACT = "truncate_not_exact"
"""The model's memory of an interrupted answer is not what the caller heard."""

_ABOUT_THE_SESSION = (SessionCreated, SessionUpdated)
_WHOLE = WSMsgType.TEXT
_TEXT = (WSMsgType.TEXT, WSMsgType.CONTINUATION)

log = structlog.get_logger("model_line")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is and how we say who we are."""

    url: str
    """``wss://…/realtime?model=…``; Azure's v1 path likewise."""
    headers: tuple[tuple[str, str], ...]
    ssl_context: ssl.SSLContext | None = None


def _waiting_chars(dialect: Dialect) -> int:
    frame = chars_of_bytes(FRAME_MS * dialect.audio_in.bytes_per_ms)
    return STALE_AFTER_MS // FRAME_MS * (len(APPEND_HEAD) + frame + len(APPEND_TAIL))


def _life_ms(expires_at_s: int | None) -> int | None:
    """How long the session lasts from now, by our clock, which need not be the server's.

    An end in the past is a clock of theirs or ours that is wrong, and tells nothing; one that
    is too far away is for whoever knows the longest session there is.
    """
    left_s = 0.0 if expires_at_s is None else expires_at_s - time()
    return round(left_s * 1000) if left_s > 0 else None


class Setup(Enum):
    """How far the line has come."""

    CONNECTING = auto()
    CONFIGURING = auto()
    READY = auto()
    CLOSED = auto()


class ModelLine(WSListener):
    """One connection. ``open`` it, ``send`` to it, ``close`` it; events come by ``feed``."""

    def __init__(
        self,
        config: SessionConfig,
        feed: Callable[[Event], None],
        dialect: Dialect = OPENAI,
    ) -> None:
        self._config = config
        self._dialect = dialect
        self._parse = reader(dialect)
        self._text_of = writer(dialect, config)
        self._by_server = bool(config.turn_detection.get("create_response", True))
        self._changed = config
        """What the session is by now."""
        self.feed = feed
        """Where events go; may be replaced."""
        self._state = Setup.CONNECTING
        self._ws: WSTransport | None = None
        self._outbox: Outbox | None = None
        self._assembler = Assembler(MAX_MESSAGE_BYTES)
        self._confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._abort: asyncio.TimerHandle | None = None
        self.session_id = ""
        self.life_ms: int | None = None
        """What the server grants the session, from its beginning; None if it did not say."""
        self.ignored: Counter[str] = Counter()
        """Server events that were not needed or not understood, by type or reason; once
        closed, also ``stale_audio``, which the server did not read in time."""
        self.warnings: Counter[str] = Counter()
        """What the server was asked to do and does only in part, by reason."""

    async def open(self, endpoint: Endpoint, timeout_ms: int) -> None:
        """Connect, configure, and return once the format is confirmed.

        Raises ``ModelFault`` with a short reason; the line is then closed for good. Cancelling
        closes it too.
        """
        opened = False
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._connect(endpoint, timeout_ms)
                await self._confirmed
            opened = True
        except TimeoutError:
            raise ModelFault("timeout", retryable=True) from None
        except WSInvalidStatusError as exc:
            status = int(exc.response.status) if exc.response is not None else 0
            retryable = status in _RETRYABLE_STATUS
            raise ModelFault(f"http_{status}", retryable=retryable) from None
        except (WSHandshakeError, OSError, ssl.SSLError) as exc:
            raise ModelFault(f"unreachable_{type(exc).__name__}", retryable=True) from None
        finally:
            # Confirmed is not enough: who is cancelled in the tick of it leaves without a line.
            if not opened:
                self.close()

    async def _connect(self, endpoint: Endpoint, timeout_ms: int) -> None:
        await ws_connect(
            lambda: self,
            endpoint.url,
            ssl_context=endpoint.ssl_context if endpoint.url.startswith("wss:") else None,
            disconnect_on_exception=False,
            # Ends what cancelling does not: picows leaves the socket of a half-done handshake open.
            websocket_handshake_timeout=timeout_ms / 1000,
            logger_name="model",
            enable_auto_ping=True,
            auto_ping_idle_timeout=PING_AFTER_S,
            auto_ping_reply_timeout=PONG_WITHIN_S,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            max_frame_size=MAX_MESSAGE_BYTES,
            extra_headers=endpoint.headers,
            max_redirects=0,
            read_buffer_init_size=READ_BUFFER_BYTES,
        )
        if self._ws is None:
            # picows returns all the same (2.3.1, ``connection_lost`` during the handshake).
            raise ConnectionResetError("closed before the upgrade")

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows: the upgrade was accepted; admission is another matter."""
        self._ws = transport
        write = partial(transport.send, WSMsgType.TEXT)
        self._outbox = Outbox(write, drop_oldest=True, limit_chars=_waiting_chars(self._dialect))
        if self._state is Setup.CLOSED:
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """picows: one frame. On the audio path."""
        kind = frame.msg_type
        try:
            if kind == _WHOLE and frame.fin and self._assembler.pieces is None:
                message: bytes | memoryview | None = frame.get_payload_as_bytes()
            elif kind in _TEXT:
                message = self._assembler.message(frame)
            else:
                if kind == WSMsgType.CLOSE:
                    answer_close(transport, frame)
                return
            if message is None:
                return
            event = self._parse(message)
            if event.__class__ is SpeechAudio and self._state is Setup.READY:
                self.feed(event)
            else:
                self._take(event)
        except Malformed as exc:
            if count(self.ignored, exc.reason) == 1:
                log.warning("message_ignored", reason=exc.reason, session_id=self.session_id)

    def _take(self, message: Message) -> None:
        if isinstance(message, Unknown):
            count(self.ignored, message.kind)
        elif self._state is Setup.READY and not isinstance(message, _ABOUT_THE_SESSION):
            self.feed(message)
        elif isinstance(message, SessionCreated):
            self._created(message)
        elif isinstance(message, SessionUpdated):
            self._updated(message)
        elif isinstance(message, ModelError):
            self._setup_refused(message)

    def _created(self, created: SessionCreated) -> None:
        if self._state is not Setup.CONNECTING:
            return
        self._state = Setup.CONFIGURING
        self.session_id = created.session_id
        self.life_ms = _life_ms(created.expires_at_s)
        self._write(session_update(self._config, self._dialect))

    def _updated(self, updated: SessionUpdated) -> None:
        asked = self._state is Setup.READY and not updated.names_formats
        if not (asked or updated.confirms(self._dialect)):
            log.error(
                "wrong_audio_format", input=updated.input_format, output=updated.output_format
            )
            self._lost(ABNORMAL, "wrong_format", retryable=False)
            self.close()
        elif self._state is Setup.CONFIGURING:
            self._state = Setup.READY
            if not self._confirmed.done():
                self._confirmed.set_result(None)
        elif self._state is Setup.READY:
            self.feed(ModelAlive())

    def _setup_refused(self, error: ModelError) -> None:
        """Speech goes on without a transcript rather than not at all."""
        if error.param and "transcription" in error.param and self._config.transcription:
            log.warning("transcription_refused", code=error.code)
            self._config = self._changed = replace(self._config, transcription=None)
            self._write(session_update(self._config, self._dialect))
            return
        retryable = error.code not in FATAL and "server_error" in error.code
        self._lost(ABNORMAL, f"setup_{error.code}", retryable=retryable)

    def _lost(self, code: int, reason: str, *, retryable: bool) -> None:
        before, self._state = self._state, Setup.CLOSED
        if before is Setup.READY:
            self.feed(ModelLineLost(code, reason))
        elif not self._confirmed.done():
            self._confirmed.set_exception(ModelFault(reason, retryable=retryable))

    def send(self, command: ToModel) -> None:
        """Write a command, or queue it while the server does not read. Never blocks or raises.

        Before the format is confirmed, and after the end, commands are dropped: the machine
        does not send any then.
        """
        if self._state is not Setup.READY or self._outbox is None:
            return
        if isinstance(command, AppendAudio):
            self.append(command.payload_b64)
        elif isinstance(command, AppendSilence):
            self._outbox.audio(write(command))
        elif isinstance(command, ChangeSession):
            self._write(self._change(command))
        elif text := self._text_of(command):
            self._outbox.control(text)
        if isinstance(command, SetTurnTaking):
            self._by_server = command.by_server
        if isinstance(command, TruncateItem) and self._dialect.truncate is not Truncate.EXACT:
            count(self.warnings, TRUNCATE_NOT_EXACT)

    def _change(self, command: ChangeSession) -> str:
        before = self._changed
        self._changed = changed(self._config, Changes(command.replace, command.merge))
        self._text_of = writer(self._dialect, self._changed)
        return session_changed(before, self._changed, self._dialect, by_server=self._by_server)

    def append(self, payload_b64: str) -> None:
        """``send`` for ``AppendAudio`` alone. On the audio path."""
        outbox = self._outbox
        if self._state is not Setup.READY or outbox is None:
            return
        text = f"{APPEND_HEAD}{payload_b64}{APPEND_TAIL}"
        if outbox.paused:
            outbox.audio(text)
        else:
            outbox.write(text)

    def _write(self, text: str) -> None:
        if self._outbox is not None and text:
            self._outbox.control(text)

    def pause_writing(self) -> None:
        """picows: the transport's buffer passed its high-water mark."""
        if self._outbox is not None:
            self._outbox.pause()

    def resume_writing(self) -> None:
        """picows: the transport's buffer has room again."""
        if self._outbox is not None:
            self._outbox.resume()

    def close(self) -> None:
        """End the session politely, and for good a second later. Idempotent; no event."""
        self._state = Setup.CLOSED
        self._count_stale()
        if not self._confirmed.cancel() and not self._confirmed.cancelled():
            self._confirmed.exception()  # seen, also when nobody waits any more
        if self._ws is None or self._ws.is_disconnected or self._abort is not None:
            return
        begin_close(self._ws, OK)
        abort = self._ws.underlying_transport.abort
        self._abort = asyncio.get_running_loop().call_later(CLOSE_WITHIN_S, abort)

    def _count_stale(self) -> None:
        if self._outbox is not None and self._outbox.dropped:
            self.ignored["stale_audio"] = self._outbox.dropped

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """picows: the socket is gone."""
        if self._abort is not None:
            self._abort.cancel()
        code = received_code(transport)
        if self._state is not Setup.CLOSED:
            self._lost(code, f"closed_{code}", retryable=code not in _FATAL_CLOSE)
