"""Orders of the operator's: hang up, put through, say, tell the model.

An order is obeyed like the model's own wish for the same thing, by the same components, and
refused for the same reasons; only that nobody has to be persuaded. One handler for each kind.
"""

from collections.abc import Callable
from typing import Any

from app.call.departure import Departure
from app.call.farewell import Parting
from app.call.holding import Holding
from app.call.keying import Keying
from app.call.model_link import Link
from app.call.muting import Muting
from app.call.orders import SAY, Order
from app.call.parts import Parts
from app.call.pressing import Pressing
from app.call.session_changing import unknown_tools
from app.protocol import commands as c
from app.protocol import events as e

STILL_MS = 3_000
"""What has not been heard further for this long stands still."""


class Obeying:
    """What becomes of orders."""

    def __init__(
        self, parts: Parts, departure: Departure, keying: Keying, pressing: Pressing
    ) -> None:
        self._parts = parts
        self._departure = departure
        holding, muting = Holding(parts), Muting(parts)
        self._begin: dict[type, Callable[[Any, int], list[c.Command]]] = {
            e.HangUpOrdered: self._hang_up,
            e.TransferOrdered: self._transfer,
            e.SayOrdered: self._say,
            e.MessageOrdered: self._message,
            e.HoldOrdered: holding.hold_ordered,
            e.UnholdOrdered: holding.unhold_ordered,
            e.DigitsOrdered: keying.ordered,
            e.KeysOrdered: pressing.ordered,
            e.ConfigureOrdered: self._configure,
            e.RespondOrdered: self._respond,
            e.MuteOrdered: muting.mute_ordered,
            e.UnmuteOrdered: muting.unmute_ordered,
        }

    def ordered(self, order: Order, now_ms: int) -> list[c.Command]:
        """An order came: it has its turn at once, or later; a second transfer never."""
        if isinstance(order, e.TransferOrdered) and self._parts.transfer.under_way:
            return self._parts.orders.refuse(order, "transfer_under_way")
        cut: list[c.Command] = []
        if isinstance(order, e.TransferOrdered) and order.at_once and not order.after:
            cut = self._cut_short(now_ms)
        return cut + self._parts.orders.take(order) + self.on(now_ms)

    def _cut_short(self, now_ms: int) -> list[c.Command]:
        """Somebody takes over: what is being said or keyed in for an order is not waited for."""
        orders = self._parts.orders
        if not isinstance(orders.current, e.SayOrdered | e.RespondOrdered | e.DigitsOrdered):
            return []
        self._parts.responses.withdraw(SAY)
        out = self._parts.barge_in.interrupt(now_ms, by_voice=False)
        return out + orders.done("failed", "interrupted")

    def hang_up_ordered(self, order: e.HangUpOrdered, now_ms: int) -> list[c.Command]:
        """Somebody entitled to ends the call: at once, unless it stands after something."""
        if order.after:
            return self.ordered(order, now_ms)
        return self._parts.orders.preempt(order) + self._hang_up(order, now_ms)

    def on(self, now_ms: int) -> list[c.Command]:
        """Whatever has its turn now is begun."""
        out = self._session()
        while True:
            dropped, order = self._parts.orders.turn()
            out += dropped
            if order is None:
                return out + self._parts.turn_taking()
            out += self._begin[type(order)](order, now_ms)

    def _refused(self, reason: str) -> list[c.Command]:
        return self._parts.orders.done("refused", reason)

    def _hang_up(self, order: e.HangUpOrdered, now_ms: int) -> list[c.Command]:
        return self._departure.hang_up_ordered(order, now_ms)

    def hang_up_done(self, event: e.HangUpDone, now_ms: int) -> list[c.Command]:
        """Twilio took the hang-up, or did not and is asked again."""
        out = self._departure.hang_up_done(event, now_ms)
        ordered = isinstance(self._parts.orders.current, e.HangUpOrdered)
        return out + (self._parts.orders.done() if event.accepted and ordered else [])

    def _transfer(self, order: e.TransferOrdered, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if parts.leaving_soon:
            return self._refused("call_ending")
        if (why := parts.transfer.closed(order.target, now_ms)) is not None:
            return self._refused(why)
        wanted = parts.transfer.order(order, now_ms)
        if wanted is None:
            return self._refused("unknown_target")
        parts.farewell.yields()
        parts.responses.withdraw("goodbye")
        if parts.link.state is not Link.READY or parts.mute.agent:
            # Nobody is there to announce it, and who asked for a person need not wait for that.
            return self._departure.leave(parts.transfer.overdue(), now_ms)
        if order.at_once:
            cut = parts.barge_in.interrupt(now_ms, by_voice=False)
            return cut + self._departure.leave(parts.transfer.overdue(), now_ms)
        return parts.responses.ask(wanted, now_ms)

    def transfer_accepted(self, event: e.TransferAccepted, now_ms: int) -> list[c.Command]:
        """Twilio took the redirect."""
        out = self._departure.transfer_accepted(event, now_ms)
        ordered = isinstance(self._parts.orders.current, e.TransferOrdered)
        return out + (self._parts.orders.done() if ordered else [])

    def _say(self, order: e.SayOrdered, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if refusal := self._silent:
            return self._refused(refusal)
        told = parts.turn_taking()
        return told + parts.responses.ask(parts.orders.says(order.text, now_ms), now_ms)

    def _respond(self, order: e.RespondOrdered, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if refusal := self._silent:
            return self._refused(refusal)
        told: list[c.Command] = []
        if order.instructions:
            parts.transcript.note(order.instructions, now_ms)
            told.append(c.AddMessage("system", order.instructions))
        return told + parts.responses.ask(parts.orders.responds(now_ms), now_ms)

    @property
    def _silent(self) -> str:
        """Why the agent can say nothing now; empty where it can."""
        parts = self._parts
        if parts.leaving_soon or parts.farewell.state is not Parting.NONE:
            return "call_ending"
        if parts.mute.agent:
            return "muted"
        return "" if parts.link.state is Link.READY else "model_away"

    def _configure(self, order: e.ConfigureOrdered, _now_ms: int) -> list[c.Command]:
        if unknown_tools(order.session, self._parts.plan.tools):
            return self._refused("unknown_tool")
        self._parts.attempts.configure(order.interruptible, order.min_interruption_ms)
        return self._parts.turn_taking() + self._reconfigured(order)

    def _reconfigured(self, order: e.ConfigureOrdered) -> list[c.Command]:
        """How fast the agent speaks can be changed between two responses only."""
        parts = self._parts
        if "speed" in order.session and parts.responses.active is not None:
            return []
        out = parts.changes.change(order.strategy, order.session) if order.strategy else []
        return out + parts.orders.done()

    def _session(self) -> list[c.Command]:
        """What waited for the end of a response, or of a turn and all that answers it."""
        parts = self._parts
        owed = parts.responses.owes or parts.tools.running
        out = [] if owed else parts.changes.answered()
        waits = parts.orders.current
        return out + (self._reconfigured(waits) if isinstance(waits, e.ConfigureOrdered) else [])

    def say_overdue(self, now_ms: int) -> list[c.Command]:
        """What was ordered should have been heard by now; as long as it is, it lasts."""
        playout = self._parts.playout
        if not playout.idle and playout.heard_ms(now_ms) > playout.heard_ms(now_ms - STILL_MS):
            self._parts.orders.lasts(now_ms + STILL_MS)
            return []
        self._parts.responses.withdraw("say")
        return self._parts.orders.done("failed", "not_heard") + self.on(now_ms)

    def _message(self, order: e.MessageOrdered, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if not (parts.live or parts.redirecting):
            return self._refused("call_ending")
        if order.role == "user":
            parts.transcript.caller_wrote(order.text, now_ms)
        else:
            parts.transcript.note(order.text, now_ms)
        # A line that is still to come is told everything in the transcript.
        ready = parts.link.state is Link.READY
        told: list[c.Command] = [c.AddMessage(order.role, order.text)] if ready else []
        return told + parts.orders.done()
