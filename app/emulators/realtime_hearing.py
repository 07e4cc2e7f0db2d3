"""The ear of a Realtime session: the input audio buffer, and who is speaking when.

Speech is told from silence by level, or by a detector that is given, in windows of one
telephone frame. The clock is the audio that was written, not the time that passed: a client
that stops appending stops it.
"""

import audioop
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.audio import mulaw
from app.emulators.realtime_config import TurnDetection, bytes_per_ms
from app.protocol.units import FRAME_MS, SAMPLE_RATE_HZ

_RMS_AT_FULL_THRESHOLD = 1000
"""Threshold 0.5 hears 500 of 32,767 (-36 dBFS): a voice on the telephone, not its noise."""
_LOUD_WINDOWS = 2
"""A single loud window is a click, not a voice."""
_SPEECH_WINDOWS = 3
_SPEECH_GAP_WINDOWS = 2
"""A detector doubts the quiet sounds between two vowels."""
_PCM_RATE_HZ = 24_000


class Detector(Protocol):
    """Voice activity of one session, for ears that know more than level."""

    def is_speech(self, linear: bytes, threshold: float) -> bool:
        """Whether this frame (16-bit, 8 kHz, mono) is speech; ``threshold`` as in server_vad."""


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
class _Onset:
    """Enough windows of speech, with few enough others between two of them, are a voice."""

    needed: int
    longest_gap: int
    windows: int = 0
    """Since the first of them."""
    _speech: int = 0
    _gap: int = 0

    def hear(self, *, speech: bool) -> bool:
        """Whether somebody speaks, one window later."""
        self._gap = 0 if speech else self._gap + 1
        if self._gap > self.longest_gap:
            self.forget()
        if speech or self._speech:
            self.windows += 1
            self._speech += speech
        return speech and self._speech >= self.needed

    def forget(self) -> None:
        """Nobody spoke."""
        self.windows = self._speech = 0


@dataclass(slots=True)
class Ear:
    """Hears appended audio: quiet -> speaking -> quiet; ``commit`` and ``clear`` make it quiet."""

    detector: Detector | None = None
    """Tells speech; without it, level does."""
    speaking: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _buffer_start_ms: int = 0
    _heard_ms: int = 0
    _start_ms: int = 0
    _unheard: int = 0
    _quiet_ms: int = 0
    _handed_out: int = 0
    _format: str = "audio/pcm"
    _onset: _Onset = field(default_factory=lambda: _Onset(_LOUD_WINDOWS, 0))
    # ``ratecv`` hands back a state that it alone understands.
    _rate: Any = None

    def __post_init__(self) -> None:
        if self.detector is not None:
            self._onset = _Onset(_SPEECH_WINDOWS, _SPEECH_GAP_WINDOWS)

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
            heard = bytes(self._buffer[begin : begin + window])
            self._unheard -= window
            self._heard_ms += FRAME_MS
            if detection is not None:
                noticed += self._judge(heard, detection)
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
        self._unheard = self._quiet_ms = 0
        self._onset.forget()
        self.speaking = False

    def _judge(
        self, window: bytes, detection: TurnDetection
    ) -> list[SpeechStarted | SpeechStopped]:
        speech = self._is_speech(window, detection.threshold)
        begun = self._onset.hear(speech=speech)
        self._quiet_ms = 0 if speech else self._quiet_ms + FRAME_MS
        if not self.speaking:
            if begun:
                return [self._begin(detection)]
            self._forget(detection)
        elif self._quiet_ms >= max(FRAME_MS, detection.silence_duration_ms):
            return [self._end()]
        return []

    def _is_speech(self, window: bytes, threshold: float) -> bool:
        if self.detector is None:
            return level(window, self._format) >= max(1, threshold * _RMS_AT_FULL_THRESHOLD)
        return self.detector.is_speech(self._telephone(window), threshold)

    def _telephone(self, window: bytes) -> bytes:
        """One window as detectors take it."""
        if self._format == "audio/pcmu":
            return mulaw.decode(window)
        if self._format == "audio/pcma":
            return audioop.alaw2lin(window, 2)
        linear, self._rate = audioop.ratecv(window, 2, 1, _PCM_RATE_HZ, SAMPLE_RATE_HZ, self._rate)
        return linear

    def _begin(self, detection: TurnDetection) -> SpeechStarted:
        self.speaking = True
        self._handed_out = 0
        onset_ms = self._heard_ms - self._onset.windows * FRAME_MS
        self._start_ms = max(self._buffer_start_ms, onset_ms - detection.prefix_padding_ms)
        return SpeechStarted(self._start_ms)

    def _end(self) -> SpeechStopped:
        unit = bytes_per_ms(self._format)
        begin = (self._start_ms - self._buffer_start_ms) * unit
        end = (self._heard_ms - self._buffer_start_ms) * unit
        audio = bytes(self._buffer[begin:end])
        del self._buffer[:end]
        self._buffer_start_ms = self._heard_ms
        self._quiet_ms = 0
        self._onset.forget()
        self.speaking = False
        return SpeechStopped(self._heard_ms, audio)

    def _forget(self, detection: TurnDetection) -> None:
        longest = self._onset.needed + (self._onset.needed - 1) * self._onset.longest_gap
        kept_ms = detection.prefix_padding_ms + longest * FRAME_MS
        surplus_ms = self._heard_ms - self._buffer_start_ms - kept_ms
        if surplus_ms > kept_ms:
            del self._buffer[: surplus_ms * bytes_per_ms(self._format)]
            self._buffer_start_ms += surplus_ms
