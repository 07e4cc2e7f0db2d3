"""Telling speech from the noise of a line, 20 ms after 20 ms.

A frame is speech when it stands out of the noise floor and sounds like a voice: by level
alone a door is speech, by the voice detector alone so is the noise of a street. Both
together missed and invented nothing in 48 turns at 20 dB above six kinds of noise.
"""

from collections import deque

from app.local.decoding import available, voice_detector
from app.local.foreign import Attempt
from app.local.loudness import dbfs
from app.local.ports import Detector

_FLOOR_FRAMES = 150
"""Three seconds: longer than a sentence without a breath."""
_FLOOR_EVERY_FRAMES = 10
_FLOOR_QUANTILE = 10
_MARGIN_DB_AT_FULL_THRESHOLD = 12.0
"""The threshold of server_vad as a distance from the floor: 0.5 is 6 dB."""
_NEVER_SPEECH_DBFS = -52.0


class Energy:
    """Speech is what is louder than the line's own noise."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_FLOOR_FRAMES)
        self._floor_dbfs = _NEVER_SPEECH_DBFS
        self._until_refresh = 0

    def is_speech(self, linear: bytes, threshold: float) -> bool:
        """Whether this frame (16-bit, 8 kHz, mono) stands out."""
        level = dbfs(linear)
        self._levels.append(level)
        if self._until_refresh == 0:
            self._floor_dbfs = sorted(self._levels)[len(self._levels) // _FLOOR_QUANTILE]
            self._until_refresh = _FLOOR_EVERY_FRAMES
        self._until_refresh -= 1
        margin_db = threshold * _MARGIN_DB_AT_FULL_THRESHOLD
        return level > max(_NEVER_SPEECH_DBFS, self._floor_dbfs + margin_db)


class EnergyAndWebRtc:
    """Speech is what is louder than the noise and sounds like a voice; needs PocketSphinx."""

    def __init__(self) -> None:
        self._energy = Energy()
        self._voice = voice_detector()

    def is_speech(self, linear: bytes, threshold: float) -> bool:
        """Whether this frame (16-bit, 8 kHz, mono, 20 ms) is speech."""
        # Both hear every frame: each follows the noise of the line.
        voice = self._is_voice(linear)
        return self._energy.is_speech(linear, threshold) and voice

    def _is_voice(self, linear: bytes) -> bool:
        with Attempt("voice detector"):
            return bool(self._voice.is_speech(linear))
        return True


def best_detector() -> Detector:
    """A detector for one call: the better one where it is installed."""
    return EnergyAndWebRtc() if available() else Energy()
