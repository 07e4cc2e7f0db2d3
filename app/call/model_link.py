"""Opening the model line, opening it again, and when to stop trying.

Attempts are bounded in number, lines in number and time; the caller's patience, which ends them
all, has a file of its own. A call may last longer than several sessions: only lines lost in quick
succession are a failed model.

    OPENING ──ready──▶ READY ──lost──▶ OPENING … ──no attempt left──▶ GONE
"""

from collections import deque
from enum import Enum, auto

from app.protocol.commands import OpenModel
from app.protocol.events import ModelRefused

ATTEMPT_MS = 2_500
MOST_ATTEMPTS = 2
MOST_REOPENINGS = 3
REOPENINGS_WITHIN_MS = 300_000
"""So many lines may be lost within so long; with one more the model counts as failed."""


class Link(Enum):
    """What there is of a model line."""

    OPENING = auto()
    READY = auto()
    GONE = auto()


class ModelLink:
    """The life of a call's model lines."""

    def __init__(self) -> None:
        self._attempts = 0
        self._lost_at_ms: deque[int] = deque(maxlen=MOST_REOPENINGS + 1)
        self.state = Link.OPENING

    def open(self) -> OpenModel:
        """The next attempt."""
        self._attempts += 1
        self.state = Link.OPENING
        return OpenModel(ATTEMPT_MS)

    def ready(self) -> bool:
        """The line may carry audio. False if that comes too late to matter."""
        if self.state is not Link.OPENING:
            return False
        self._attempts = 0
        self.state = Link.READY
        return True

    def refused(self, event: ModelRefused) -> OpenModel | None:
        """An attempt failed: the next one, or None when there is none left."""
        if self.state is not Link.OPENING:
            return None
        if event.retryable and self._attempts < MOST_ATTEMPTS:
            return self.open()
        self.state = Link.GONE
        return None

    def lost(self, now_ms: int) -> OpenModel | None:
        """The line that was ready is gone: another one, or None when it went too often."""
        self._attempts = 0
        self._lost_at_ms.append(now_ms)
        many = len(self._lost_at_ms) > MOST_REOPENINGS
        if many and now_ms - self._lost_at_ms[0] < REOPENINGS_WITHIN_MS:
            self.state = Link.GONE
            return None
        return self.open()

    def give_up(self) -> None:
        """No line is wanted any more."""
        self.state = Link.GONE
