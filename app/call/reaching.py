"""A person is asked first: what becomes of the caller meanwhile, and when the answer has come.

The caller hears music and the agent hears silence; only the star key reaches anybody, and takes
the wish back. Accepted, the caller is redirected into the room where the person waits; anything
else is told to the model, or leads where the document says.
"""

from collections.abc import Callable

from app.call.departure import Departure
from app.call.dialogue import Dialogue
from app.call.model_link import Link
from app.call.parts import Parts
from app.call.warm import END_CALL, NOBODY_CAME, TAKEN_BACK, told
from app.protocol import commands as c
from app.protocol import events as e

NEVER_MIND = "*"
"""The key that takes the caller back to the agent."""
FAILED = "transfer_failed"

OfKeys = Callable[[e.CallerDigit, int], list[c.Command]]


class Reaching:
    """What comes of the call to a person."""

    def __init__(
        self, parts: Parts, dialogue: Dialogue, departure: Departure, keys: OfKeys
    ) -> None:
        self._parts = parts
        self._dialogue = dialogue
        self._departure = departure
        self._keys = keys

    def answered(self, event: e.SideCallAnswered, now_ms: int) -> list[c.Command]:
        """Somebody picked up."""
        self._parts.side.answered(event.attempt, now_ms)
        return []

    def accepted(self, event: e.SideCallAccepted, now_ms: int) -> list[c.Command]:
        """The person takes the call: the caller goes where they are."""
        if not self._parts.side.accepted(event.attempt):
            return []
        return self._departure.leave([self._parts.transfer.join()], now_ms)

    def over(self, event: e.SideCallOver, now_ms: int) -> list[c.Command]:
        """The person was not reached, or does not want the call."""
        if not self._parts.side.over(event.attempt):
            return []
        return self._unreached(event.reason, now_ms)

    def due(self, now_ms: int) -> list[c.Command]:
        """Nobody has said for long what became of the call."""
        return self._parts.side.drop() + self._unreached(NOBODY_CAME, now_ms)

    def digit(self, event: e.CallerDigit, now_ms: int) -> list[c.Command]:
        """A key; of a caller who waits for a person only the star means anything."""
        if not self._parts.transfer.asking:
            return self._keys(event, now_ms)
        if event.digit != NEVER_MIND:
            self._parts.keypad.ignored()
            return []
        self._parts.keypad.understood()
        dropped = self._parts.side.drop()
        return dropped + self._resumes(TAKEN_BACK, now_ms)

    def _unreached(self, reason: str, now_ms: int) -> list[c.Command]:
        parts = self._parts
        target, then = parts.transfer.target, parts.side.plan.then
        out: list[c.Command] = [c.NotReached(target, reason, then)]
        if then in parts.plan.targets and parts.transfer.closed(then, now_ms) is None:
            return out + self._departure.leave(parts.transfer.instead(then), now_ms)
        if then == END_CALL:
            return out + self._parting(reason, now_ms)
        return out + self._back(reason, now_ms)

    def _resumes(self, reason: str, now_ms: int) -> list[c.Command]:
        told_of: list[c.Command] = [c.NotReached(self._parts.transfer.target, reason, "resume")]
        return told_of + self._back(reason, now_ms)

    def _back(self, reason: str, now_ms: int) -> list[c.Command]:
        """The music stops, and the agent says how it is."""
        self._parts.transfer.stays()
        return self._dialogue.not_through(reason, told(reason, self._parts.side.plan), now_ms)

    def _parting(self, reason: str, now_ms: int) -> list[c.Command]:
        """The operator wants the call to end here, with a word."""
        parts = self._parts
        parts.transfer.stays()
        output = told(reason, parts.side.plan)
        if parts.link.state is not Link.READY:
            return self._departure.leave(parts.farewell.order(FAILED), now_ms)
        out = parts.hold.not_through(now_ms)
        if parts.transfer.tool_call_id:
            known = e.ToolDone(parts.transfer.tool_call_id, output, ok=False, background=True)
            out += self._dialogue.tool_done(known, now_ms)
        else:
            out += parts.orders.done("failed", reason)
            out.append(c.AddMessage("system", output))
        return out + parts.responses.ask(
            parts.farewell.part(FAILED, parts.side.plan.say, now_ms), now_ms
        )
