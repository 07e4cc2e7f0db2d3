"""Speech that the model made before the caller could hear it.

The model line is opened and asked for the greeting while Twilio is still connecting, so that
the first word is ready when the caller is. And while keys are pressed nothing else is heard.
Bounded: a minute, then the rest is dropped.
"""

from app.protocol.events import SpeechAudio
from app.protocol.units import bytes_of_ms

LONGEST_MS = 60_000


class Overture:
    """Deltas in order, waiting for a stream, or for silence on it."""

    def __init__(self) -> None:
        self._waiting: list[SpeechAudio] = []
        self._bytes = 0

    @property
    def responses(self) -> set[str]:
        """Whose deltas wait."""
        return {audio.response_id for audio in self._waiting}

    def hold(self, audio: SpeechAudio) -> None:
        """Keep a delta, unless a minute is waiting already."""
        if self._bytes + audio.length_bytes <= bytes_of_ms(LONGEST_MS):
            self._waiting.append(audio)
            self._bytes += audio.length_bytes

    def release(self) -> list[SpeechAudio]:
        """Everything that waited; nothing waits any more."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        return waiting
