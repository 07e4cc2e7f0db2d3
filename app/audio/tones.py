"""Tones: made for tests and demonstrations, recognised by Goertzel's filter.

A test that listens for a frequency proves that audio arrived as audio; comparing bytes
would also be satisfied by two mistakes that cancel out.
"""

import math
from array import array

from app.audio import mulaw
from app.protocol.units import SAMPLE_RATE_HZ


def tone(frequency_hz: float, length_ms: int, *, amplitude: int = 8000) -> bytes:
    """Mu-law of a sine at ``frequency_hz`` (below 4,000), peak ``amplitude`` of 32,767."""
    count = length_ms * SAMPLE_RATE_HZ // 1000
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    samples = array("h", (round(amplitude * math.sin(step * n)) for n in range(count)))
    return mulaw.encode(samples.tobytes())


def strength(audio: bytes, frequency_hz: float) -> float:
    """Share of the energy of mu-law ``audio`` at ``frequency_hz``: about 1.0 for a pure tone."""
    samples = array("h", mulaw.decode(audio))
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / SAMPLE_RATE_HZ)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (energy * len(samples))


def loudest(audio: bytes, frequencies_hz: list[float], *, at_least: float = 0.5) -> float | None:
    """The frequency that dominates mu-law ``audio``, or None when none of them does."""
    best = max(frequencies_hz, key=lambda frequency: strength(audio, frequency))
    return best if strength(audio, best) >= at_least else None


def soft(frequency_hz: float, length_ms: int, *, amplitude: int) -> bytes:
    """Mu-law of a sine that swells to its peak ``amplitude`` of 32,767 and dies away."""
    count = length_ms * SAMPLE_RATE_HZ // 1000
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    swell = (math.sin(math.pi * n / count) ** 2 for n in range(count))
    samples = array("h", (round(amplitude * s * math.sin(step * n)) for n, s in enumerate(swell)))
    return mulaw.encode(samples.tobytes())


COMFORT_TONE = soft(425, 180, amplitude=1500)
"""What somebody hears who is held, at 27 dB below full scale: the pitch of European exchanges."""
