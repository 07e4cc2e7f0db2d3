"""One media stream, Twilio's end of it: it dials, sends frames, plays, and can die.

What is said on the socket is written in `app/emulators/twilio_wire.py`. Rule: frames are due by
one absolute clock that began with ``start``; what is late is caught up and what is lost leaves a
gap in ``timestamp``, never a shift. Where a phone is at the other end, its time takes the place of
the clock: frames are sent as it brings them, and marks return when it has played up to them.

    dialling -> streaming -> over          over: by the server, by the call, or by a death
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed

from app.emulators.phone import FrameClock, Line, Phone
from app.emulators.phone_line import PhoneLine
from app.emulators.phone_sounds import keys
from app.emulators.twilio_judge import ClearMessage, MarkMessage, MediaMessage, judge
from app.emulators.twilio_tasks import Pulse
from app.emulators.twilio_upgrade import open_socket
from app.emulators.twilio_webhooks import PublicOrigin
from app.emulators.twilio_wire import UNREAD_LIMIT_BYTES, Wire
from app.emulators.twilio_words import (
    AfterDeath,
    Faults,
    StreamEnd,
    Violation,
    monotonic_ms,
    new_sid,
    remember,
)
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES, FRAME_MS, MULAW_SILENCE

_CLOSE_LIMIT_S = 10.0
_LONG_MS = 3_600_000
_STOP_LIMIT_S = 0.5
_SILENCE = bytes([MULAW_SILENCE]) * FRAME_BYTES
KEY_TONE_MS = 100
TOLD_AFTER_MS = 60
"""From the beginning of a key's tones to the message that tells of it; they stay in the audio."""
_OUR_FAULT_CODES = {1002, 1007, 1009}
"""What the socket library closes with when the server broke the WebSocket protocol."""


class CallerVoice:
    """What the caller says, until a stream has carried it; outlives a single stream."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._said = 0
        self._keys: deque[tuple[int, str]] = deque()
        """Keys, and after how many bytes of all that is said Twilio tells of them."""

    def press(self, digit: str) -> None:
        """Queue a key as a telephone sounds it: two tones, and a pause."""
        told_at = self._said + len(self._audio) + TOLD_AFTER_MS * BYTES_PER_MS
        self._keys.append((told_at, digit))
        self._audio += keys(digit, 2 * KEY_TONE_MS)

    def told(self) -> list[str]:
        """The keys whose tones have been under way for long enough, once."""
        out: list[str] = []
        while self._keys and self._keys[0][0] <= self._said:
            out.append(self._keys.popleft()[1])
        return out

    def say(self, mulaw: bytes) -> None:
        """Queue mu-law behind what is still to be said."""
        self._audio += mulaw

    @property
    def silent(self) -> bool:
        """True when everything queued was said."""
        return not self._audio

    def frame(self) -> bytes | None:
        """The next 20 ms, padded with silence; None when the caller says nothing."""
        if not self._audio:
            return None
        frame = bytes(self._audio[:FRAME_BYTES])
        self._said += len(frame)
        del self._audio[:FRAME_BYTES]
        return frame.ljust(FRAME_BYTES, _SILENCE[:1])


class EmulatedStream:
    """A bidirectional stream of a call. Public attributes are for tests to read."""

    def __init__(
        self,
        *,
        account_sid: str,
        call_sid: str,
        url: str,
        name: str | None = None,
        status_callback: str | None = None,
        status_method: Literal["GET", "POST"] = "POST",
        parameters: dict[str, str],
        voice: CallerVoice,
        faults: Faults,
        pulse: Pulse,
        complain: Callable[[Violation], None],
        keep_audio: bool = True,
        phone: Phone | None = None,
    ) -> None:
        self.stream_sid = new_sid("MZ")
        self.name = name or self.stream_sid
        self.url = url
        self.status_callback = status_callback
        self.status_method = status_method
        self.parameters = parameters
        self.line: Line = PhoneLine(now_ms=monotonic_ms(), keep_audio=keep_audio)
        self.refused: Violation | None = None
        self.started_at_ms: float | None = None
        self.first_media_at_ms: float | None = None
        """When the server's first audio arrived."""
        self.stopped = False
        """True once ``stop`` was sent."""
        self.close_code: int | None = None
        """The server's close code, 1006 without a frame; None while open or closed by us."""
        self.close_reason = ""
        self.end: StreamEnd | None = None
        self.broken: Violation | None = None
        """What Twilio calls an error of the stream: told by a ``stream-error`` callback."""
        self.reported_over = False
        self.received: dict[str, int] = {"media": 0, "mark": 0, "clear": 0}
        self.marks_returned: list[tuple[str, float]] = []
        self.cleared_at_ms: list[float] = []
        self.spoken = bytearray()
        """The caller's side, mu-law from the start of the stream, lost frames included."""
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._voice = voice
        self._faults = faults
        self._pulse = pulse
        self._complain = complain
        self._keep_audio = keep_audio
        self._phone = phone
        self._clock: FrameClock | None = None
        """Numbers what the phone says, as long as the stream takes it."""
        self._wire = Wire(self.stream_sid, faults=faults, complain=complain)
        self._over: asyncio.Future[StreamEnd] | None = None
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._random = random.Random(self.stream_sid)

    @property
    def live(self) -> bool:
        """True between ``start`` and the end, however it came."""
        return self.started_at_ms is not None and self.end is None

    async def dial(self, origin: PublicOrigin, auth_token: str) -> Violation | None:
        """Open the socket; the violation that Twilio would report when it is not opened."""
        opened = await open_socket(
            self.url,
            origin=origin,
            auth_token=auth_token,
            signature_mode=self._faults.stream_signature,
            unread_limit_bytes=UNREAD_LIMIT_BYTES,
        )
        if isinstance(opened, Violation):
            self.refused = opened
        else:
            self._wire.attach(opened)
        return self.refused

    async def run(self) -> StreamEnd:
        """Carry the stream from ``connected`` to its end; cancelling leaves the socket open.

        Whoever cancels says ``stop`` and ``close``, or ``abort``, afterwards.
        """
        self._over = asyncio.get_running_loop().create_future()
        tasks = [
            asyncio.create_task(self._send_media(), name="stream sender"),
            asyncio.create_task(self._read(), name="stream reader"),
        ]
        try:
            waiting: list[asyncio.Future[Any]] = [*tasks, self._over]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
            self.end = self._over.result() if self._over.done() else StreamEnd.SERVER_CLOSED
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.line.advance(monotonic_ms())
            self._let_go_of_phone()
            self._pulse.beat()
        return self.end

    async def stop(self) -> None:
        """Twilio's own end of the stream, first half: ``stop``. Follow it by ``close``."""
        if self.end is not None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_LIMIT_S):
                await self._say_stop()
        self.end = StreamEnd.HANG_UP
        self.line.advance(monotonic_ms())

    async def close(self, limit_s: float, code: int = 1000) -> None:
        """The closing handshake, cut short by an abort after ``limit_s``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._wire.close(code)
        self._wire.abort()

    def abort(self) -> None:
        """Drop the socket at once, whatever state it is in."""
        self._wire.abort()

    async def take_frame(self, mulaw: bytes) -> None:
        """Send 20 ms the phone says now; dropped when the stream is not there, or has too much."""
        number = None if self._clock is None else self._clock.number(monotonic_ms())
        if number is not None:
            await self._send_frame(number, mulaw)

    async def press(self, digit: str) -> None:
        """Tell the server about a key the caller pressed."""
        await self._wire.dtmf(digit)

    def skip_frames(self, count: int) -> None:
        """Lose the next frames on the way: a gap in ``timestamp``."""
        self._wire.skip(count)

    def stall_reads(self) -> None:
        """Read nothing more: the server's writes fill up. ``resume_reads`` ends it."""
        self._reading.clear()

    def resume_reads(self) -> None:
        """Read again, and play what had waited as if it came now."""
        self._reading.set()

    def die_half_open(self, then: AfterDeath = "stay") -> None:
        """Neither read nor write any more, and never close: the peer sees only silence."""
        self._wire.pause_reading()
        self._die(then)

    def break_off(self, then: AfterDeath = "hang_up") -> None:
        """Twilio sees a protocol violation (31924) where none is, and gives the stream up.

        As seen in production: no ``stop``, no close, the call ends, the socket stays open.
        """
        self.broken = Violation(31924, "Stream - WebSocket - Protocol Error")
        self.die_half_open(then)

    async def stop_without_close(self, then: AfterDeath = "hang_up") -> None:
        """Send ``stop`` and leave the socket open."""
        await self._say_stop()
        self._die(then)

    async def close_without_stop(self, code: int = 1000, then: AfterDeath = "hang_up") -> None:
        """Close the socket politely without having sent ``stop``."""
        self._die(then)
        await self.close(_CLOSE_LIMIT_S, code)

    def reset(self, then: AfterDeath = "hang_up") -> None:
        """Reset the TCP connection: no close frame, no FIN."""
        self._wire.reset()
        self._die(then)

    def _die(self, then: AfterDeath) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(StreamEnd(then))
            self._wire.fall_silent()

    async def _say_stop(self) -> None:
        self.stopped = await self._wire.stop(self._account_sid, self._call_sid)

    async def _begin(self) -> float:
        await self._wire.connected()
        now = monotonic_ms()
        self.line = self._line(now)
        await self._wire.start(self._account_sid, self._call_sid, self.parameters)
        self.started_at_ms = now
        self._pulse.beat()
        return now

    def _line(self, now_ms: float) -> Line:
        if self._phone is None:
            return PhoneLine(now_ms=now_ms, keep_audio=self._keep_audio)
        return self._phone.line(now_ms, self._wake.set)

    async def _send_media(self) -> None:
        started_at_ms = await self._begin()
        if self._phone is not None:
            await self._attend(self._phone, started_at_ms)
        index = 0
        while True:
            bunch = max(1, self._faults.bunch)
            due = (index // bunch + 1) * bunch * FRAME_MS
            jitter = self._random.random() * self._faults.jitter_ms
            await self._wait_until(started_at_ms + due + jitter)
            await self._send_frame(index, self._voice.frame())
            for digit in self._voice.told():
                await self.press(digit)
            index += 1

    async def _attend(self, phone: Phone, started_at_ms: float) -> None:
        """Let the phone bring its frames and return its marks; until cancelled."""
        self._clock = FrameClock(started_at_ms)
        phone.tell("start", callSid=self._call_sid, streamSid=self.stream_sid)
        while True:
            await self._wait_until(monotonic_ms() + _LONG_MS)

    def _let_go_of_phone(self) -> None:
        if self._phone is not None and self._clock is not None:
            self._clock = None
            self._phone.clear()
            self._phone.tell("stop")

    async def _send_frame(self, index: int, frame: bytes | None) -> None:
        if self._keep_audio:
            missing = index * FRAME_BYTES - len(self.spoken)
            self.spoken += _SILENCE[:1] * missing + (frame or _SILENCE)
        self._pulse.beat()
        await self._wire.media(index, frame)

    async def _wait_until(self, deadline_ms: float) -> None:
        """Return marks as they fall due until the moment comes."""
        while True:
            self._wake.clear()
            now = monotonic_ms()
            await self._return_marks(self.line.advance(now), now)
            if now >= deadline_ms:
                return
            mark_at = self.line.next_mark_at_ms()
            until = deadline_ms if mark_at is None else min(deadline_ms, mark_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, until - now) / 1000):
                    await self._wake.wait()

    async def _return_marks(self, names: list[str], now_ms: float) -> None:
        for name in names:
            remember(self.marks_returned, (name, now_ms))
            await self._wire.mark(name)
        if names:
            self._pulse.beat()

    async def _read(self) -> None:
        try:
            while True:
                await self._reading.wait()
                message = await self._wire.receive()
                await self._reading.wait()
                await self._take(message)
        except ConnectionClosed as closed:
            self._note_close(closed)

    async def _take(self, message: str | bytes) -> None:
        now = monotonic_ms()
        match judge(message, self.stream_sid):
            case Violation() as violation:
                self._complain(violation)
            case MediaMessage(mulaw):
                self.received["media"] += 1
                if self.first_media_at_ms is None:
                    self.first_media_at_ms = now
                await self._return_marks(self.line.advance(now), now)
                before = self.line.discarded_bytes
                if self.line.play(mulaw, now) and not before:
                    self._complain(Violation(31931, "more than ten minutes of audio buffered"))
            case MarkMessage(name):
                self.received["mark"] += 1
                await self._return_marks(self.line.mark(name, now), now)
                self._wake.set()
            case ClearMessage():
                self.received["clear"] += 1
                remember(self.cleared_at_ms, now)
                await self._return_marks(self.line.clear(now), now)
        self._pulse.beat()

    def _note_close(self, closed: ConnectionClosed) -> None:
        self.line.advance(monotonic_ms())
        if self._over is not None and self._over.done():
            return
        if closed.rcvd is not None:
            self.close_code, self.close_reason = closed.rcvd.code, closed.rcvd.reason
            text = f"server closed the socket: {self.close_code} {self.close_reason}".rstrip()
            self._complain(Violation(31921, text))
        elif closed.sent is not None and closed.sent.code in _OUR_FAULT_CODES:
            self.close_code = closed.sent.code
            self._break(Violation(31924, f"protocol violation: {closed.sent.reason}"))
            self._die("hang_up")
        else:
            self.close_code = 1006
            self._break(Violation(31903, "the socket broke without a close frame"))

    def _break(self, violation: Violation) -> None:
        self.broken = violation
        self._complain(violation)
