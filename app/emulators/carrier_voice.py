"""Voices for the carrier where nobody brings better ones: flite, espeak-ng, or captions only.

flite first: a local recogniser understands it, and espeak-ng hardly (measured: 4 % and 58 %
of the words wrong). Rule: text is never taken for an option of the program that says it.
"""

import shutil
from typing import Final

from app.audio import mulaw
from app.emulators.demo_voice import (
    AGENT,
    CALLER,
    PROGRAM,
    Studio,
    Voice,
    VoiceFault,
    sentences,
    telephone,
    trimmed,
)
from app.emulators.phone import Voice as PhoneVoice
from app.emulators.voice_program import sound_of

_FLITE: Final = "flite"
_LIMIT_S = 10.0
_PAUSE_MS = 180
"""Between two sentences; turns end after half a second of silence."""


class StudioVoice:
    """Speaks with the demonstration's studio where that has words, and else not at all."""

    def __init__(self, studio: Studio, speaker: Voice) -> None:
        self.rung = PROGRAM if studio.speaks else "none"
        self._studio = studio
        self._speaker = speaker

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law; empty when it cannot be said."""
        if self.rung == "none":
            return b""
        try:
            return await self._studio.say(text, self._speaker)
        except VoiceFault:
            return b""


class FliteVoice:
    """Speaks with the program flite, one process a sentence."""

    rung = _FLITE

    def __init__(self, program: str, speaker: str) -> None:
        self._command = (program, "-voice", speaker, "-o", "/dev/stdout", "-t")

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law; empty when it cannot be said."""
        try:
            said = [await self._sentence(one) for one in sentences(text)]
        except VoiceFault:
            return b""
        return mulaw.silence(_PAUSE_MS).join(said)

    async def _sentence(self, text: str) -> bytes:
        sound = await sound_of(_FLITE, (*self._command, text), within_s=_LIMIT_S)
        return trimmed(telephone(sound))


def found() -> tuple[PhoneVoice, PhoneVoice]:
    """The carrier's voice, and the one that speaks for a caller: two speakers, told apart."""
    program = shutil.which(_FLITE)
    if program is not None:
        return FliteVoice(program, "slt"), FliteVoice(program, "rms")
    studio = Studio.found()
    return StudioVoice(studio, AGENT), StudioVoice(studio, CALLER)
