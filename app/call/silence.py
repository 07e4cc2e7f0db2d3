"""Whether the caller has said nothing for long, although it is their turn, and what follows.

Silence is only what nobody else fills: it begins when everything was said and heard, and nothing
is under way. So it is not measured while the agent is audible, a response is due, a tool works,
keys are collected, music plays, or the caller is on their way to somebody else (``Parts.still``).

The alarm is lazy: what happens does not move it, only the moment from which silence counts. When
it rings, that moment tells.

    LISTENING ──silence──▶ (reminded) ──as often as it may be, silence──▶ (over)
        ▲───── the caller acts ─────┘
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.plan import SilencePlan


class Silent(Enum):
    """What the alarm found."""

    NOT_YET = auto()
    REMIND = auto()
    OVER = auto()
    """Reminding them was of no use."""


class Silence:
    """One caller's, on one stream. ``plan`` is None where nobody minds it."""

    def __init__(self, alarms: Alarms, plan: SilencePlan | None) -> None:
        self._alarms = alarms
        self._plan = plan
        self._since_ms = 0
        self.count = 0
        """Reminders in a row."""

    def begins(self, now_ms: int) -> None:
        """The caller is there."""
        if self._plan is not None:
            self._since_ms = now_ms
            self._alarms.set(Alarm.SILENCE, now_ms + self._plan.after_ms)

    def broken(self, now_ms: int) -> None:
        """Something happened: what comes before it is no silence."""
        self._since_ms = now_ms

    def caller_acted(self) -> None:
        """The caller is there after all."""
        self.count = 0

    def due(self, now_ms: int, *, still: bool) -> Silent:
        """The alarm rang; ``still``: nothing is under way. The next one is set."""
        assert self._plan is not None
        if not still:
            self._since_ms = now_ms
        at_ms = self._since_ms + self._plan.after_ms
        if not still or now_ms < at_ms:
            self._alarms.set(Alarm.SILENCE, at_ms)
            return Silent.NOT_YET
        self._since_ms = now_ms
        self._alarms.set(Alarm.SILENCE, now_ms + self._plan.after_ms)
        if self.count >= self._plan.times:
            return Silent.OVER
        self.count += 1
        return Silent.REMIND
