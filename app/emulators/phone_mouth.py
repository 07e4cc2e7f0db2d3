"""What a phone says: its microphone, or a voice that speaks for whoever holds it.

Rule: one of them at a time. While the voice speaks the microphone is not heard, and a phone
whose microphone never gave a frame is silent as a muted telephone is: silence, not nothing.
"""

import asyncio

from app.audio import mulaw
from app.emulators.phone import FrameClock, Leg, Voice
from app.emulators.twilio_words import monotonic_ms
from app.protocol.units import FRAME_BYTES, FRAME_MS

TEXTS_WAITING = 16
LONGEST_TEXT_CHARS = 1_000
_SILENCE = mulaw.silence(FRAME_MS)


class Mouth:
    """Speaks on one leg, while ``speak`` and ``pace`` run."""

    def __init__(self, leg: Leg, voice: Voice) -> None:
        self.replaced = 0
        """Frames of the microphone that were not heard: the voice spoke, or they came too fast."""
        self._leg = leg
        self._voice = voice
        self._texts: asyncio.Queue[str] = asyncio.Queue(TEXTS_WAITING)
        self._audio = bytearray()
        self._microphone = False
        self._clock = FrameClock(monotonic_ms())

    @property
    def quiet(self) -> bool:
        """True when the voice has said all it was asked to."""
        return not self._audio and self._texts.empty()

    def say(self, text: str) -> bool:
        """Say it behind what is being said; False when too much waits or the text is too long."""
        if len(text) > LONGEST_TEXT_CHARS or self._texts.full():
            return False
        self._texts.put_nowait(text)
        return True

    async def take(self, frame: bytes) -> None:
        """20 ms of the microphone."""
        self._microphone = True
        if self._audio or self._clock.number(monotonic_ms()) is None:
            self.replaced += 1
        else:
            await self._leg.take_frame(frame)

    async def speak(self) -> None:
        """Make sound of the texts; until cancelled."""
        while True:
            text = await self._texts.get()
            self._audio += await self._voice.say(text)

    async def pace(self) -> None:
        """Give the frames no microphone gives, every 20 ms; until cancelled."""
        due_ms = monotonic_ms()
        while True:
            due_ms += FRAME_MS
            await asyncio.sleep(max(0.0, due_ms - monotonic_ms()) / 1000)
            if self._audio:
                frame = bytes(self._audio[:FRAME_BYTES])
                await self._leg.take_frame(frame.ljust(FRAME_BYTES, _SILENCE[:1]))
                del self._audio[:FRAME_BYTES]
            elif not self._microphone:
                await self._leg.take_frame(_SILENCE)
