"""The ear of a Realtime session: the input audio buffer, and who is speaking when.

Speech is told from silence by level, in windows of one telephone frame. The clock is the
audio that was written, not the time that passed: a client that stops appending stops it.
"""

import audioop
from dataclasses import dataclass, field

from app.audio import mulaw
from app.emulators.realtime_config import TurnDetection, bytes_per_ms
from app.protocol.units import FRAME_MS

_RMS_AT_FULL_THRESHOLD = 1000
"""Threshold 0.5 hears 500 of 32,767 (-36 dBFS): a voice on the telephone, not its noise."""
_LOUD_WINDOWS = 2
"""A single loud window is a click, not a voice."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak."""

    audio_start_ms: int
    """On the clock of written audio, padding included."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller has been silent for long enough."""

    audio_end_ms: int
    audio: bytes
    """The turn, from ``audio_start_ms`` of its beginning to ``audio_end_ms``."""


def level(audio: bytes, format_name: str) -> int:
    """Root mean square, 0 to 32,767, of audio in the format of that type name."""
    if format_name == "audio/pcmu":
        return mulaw.rms(audio)
    if format_name == "audio/pcma":
        return audioop.rms(audioop.alaw2lin(audio, 2), 2)
    return audioop.rms(audio, 2)


@dataclass(slots=True)
class Ear:
    """Hears appended audio: quiet -> speaking -> quiet; ``commit`` and ``clear`` make it quiet."""

    speaking: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _buffer_start_ms: int = 0
    _heard_ms: int = 0
    _start_ms: int = 0
    _unheard: int = 0
    _loud: int = 0
    _quiet_ms: int = 0
    _handed_out: int = 0
    _format: str = "audio/pcm"

    @property
    def buffered_ms(self) -> float:
        """Length of what was appended and not yet committed."""
        return len(self._buffer) / bytes_per_ms(self._format)

    @property
    def written_ms(self) -> int:
        """The clock: all audio ever appended."""
        return self._heard_ms + self._unheard // bytes_per_ms(self._format)

    def hear(
        self, audio: bytes, format_name: str, detection: TurnDetection | None
    ) -> list[SpeechStarted | SpeechStopped]:
        """Take appended audio, of any length, and tell what was noticed in it."""
        if format_name != self._format:
            self._drop()
            self._format = format_name
        self._buffer += audio
        self._unheard += len(audio)
        window = FRAME_MS * bytes_per_ms(format_name)
        noticed: list[SpeechStarted | SpeechStopped] = []
        while self._unheard >= window:
            begin = len(self._buffer) - self._unheard
            loudness = level(bytes(self._buffer[begin : begin + window]), format_name)
            self._unheard -= window
            self._heard_ms += FRAME_MS
            if detection is not None:
                noticed += self._judge(loudness, detection)
        return noticed

    def fresh(self) -> bytes:
        """What came of the turn being spoken since this was last asked; else nothing."""
        if not self.speaking:
            return b""
        unit = bytes_per_ms(self._format)
        begin = (self._start_ms - self._buffer_start_ms) * unit + self._handed_out
        audio = bytes(self._buffer[begin : len(self._buffer) - self._unheard])
        self._handed_out += len(audio)
        return audio

    def commit(self) -> bytes:
        """Everything in the buffer, which is empty afterwards."""
        audio = bytes(self._buffer)
        self._drop()
        return audio

    def clear(self) -> None:
        """Forget everything in the buffer."""
        self._drop()

    def _drop(self) -> None:
        self._heard_ms = self._buffer_start_ms = self.written_ms
        self._buffer.clear()
        self._unheard = self._loud = self._quiet_ms = 0
        self.speaking = False

    def _judge(
        self, loudness: int, detection: TurnDetection
    ) -> list[SpeechStarted | SpeechStopped]:
        loud = loudness >= max(1, detection.threshold * _RMS_AT_FULL_THRESHOLD)
        self._loud = self._loud + 1 if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + FRAME_MS
        if not self.speaking:
            if self._loud >= _LOUD_WINDOWS:
                return [self._begin(detection)]
            self._forget(detection)
        elif self._quiet_ms >= max(FRAME_MS, detection.silence_duration_ms):
            return [self._end()]
        return []

    def _begin(self, detection: TurnDetection) -> SpeechStarted:
        self.speaking = True
        self._handed_out = 0
        onset_ms = self._heard_ms - _LOUD_WINDOWS * FRAME_MS
        self._start_ms = max(self._buffer_start_ms, onset_ms - detection.prefix_padding_ms)
        return SpeechStarted(self._start_ms)

    def _end(self) -> SpeechStopped:
        unit = bytes_per_ms(self._format)
        begin = (self._start_ms - self._buffer_start_ms) * unit
        end = (self._heard_ms - self._buffer_start_ms) * unit
        audio = bytes(self._buffer[begin:end])
        del self._buffer[:end]
        self._buffer_start_ms = self._heard_ms
        self._loud = self._quiet_ms = 0
        self.speaking = False
        return SpeechStopped(self._heard_ms, audio)

    def _forget(self, detection: TurnDetection) -> None:
        kept_ms = detection.prefix_padding_ms + _LOUD_WINDOWS * FRAME_MS
        surplus_ms = self._heard_ms - self._buffer_start_ms - kept_ms
        if surplus_ms > kept_ms:
            del self._buffer[: surplus_ms * bytes_per_ms(self._format)]
            self._buffer_start_ms += surplus_ms
