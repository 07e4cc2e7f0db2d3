"""Sounds that are made and not recorded, so that nobody needs a file, or a licence, to begin.

Noise comes from a counter that is always the same: a sound is the same in every process.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping

from app.audio import mulaw
from app.audio.tones import COMFORT_TONE
from app.protocol.units import BYTES_PER_MS

_TYPING_MS = 5_000
_TONES_MS = 3_000
_CLICK_MS = 14
_LOUDNESS = 6_000
"""Of a key at its loudest, of 32,767: a keyboard on the same desk."""


def typing() -> bytes:
    """16-bit samples at 8 kHz: somebody who types, in bursts of words. To be looped."""
    samples = array("h", bytes(2 * _TYPING_MS * BYTES_PER_MS))
    noise, at_ms = _noise(), 0.0
    while at_ms < _TYPING_MS - 2 * _CLICK_MS:
        begin = int(at_ms * BYTES_PER_MS)
        loudness = _LOUDNESS * (0.6 + 0.4 * next(noise))
        for n in range(_CLICK_MS * BYTES_PER_MS):
            fading = math.exp(-n / (2.2 * BYTES_PER_MS))
            samples[begin + n] = round(loudness * fading * next(noise))
        word_ends = next(noise) > 0.7
        at_ms += 130 + 60 * next(noise) + (350 if word_ends else 0)
    return samples.tobytes()


def tones() -> bytes:
    """16-bit samples at 8 kHz: a soft tone every three seconds. To be looped."""
    pause = mulaw.silence(_TONES_MS - len(COMFORT_TONE) // BYTES_PER_MS)
    return mulaw.decode(COMFORT_TONE + pause)


def _noise() -> Iterator[float]:
    """Numbers between -1 and 1, each as good as any."""
    state = 1
    while True:
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        yield state / 0x3FFF_FFFF - 1


MADE: Mapping[str, Callable[[], bytes]] = {"typing": typing, "tones": tones}
"""By the name that stands where a file's name could."""
