"""The line swap: a spare model line beside the one in use, and the moment to change over.

A Realtime session ends after 60 minutes at most and cannot change its voice, so a call outlives
its line. The next one is opened while this one goes on, set up and verified, and then waits for
a moment in which nothing is said, owed or under way; whoever asks for the swap only says by
when. As the end comes nearer, less quiet moments will do: a change-over in the middle of a
sentence is worse than one between two, and better than a line that the server cuts.
A spare is also what a lost line is replaced by, without a moment's silence.

    RESTING ──the end is near, an order──▶ OPENING ──ready──▶ SPARE ──a moment──▶ RESTING
                                            ▲  │ refused         │ lost
                                            └──┴─────later───────┘

The one rule: what is said is never cut for a swap that has time.
"""

from enum import Enum, IntEnum, auto

from app.call.alarms import Alarm, Alarms
from app.protocol.commands import CloseSpare, Command, OpenSpare

LIFE_MS = 3_600_000
"""Of a session whose server does not tell when it ends (openai_realtime 1.5)."""
LEAD_MS = 300_000
"""Before the end a spare is opened, or at half the life of a session that is shorter."""
FAIR_MS = 30_000
"""Before the end nobody waits for a whole pause any more; a tenth of a short life."""
LAST_MS = 10_000
"""Before the end the swap takes place whatever is being said; a thirtieth of a short life."""
ORDER_MS = 60_000
"""An order is followed within so long."""
SPARE_ATTEMPT_MS = 10_000
"""Nobody waits for a spare, so a server that is slow gets its time."""
AGAIN_AFTER_MS = (5_000, 15_000, 30_000, 60_000)
"""From a spare's refusal or loss to the next attempt, a quarter of what is left at most."""


class Swap(Enum):
    """What there is of a spare line."""

    RESTING = auto()
    OPENING = auto()
    """An attempt is under way, or due."""
    SPARE = auto()


class Quiet(IntEnum):
    """How little a change-over would disturb."""

    NOT = 0
    """Somebody speaks, or words are owed."""
    FAIR = 1
    """Nobody makes words; what was said still plays, a tool runs, or a turn has no words yet."""
    WHOLE = 2


class LineSwap:
    """When to open a spare line, and when to change over to it."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._ends_at_ms = 0
        """When the line in use ends, or an order must have been followed."""
        self._fair_at_ms = 0
        self._last_at_ms = 0
        self._failures = 0
        self._attempting = False
        self._line = (0, 0)
        """When the line in use ends by itself, and how long it lasts in all, in ms."""
        self._spare_ends_at_ms = 0
        self._spare_life_ms = 0
        self.state = Swap.RESTING

    def line_begins(self, life_ms: int | None, now_ms: int) -> None:
        """A line is in use from now on; ``life_ms`` is what its server grants it, if it says so."""
        life_ms = min(life_ms or LIFE_MS, LIFE_MS)
        self._lasts(now_ms + life_ms, life_ms)

    def _lasts(self, ends_at_ms: int, life_ms: int) -> None:
        self.state = Swap.RESTING
        self._failures = 0
        self._line = (ends_at_ms, life_ms)
        self._end_by(ends_at_ms, life_ms)
        self._alarms.set(Alarm.SWAP, ends_at_ms - min(LEAD_MS, life_ms // 2))

    def _end_by(self, ends_at_ms: int, life_ms: int) -> None:
        self._ends_at_ms = ends_at_ms
        self._fair_at_ms = ends_at_ms - min(FAIR_MS, life_ms // 10)
        self._last_at_ms = ends_at_ms - min(LAST_MS, life_ms // 30)

    def order(self, now_ms: int) -> list[Command]:
        """Somebody needs another line soon; nothing happens while one is on its way."""
        if now_ms + ORDER_MS < self._ends_at_ms:
            self._end_by(now_ms + ORDER_MS, ORDER_MS)
        if self.state is Swap.RESTING:
            return self._open()
        if self.state is Swap.SPARE:
            self._look_again(now_ms)
        return []

    def due(self, now_ms: int) -> list[Command]:
        """The alarm rang: a spare is opened, unless there is one or no time for it."""
        if self.state is Swap.SPARE:
            self._look_again(now_ms)
            return []
        if self._attempting or now_ms >= self._ends_at_ms:
            return []
        return self._open()

    def hand_over(self, agent: str, now_ms: int) -> list[Command]:
        """Another agent is to go on, on a line of their own, at the next fair moment; a spare
        line of this agent's is of no use to them."""
        out = self.line_ends()
        self._end_by(min(now_ms + ORDER_MS, self._ends_at_ms), ORDER_MS)
        self._fair_at_ms = now_ms
        return out + self._open(agent)

    def stays(self) -> list[Command]:
        """Nobody takes over after all: the line in use goes on to its end."""
        out = self.line_ends()
        self._lasts(*self._line)
        return out

    def _open(self, agent: str = "") -> list[Command]:
        self.state = Swap.OPENING
        self._attempting = True
        self._alarms.clear(Alarm.SWAP)
        return [OpenSpare(SPARE_ATTEMPT_MS, agent)]

    def spare_ready(self, life_ms: int | None, now_ms: int) -> bool:
        """A spare line is there. False where none is wanted any more."""
        if self.state is not Swap.OPENING:
            return False
        self.state = Swap.SPARE
        self._attempting = False
        self._spare_life_ms = min(life_ms or LIFE_MS, LIFE_MS)
        self._spare_ends_at_ms = now_ms + self._spare_life_ms
        self._look_again(now_ms)
        return True

    def spare_gone(self, now_ms: int, *, again: bool) -> None:
        """An attempt at a spare failed, or the spare was lost; ``again`` where that may pass.

        Without a spare the line goes on to its end, and is then replaced like one that was lost.
        """
        if self.state is Swap.RESTING:
            return
        self.state = Swap.OPENING
        self._attempting = False
        left_ms = self._ends_at_ms - now_ms
        if again and self._failures < len(AGAIN_AFTER_MS) and left_ms > 0:
            after_ms = min(AGAIN_AFTER_MS[self._failures], left_ms // 4 + 1)
            self._failures += 1
            self._alarms.set(Alarm.SWAP, now_ms + after_ms)
        else:
            self._alarms.clear(Alarm.SWAP)

    def wait(self, until_ms: int) -> None:
        """A moment that may be one, or a call that is elsewhere: look again then."""
        self._alarms.set(Alarm.SWAP, until_ms)

    def _look_again(self, now_ms: int) -> None:
        """A spare waits for a moment; at the latest, less quiet ones will do."""
        later = [at_ms for at_ms in (self._fair_at_ms, self._last_at_ms) if at_ms > now_ms]
        if later:
            self._alarms.set(Alarm.SWAP, later[0])

    def takes(self, quiet: Quiet, now_ms: int) -> bool:
        """Whether this moment will do."""
        if self.state is not Swap.SPARE:
            return False
        if now_ms >= self._last_at_ms:
            return True
        return quiet >= (Quiet.FAIR if now_ms >= self._fair_at_ms else Quiet.WHOLE)

    def changed_over(self) -> None:
        """The spare is the line in use."""
        self._lasts(self._spare_ends_at_ms, self._spare_life_ms)

    def line_ends(self) -> list[Command]:
        """There is no line in use, and so none beside it."""
        had, self.state = self.state, Swap.RESTING
        self._attempting = False
        self._alarms.clear(Alarm.SWAP)
        return [] if had is Swap.RESTING else [CloseSpare()]
