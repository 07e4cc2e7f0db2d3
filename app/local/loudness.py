"""What the recogniser is given instead of the line: level, rate and a little noise.

Three things without which it is useless on the telephone: speech near -20 dBFS (at -35 it
understands half), 16 kHz, and white noise at -48 dBFS below it, because digital silence and
an empty upper band are nothing its model ever saw (intents 67 % without, 93 % with it).
"""

import audioop
import math
import random
from array import array
from functools import cache

from app.protocol.units import FRAME_BYTES, SAMPLE_RATE_HZ

WIDE_HZ = 2 * SAMPLE_RATE_HZ
_FULL_SCALE = 32768
_SILENCE = 10**-9.6
_SPEECH_DBFS = -20.0
_NOISE_DBFS = -48.0
_NOISE_SECONDS = 2
_QUIETEST_SPEECH_DBFS = -45.0
"""Below it a frame says nothing about how loud the caller is."""
_LOUDEST_GAIN_DB = 20.0
_LEARNS_FIRST_FRAMES = 15
"""The level of a caller is the mean of that much speech before it is followed slowly."""
_FOLLOWS_OVER_FRAMES = 150
_FRAME = 2 * FRAME_BYTES


def dbfs(linear: bytes) -> float:
    """Level of 16-bit samples; -96 for silence."""
    return 10 * math.log10(max((audioop.rms(linear, 2) / _FULL_SCALE) ** 2, _SILENCE))


@cache
def _noise() -> bytes:
    """White noise at 16 kHz; the same in every process."""
    chance = random.Random(48)
    deviation = _FULL_SCALE * math.sqrt(_power(_NOISE_DBFS))
    count = _NOISE_SECONDS * WIDE_HZ
    return array("h", (round(chance.gauss(0, deviation)) for _ in range(count))).tobytes()


class Gain:
    """Brings one caller's speech to -20 dBFS, slowly."""

    def __init__(self) -> None:
        self._frames = 0
        self._level_dbfs = _SPEECH_DBFS

    @property
    def factor(self) -> float:
        """What samples are multiplied with now."""
        gain_db = min(_SPEECH_DBFS - self._level_dbfs, _LOUDEST_GAIN_DB)
        return math.sqrt(_power(gain_db))

    @property
    def known(self) -> bool:
        """Whether enough speech was heard to trust ``factor``."""
        return self._frames >= _LEARNS_FIRST_FRAMES

    def learn(self, linear: bytes) -> None:
        """Hear 16-bit, 8 kHz samples of any length."""
        for begin in range(0, len(linear), _FRAME):
            level = dbfs(linear[begin : begin + _FRAME])
            if level > _QUIETEST_SPEECH_DBFS:
                self._frames += 1
                weight = 1 / min(self._frames, _FOLLOWS_OVER_FRAMES)
                power = (1 - weight) * _power(self._level_dbfs) + weight * _power(level)
                self._level_dbfs = 10 * math.log10(power)


def _power(level_db: float) -> float:
    return float(10 ** (level_db / 10))


class Widener:
    """8 kHz to noisy 16 kHz, piece after piece of one turn."""

    def __init__(self) -> None:
        # ``ratecv`` hands back a state that it alone understands.
        self._rate_state: object = None
        self._noise_at = 0

    def widen(self, linear: bytes, factor: float) -> bytes:
        """More 16-bit samples, times ``factor``, at twice the rate."""
        louder = audioop.mul(linear, 2, factor)
        wide, self._rate_state = audioop.ratecv(
            louder,
            2,
            1,
            SAMPLE_RATE_HZ,
            WIDE_HZ,
            self._rate_state,  # type: ignore[arg-type]
        )
        return audioop.add(wide, self._next_noise(len(wide)), 2)

    def _next_noise(self, length: int) -> bytes:
        noise = _noise()
        begin, self._noise_at = self._noise_at, (self._noise_at + length) % len(noise)
        cut = noise[begin : begin + length]
        while len(cut) < length:
            cut += noise[: length - len(cut)]
        return cut
