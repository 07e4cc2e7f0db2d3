"""What the operator ordered for a call, one after the other.

Orders are begun in the order in which they came; one that is spoken is over when it was heard,
and the next one waits for that. An order may stand ``after`` another, as in a list of commands:
where that one fails, it is dropped and never begun. The rule: every order that came ends exactly
once, with one ``OrderDone``, also where the stream ends before it.

    waiting ──its turn──▶ current ──completed, failed, refused──▶ (OrderDone)
       └──what it stood after failed, the stream ended──▶ dropped ──▶ (OrderDone)
"""

from collections import deque

from app.call.alarms import Alarm, Alarms
from app.call.announcement import Spoken
from app.call.prompts import verbatim
from app.call.responses import Finished
from app.protocol.commands import Command, CreateResponse, OrderDone
from app.protocol.events import (
    ConfigureOrdered,
    DigitsOrdered,
    HangUpOrdered,
    HoldOrdered,
    KeysOrdered,
    MessageOrdered,
    MuteOrdered,
    RespondOrdered,
    SayOrdered,
    TransferOrdered,
    UnholdOrdered,
    UnmuteOrdered,
)

Order = (
    HangUpOrdered
    | TransferOrdered
    | SayOrdered
    | MessageOrdered
    | DigitsOrdered
    | KeysOrdered
    | HoldOrdered
    | UnholdOrdered
    | ConfigureOrdered
    | RespondOrdered
    | MuteOrdered
    | UnmuteOrdered
)

SAY = "say"
"""The purpose of what the operator has the agent say, in whosever words."""
SAID_WITHIN_MS = 15_000
"""From the order to its last word being heard, unless it is being heard."""
MOST_WAITING = 32
STREAM_OVER = "stream_over"


class Orders:
    """The orders of one stream."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._waiting: deque[Order] = deque()
        self._failed: deque[str] = deque(maxlen=2 * MOST_WAITING)
        """Orders that something may stand after."""
        self._spoken = Spoken.NONE
        self._wanted: CreateResponse | None = None
        self.current: Order | None = None
        self.said_in = ""
        """The response that has said what was ordered last, once all of it has come."""

    def take(self, order: Order) -> list[Command]:
        """An order came; what is refused for its number is told at once."""
        if len(self._waiting) >= MOST_WAITING:
            return self.refuse(order, "too_many")
        self._waiting.append(order)
        return []

    def refuse(self, order: Order, reason: str) -> list[Command]:
        """It never has a turn."""
        return self._over(order, "refused", reason)

    def turn(self) -> tuple[list[Command], Order | None]:
        """The order whose turn has come, if one has, and those before it that never come."""
        out: list[Command] = []
        while self._waiting and self.current is None:
            order = self._waiting.popleft()
            if not order.after or order.after not in self._failed:
                self.current = order
                return out, order
            out += self._over(order, "dropped", "the_one_before_failed")
        return out, None

    def preempt(self, order: HangUpOrdered) -> list[Command]:
        """An order that waits for nobody: the others are not carried out any more."""
        out = self.over()
        self.current = order
        return out

    def _over(self, order: Order, state: str, reason: str = "") -> list[Command]:
        if state != "completed":
            self._failed.append(order.command_id)
        return [OrderDone(order.command_id, state, reason)] if order.command_id else []

    def done(self, state: str = "completed", reason: str = "") -> list[Command]:
        """The order whose turn it was has come to its end; nothing happens if there was none."""
        order, self.current = self.current, None
        self._silent()
        return [] if order is None else self._over(order, state, reason)

    def _silent(self) -> None:
        self._spoken, self.said_in = Spoken.NONE, ""
        self._alarms.clear(Alarm.ORDERED)

    def says(self, text: str, now_ms: int) -> CreateResponse:
        """What asks the model to say an operator's text as it stands."""
        return self._speaks(CreateResponse(SAY, verbatim(text), tools=False), now_ms)

    def responds(self, now_ms: int) -> CreateResponse:
        """What asks the model to speak in its own words, or to act."""
        return self._speaks(CreateResponse(SAY), now_ms)

    def _speaks(self, wanted: CreateResponse, now_ms: int) -> CreateResponse:
        self._spoken = Spoken.SAYING
        self._wanted = wanted
        self._alarms.set(Alarm.ORDERED, now_ms + SAID_WITHIN_MS)
        return self._wanted

    def lasts(self, until_ms: int) -> None:
        """It is being heard, and looked at again then."""
        self._alarms.set(Alarm.ORDERED, until_ms)

    def finished(self, response: Finished, *, cut: bool, acted: bool = False) -> list[Command]:
        """A response ended; ``cut``: the caller spoke over it, and it is not asked for again;
        ``acted``: it called a tool."""
        if self._spoken is not Spoken.SAYING or response.purpose != SAY or response.failed:
            return []
        if response.asked not in (None, self._wanted):
            return []  # What was given up before this, and has come to its end after all.
        if cut:
            return self.done("failed", "interrupted")
        if response.spoke:
            self._spoken = Spoken.SAID
            self.said_in = response.response_id
        elif acted:
            return self.done()  # What the tool comes to is spoken about in its turn.
        return []

    def interrupted(self) -> list[Command]:
        """The caller spoke: what was said and not heard yet never will be."""
        return self.done("failed", "interrupted") if self._spoken is Spoken.SAID else []

    def heard(self) -> list[Command]:
        """Everything that was sent has been heard."""
        return self.done() if self._spoken is Spoken.SAID else []

    def over(self) -> list[Command]:
        """The stream ends: nothing of what is left is carried out."""
        out = self.done("failed", STREAM_OVER)
        while self._waiting:
            out += self._over(self._waiting.popleft(), "dropped", STREAM_OVER)
        return out
