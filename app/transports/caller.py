"""The caller line: Media Streams over the socket that Twilio opened.

A message is parsed, handed to the machine and answered before the callback returns. What
cannot be understood is counted by its reason and ignored: a malformed message costs neither
the call nor its neighbours, a hundred of them cost the socket. Until ``start`` named the call
and its one-time token was accepted, nothing else is listened to.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from app.protocol import twilio_stream as codec
from app.protocol.commands import PlayAudio, SendMark, ToCaller
from app.protocol.errors import Malformed
from app.protocol.events import CallerAudio, CallerLineLost, Event
from app.transports.frames import (
    CLOSE_WITHIN_S,
    Assembler,
    answer_close,
    begin_close,
    count,
    received_code,
)
from app.transports.outbox import Outbox
from app.transports.takeover import MAX_MESSAGE_BYTES

START_WITHIN_S = 10
MOST_MALFORMED = 100
OK = 1000
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

Feed = Callable[[Event], None]
Claim = Callable[["CallerLine", codec.Start], Feed | None]
"""Who wants this stream: where its events go, or None when nobody does."""

_WHOLE = WSMsgType.TEXT
_TEXT = (WSMsgType.TEXT, WSMsgType.CONTINUATION)

log = structlog.get_logger("caller_line")


class CallerLine(WSListener):
    """One media socket, from the upgrade to its end."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._feed: Feed | None = None
        self._stream_sid: str | None = None
        self._ws: WSTransport | None = None
        self._outbox: Outbox | None = None
        self._assembler = Assembler(MAX_MESSAGE_BYTES)
        self._deadline: asyncio.TimerHandle | None = None
        self._malformed_so_far = 0
        self._closing = False
        self.ignored: Counter[str] = Counter()
        """What could not be understood or was not needed, by reason."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows: the upgrade was answered."""
        self._ws = transport
        self._outbox = Outbox(partial(transport.send, WSMsgType.TEXT), drop_oldest=False)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(START_WITHIN_S, self.close, POLICY_VIOLATION)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """picows: one frame. On the audio path."""
        kind = frame.msg_type
        try:
            if kind == _WHOLE and frame.fin and self._assembler.pieces is None:
                message: bytes | memoryview | None = frame.get_payload_as_bytes()
            elif kind in _TEXT:
                message = self._assembler.message(frame)
            else:
                self._other(transport, frame)
                return
            if message is None:
                return
            event = codec.parse(message, self._stream_sid)
            if event.__class__ is CallerAudio and self._feed is not None:
                self._feed(event)
            else:
                self._take(event)
        except Malformed as exc:
            self._malformed(exc.reason)

    def _other(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            answer_close(transport, frame)
        elif frame.msg_type == WSMsgType.BINARY:
            self._malformed("binary_message")

    def _take(self, message: codec.Message) -> None:
        if self._closing:
            return
        if self._feed is not None:
            if not isinstance(message, codec.Connected | codec.Start | codec.Unknown):
                self._feed(message)
            elif isinstance(message, codec.Unknown):
                count(self.ignored, message.kind)
            else:
                self._malformed("out_of_order")
        elif isinstance(message, codec.Start):
            self._start(message)
        elif not isinstance(message, codec.Connected):
            self._malformed("before_start")

    def _start(self, start: codec.Start) -> None:
        self._stream_sid = start.stream_sid
        writer = codec.Writer(start.stream_sid)
        self._media, self._mark, self._clear = writer.media, writer.mark, writer.clear
        self._feed = self._claim(self, start)
        if self._feed is None:
            self.close(POLICY_VIOLATION)
        else:
            self._cancel_deadline()

    def hand_to(self, feed: Feed | None) -> None:
        """From now on events go there; None: nobody wants the stream, which is closed."""
        if self._feed is None:
            return  # The socket is gone; what was kept tells that, too.
        self._feed = feed
        if feed is None:
            self.close(POLICY_VIOLATION)

    def _malformed(self, reason: str) -> None:
        times = count(self.ignored, reason)
        if times == 1:
            log.warning("message_ignored", reason=reason, stream_sid=self._stream_sid)
        self._malformed_so_far += 1
        if self._malformed_so_far >= MOST_MALFORMED:
            self.close(POLICY_VIOLATION)

    def send(self, command: ToCaller) -> None:
        """Write a command, or queue it while Twilio does not read. Never blocks or raises."""
        outbox = self._outbox
        if outbox is None:
            return
        if isinstance(command, PlayAudio):
            text = self._media(command)
            if not outbox.paused:
                outbox.write(text)
            elif not outbox.audio(text):
                log.warning("caller_line_not_read", stream_sid=self._stream_sid)
                self.close(TRY_AGAIN_LATER)
        elif isinstance(command, SendMark):
            outbox.control(self._mark(command))
        else:
            outbox.drop_audio()
            outbox.control(self._clear(command))

    def pause_writing(self) -> None:
        """picows: the transport's buffer passed its high-water mark."""
        if self._outbox is not None:
            self._outbox.pause()

    def resume_writing(self) -> None:
        """picows: the transport's buffer has room again."""
        if self._outbox is not None:
            self._outbox.resume()

    def close(self, code: int = OK) -> None:
        """Close politely, and for good a second later. Idempotent."""
        if self._closing or self._ws is None or self._ws.is_disconnected:
            return
        self._closing = True
        begin_close(self._ws, code)
        abort = self._ws.underlying_transport.abort
        self._cancel_deadline()
        self._deadline = asyncio.get_running_loop().call_later(CLOSE_WITHIN_S, abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """picows: the socket is gone."""
        self._cancel_deadline()
        feed, self._feed = self._feed, None
        if feed is not None:
            feed(CallerLineLost(received_code(transport)))
