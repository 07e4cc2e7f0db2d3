"""Whether the model line fails again and again, so that another one is worth a try.

One failed response is asked for again, and what failed twice in a row gets another line at
once. But a session can also get stuck so that every second response fails, or only its errors
tell (openai_realtime 2.5): the caller hears half of everything, for ever. So failures are
counted over time, whatever came between them. A line that was opened for this reason and fails
in its turn, before it has answered anything, shows that it was not the line.
"""

from collections import deque
from enum import Enum, auto

MOST_FAILURES = 3
FAILURES_WITHIN_MS = 60_000
"""So many failures within so long are a line that is stuck."""


class Remedy(Enum):
    """What a failure asks for."""

    NONE = auto()
    """Nothing beyond what is done about a single failure."""
    FRESH_LINE = auto()
    GIVE_UP = auto()


class Failing:
    """The failures of the model line in use."""

    def __init__(self) -> None:
        self._at_ms: deque[int] = deque(maxlen=MOST_FAILURES)
        self._fresh = False
        """This line is here because another one failed, and has answered nothing yet."""

    def failed(self, now_ms: int) -> Remedy:
        """The line failed once more."""
        self._at_ms.append(now_ms)
        many = len(self._at_ms) == MOST_FAILURES
        stuck = many and now_ms - self._at_ms[0] < FAILURES_WITHIN_MS
        return self.remedy() if stuck else Remedy.NONE

    def remedy(self) -> Remedy:
        """This line is of no use: what is."""
        self._at_ms.clear()
        if self._fresh:
            return Remedy.GIVE_UP
        self._fresh = True
        return Remedy.FRESH_LINE

    def answered(self) -> None:
        """The line has said something from beginning to end."""
        self._fresh = False
