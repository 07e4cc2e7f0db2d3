"""A telephone in the hand of a scenario: it rings, hears, speaks and presses keys when told to.

    free -> ringing -> talking -> free

Rule: what was heard is kept from the moment the telephone was made to its last, whoever brought
it: a stream, the carrier's voice, somebody else in a room. Keys sound, as they do on a real one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.audio import mulaw
from app.emulators.phone import Answer, Leg, Line
from app.emulators.phone_line import PhoneLine
from app.emulators.scenarios import ear
from app.emulators.twilio_media import CallerVoice
from app.emulators.twilio_tasks import Pulse
from app.emulators.twilio_words import monotonic_ms
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES, FRAME_MS

_SILENCE = mulaw.silence(FRAME_MS)
_AROUND_MS = 40
"""Of a tone that has no whole frames at its ends."""


class Handset:
    """One telephone; a carrier's ``Phone``. It is live while ``live`` is entered."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Of its file."""
        self.rang = 0
        """How often somebody called it."""
        self.used = False
        """Whether there was a call on it."""
        self.pressed_at_ms = 0.0
        """When the carrier told of the newest key."""
        self.left_by: str | None = None
        """Who ended its newest call."""
        self._began_at_ms = monotonic_ms()
        self._own = PhoneLine(now_ms=self._began_at_ms)
        """What no stream brings."""
        self._lines = [self._own]
        self._look: Callable[[], None] = lambda: None
        """Has the stream look what was heard by now."""
        self._mouth = CallerVoice()
        self._spoken = bytearray()
        self._leg: Leg | None = None
        self._ringing: asyncio.Future[Answer] | None = None
        self._ticks = Pulse()

    @asynccontextmanager
    async def live(self) -> AsyncIterator["Handset"]:
        """Speaking and hearing, every 20 ms."""
        pumping = asyncio.create_task(self._pump(), name=f"handset {self.name}")
        try:
            yield self
        finally:
            pumping.cancel()
            await asyncio.wait({pumping})

    @property
    def heard(self) -> bytes:
        """Mu-law of all that was heard so far."""
        whole = bytearray()
        for line in self._lines:
            # The beginning of a stream falls into a frame; nothing is heard twice.
            at = round((line.opened_at_ms - self._began_at_ms) * BYTES_PER_MS)
            _lay(whole, at, line.heard)
        return bytes(whole)

    @property
    def spoken(self) -> bytes:
        """Mu-law of all that was said so far, its silences kept."""
        return bytes(self._spoken)

    def heard_at_ms(self, frequency_hz: float) -> float:
        """When the tone was heard first, on the clock of everybody here; 0: never."""
        at = ear.begins(self.heard, frequency_hz)
        return 0.0 if at is None else self._began_at_ms + at / BYTES_PER_MS

    async def hears(self, frequency_hz: float, length_ms: int, limit_s: float = 20) -> None:
        """Return when so much of a tone was heard. Raises TimeoutError, which names it."""
        await self.until(
            lambda: ear.lasts_ms(self.heard, frequency_hz) >= length_ms - _AROUND_MS,
            f"{self.name} to hear {frequency_hz:g} Hz for {length_ms} ms",
            limit_s,
        )

    async def rings(self, limit_s: float = 20) -> None:
        """Return when somebody calls. Raises TimeoutError."""
        await self.until(lambda: self._ringing is not None, f"{self.name} to ring", limit_s)

    async def until(self, fact: Callable[[], bool], what: str, limit_s: float = 20) -> None:
        """Return when ``fact`` holds; it is looked at every frame. Raises TimeoutError."""
        try:
            async with asyncio.timeout(limit_s):
                while not fact():
                    await self._ticks.next()
        except TimeoutError:
            raise TimeoutError(f"waited {limit_s:g} s in vain for {what}") from None

    def take_up(self, leg: Leg) -> None:
        """Talk on ``leg``, which this telephone dialled."""
        self.used, self._leg = True, leg

    def answer(self) -> None:
        """Pick up."""
        if self._ringing is not None:
            self._ringing.set_result(Answer.ANSWERED)
            self._ringing = None

    async def say(self, audio: bytes) -> None:
        """Mu-law, to its end."""
        self._mouth.say(audio)
        await self.until(lambda: self._mouth.silent, f"{self.name} to have spoken")

    async def press(self, digits: str) -> None:
        """Keys, each with its tones, to their end."""
        for digit in digits:
            self._mouth.press(digit)
        await self.until(lambda: self._mouth.silent, f"{self.name} to have pressed {digits}")

    async def hang_up(self) -> None:
        """Put the receiver down."""
        if self._leg is not None:
            await self._leg.hang_up()

    @property
    def free(self) -> bool:
        """Whether it can ring."""
        return self._leg is None

    def ring(
        self, leg: Leg, *, call_sid: str, from_: str, to: str, sentence: str
    ) -> "asyncio.Future[Answer]":
        """Ring until it is answered, or the caller gives up."""
        self.rang += 1
        self.used = True
        self._leg = leg
        self._ringing = asyncio.get_running_loop().create_future()
        return self._ringing

    def over(self, leg: Leg, by: str, reason: str) -> None:
        """The call is over."""
        if leg is self._leg:
            self._leg = self._ringing = None
            self.left_by = by

    def tell(self, event: str, **fields: Any) -> None:
        """A telephone has no screen."""

    def line(self, now_ms: float, marks_came: Callable[[], None]) -> Line:
        """What a stream plays to; it returns its marks by the clock."""
        self._look = marks_came
        self._lines.append(PhoneLine(now_ms=now_ms))
        return self._lines[-1]

    def play(self, audio: bytes) -> None:
        """Hear it behind what is there."""
        self._own.play(audio, monotonic_ms())

    async def play_out(self, audio: bytes) -> None:
        """The same, to its end."""
        self.play(audio)
        with contextlib.suppress(TimeoutError):
            left_s = self._own.buffered_ms(monotonic_ms()) / 1000
            await self.until(lambda: not self._own.playing, "the carrier", left_s + 5)

    def clear(self) -> None:
        """Hear nothing more of what the carrier brought."""
        self._own.clear(monotonic_ms())

    async def _pump(self) -> None:
        number = 0
        while True:
            number += 1
            due_ms = self._began_at_ms + number * FRAME_MS
            await asyncio.sleep(max(0.0, due_ms - monotonic_ms()) / 1000)
            frame = self._mouth.frame() or _SILENCE
            self._spoken += frame
            if self._leg is not None and self._ringing is None:
                await self._leg.take_frame(frame)
                for digit in self._mouth.told():
                    self.pressed_at_ms = monotonic_ms()
                    await self._leg.press(digit)
            self._own.advance(monotonic_ms())
            self._look()
            self._ticks.beat()


def _lay(track: bytearray, at: int, audio: bytes) -> None:
    """Put what sounds of ``audio`` on the track; silence covers nothing."""
    if len(track) < at + len(audio):
        track += _SILENCE[:1] * (at + len(audio) - len(track))
    for begin in range(0, len(audio), FRAME_BYTES):
        piece = audio[begin : begin + FRAME_BYTES]
        if piece.strip(_SILENCE[:1]):
            track[at + begin : at + begin + len(piece)] = piece
