"""What a telephone network sounds like: ringing, busy, keys. All of it mu-law, made of sines."""

import audioop
from collections.abc import Iterable
from functools import cache

from app.audio import mulaw
from app.audio.tones import tone

RINGING_HZ = (440.0, 480.0)
BUSY_HZ = (480.0, 620.0)
RING_MS, RING_PAUSE_MS = 2_000, 4_000
BUSY_MS = 500
LONGEST_RINGING_MS = 120_000
_AMPLITUDE = 4_000
_SAMPLE_BYTES = 2
_ROWS_HZ = (697.0, 770.0, 852.0, 941.0)
_COLUMNS_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = "123A456B789C*0#D"


def ringing(length_ms: int) -> bytes:
    """What a caller hears while the other side rings, American cadence; two minutes at most."""
    length_ms = min(length_ms, LONGEST_RINGING_MS)
    cycle = _both(RINGING_HZ, RING_MS) + mulaw.silence(RING_PAUSE_MS)
    cycles = -(-length_ms // (RING_MS + RING_PAUSE_MS))
    return (cycle * cycles)[: len(mulaw.silence(length_ms))]


def busy(times: int = 3) -> bytes:
    """The busy tone, ``times`` beats of it."""
    return (_both(BUSY_HZ, BUSY_MS) + mulaw.silence(BUSY_MS)) * times


def keys(digits: str, key_ms: int) -> bytes:
    """The tones of keys, half of ``key_ms`` each and a pause; ``w`` and what is no key is pause."""
    return b"".join(_key(digit, key_ms) for digit in digits.upper())


def _key(digit: str, key_ms: int) -> bytes:
    place = _KEYS.find(digit)
    if place < 0:
        return mulaw.silence(key_ms)
    row, column = divmod(place, len(_COLUMNS_HZ))
    half = key_ms // 2
    return _both((_ROWS_HZ[row], _COLUMNS_HZ[column]), half) + mulaw.silence(key_ms - half)


@cache
def _both(frequencies_hz: Iterable[float], length_ms: int) -> bytes:
    mixed = mulaw.decode(mulaw.silence(length_ms))
    for frequency_hz in frequencies_hz:
        one = mulaw.decode(tone(frequency_hz, length_ms, amplitude=_AMPLITUDE))
        mixed = audioop.add(mixed, one, _SAMPLE_BYTES)
    return mulaw.encode(mixed)
