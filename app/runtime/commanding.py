"""Commanding: an order of the operator's reaches its call, wherever that lives.

The one rule: an order is carried out once or not at all, and whoever gave it is told which. So
the process that has the call asks back whether the order is still wanted before it does anything:
one that stood still meanwhile carries nothing out that was given up long ago.

    the call is here, with a stream      its machine decides
    here, without one                    Twilio, where REST can do it
    in another process                   that process does all this, asked over the bus
    in one that has died                 a call to be ended or put through is claimed, and Twilio
                                         does it; anything else has to wait for its stream
    in one that hangs                    Twilio ends it; anything else has to wait
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import structlog

from app.call.openness import CLOSED, NEEDS_SIP
from app.errors import CallerFault, CarrierFault, OurFault, PatchlineFault
from app.protocol.events import StreamStopped
from app.runtime.book import Book
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.runtime.ports import Carrier
from app.runtime.routing import ANSWER_S, OPERATOR_ENDED, Routing
from app.runtime.runner import Runner
from app.runtime.signalling import Signalling
from app.runtime.wishes import BY_CARRIER, TO_A_TARGET, Became, Given, Wish, event_of
from app.services.store.archive import UNREACHABLE, Archive
from app.services.store.calls import CallRow

CARRIED_OUT_S = 12.0
"""For an owner who has said that it carries an order out; REST may be asked several times."""
MOST_CHARS = 16_000
"""Of all the texts of one request."""
REFUSALS = {
    "call_ending": "the call is ending, or the caller is being put through",
    "transfer_under_way": "a transfer is under way already",
    "unknown_target": "there is no such target",
    "unknown_preset": "the agent document has no such preset",
    "unknown_tool": "the agent has no such tool",
    "muted": "they are muted: unmute them first",
    "not_muted": "they are not muted",
    "on_hold": "the caller is on hold already",
    "not_on_hold": "the caller is not on hold",
    "keys_under_way": "keys are being pressed already",
    "bad_digits": "the digits take longer than 20 seconds, or are only pauses",
    "too_many": "too many commands wait for their turn",
    "interrupted": "the caller spoke over it",
    "stream_over": "the caller's audio ended before",
    CLOSED: "nobody is there at this hour",
    NEEDS_SIP: "only callers who came by SIP can be referred",
    "needs_stream": "this target can only be had from a conversation",
}
"""Why an order was refused, by the machine's word for it."""
AWAY = {"model_away": "the model's connection is being made again: ask again in a moment"}
NO_STREAM = "the caller's audio is not here at the moment: ask again in a moment"

log = structlog.get_logger("commanding")


class Bus(Protocol):
    """The way to the other processes."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not in time."""

    async def hears(self, process: str) -> bool:
        """Whether questions reach that process; True where nobody can tell."""


@dataclass(slots=True)
class _Ticket:
    """A question that is under way."""

    limit: asyncio.Timeout
    taken: bool = False
    """The owner has said that it carries the order out."""


class Commanding:
    """The operator's orders to live calls. Belongs to the loop.

    All raise ``CallerFault`` where the order cannot be carried out as it is (``unknown`` where
    there is no such call), ``OurFault`` where it may be in a moment, ``CarrierFault`` where Twilio
    did not do it, and ``StoreFault`` where nobody can be asked whose call it is.
    """

    def __init__(
        self,
        routing: Routing,
        book: Book,
        archive: Archive,
        bus: Bus,
        *,
        signalling: Signalling,
        carrier: Carrier,
        me: str,
    ) -> None:
        self._routing = routing
        self._signalling = signalling
        self._book = book
        self._archive = archive
        self._bus = bus
        self._carrier = carrier
        self._me = me
        self._tickets: dict[str, _Ticket] = {}

    async def give(self, name: str, wishes: Sequence[Wish]) -> Given:
        """Carry out what is wished for a call, by its id or CallSid, one after the other.

        Returns as soon as the first has begun or was refused; cancelling leaves open which.
        """
        call = self._book.here(name) or self._book.call(name)
        self._check(wishes, self._signalling.targets if call is None else call.targets)
        if call is not None:
            return await self._obeyed(call, wishes)
        row = await self._live(name)
        args = {"wishes": [asdict(wish) for wish in wishes]}
        told = await self._asked(row, "command", args)
        if told is not None:
            return Given(row.call_id, tuple(Became(**one) for one in told["commands"]))
        return await self._without_its_process(row, wishes)

    def _check(self, wishes: Sequence[Wish], targets: Sequence[str]) -> None:
        chars = sum(len(text) for wish in wishes for text in wish.fields.values())
        if chars > MOST_CHARS:
            raise CallerFault("too_long", f"the texts have more than {MOST_CHARS} characters")
        known = {name.casefold() for name in targets}
        for wish in wishes:
            named = wish.fields.get("target", "").strip().casefold()
            if wish.type in TO_A_TARGET and named not in known:
                names = ", ".join(targets) or "none"
                raise CallerFault(
                    "unknown_target",
                    f"the agent document has no such target; the targets are: {names}",
                )

    async def _live(self, name: str) -> CallRow:
        row = await self._archive.row(name)
        if row is None or row.erased:
            raise CallerFault("unknown", "no call has this id, or it was erased")
        if row.status == "ended":
            raise CallerFault("call_over", f"the call is over ({row.end_reason})")
        if row.status != "live" or row.call_sid is None:
            raise CallerFault("not_begun", "nobody has picked up yet")
        if (reason := self._book.ended.reason(row.call_sid)) is not None:
            raise CallerFault("call_over", f"the call is over ({reason})")  # Not written yet.
        return row

    async def put(self, row: CallRow, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into the custom data of a live call that is not here; all of it then."""
        told = await self._asked(row, "put", {"patch": dict(patch)})
        if told is not None:
            return dict(told["custom_data"])
        if self._book.ended.reason(row.call_sid or "") is not None:
            raise _moved()  # Its end is not written yet; then the store takes it.
        if row.owner in (None, self._me) or not await self._bus.hears(str(row.owner)):
            call = await self._claimed(row, force=False)
            if call is not None:
                return call.put(patch)
        raise _no_answer()

    async def _asked(self, row: CallRow, op: str, args: dict[str, Any]) -> Any | None:
        """What the owner of a call answers; None where it has done nothing, and never will.

        Raises what it raised, and ``OurFault`` where it took the order and said nothing more.
        """
        if row.owner in (None, self._me):
            return None
        name = secrets.token_hex(8)
        asked = {**args, "call_id": row.call_id, "ticket": name, "from": self._me}
        ticket = None
        answer: Any = None
        try:
            async with asyncio.timeout(ANSWER_S) as limit:
                ticket = self._tickets[name] = _Ticket(limit)
                answer = await self._bus.ask(row.owner, op, asked, CARRIED_OUT_S)
        except TimeoutError:
            pass
        finally:
            self._tickets.pop(name, None)
        if answer is None and ticket is not None and ticket.taken:
            raise unclear()
        if answer is not None and "fault" in answer:
            raise _FAULTS[answer["fault"]](answer["reason"], answer["sentence"])
        return answer

    async def _without_its_process(self, row: CallRow, wishes: Sequence[Wish]) -> Given:
        """Its owner has not answered: what Twilio can do by itself is done all the same."""
        wish = wishes[0] if len(wishes) == 1 else Wish("")
        hangs = row.owner not in (None, self._me) and await self._bus.hears(str(row.owner))
        if hangs and wish.type != "end_call":
            raise _no_answer()
        if wish.type not in BY_CARRIER:
            raise OurFault("no_stream", NO_STREAM)
        call = None if hangs else await self._claimed(row, force=True)
        if call is not None:
            return await self._obeyed(call, wishes)
        if wish.type in TO_A_TARGET:
            raise _no_answer()
        # Twilio ends it for anybody; then nobody's caller is disturbed by claiming it.
        await self._carrier.hang_up(str(row.call_sid))
        call = await self._claimed(row, force=True)
        if call is not None:
            self._ended_by_rest(call, wish)
        return Given(row.call_id, (Became(wish.command_id, wish.type, "completed"),))

    async def _claimed(self, row: CallRow, *, force: bool) -> LiveCall | None:
        """The call, which lives here from now on; None where another was faster, or it lives."""
        try:
            return await self._routing.adopt(row, force=force)
        except UNREACHABLE as exc:
            log.warning("call_not_claimed", reason=type(exc).__name__, call_id=row.call_id)
            return None

    async def _obeyed(self, call: LiveCall, wishes: Sequence[Wish]) -> Given:
        """The call is here."""
        runner = call.runner
        if runner is not None and runner.reason is None and runner.has_stream:
            return self._fed(call, runner, wishes)
        wish = wishes[0] if len(wishes) == 1 else Wish("")
        if wish.type == "end_call":
            await self._hung_up(call)
            self._ended_by_rest(call, wish)
            return Given(call.call_id, (Became(wish.command_id, wish.type, "completed"),))
        if call.at_carrier:
            raise CallerFault("with_person", "the caller has been put through to a person")
        if wish.type in TO_A_TARGET and call.cut_off:
            return Given(call.call_id, (await self._transferred_by_rest(call, wish),))
        raise OurFault("no_stream", NO_STREAM)

    def _fed(self, call: LiveCall, runner: Runner, wishes: Sequence[Wish]) -> Given:
        """The machine decides, which knows what is under way."""
        after = ""
        for wish in wishes:
            runner.feed(event_of(wish, after))
            after = wish.command_id
        became = tuple(_became(call, wish) for wish in wishes)
        first = became[0]
        if first.reason in AWAY:
            raise OurFault(first.reason, AWAY[first.reason])
        if first.state == "refused":
            raise CallerFault(first.reason, REFUSALS.get(first.reason))
        return Given(call.call_id, became)

    async def _hung_up(self, call: LiveCall) -> None:
        """Twilio's own word of the end may be faster than its answer."""
        call.ends_as = OPERATOR_ENDED
        try:
            await self._carrier.hang_up(call.facts.call_sid)
        except CarrierFault as fault:
            if not fault.unclear:
                call.ends_as = None
            raise

    def _ended_by_rest(self, call: LiveCall, wish: Wish) -> None:
        runner = call.runner
        _tell(call, wish, "completed")
        self._book.end(call, OPERATOR_ENDED)
        if runner is not None:
            runner.feed(StreamStopped())

    async def _transferred_by_rest(self, call: LiveCall, wish: Wish) -> Became:
        """There is nobody to announce it but Twilio, whose voice says the announcement."""
        target = self._signalling.target(call, wish.fields["target"])
        if (why := self._signalling.refusal(call, target)) is not None:
            raise CallerFault(why, REFUSALS.get(why))
        call.cut_off = False
        call.tell(call.now_ms(), "transfer.started", {"target": target, "mode": "cold"})
        twiml = self._signalling.transfer_twiml(call, target, wish.fields.get("announcement"))
        dial = call.dial
        try:
            await self._carrier.redirect(call.facts.call_sid, twiml)
        except CarrierFault as fault:
            if not fault.unclear:
                self._not_transferred(call, wish, fault.reason)
                if fault.reason == "call_over":
                    raise CallerFault("call_over", "the call is over") from fault
                raise
            # Twilio comes for the document by itself, or has it: the caller is being put through.
            outcome, state = f"unclear:{fault.reason}", "accepted"
        else:
            outcome, state = "ringing", "completed"
        call.tell(call.now_ms(), "transfer.answered", {"outcome": outcome})
        _tell(call, wish, state)
        if call.dial is dial:
            self._book.put_through(call)
        return Became(wish.command_id, wish.type, state)

    def _not_transferred(self, call: LiveCall, wish: Wish, reason: str) -> None:
        call.tell(call.now_ms(), "transfer.answered", {"outcome": f"refused:{reason}"})
        _tell(call, wish, "failed", reason)
        self._book.dials.forget(call)
        if reason == "call_over":
            self._book.end(call, "caller_hangup")
        else:
            self._book.cut_off(call)

    async def answer(self, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        """Another process asks about a call that it takes to be here; None where it is not."""
        if op == "wanted":
            return {"wanted": self._still_wanted(str(args.get("ticket")))}
        carried_out = {"command": self._command, "put": self._put}.get(op)
        if carried_out is None:
            return await self._routing.answer(op, args)
        return await contained(self._carried_out(carried_out, args), None)

    def _still_wanted(self, name: str) -> bool:
        """Whether anybody still waits for this; the owner has more time then."""
        ticket = self._tickets.get(name)
        if ticket is None:
            return False
        ticket.taken = True
        ticket.limit.reschedule(asyncio.get_running_loop().time() + CARRIED_OUT_S)
        return True

    async def _carried_out(
        self,
        work: Callable[[LiveCall, dict[str, Any]], Awaitable[dict[str, Any]]],
        args: dict[str, Any],
    ) -> dict[str, Any] | None:
        wanted = await self._bus.ask(
            str(args["from"]), "wanted", {"ticket": args["ticket"]}, ANSWER_S
        )
        if wanted is None or not wanted["wanted"]:
            return None
        try:
            call = self._book.here(str(args["call_id"]))
            if call is None:
                raise _moved()
            return await work(call, args)
        except PatchlineFault as fault:
            blame = next(name for name, kind in _FAULTS.items() if isinstance(fault, kind))
            return {"fault": blame, "reason": fault.reason, "sentence": str(fault)}

    async def _command(self, call: LiveCall, args: dict[str, Any]) -> dict[str, Any]:
        given = await self._obeyed(call, [Wish(**wish) for wish in args["wishes"]])
        return {"commands": [asdict(one) for one in given.commands]}

    async def _put(self, call: LiveCall, args: dict[str, Any]) -> dict[str, Any]:
        return {"custom_data": call.put(args["patch"])}


_FAULTS: dict[str, type[PatchlineFault]] = {
    "caller": CallerFault,
    "carrier": CarrierFault,
    "ours": OurFault,
}
"""As they cross the bus."""


def unclear() -> OurFault:
    """Something was, or may have been, begun."""
    return OurFault(
        "unclear", "the call's process did not say what became of it: see the call's events"
    )


def _no_answer() -> OurFault:
    return OurFault(
        "no_answer", "the process that has the call does not answer: ask again in a moment"
    )


def _moved() -> OurFault:
    return OurFault("moved", "the call has ended or moved just now: ask again")


def _became(call: LiveCall, wish: Wish) -> Became:
    state, reason = call.report.commands.get(wish.command_id, ("failed", "stream_over"))
    return Became(wish.command_id, wish.type, state, reason)


def _tell(call: LiveCall, wish: Wish, state: str, reason: str = "") -> None:
    """What no machine tells: a command that was carried out without a stream."""
    told = {"command_id": wish.command_id}
    call.tell(call.now_ms(), "command.received", {**told, "type": wish.type})
    if state != "accepted":
        call.tell(call.now_ms(), "command.ended", {**told, "state": state, "reason": reason})
