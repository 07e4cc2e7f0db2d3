"""How long a call may last, and what it may cost: when it has to come to its end.

Both are counted over all streams of the call: a caller who comes back from a transfer, or to
another process, does not begin anew.

    OPEN ──nearly over──▶ WARNED ──over──▶ OVER
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.plan import CallPlan
from app.call.prices import cost_microusd
from app.protocol.events import Usage

MAX_DURATION = "max_duration"
COST_LIMIT = "cost_limit"
WARN_MS = 120_000
"""Before the end, or a fifth of a call that may not last ten minutes."""
WARN_SHARE = 0.8
"""Of what a call may cost."""


class Left(Enum):
    """How much is left."""

    ENOUGH = auto()
    LITTLE = auto()
    """This is said once."""
    NOTHING = auto()


class Limits:
    """The limits of one call, on one of its streams."""

    def __init__(self, alarms: Alarms, plan: CallPlan) -> None:
        self._alarms = alarms
        self._max_ms = plan.max_call_ms
        self._began_at_ms = plan.began_at_ms
        self._bill = plan.bill
        self._spent_microusd = plan.bill.spent_microusd if plan.bill else 0
        self._ends_at_ms = 0
        self._warned = False

    def begins(self, now_ms: int) -> None:
        """The caller is there, perhaps not for the first time."""
        if self._max_ms is None:
            return
        began_at_ms = now_ms if self._began_at_ms is None else self._began_at_ms
        self._ends_at_ms = began_at_ms + self._max_ms
        self.looks_again(max(now_ms, self._ends_at_ms - self.left_ms))

    def looks_again(self, at_ms: int) -> None:
        """How much is left is asked then."""
        self._alarms.set(Alarm.LIMIT, at_ms)

    def due(self, now_ms: int) -> Left:
        """The alarm rang: how much time there is."""
        if now_ms >= self._ends_at_ms:
            return Left.NOTHING
        self.looks_again(self._ends_at_ms)
        return self._little()

    @property
    def left_ms(self) -> int:
        """Of the time, when it counts as little."""
        return min(WARN_MS, (self._max_ms or 0) // 5)

    def _little(self) -> Left:
        if self._warned:
            return Left.ENOUGH
        self._warned = True
        return Left.LITTLE

    def billed(self, usage: Usage | None) -> int | None:
        """A response was billed: what it cost, in millionths of a dollar; None: nobody knows."""
        if usage is None or self._bill is None:
            return None
        cost = cost_microusd(usage, self._bill.price)
        self._spent_microusd += cost
        return cost

    @property
    def money(self) -> Left:
        """How much of what the call may cost there is."""
        most = self._bill.most_microusd if self._bill else None
        if most is None or self._spent_microusd < WARN_SHARE * most:
            return Left.ENOUGH
        return Left.NOTHING if self._spent_microusd >= most else self._little()
