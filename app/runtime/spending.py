"""What the model costs today: of this process, and of all that share a database.

Each process adds up what its calls are told to have cost, and writes its sum of the day down
every few seconds (``custody``), where it reads what all of them have come to. So a limit over all
processes may be passed by what is spent in between; where the database is away, what the others
had spent before still counts. Days are UTC's.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

import structlog

from app.call.chronicle import Tell

log = structlog.get_logger("spending")


class Ledger(Protocol):
    """Where every process writes down what it has spent."""

    async def spent(self, process_id: str, day: date, microusd: int) -> None:
        """This process has spent so much on that day, all in all."""

    async def together(self, day: date) -> int:
        """What all processes have spent on that day, in millionths of a dollar."""

    async def days(self, first: date, last: date) -> Sequence[tuple[date, int]]:
        """The same of each day on which something was, newest first; both included."""


class Spending:
    """One process's part. Not thread-safe; belongs to the loop."""

    def __init__(
        self,
        me: str,
        ledger: Ledger,
        most_microusd: int | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``most_microusd``: so much all processes may spend a day, in millionths of a dollar;
        None: any amount."""
        self._me = me
        self._ledger = ledger
        self._most = most_microusd
        self._now = now
        self._day = now().date()
        self._mine = self._written = self._others = 0

    def noting(self, tell: Tell) -> Tell:
        """The same teller of facts, whose bills are counted."""

        def noted(at_ms: int, kind: str, data: Mapping[str, Any]) -> None:
            tell(at_ms, kind, data)
            if kind == "model.used" and "bill" in data:
                self._begin_day()
                self._mine += data["bill"]["microusd"]

        return noted

    @property
    def exhausted(self) -> bool:
        """Nothing more may be spent today."""
        self._begin_day()
        return self._most is not None and self._mine + self._others >= self._most

    def _begin_day(self) -> None:
        today = self._now().date()
        if today != self._day:
            self._day = today
            self._mine = self._written = self._others = 0

    async def settle(self) -> None:
        """Write down what was spent since, and learn what the others have. Raises what the
        ledger raises; then it is done the next time."""
        self._begin_day()
        day, mine = self._day, self._mine
        if mine != self._written:
            await self._ledger.spent(self._me, day, mine)
        together = await self._ledger.together(day) if self._most is not None else 0
        if day != self._day:
            return
        self._written = mine
        before = self._mine + self._others
        self._others = max(self._others, together - mine)
        if self._most is not None and before < self._most <= self._mine + self._others:
            log.warning("cost_limit_reached", most_microusd=self._most)

    async def days(self, first: date, last: date) -> Sequence[tuple[date, int]]:
        """What all processes have spent on each day, this one by now. Raises as ``settle``."""
        await self.settle()
        return await self._ledger.days(first, last)
