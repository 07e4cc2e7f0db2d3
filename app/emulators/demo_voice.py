"""Voices for the demonstration: espeak-ng where it is installed, beeps where it is not.

Everything is said before the call begins, so that making speech takes no time from playing
it. Rule: what comes out is telephone audio (mu-law, 8,000 samples a second), at one loudness,
with no pause inside it that an ear could take for the end of a turn.
"""

import audioop
import io
import re
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path

from app.audio import mulaw, tones
from app.emulators.voice_program import VoiceFault, sound_of
from app.protocol.units import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ

__all__ = [
    "AGENT",
    "CALLER",
    "PROGRAM",
    "Studio",
    "Voice",
    "VoiceFault",
    "levelled",
    "read_caller",
    "sentences",
    "stereo_wav",
    "telephone",
    "trimmed",
]

PROGRAM = "espeak-ng"
_SPEAKING_LIMIT_S = 20
_RMS = 3000
"""About -21 dBFS, a usual level on the telephone."""
_PEAK = 24_000
_QUIET_RMS = 150
_PAUSE_MS = 180
"""Between two sentences; turns end after half a second of silence."""
_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker."""

    name: str
    """As espeak-ng knows it."""
    words_per_minute: int
    beep_hz: float
    """Its lowest beep, where it has to beep."""


AGENT = Voice("en-us+f3", 180, 440)
CALLER = Voice("en-gb+m3", 180, 220)


class Studio:
    """Says texts; ``program`` is the path of espeak-ng, None for beeps."""

    def __init__(self, program: str | None) -> None:
        self._program = program

    @classmethod
    def found(cls) -> "Studio":
        """With espeak-ng if it is on the PATH."""
        return cls(shutil.which(PROGRAM))

    @property
    def speaks(self) -> bool:
        """False: it beeps."""
        return self._program is not None

    async def say(self, text: str, voice: Voice) -> bytes:
        """``text`` as mu-law. Raises ``VoiceFault``."""
        said = [await self._sentence(one, voice) for one in sentences(text)]
        return mulaw.silence(_PAUSE_MS).join(said)

    async def _sentence(self, text: str, voice: Voice) -> bytes:
        if self._program is None:
            return _beeps(text, voice.beep_hz)
        options = ("--stdout", "-v", voice.name, "-s", str(voice.words_per_minute), "--", text)
        command = (self._program, *options)
        sound = await sound_of(PROGRAM, command, within_s=_SPEAKING_LIMIT_S)
        return trimmed(telephone(sound))


def sentences(text: str) -> list[str]:
    """The sentences of ``text``, each with its full stop."""
    return [one for one in re.split(r"(?<=[.!?])\s+", text.strip()) if one]


def telephone(wav: bytes) -> bytes:
    """A mono 16-bit WAV of any rate as mu-law at one loudness. Raises ``VoiceFault``."""
    try:
        with wave.open(io.BytesIO(wav)) as sound:
            layout = (sound.getnchannels(), sound.getsampwidth())
            rate_hz = sound.getframerate()
            # The length in the header of a stream is a guess; what is there is read.
            linear = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as exc:
        raise VoiceFault(f"not a WAV file that can be read: {exc}") from exc
    if layout != (1, _SAMPLE_BYTES) or not rate_hz:
        raise VoiceFault("the WAV file must be mono with 16 bits a sample")
    linear = linear[: len(linear) // _SAMPLE_BYTES * _SAMPLE_BYTES]
    slower, _ = audioop.ratecv(linear, _SAMPLE_BYTES, 1, rate_hz, SAMPLE_RATE_HZ, None)
    return mulaw.encode(levelled(slower))


def levelled(linear: bytes) -> bytes:
    """16-bit samples at the usual loudness, or as near to it as their peaks allow."""
    loudness = audioop.rms(linear, _SAMPLE_BYTES)
    if not loudness:
        return linear
    factor = min(_RMS / loudness, _PEAK / audioop.max(linear, _SAMPLE_BYTES))
    return audioop.mul(linear, _SAMPLE_BYTES, factor)


def trimmed(audio: bytes) -> bytes:
    """Mu-law without the silence before and behind it."""
    frames = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
    loud = [n for n, frame in enumerate(frames) if mulaw.rms(frame) > _QUIET_RMS]
    if not loud:
        return b""
    return b"".join(frames[loud[0] : loud[-1] + 1])


def stereo_wav(left: bytes, right: bytes) -> bytes:
    """Two mu-law tracks of one length as a WAV with 16 bits a sample."""
    both = audioop.add(
        audioop.tostereo(mulaw.decode(left), _SAMPLE_BYTES, 1, 0),
        audioop.tostereo(mulaw.decode(right), _SAMPLE_BYTES, 0, 1),
        _SAMPLE_BYTES,
    )
    return _wav(both, 2)


def mono_wav(linear: bytes) -> bytes:
    """16-bit samples as a WAV."""
    return _wav(linear, 1)


def _wav(linear: bytes, channels: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(_SAMPLE_BYTES)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(linear)
    return file.getvalue()


def read_caller(file: Path) -> bytes:
    """A WAV file as what a caller says. Raises ``VoiceFault`` or ``OSError``."""
    return telephone(file.read_bytes())


def _beeps(text: str, lowest_hz: float) -> bytes:
    """A beep for every word, the longer the longer, on a pentatonic scale."""
    scale = (1, 9 / 8, 5 / 4, 3 / 2, 5 / 3)
    gap = mulaw.silence(2 * FRAME_MS)
    return gap.join(
        tones.tone(lowest_hz * scale[len(word) % len(scale)], FRAME_MS * (4 + len(word)))
        for word in text.split()
    )
