"""What is on its way to a phone that may not be reading.

Rule: audio is dropped, oldest first; a word about the call never is. A phone that leaves even
those unread is given up. What is cleared is not sent at all.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

AUDIO_LIMIT_CHARS = 4_000_000
"""About six minutes: a model speaks faster than time passes, and a tab reads faster still."""
WORDS_LIMIT = 2_000


@dataclass(slots=True)
class _Entry:
    text: str
    audio: bool


class Outbox:
    """Messages to one phone, in order. ``next`` has one reader."""

    def __init__(
        self, *, audio_limit_chars: int = AUDIO_LIMIT_CHARS, words_limit: int = WORDS_LIMIT
    ) -> None:
        self.dropped = 0
        """Messages with audio that were never sent: too many, or cleared."""
        self._audio_limit_chars = audio_limit_chars
        self._words_limit = words_limit
        self._entries: deque[_Entry] = deque()
        self._audio: deque[_Entry] = deque()
        """Those of the entries that may be dropped; one that was has no text any more."""
        self._audio_chars = 0
        self._words = 0
        self._close_code: int | None = None
        self._news = asyncio.Event()

    @property
    def close_code(self) -> int | None:
        """What the socket is to be closed with, once ``next`` has nothing more."""
        return self._close_code

    @property
    def overfull(self) -> bool:
        """True: nobody reads, and nothing that is left may be dropped."""
        return self._words > self._words_limit

    def put(self, text: str) -> None:
        """A word about the call."""
        self._words += 1
        self._add(_Entry(text, audio=False))

    def put_audio(self, text: str) -> None:
        """Audio; what does not fit any more is the oldest."""
        entry = _Entry(text, audio=True)
        self._audio.append(entry)
        self._audio_chars += len(text)
        while self._audio_chars > self._audio_limit_chars:
            self._drop()
        self._add(entry)

    def clear(self) -> None:
        """Send none of the audio that waits."""
        while self._audio:
            self._drop()

    def close(self, code: int) -> None:
        """Nothing follows but what is there; then the socket is closed."""
        if self._close_code is None:
            self._close_code = code
        self._news.set()

    async def next(self) -> str | None:
        """The next message; None when all was sent and the socket is to be closed."""
        while True:
            while self._entries:
                entry = self._entries.popleft()
                if not entry.audio:
                    self._words -= 1
                    return entry.text
                if entry.text:
                    self._audio.popleft()
                    self._audio_chars -= len(entry.text)
                    return entry.text
            if self._close_code is not None:
                return None
            self._news.clear()
            await self._news.wait()

    def _add(self, entry: _Entry) -> None:
        if self._close_code is not None:
            return
        self._entries.append(entry)
        self._news.set()

    def _drop(self) -> None:
        oldest = self._audio.popleft()
        self._audio_chars -= len(oldest.text)
        oldest.text = ""
        self.dropped += 1
