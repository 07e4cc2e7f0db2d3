"""Draining: how a process comes to its end without cutting anybody off.

    SERVING ──begin──▶ DRAINING ──the time is up──▶ LETTING_GO
                          '─────── nobody left ──────────┴──▶ over

New calls are refused from the beginning, or sent to the processes that share our address, and
whoever reads along is let go. Calls that are here go on, callers who were put through are waited
for as well, and whoever is left when the time is up gets the failure treatment. The time comes
from outside.
"""

from enum import Enum, auto

import structlog

from app.runtime.book import Book

LINGER_S = 1.0
"""After the last call: Twilio still reports its end, and an error there alarms an operator."""
LET_GO_WITHIN_S = 15
"""From the end of the drain to ours: the failure treatment takes REST and Twilio's ``stop``."""

log = structlog.get_logger("draining")


class _Phase(Enum):
    SERVING = auto()
    DRAINING = auto()
    LETTING_GO = auto()


class Drain:
    """The end of one process, in seconds of a clock that never runs backwards."""

    def __init__(self, book: Book, drain_s: int, *, shared: bool = False) -> None:
        self._book = book
        book.capacity.shared = shared
        self._drain_s = drain_s
        self._phase = _Phase.SERVING
        self._until_s = 0.0
        self._busy_at_s = 0.0

    def begin(self, now_s: float) -> None:
        """No call is taken from now on. Idempotent."""
        if self._phase is not _Phase.SERVING:
            return
        self._phase = _Phase.DRAINING
        self._until_s = now_s + self._drain_s
        self._book.drain()
        self._book.capacity.watchers.tell()
        if self._book.unfinished:
            log.info("draining", calls=self._book.unfinished, drain_s=self._drain_s)

    @property
    def begun(self) -> bool:
        """Whether the end has begun."""
        return self._phase is not _Phase.SERVING

    def over(self, now_s: float) -> bool:
        """Whether nobody is left, or waited for; to be asked again and again, always."""
        if self._busy:
            self._busy_at_s = now_s
        if self._phase is _Phase.SERVING:
            return False
        if self._phase is _Phase.DRAINING and now_s >= self._until_s:
            self._phase = _Phase.LETTING_GO
            self._book.let_go()
        too_late = now_s >= self._until_s + LET_GO_WITHIN_S
        return too_late or now_s - self._busy_at_s > LINGER_S

    @property
    def _busy(self) -> bool:
        """Once all were let go nobody waits for callers who are with a person."""
        letting_go = self._phase is _Phase.LETTING_GO
        return bool(self._book.live if letting_go else self._book.unfinished)
