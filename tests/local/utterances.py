"""The stored utterances as a telephone brings them: in silence, and in noise of a fixed seed."""

import audioop
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.audio import mulaw
from app.local.ports import Intent
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES, SAMPLE_RATE_HZ

CORPUS = Path(__file__).parent / "corpus"
FRAME = 2 * FRAME_BYTES
SPEECH_DBFS = -20.0
NARROW_HZ = (300, 3400)
Samples = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One of them."""

    voice: str
    text: str
    intent: str | None
    audio: bytes
    """Mu-law."""


@cache
def utterances() -> tuple[Utterance, ...]:
    """All 200; those without intent are in no grammar."""
    return _stored("index.json", "speech.ulaw")


@cache
def held_out() -> tuple[Utterance, ...]:
    """84 that nothing was tuned on, and nothing may be: other words, other voices.

    60 are in the grammar, 12 mean an intent in words that are not, 12 mean nothing.
    """
    return _stored("held_out_index.json", "held_out.ulaw")


def _stored(index_file: str, sound_file: str) -> tuple[Utterance, ...]:
    packed = (CORPUS / sound_file).read_bytes()
    index = json.loads((CORPUS / index_file).read_text(encoding="utf-8"))
    return tuple(
        Utterance(
            one["voice"],
            one["text"],
            one["intent"],
            packed[one["offset_bytes"] :][: one["length_bytes"]],
        )
        for one in index
    )


def voices(said: Iterable[Utterance]) -> tuple[str, ...]:
    """Those that speak, in the order of their first word."""
    return tuple(dict.fromkeys(one.voice for one in said))


@cache
def intents() -> tuple[Intent, ...]:
    """The eleven they were written for."""
    script = json.loads((CORPUS / "script.json").read_text(encoding="utf-8"))
    return tuple(Intent(name, tuple(phrases)) for name, phrases in script["intents"].items())


def turn(
    audio: bytes, *, snr_db: float | None = None, seed: int = 1, narrow: bool = False
) -> bytes:
    """Linear sound of an utterance between two silences, through the telephone's coding.

    ``narrow`` lets nothing of the voice pass below 300 Hz and above 3400 Hz; what is stored has
    the softer edges of a line card.
    """
    padded = mulaw.silence(300) + audio + mulaw.silence(500)
    samples: Samples = np.frombuffer(mulaw.decode(padded), "<i2").astype(float)
    if narrow:
        samples = _narrowed(samples)
    if snr_db is not None:
        noise = np.random.default_rng(seed).standard_normal(len(samples))
        samples += noise * 32768 * 10 ** ((SPEECH_DBFS - snr_db) / 20)
    return coded(samples)


def _narrowed(samples: Samples) -> Samples:
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    spectrum[(hertz < NARROW_HZ[0]) | (hertz > NARROW_HZ[1])] = 0
    return np.fft.irfft(spectrum, len(samples))


def coded(samples: Samples) -> bytes:
    """16-bit samples that have been mu-law once."""
    linear = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    return audioop.ulaw2lin(audioop.lin2ulaw(linear, 2), 2)


def frames(linear: bytes) -> list[bytes]:
    """In pieces of 20 ms."""
    return [linear[at : at + FRAME] for at in range(0, len(linear) - FRAME + 1, FRAME)]


@cache
def line_of_turns(noise: str, *, snr_db: float, seed: int) -> tuple[bytes, list[tuple[int, int]]]:
    """48 turns on one line, by four voices, and where they are in milliseconds."""
    chance = np.random.default_rng(seed)
    voices = ("espeak us-m", "espeak gb", "flite slt", "flite rms")
    spoken = {name: [u for u in utterances() if u.voice == name and u.intent] for name in voices}
    line = bytearray(mulaw.silence(2000))
    turns = []
    for number in range(48):
        audio = spoken[voices[number % 4]][number * 7 % 30].audio
        turns.append((len(line) // BYTES_PER_MS, (len(line) + len(audio)) // BYTES_PER_MS))
        line += audio + mulaw.silence(int(chance.uniform(900, 2500)))
    samples = np.frombuffer(mulaw.decode(bytes(line)), "<i2").astype(float)
    if noise != "clean":
        disturbing = _NOISES[noise](chance, len(samples))
        level = 32768 * 10 ** ((SPEECH_DBFS - snr_db) / 20)
        samples += disturbing * level / np.sqrt((disturbing**2).mean())
    return coded(samples), turns


def _coloured(chance: np.random.Generator, count: int, exponent: float) -> Samples:
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 20)
    spectrum = np.fft.rfft(chance.standard_normal(count)) * hertz**exponent
    return np.fft.irfft(spectrum, count)


def _hum(chance: np.random.Generator, count: int) -> Samples:
    seconds = np.arange(count) / SAMPLE_RATE_HZ
    overtones = [np.sin(2 * np.pi * 50 * n * seconds) / n for n in range(1, 7)]
    hum: Samples = np.sum(overtones, axis=0)
    return hum


def _babble(chance: np.random.Generator, count: int) -> Samples:
    """Thirteen people at once."""
    speech = b"".join(one.audio for one in utterances())
    samples = np.frombuffer(mulaw.decode(speech), "<i2").astype(float)
    voices = [np.resize(np.roll(samples, k * 99_991), count) for k in range(1, 14)]
    babble: Samples = np.sum(voices, axis=0)
    return babble


_NOISES: dict[str, Callable[[np.random.Generator, int], Samples]] = {
    "white": lambda chance, count: _coloured(chance, count, 0.0),
    "pink": lambda chance, count: _coloured(chance, count, -0.5),
    "rumble": lambda chance, count: _coloured(chance, count, -1.5),
    "hum": _hum,
    "babble": _babble,
}
NOISES = ("clean", *_NOISES)
