"""The call to a person beside the caller's, who hears music until the person has accepted.

The caller stays on the stream: nothing is lost when nobody answers. The person is told in a
sentence what it is about and takes the call with a key; a mailbox presses none. Only then are
both joined. Each attempt has a number, and what comes of another one changes nothing.

    NOBODY ──asked for──▶ CALLED ──answered──▶ TOLD ──accepted──▶ WAITS (in the room)
       ▲                     └─────────┬─────────┘                  │
       └─── over, too late, dropped ───┴────────────────────────────┘
"""

from collections.abc import Mapping
from enum import Enum, auto

import orjson

from app.call.alarms import Alarm, Alarms
from app.call.plan import WarmPlan
from app.protocol.commands import Command, DropSideCall, PlaceSideCall

RESUME = "resume"
TAKE_MESSAGE = "take_message"
END_CALL = "end_call"
PLACED_MS = 15_000
"""For REST's answer, for Twilio to dial, and for the news of the last ring."""
DECIDES_MS = 90_000
"""From answering to the key: what is said twice, with time to think."""
MOST_SUMMARY_CHARS = 300
NOBODY_CAME = "no_answer"
TAKEN_BACK = "caller_changed_their_mind"
_WORDS = {
    "no_answer": "nobody answered",
    "busy": "the line is busy",
    "declined": "they cannot take the call now",
    "not_accepted": "they did not take the call",
    "machine": "an answering machine picked up",
    TAKEN_BACK: "the caller pressed the star key and wants to stay with you",
}
MESSAGE = (
    "Offer to take a message: ask who it is for, what it says and how the caller can be reached, "
    "and note it with set_reminder."
)
GO_ON = "The caller is still with you: tell them so in one short sentence, and go on."


class Person(Enum):
    """How far the person has come."""

    NOBODY = auto()
    CALLED = auto()
    TOLD = auto()
    WAITS = auto()


class SideCall:
    """One person at a time."""

    def __init__(self, alarms: Alarms, plans: Mapping[str, WarmPlan]) -> None:
        self._alarms = alarms
        self.plans = plans
        self._attempt = 0
        self._asked = WarmPlan()
        self.person = Person.NOBODY

    def asks(self, target: str) -> bool:
        """Whether this target is asked before the caller is put through."""
        return target in self.plans

    @property
    def plan(self) -> WarmPlan:
        """Of the target that was asked last."""
        return self._asked

    def place(self, target: str, summary: str) -> PlaceSideCall:
        """Call this target."""
        self._attempt += 1
        self._asked = self.plans[target]
        self.person = Person.CALLED
        return PlaceSideCall(target, self._attempt, summary)

    def rings(self, now_ms: int) -> None:
        """It was asked for; nobody is waited for without an end."""
        self._alarms.set(Alarm.PERSON, now_ms + PLACED_MS + self.plan.ring_ms)

    def answered(self, attempt: int, now_ms: int) -> None:
        """Somebody picked up, and needs a moment."""
        if self.person is Person.CALLED and attempt == self._attempt:
            self.person = Person.TOLD
            self._alarms.set(Alarm.PERSON, now_ms + DECIDES_MS)

    def accepted(self, attempt: int) -> bool:
        """The person takes the call: whether anybody waits for that."""
        if self.person not in {Person.CALLED, Person.TOLD} or attempt != self._attempt:
            return False
        self.person = Person.WAITS
        self._alarms.clear(Alarm.PERSON)
        return True

    def over(self, attempt: int) -> bool:
        """It came to nothing by itself: whether anybody minds."""
        if self.person not in {Person.CALLED, Person.TOLD} or attempt != self._attempt:
            return False
        self._nobody()
        return True

    def join(self) -> int:
        """The attempt whose person waits in the room."""
        return self._attempt

    def drop(self) -> list[Command]:
        """Nobody wants it any more; nothing happens where there is none."""
        if self.person is Person.NOBODY:
            return []
        self._nobody()
        return [DropSideCall(self._attempt)]

    def _nobody(self) -> None:
        self.person = Person.NOBODY
        self._alarms.clear(Alarm.PERSON)


def told(reason: str, plan: WarmPlan) -> str:
    """What the model is told of a person who was not reached, in words it can use."""
    note = GO_ON
    if reason != TAKEN_BACK and plan.say:
        note = f'The caller is still with you. Tell them exactly this: "{plan.say}"'
    if reason != TAKEN_BACK and plan.then == TAKE_MESSAGE:
        note += f" {MESSAGE}"
    why = _WORDS.get(reason, "the call could not be made")
    return orjson.dumps({"ok": False, "reason": reason, "why": why, "note": note}).decode()


def shortened(summary: object) -> str:
    """What a model wrote for the person, as one line of bearable length."""
    text = " ".join(summary.split()) if isinstance(summary, str) else ""
    if len(text) <= MOST_SUMMARY_CHARS:
        return text
    beginning = text[:MOST_SUMMARY_CHARS]
    return f"{beginning.rpartition(' ')[0] or beginning} …"
