"""What waits to be written while a peer does not read.

Normally nothing does: a message goes from the machine to the kernel in one call. When the
transport's buffer passes its high-water mark, messages wait here, in order. Full policy:
control is never dropped; audio is, oldest first, on the model line (old sound is worth
nothing to a model that is late) and behind a ``clear`` on the caller line. A caller line
that has a megabyte unsent is not being read and is given up.
"""

from collections import deque
from collections.abc import Callable

LIMIT_CHARS = 1 << 20


class Outbox:
    """One line's way out. ``audio`` and ``control`` keep their order."""

    def __init__(
        self, write: Callable[[str], None], *, drop_oldest: bool, limit_chars: int = LIMIT_CHARS
    ) -> None:
        self.write = write
        """Straight to the socket; for audio while not ``paused``, where a call counts."""
        self._drop_oldest = drop_oldest
        self._limit_chars = limit_chars
        self._audio: deque[tuple[int, str]] = deque()
        self._control: deque[tuple[int, str]] = deque()
        """Both with their place in the common order, so that either is let go in one step."""
        self._queued = 0
        self._audio_chars = 0
        self.paused = False
        self.dropped = 0
        """Audio messages that were never written."""

    def audio(self, text: str) -> bool:
        """Write or queue audio. False: the peer has not been reading for far too long."""
        if not self.paused:
            self.write(text)
            return True
        self._queued += 1
        self._audio.append((self._queued, text))
        self._audio_chars += len(text)
        if self._audio_chars > self._limit_chars and not self._drop_oldest:
            return False
        while self._audio_chars > self._limit_chars:
            self._take(self._audio)
            self.dropped += 1
        return True

    def control(self, text: str) -> None:
        """Write or queue what must not be lost."""
        if self.paused:
            self._queued += 1
            self._control.append((self._queued, text))
        else:
            self.write(text)

    def drop_audio(self) -> None:
        """Forget all audio that has not been written; control keeps its order."""
        self.dropped += len(self._audio)
        self._audio.clear()
        self._audio_chars = 0

    def _take(self, queue: deque[tuple[int, str]]) -> str:
        _, text = queue.popleft()
        if queue is self._audio:
            self._audio_chars -= len(text)
        return text

    def pause(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resume(self) -> None:
        """The transport's buffer has room; what waits goes first, unless it fills up again."""
        self.paused = False
        while not self.paused and (self._audio or self._control):
            first = not self._control or (self._audio and self._audio[0] < self._control[0])
            self.write(self._take(self._audio if first else self._control))
