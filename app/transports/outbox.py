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

    def __init__(self, write: Callable[[str], None], *, drop_oldest: bool) -> None:
        self.write = write
        """Straight to the socket; for audio while not ``paused``, where a call counts."""
        self._drop_oldest = drop_oldest
        self._waiting: deque[tuple[bool, str]] = deque()
        self._audio_chars = 0
        self.paused = False
        self.dropped = 0
        """Audio messages that were never written."""

    def audio(self, text: str) -> bool:
        """Write or queue audio. False: the peer has not been reading for far too long."""
        if not self.paused:
            self.write(text)
            return True
        self._waiting.append((True, text))
        self._audio_chars += len(text)
        if self._audio_chars <= LIMIT_CHARS:
            return True
        if self._drop_oldest:
            self._drop_one()
        return self._drop_oldest

    def control(self, text: str) -> None:
        """Write or queue what must not be lost."""
        if self.paused:
            self._waiting.append((False, text))
        else:
            self.write(text)

    def drop_audio(self) -> None:
        """Forget all audio that has not been written; control keeps its order."""
        self.dropped += sum(1 for is_audio, _ in self._waiting if is_audio)
        self._waiting = deque(entry for entry in self._waiting if not entry[0])
        self._audio_chars = 0

    def _drop_one(self) -> None:
        for index, (is_audio, text) in enumerate(self._waiting):
            if is_audio:
                del self._waiting[index]
                self._audio_chars -= len(text)
                self.dropped += 1
                return

    def pause(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resume(self) -> None:
        """The transport's buffer has room; what waits goes first, unless it fills up again."""
        self.paused = False
        while self._waiting and not self.paused:
            is_audio, text = self._waiting.popleft()
            if is_audio:
                self._audio_chars -= len(text)
            self.write(text)
