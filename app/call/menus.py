"""Menus that a call we placed is answered with: when they are over, and whether they go round.

A menu pauses between its sentences for longer than people do. So as long as keys are what is
answered, a turn is over after a longer silence, and the model is asked by us and not by its
server. Whoever is spoken to is a person, and has the usual turns, until keys are pressed again.

    MENU ──the agent speaks in answer to a turn──▶ PERSON ──it presses keys──▶ MENU

A sentence that is heard for the third time is a menu that goes round: the model is told once.
Heard once more it is the end of the call, or nobody's business.
"""

import re
from collections import Counter, deque
from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.plan import MenuPlan

SAME = 0.85
"""Of their words two sentences must have in common."""
LEAST_WORDS = 4
"""Fewer are said by everybody."""
MOST_WORDS = 120
MOST_KEPT = 20
TIMES = 3
_WORD = re.compile(r"\w+")
LOOP = "menu_loop"
"""What the record is warned of."""


class Round(Enum):
    """Whether it goes round."""

    NEW = auto()
    AGAIN = auto()
    """It does; nobody was told yet."""
    ENOUGH = auto()
    """It does all the same."""


class Menus:
    """What is heard of them. Without a plan nobody is taken for one."""

    def __init__(self, alarms: Alarms, plan: MenuPlan | None) -> None:
        self._alarms = alarms
        self._plan = plan
        self._heard: deque[Counter[str]] = deque(maxlen=MOST_KEPT)
        self._told = False
        self.navigating = plan is not None
        """What is heard is taken for a menu."""

    @property
    def ends(self) -> bool:
        """One that goes round ends the call."""
        return self._plan is not None and self._plan.ends

    def person(self) -> bool:
        """The agent speaks to somebody; True where that is new."""
        was, self.navigating = self.navigating, False
        self._alarms.clear(Alarm.MENU)
        return was

    def keys(self) -> bool:
        """The agent presses keys; True where that makes a menu of whom it heard."""
        was, self.navigating = self.navigating, self._plan is not None
        return self.navigating and not was

    def pauses(self, now_ms: int) -> bool:
        """A turn has ended. True where it may go on: it is answered when the alarm rings."""
        if not self.navigating or self._plan is None:
            return False
        self._alarms.set(Alarm.MENU, now_ms + self._plan.pause_ms)
        return True

    def goes_on(self) -> None:
        """It did."""
        self._alarms.clear(Alarm.MENU)

    def said(self, text: str) -> Round:
        """The words of a turn."""
        words = Counter(_WORD.findall(text.casefold())[:MOST_WORDS])
        if not self.navigating or words.total() < LEAST_WORDS:
            return Round.NEW
        times = 1 + sum(_alike(words, earlier) >= SAME for earlier in self._heard)
        self._heard.append(words)
        if times == TIMES and not self._told:
            self._told = True
            return Round.AGAIN
        return Round.ENOUGH if times > TIMES else Round.NEW


def _alike(one: Counter[str], other: Counter[str]) -> float:
    """The share of their words that two texts have in common; 1.0 for the same."""
    return 2 * (one & other).total() / (one.total() + other.total())
