"""The operator mutes the agent or the caller, and what is said about it.

What is muted is known to ``app.call.mute``; here are the orders.
"""

from app.call.model_link import Link
from app.call.mute import AGENT, CALLER
from app.call.parts import Parts
from app.protocol import commands as c
from app.protocol import events as e

CALLER_MUTED = (
    "The operator has muted the caller: you do not hear them until you are told otherwise. Do not "
    "ask whether they are still there."
)
CALLER_BACK = "The caller is not muted any more: you hear them again."
AGENT_MUTED = (
    "The operator has muted you: the caller does not hear you until you are told otherwise."
)
AGENT_BACK = "You are not muted any more. Go on with the caller, in one short sentence."
_MUTED = {AGENT: AGENT_MUTED, CALLER: CALLER_MUTED}


class Muting:
    """What becomes of orders to mute, and to end it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def mute_ordered(self, order: e.MuteOrdered, now_ms: int) -> list[c.Command]:
        """From now on; an agent that speaks is cut."""
        parts = self._parts
        if parts.leaving_soon:
            return parts.orders.done("refused", "call_ending")
        if not parts.mute.begin(order.who):
            return parts.orders.done("refused", "muted")
        out: list[c.Command] = []
        if order.who == AGENT:
            out += parts.barge_in.interrupt(now_ms, by_voice=False)
            if parts.link.state is Link.READY:
                parts.patience.ends()  # Else a line is waited for, muted or not.
        return out + self._tell(_MUTED[order.who], now_ms) + parts.orders.done()

    def unmute_ordered(self, order: e.UnmuteOrdered, now_ms: int) -> list[c.Command]:
        """The agent speaks to the caller, who has heard nothing for a while."""
        parts = self._parts
        if parts.leaving_soon:
            return parts.orders.done("refused", "call_ending")
        if not parts.mute.end(order.who):
            return parts.orders.done("refused", "not_muted")
        if order.who == CALLER:
            return self._tell(CALLER_BACK, now_ms) + parts.orders.done()
        out = self._tell(AGENT_BACK, now_ms)
        if out and not parts.hold.silences:
            out += parts.responses.ask(c.CreateResponse("unmute"), now_ms)
        return out + parts.orders.done()

    def _tell(self, note: str, now_ms: int) -> list[c.Command]:
        """The model is told; a line that is still to come reads it in the transcript."""
        self._parts.transcript.note(note, now_ms)
        ready = self._parts.link.state is Link.READY
        return [c.AddMessage("system", note)] if ready else []
