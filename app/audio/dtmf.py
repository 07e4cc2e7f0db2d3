"""The two tones of a key, made as a telephone makes them (ITU-T Q.23), as base64 of mu-law.

Levels are in dBm0, of both tones together: a sine at the edge of mu-law is +3.17 dBm0 (G.711),
so two at 0 dBm0 just fit. A key lasts as long as asked for, to the sample, and so does what is
between two of them.
"""

import math
from array import array
from binascii import b2a_base64
from functools import lru_cache

from app.audio import mulaw
from app.protocol.units import MULAW_SILENCE, SAMPLE_RATE_HZ, bytes_of_ms

KEYS = "123A456B789C*0#D"
ROWS_HZ = (697, 770, 852, 941)
COLUMNS_HZ = (1209, 1336, 1477, 1633)
PAUSES_MS = {"w": 500, "W": 1_000}
"""As Twilio writes them; no key, but time."""
EDGE_DBM0 = 3.17
EDGE = 32_636
"""The peak that stands for it, of 32,767."""
_MOST_KEPT = 64
"""Different keys whose sound is kept, 7 kB each as a rule."""


def frequencies_hz(key: str) -> tuple[int, int]:
    """Row and column of one of ``KEYS``. Raises ``ValueError``."""
    row, column = divmod(KEYS.index(key), len(COLUMNS_HZ))
    return ROWS_HZ[row], COLUMNS_HZ[column]


def length_ms(symbol: str, *, key_ms: int, gap_ms: int) -> int:
    """So long one of ``KEYS`` takes, with the silence behind it, or a pause."""
    return PAUSES_MS.get(symbol) or key_ms + gap_ms


@lru_cache(maxsize=_MOST_KEPT)
def sound(symbol: str, *, key_ms: int, gap_ms: int, level_dbm0: int) -> str:
    """A key and the silence behind it, or a pause. What is neither is a silent key: its sound is
    not known any more. Half a millisecond of work for a key of 200 ms, once (2026-11)."""
    whole = bytes_of_ms(length_ms(symbol, key_ms=key_ms, gap_ms=gap_ms))
    tones = _tones(symbol, key_ms, level_dbm0) if symbol in KEYS else b""
    silence = bytes([MULAW_SILENCE]) * (whole - len(tones))
    return b2a_base64(tones + silence, newline=False).decode()


def _tones(key: str, key_ms: int, level_dbm0: int) -> bytes:
    each_dbm0 = level_dbm0 - 10 * math.log10(2)
    peak = EDGE * math.sqrt(10 ** ((each_dbm0 - EDGE_DBM0) / 10))
    low, high = (2 * math.pi * hz / SAMPLE_RATE_HZ for hz in frequencies_hz(key))
    times = range(bytes_of_ms(key_ms))
    samples = (round(peak * (math.sin(low * n) + math.sin(high * n))) for n in times)
    return mulaw.encode(array("h", samples).tobytes())
