"""The voice of a Realtime session: audio and words cut into the deltas of an answer.

Every length and every encoding is made once and kept: twenty sessions that say the same
sentence cost one synthesis, and a delta on its way out costs one small JSON text.
"""

import audioop
import base64
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle

from app.audio import mulaw, tones
from app.emulators.realtime_config import bytes_per_ms, rate_hz
from app.protocol.units import BYTES_PER_MS, SAMPLE_RATE_HZ

_WORDS_AHEAD = 2
"""The transcript runs ahead of the audio by this factor, as it does in the real service."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of speech: words, audio, or both."""

    words: str
    b64: str
    length_bytes: int
    length_ms: float


@lru_cache(maxsize=64)
def tone(frequency_hz: float, length_ms: int) -> bytes:
    """Mu-law of a tone that a listener can tell from others."""
    return tones.tone(frequency_hz, length_ms)


@lru_cache(maxsize=64)
def encoded(audio: bytes, format_name: str) -> bytes:
    """Mu-law ``audio`` in the output format of that name."""
    if format_name == "audio/pcmu":
        return audio
    linear = mulaw.decode(audio)
    if format_name == "audio/pcma":
        return audioop.lin2alaw(linear, 2)
    return audioop.ratecv(linear, 2, 1, SAMPLE_RATE_HZ, rate_hz(format_name), None)[0]


@lru_cache(maxsize=64)
def deltas(text: str, audio: bytes, format_name: str, sizes_ms: tuple[int, ...]) -> list[Delta]:
    """The deltas of one spoken item; mu-law ``audio``, sizes taken in turn, the last one short."""
    whole = encoded(audio, format_name)
    unit = bytes_per_ms(format_name)
    pieces: list[bytes] = []
    sizes = cycle(sizes_ms)
    start = 0
    while start < len(whole):
        end = start + next(sizes) * unit
        pieces.append(whole[start:end])
        start = end
    chunks = spread(text, len(pieces))
    return [
        Delta(words, base64.b64encode(piece).decode(), len(piece), len(piece) / unit)
        for words, piece in zip(chunks, pieces, strict=True)
    ]


def spread(text: str, count: int) -> list[str]:
    """``text`` as ``count`` pieces at word boundaries, most of it in the earlier ones."""
    words = split(text)
    pieces: list[str] = []
    said = 0
    for index in range(1, count + 1):
        due = -(-len(words) * index * _WORDS_AHEAD // count)
        due = len(words) if index == count else min(len(words), due)
        pieces.append("".join(words[said:due]))
        said = due
    return pieces


def split(text: str) -> list[str]:
    """Words, each but the first with the space before it: joined, they are ``text`` again."""
    first, *rest = text.split(" ")
    return [word for word in (first, *(f" {word}" for word in rest)) if word]


def mulaw_ms(audio: bytes) -> int:
    """Length of mu-law audio, rounded down."""
    return len(audio) // BYTES_PER_MS
