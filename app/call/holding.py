"""Who wishes for a hold, and what is said about it: the operator, the model, a transfer.

Nothing is kept here: whether the caller is on hold is known to ``app.call.hold``.
"""

from app.call.farewell import Parting
from app.call.hold import Hold, Until
from app.call.model_link import Link
from app.call.parts import Parts
from app.call.transcript import NO_INPUT
from app.protocol import commands as c
from app.protocol import events as e

HOLD_TOOL = "hold"
"""What the model calls to put the caller on hold."""
ON_HOLD = (
    "The operator has put the caller on hold: they hear music, and you do not hear them. Say "
    "nothing until you are told that they are back."
)
BACK = "The caller was on hold and is back with you. Thank them for waiting, in one short sentence."
HELD = '{"ok":true,"note":"The caller hears music until you speak."}'
HELD_ALREADY = '{"ok":false,"reason":"the caller is on hold already"}'
LEAVING = '{"ok":false,"reason":"the caller is about to leave the call"}'
SPOKEN_OVER = '{"ok":false,"reason":"the caller spoke meanwhile; the call goes on"}'


class Holding:
    """Wishes to put the caller on hold, and to take them back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _hold(self) -> Hold:
        return self._parts.hold

    def hold_ordered(self, order: e.HoldOrdered, now_ms: int) -> list[c.Command]:
        """The operator puts the caller on hold, perhaps until the agent has something to say."""
        parts = self._parts
        if parts.leaving_soon or parts.farewell.state is not Parting.NONE:
            return parts.orders.done("refused", "call_ending")
        if self._hold.on:
            return parts.orders.done("refused", "on_hold")
        ready = parts.link.state is Link.READY
        if order.turn and not ready:
            return parts.orders.done("refused", "model_away")
        until = Until.WORDS if order.turn else Until.UNHOLD
        out = self._hold.begin(until, "operator", now_ms, response_id=parts.responses.active)
        name = NO_INPUT if order.turn else ""
        out += self._tell(order.turn or ON_HOLD, now_ms, name=name)
        if order.turn:
            out += parts.responses.ask(c.CreateResponse(NO_INPUT), now_ms)
        return out + parts.orders.done()

    def unhold_ordered(self, _order: e.UnholdOrdered, now_ms: int) -> list[c.Command]:
        """The operator takes the caller back: the agent speaks to them, if it does not anyway."""
        parts = self._parts
        if parts.leaving_soon:
            return parts.orders.done("refused", "call_ending")
        if not self._hold.on:
            return parts.orders.done("refused", "not_on_hold")
        speaks = self._hold.silences
        out = self._hold.end(now_ms)
        if speaks and parts.link.state is Link.READY:
            out += self._tell(BACK, now_ms)
            out += parts.responses.ask(c.CreateResponse("unhold"), now_ms)
        return out + parts.orders.done()

    def _tell(self, note: str, now_ms: int, *, name: str = "") -> list[c.Command]:
        """The model is told; a line that is still to come reads it in the transcript."""
        self._parts.transcript.note(note, now_ms, name=name)
        ready = self._parts.link.state is Link.READY
        return [c.AddMessage("system", note)] if ready else []

    def asked(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """The model puts the caller on hold until it speaks; it is asked to go on at once."""
        parts = self._parts
        refusal = self._refusal(event)
        out: list[c.Command] = []
        if not refusal:
            until, by = Until.WORDS, "agent"
            out += self._hold.begin(until, by, now_ms, response_id=event.response_id)
        output = refusal or HELD
        parts.transcript.tool_answered(event.tool_call_id, output)
        done = e.ToolDone(event.tool_call_id, output, ok=not refusal)
        return out + parts.tools.closed(done)

    def _refusal(self, event: e.ToolCalled) -> str:
        if self._parts.leaving_soon:
            return LEAVING
        if self._parts.responses.muted(event.response_id):
            return SPOKEN_OVER
        return HELD_ALREADY if self._hold.on else ""
