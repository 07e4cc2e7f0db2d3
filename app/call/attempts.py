"""Whether what sounds like the caller interrupts the agent, and what becomes of it where not.

What may interrupt is said by the operator for the agent, its greeting, a single message or the
rest of a call: speech, keys, both or nothing. Where an interruption needs a moment of voice
(``min_interruption_ms``), or must be more than noise or our own echo (``echo_guard``), the caller's
sound is measured, again and again, until there is enough of it or it is over. Rule: before an
interruption is accepted nothing is cut and nothing truncated, and the agent is heard on.

    NONE ──heard over the agent──▶ TRYING ──enough voice──▶ ACCEPTED
      └──speech does not interrupt──▶ WITHHELD    └──over──▶ what was measured says whose turn it is

A server that interrupts and answers by itself cannot be asked first. So where anything stands in
the way of an interruption it only tells us of turns (``SetTurnTaking``), and each answer is
asked for by us.
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.menus import Menus
from app.call.orders import Orders
from app.call.plan import CallPlan
from app.call.playout import Playout
from app.call.recording import Recording
from app.protocol.commands import Command, MeasureVoice, SetTurnTaking
from app.protocol.events import SayOrdered, VoiceMeasured

VOICE = frozenset({"any", "speech"})
KEYS = frozenset({"any", "dtmf"})
LEAST_MS = 100
"""Less voice than this is nobody's, whatever the operator asks for."""
LOOK_EVERY_MS = 40
SOONEST_MS = 20
_MOST_KEPT = 16


class Attempt(Enum):
    """How far the caller's sentence has come as an interruption."""

    NONE = auto()
    """It interrupts nothing: nothing was being said."""
    TRYING = auto()
    WITHHELD = auto()
    """Speech does not interrupt what is being said."""
    ACCEPTED = auto()


class Turn(Enum):
    """What a turn of the caller's is worth."""

    ANSWERED = auto()
    DOUBTFUL = auto()
    """Too short to interrupt: it is answered if there are words in it."""
    ECHO = auto()
    """The agent's own voice: nobody said anything."""


class Attempts:
    """The attempts to interrupt of one stream."""

    def __init__(
        self,
        alarms: Alarms,
        plan: CallPlan,
        orders: Orders,
        playout: Playout,
        recording: Recording,
        *,
        menus: Menus,
    ) -> None:
        self._alarms = alarms
        self._menus = menus
        self._recording = recording
        self._playout = playout
        self._orders = orders
        self.agent_is(plan)
        greets = bool(plan.greeting) and not plan.returning
        self._greeting = plan.greeting_interruptible if greets else None
        self._greeted_in = ""
        """The response that was the greeting, once all of it has come."""
        self._server_takes_turns = plan.server_takes_turns
        self._state = Attempt.NONE
        self._voice_ms = 0
        self._echoed = False
        self._doubtful: list[str] = []
        self._echoes: list[str] = []
        self._cut: list[str] = []

    def agent_is(self, plan: CallPlan) -> None:
        """From the next line on it is as this agent's document has it."""
        self._plan = plan
        self._general = plan.interruptible
        self._least_ms = plan.min_interruption_ms

    @property
    def server_takes_turns(self) -> bool:
        """The line in use interrupts and answers by itself."""
        return self._server_takes_turns

    @property
    def _message(self) -> str:
        said, heard_in = self._orders.current, self._orders.said_in
        if not isinstance(said, SayOrdered) or (
            heard_in and heard_in not in self._playout.responses
        ):
            return ""  # What is still played came behind it.
        return said.interruptible

    @property
    def _now(self) -> str:
        if self._recording.owes:
            return "none"
        return self._message or self._greeting or self._general

    @property
    def keys_may(self) -> bool:
        """Keys cut what is being said."""
        return self._now in KEYS

    @property
    def withheld(self) -> bool:
        """The caller is heard and does not interrupt, or not yet."""
        return self._state in {Attempt.TRYING, Attempt.WITHHELD}

    @property
    def trying(self) -> bool:
        """Somebody has to look again how much voice there was."""
        return self._state is Attempt.TRYING

    @property
    def _delayed(self) -> bool:
        return self._least_ms > 0 or self._plan.echo_guard

    def configure(self, interruptible: str, min_interruption_ms: int | None) -> None:
        """The operator wants it otherwise from now on; empty, None: as it was."""
        self._general = interruptible or self._general
        if min_interruption_ms is not None:
            self._least_ms = min_interruption_ms

    def greeted(self, response_id: str) -> None:
        """All of the greeting has come, in this response."""
        self._greeted_in = response_id

    def heard(self) -> None:
        """Something was heard: if that was the greeting's end, what comes is behind it."""
        if self._greeted_in and self._greeted_in not in self._playout.responses:
            self.greeting_over()

    def greeting_over(self) -> None:
        """What is said from now on is not the greeting."""
        self._greeting = None

    def line_begins(self) -> list[Command]:
        """A new line takes turns as the agent document has it."""
        self.over()
        self._greeted_in = ""
        self._server_takes_turns = self._plan.server_takes_turns
        return self.settle()

    def settle(self) -> list[Command]:
        """Tell the server whether it takes turns, if that has changed."""
        ours = self._delayed or self._menus.navigating
        wanted = (self._message or self._greeting or self._general) in VOICE and not ours
        if wanted == self._server_takes_turns:
            return []
        self._server_takes_turns = wanted
        return [SetTurnTaking(by_server=wanted)]

    def begins(self, now_ms: int, *, busy: bool) -> Attempt:
        """The caller is heard; ``busy``: over something the agent says or is about to."""
        self.over()
        self._voice_ms, self._echoed = 0, False
        if not busy:
            return self._state
        self._state = Attempt.ACCEPTED
        if self._now not in VOICE:
            self._state = Attempt.WITHHELD
        elif self._delayed:
            self._state = Attempt.TRYING
            self._alarms.set(Alarm.VOICE, now_ms + LOOK_EVERY_MS)
        return self._state

    def look(self, now_ms: int) -> list[Command]:
        """It has not been decided yet."""
        if not self.trying:
            return []
        self._alarms.set(Alarm.VOICE, now_ms + LOOK_EVERY_MS)
        return [MeasureVoice()]

    def measured(self, found: VoiceMeasured, now_ms: int) -> bool:
        """How much voice there is; True where that makes an interruption of it, once."""
        if not self.trying:
            return False
        self._voice_ms = max(self._voice_ms, found.voice_ms)
        self._echoed = self._echoed or found.echo_ms > 0
        missing_ms = max(self._least_ms, LEAST_MS) - found.voice_ms
        if missing_ms > 0:
            soon = SOONEST_MS if found.voice_ms else LOOK_EVERY_MS
            self._alarms.set(Alarm.VOICE, now_ms + soon)
            return False
        self._state = Attempt.ACCEPTED
        self._alarms.clear(Alarm.VOICE)
        return True

    def over(self) -> None:
        """Nobody is trying any more."""
        self._state = Attempt.NONE
        self._alarms.clear(Alarm.VOICE)

    def stopped(self) -> None:
        """The caller is not heard any more; the turn is judged when it comes."""
        self._alarms.clear(Alarm.VOICE)

    def turn(self, item_id: str, *, busy: bool) -> Turn:
        """What was heard is a turn; ``busy`` as above, by now."""
        state = self._state
        self.over()
        if state is Attempt.ACCEPTED:
            _keep(self._cut, item_id)
        if state is not Attempt.TRYING:
            return Turn.ANSWERED
        if self._echoed and self._voice_ms < LEAST_MS:
            _keep(self._echoes, item_id)
            return Turn.ECHO
        if not busy:
            return Turn.ANSWERED
        _keep(self._doubtful, item_id)
        return Turn.DOUBTFUL

    def doubtful(self, item_id: str) -> bool:
        """Whether this turn waits for its words; asked once."""
        return _taken(self._doubtful, item_id)

    def echo(self, item_id: str) -> bool:
        """Whether nobody said this."""
        return item_id in self._echoes

    def for_nothing(self, item_id: str) -> bool:
        """Whether this turn, which has no words, has cut something off; asked once."""
        return self._delayed and _taken(self._cut, item_id)


def _keep(items: list[str], item_id: str) -> None:
    items.append(item_id)
    del items[:-_MOST_KEPT]


def _taken(items: list[str], item_id: str) -> bool:
    if item_id not in items:
        return False
    items.remove(item_id)
    return True
