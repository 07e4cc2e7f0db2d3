"""A receiver of keys, made for tests alone: Goertzel's filter every millisecond.

It knows nothing of how we make them: where energy begins and ends it finds by the energy, which
key it was by the strongest row and column of the middle of it.
"""

import math
from array import array
from dataclasses import dataclass

from app.audio import mulaw
from app.audio.tones import strength
from app.protocol.units import BYTES_PER_MS

ROWS = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}
COLUMNS = (1209, 1336, 1477, 1633)
FULL_SCALE = 32_636 / math.sqrt(2)
"""The root mean square of a sine of +3.17 dBm0."""
LEAST = 0.8
"""Of the energy must be in the two tones."""
WINDOW_MS = 3


@dataclass(frozen=True, slots=True)
class Heard:
    """One key."""

    key: str
    at_ms: int
    length_ms: int
    level_dbm0: float


def decoded(audio: bytes, *, floor_dbm0: float = -50) -> list[Heard]:
    """The keys in mu-law ``audio``, in their order; what is no key is passed over."""
    least = FULL_SCALE * 10 ** ((floor_dbm0 - 3.17) / 20)
    found = (_key(audio, begin, end) for begin, end in _loud(audio, least))
    return [one for one in found if one is not None]


def _loud(audio: bytes, least: float) -> list[tuple[int, int]]:
    """Where something is heard, in ms. Two tones that beat are silent for 2 ms at most."""
    count = len(audio) // BYTES_PER_MS
    loud = [
        mulaw.rms(audio[ms * BYTES_PER_MS : (ms + 1) * BYTES_PER_MS]) > least for ms in range(count)
    ]
    spans: list[tuple[int, int]] = []
    for ms in (ms for ms in range(count) if loud[ms]):
        if spans and ms - spans[-1][1] <= WINDOW_MS:
            spans[-1] = (spans[-1][0], ms + 1)
        else:
            spans.append((ms, ms + 1))
    return spans


def _key(audio: bytes, begin_ms: int, end_ms: int) -> Heard | None:
    piece = audio[begin_ms * BYTES_PER_MS : end_ms * BYTES_PER_MS]
    inner = piece[2 * BYTES_PER_MS : -2 * BYTES_PER_MS] or piece
    row = max(ROWS, key=lambda hz: strength(inner, hz))
    column = max(COLUMNS, key=lambda hz: strength(inner, hz))
    if strength(inner, row) + strength(inner, column) < LEAST:
        return None
    samples = array("h", mulaw.decode(inner))
    rms = math.sqrt(sum(x * x for x in samples) / len(samples))
    level = 20 * math.log10(rms / FULL_SCALE) + 3.17
    key = ROWS[row][COLUMNS.index(column)]
    return Heard(key, begin_ms, end_ms - begin_ms, level)
