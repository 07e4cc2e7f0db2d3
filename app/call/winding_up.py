"""A call that has to come to its end: the agent is told in time, says a last sentence, hangs up.

The caller does not interrupt that sentence, and no transfer begins behind it. Where something
else takes the call away just then, it goes first, and is looked at again a moment later.
"""

from app.call.departure import Departure
from app.call.farewell import Parting
from app.call.limits import COST_LIMIT, MAX_DURATION, Left
from app.call.model_link import Link
from app.call.parts import Parts, Phase
from app.protocol import commands as c
from app.protocol import events as e

AGAIN_MS = 5_000
TIME = (
    "This call must end in {left}. Bring what matters to its end, begin nothing new, and tell the"
    " caller in good time."
)
MONEY = (
    "This call must end soon. Bring what matters to its end in as few words as you can, begin"
    " nothing new, and tell the caller."
)
GOODBYE = c.CreateResponse(
    "goodbye",
    "The call must end now. Tell the caller so in one short, friendly sentence, in their language,"
    " say that they may call again, and say goodbye.",
    tools=False,
)


class WindingUp:
    """What follows from the limits of a call."""

    def __init__(self, parts: Parts, departure: Departure) -> None:
        self._parts = parts
        self._departure = departure

    def due(self, now_ms: int) -> list[c.Command]:
        """The alarm rang: the time is nearly over, or over."""
        match self._parts.limits.due(now_ms):
            case Left.ENOUGH:
                return []
            case Left.LITTLE:
                seconds = self._parts.limits.left_ms // 1000
                left = f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
                return self._tell(TIME.format(left=left), now_ms)
            case Left.NOTHING:
                return self.end(MAX_DURATION, now_ms)

    def billed(self, event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        """A response has cost something."""
        parts = self._parts
        cost = parts.limits.billed(event.usage)
        if cost is None or parts.plan.bill is None:
            return []
        out: list[c.Command] = [c.ModelBilled(cost, parts.plan.bill.prices)]
        if not parts.live:
            return out
        match parts.limits.money:
            case Left.ENOUGH:
                return out
            case Left.LITTLE:
                return out + self._tell(MONEY, now_ms)
            case Left.NOTHING:
                return out + self.end(COST_LIMIT, now_ms)

    def _tell(self, note: str, now_ms: int) -> list[c.Command]:
        """The model is told; a line that is still to come reads it in the transcript."""
        self._parts.transcript.note(note, now_ms)
        ready = self._parts.link.state is Link.READY
        return [c.AddMessage("system", note)] if ready else []

    def end(self, reason: str, now_ms: int) -> list[c.Command]:
        """The call ends for ``reason``, with a sentence where somebody is there to say it."""
        parts = self._parts
        if parts.phase is Phase.WAITING or parts.farewell.firm:
            return []
        if parts.leaving_soon or parts.farewell.state is not Parting.NONE:
            if reason == MAX_DURATION:
                parts.limits.looks_again(now_ms + AGAIN_MS)
            return []
        if parts.link.state is not Link.READY:
            return self._departure.leave(parts.farewell.order(reason), now_ms)
        out = parts.hold.end(now_ms)
        said = parts.farewell.part(reason, None, now_ms, otherwise=GOODBYE, firm=True)
        return out + parts.responses.ask(said, now_ms)
