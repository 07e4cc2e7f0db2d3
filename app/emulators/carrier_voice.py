"""Voices for the carrier where nobody brings better ones: flite, espeak-ng, or captions only.

flite first: a local recogniser understands it, and espeak-ng hardly (measured: 4 % and 58 %
of the words wrong). Rule: text is never taken for an option of the program that says it.
"""

import asyncio
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

_FLITE: Final = "flite"
_LIMIT_S = 10.0
_PAUSE_MS = 180
"""Between two sentences; turns end after half a second of silence."""
_CANNOT_BE_SAID: Final = (VoiceFault, TimeoutError, OSError, ValueError)
"""The last two: a program that is gone, and text that no argument can hold."""


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
        except _CANNOT_BE_SAID:
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
        except _CANNOT_BE_SAID:
            return b""
        return mulaw.silence(_PAUSE_MS).join(said)

    async def _sentence(self, text: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_LIMIT_S):
                sound, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return trimmed(telephone(sound))


def found() -> tuple[PhoneVoice, PhoneVoice]:
    """The carrier's voice, and the one that speaks for a caller: two speakers, told apart."""
    program = shutil.which(_FLITE)
    if program is not None:
        return FliteVoice(program, "slt"), FliteVoice(program, "rms")
    studio = Studio.found()
    return StudioVoice(studio, AGENT), StudioVoice(studio, CALLER)
