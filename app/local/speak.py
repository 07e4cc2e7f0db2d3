"""The local model's voice: a server of the operator's, a program, or sound made in advance.

    TTS_BASE_URL -> flite -> espeak-ng -> lines rendered in advance -> captions only

Programs are run, never loaded: espeak-ng is GPL, and a separate program may be. Everything is
brought to one loudness and to mu-law, and kept, so that a line that was said once costs
nothing the second time.
"""

import shutil
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import structlog

from app.audio import mulaw
from app.emulators.demo_voice import sentences, telephone, trimmed
from app.emulators.voice_program import VoiceFault, sound_of
from app.local.foreign import UNFORESEEN, Attempt
from app.local.ports import Took, untold
from app.local.prompts import Prompts
from app.local.reading import shortened
from app.local.remote import Remote, RemoteFault

PAUSE_MS = 180
"""Between two sentences: shorter than what ends a turn."""
SENTENCE_S = 2.5
"""A server that needs longer for one leaves a greeting no time for the next rung."""
CAPTIONS = "captions only"
_KEPT_BYTES = 16 * 1024 * 1024
_LIMIT_S = 10
_LONGEST_CHARS = 600

log = structlog.get_logger("speak")


class Engine(Protocol):
    """One way to make a sentence audible."""

    rung: str

    async def sentence(self, text: str) -> bytes:
        """One sentence as mu-law. Raises ``VoiceFault`` when it cannot be said. Cancel-safe."""
        ...


class Program:
    """A speaking program that writes a WAV to its standard output."""

    def __init__(self, rung: str, command: Sequence[str], *, before: str = "") -> None:
        """``command`` is run with the text behind it; ``before`` keeps text from being options."""
        self.rung = rung
        self._command = [*command, *([before] if before else [])]

    async def sentence(self, text: str) -> bytes:
        """Run the program once."""
        sound = await sound_of(self.rung, (*self._command, text), within_s=_LIMIT_S)
        return trimmed(telephone(sound))


class Server:
    """``POST {TTS_BASE_URL}/audio/speech``, OpenAI-compatible."""

    def __init__(self, remote: Remote, model: str, voice: str) -> None:
        self._remote = remote
        self._model = model or "tts-1"
        self._voice = voice or "alloy"
        self.rung = f"TTS_BASE_URL ({self._voice})"

    async def sentence(self, text: str) -> bytes:
        """Ask the server for a WAV."""
        wanted = {"model": self._model, "voice": self._voice, "input": text}
        try:
            sound = await self._remote.sound("audio/speech", {**wanted, "response_format": "wav"})
        except RemoteFault as fault:
            raise VoiceFault(str(fault)) from fault
        return trimmed(telephone(sound))


def flite(voice: str = "slt") -> Program | None:
    """flite, where it is installed."""
    path = shutil.which("flite")
    if path is None:
        return None
    return Program(f"flite ({voice})", [path, "-voice", voice, "-o", "/dev/stdout", "-t"])


def espeak(voice: str = "en-us+f3") -> Program | None:
    """espeak-ng, where it is installed."""
    path = shutil.which("espeak-ng")
    return None if path is None else Program("espeak-ng", [path, "--stdout", "-v", voice, "--"])


class Voice:
    """One speaker for any number of calls: the engines in order, each mended by the next."""

    def __init__(self, engines: Sequence[Engine], prompts: Prompts, took: Took = untold) -> None:
        self._engines = [*engines, prompts]
        self._took = took
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        """Sound by rung and sentence."""
        self._kept_bytes = 0
        self._told: set[str] = set()

    @property
    def rung(self) -> str:
        """What speaks unless it fails."""
        return self._engines[0].rung

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law; empty where nothing can say it, which the log tells once."""
        parts = [await self._sentence(one) for one in sentences(shortened(text, _LONGEST_CHARS))]
        return mulaw.silence(PAUSE_MS).join(part for part in parts if part)

    async def _sentence(self, text: str) -> bytes:
        why = ""
        for engine in self._engines:
            # By voice: what a fallback said is no longer wanted once the better one is back.
            said = (engine.rung, text)
            if said in self._kept:
                self._kept.move_to_end(said)
                if why:
                    self._took(engine.rung, why)
                return self._kept[said]
            with Attempt(engine.rung) as attempt:
                try:
                    sound = await engine.sentence(text)
                except VoiceFault as fault:
                    why = why or str(fault)
                    self._tell(engine.rung, str(fault))
                else:
                    self._took(engine.rung, why)
                    return self._keep(said, sound)
            why = why or (UNFORESEEN if attempt.fault else "")
        self._took(CAPTIONS, why)
        return b""

    def _keep(self, said: tuple[str, str], sound: bytes) -> bytes:
        # Two calls may have made the same sentence at once.
        self._kept_bytes += len(sound) - len(self._kept.get(said, b""))
        self._kept[said] = sound
        while self._kept_bytes > _KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)
        return sound

    def _tell(self, rung: str, sentence: str) -> None:
        if rung not in self._told:
            self._told.add(rung)
            log.warning("voice_fell_back", from_=rung, reason=sentence)
