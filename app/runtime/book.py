"""The book of live calls: who is here, whose stream is whose, how each of them ends.

A call enters, gets a runner for every stream, may be away at the carrier in between, and ends
once. Everything kept is bounded and leaves by itself: invitations expire, parked model lines
are closed, calls at the carrier are forgotten after a day at the latest.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from app.call import line_menu
from app.call.built_in import UPDATE_FORM
from app.call.conversation import remember
from app.call.filling import filled
from app.call.lookup import NOTHING_KNOWN, Guest
from app.call.noted import CONTINUED, continued
from app.call.plan import BillPlan, CallPlan, GuardPlan, Memory, ToolPlan
from app.call.presses import PRESSED
from app.call.recorded import taken_up
from app.call.report import Report
from app.protocol.events import CallerLineLost, FailoverOrdered, StreamStopped
from app.runtime import metrics
from app.runtime.adoption import adopted
from app.runtime.capacity import Capacity
from app.runtime.continuing import Earlier
from app.runtime.dials import Dials
from app.runtime.effects import contained
from app.runtime.ended import Ended
from app.runtime.invitations import Invitations, drawn_ms_of
from app.runtime.line import Line
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.orders import form_of
from app.runtime.ports import CallerLine, FactStore, Feed
from app.runtime.roster import Roster
from app.runtime.runner import Runner
from app.runtime.scripts import Dial
from app.runtime.ways import openness_of
from app.services.store.calls import CallRow, StoredFact
from app.services.store.changes import NewCall

INTERRUPTED = "the connection was interrupted"
"""Why the caller comes back, as the model is told, when it is nobody's doing."""
KEYS_PRESSED = 'the keys "{keys}" have been pressed on their line. Listen to what comes of it'
"""Why they come back from that."""

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Start a task that the application's lifespan owns, by name."""
MakeRunner = Callable[[LiveCall, CallPlan], Runner]

SeeTo = Callable[[LiveCall], Coroutine[Any, Any, None]]

LEASE_S = 15
"""A call whose owner has not said for so long that it lives may be taken over."""
GOING_AWAY = 1001
RETURN_S = 15
"""From a lost stream to Twilio's question what to do next; then Twilio is asked."""
MOST_RESUMES = 3
"""So often a call comes back by itself; the next loss is for good."""

log = structlog.get_logger("book")

_BY_CARRIER = frozenset({"caller_hangup", "transferred"})
"""What Twilio tells of a call's end, also of one that somebody here has ended."""


class Book:
    """Every live call of this process. Not thread-safe; belongs to the loop."""

    def __init__(
        self,
        roster: Roster,
        *,
        capacity: int,
        together: int | None = None,
        make_runner: MakeRunner,
        store: FactStore,
        spawn: Spawn,
        me: str = "",
    ) -> None:
        """``capacity``: calls of this process; ``together``: of all, where that is bounded."""
        self.roster = roster
        self._me = me
        self.look_after: SeeTo = self._give_up
        """Ask the carrier what became of a call whose stream is gone, and see to it."""
        self.hand_over: SeeTo = self._give_up
        """Leave a call to the other processes behind our address."""
        self.call_over: Callable[[LiveCall], None] = lambda _call: None
        """Told of every call that has ended."""
        self._make_runner = make_runner
        self._store = store
        self.spawn = spawn
        self._calls: dict[str, LiveCall] = {}
        self._invitations = Invitations()
        self.capacity = Capacity(capacity, together, leased=lambda: len(self._calls))
        self.dials = Dials()
        self.ended = Ended()
        self.admitted = 0
        """Calls that came in since the start."""

    @property
    def live(self) -> int:
        """Calls that have a runner."""
        return len(self.capacity)

    @property
    def unfinished(self) -> int:
        """Calls that have not ended: the live ones, and those that were put through."""
        return len(self._calls)

    @property
    def version(self) -> str:
        """Of the agent document that calls are answered with."""
        return self.roster.edition.version

    @property
    def draining(self) -> bool:
        """Whether no call is taken any more."""
        return self.capacity.draining

    def call(self, call_sid: str) -> LiveCall | None:
        """The call that lives under this CallSid."""
        return self._calls.get(call_sid)

    def lives(self, call_sid: str) -> bool:
        """Whether the call has not ended yet, as far as we know."""
        return call_sid in self._calls

    def call_id(self, call_sid: str) -> str | None:
        """Our name for a call of Twilio's that lives or has ended lately."""
        call = self._calls.get(call_sid)
        return call.call_id if call is not None else self.ended.call_id(call_sid)

    def record(self, name: str) -> dict[str, object] | None:
        """The record of a call that is here, by our id or by Twilio's CallSid."""
        for call in self._calls.values():
            if name in (call.call_id, call.facts.call_sid):
                return call.record()
        return None

    def here(self, call_id: str) -> LiveCall | None:
        """The call of this process with this id of ours."""
        return next((call for call in self._calls.values() if call.call_id == call_id), None)

    def all_here(self) -> list[LiveCall]:
        """The calls of this process that have not ended."""
        return list(self._calls.values())

    def take_over(
        self, row: CallRow, told: Iterable[StoredFact], before: tuple[Memory, ...] = ()
    ) -> LiveCall:
        """A call that this process has claimed from another; ``come_back`` or the carrier's
        next word goes on with it. ``before``: what was said in the call it continues."""
        call = adopted(row, told, self._store.append)
        call.memories = (*before, *call.memories)
        call.line = self._line_of(call)
        self._calls[call.facts.call_sid] = call
        transfers = call.report.transfers
        if transfers and transfers[-1].open and transfers[-1].token_digest:
            last = transfers[-1]
            self.dials.restore(call, last.target, last.token_digest, last.room)
            self.dials.await_result(call, self.end)
        else:
            self.cut_off(call)
        log.info("call_taken_over_from", call_id=call.call_id, resumes=row.resume_count)
        return call

    def _line_of(self, call: LiveCall) -> Line:
        """What a call meets here that began elsewhere, or before somebody picked up: the agent
        that has the conversation, as the document has it now."""
        return self.roster.edition.line(call.report.agent, call.line_number)

    def give_away(self, call: LiveCall) -> None:
        """Another process has the call, or may claim it: nothing more is said about it here."""
        call.given_away = True
        self._calls.pop(call.facts.call_sid, None)
        self._retire(call)
        self.dials.forget(call)
        self.capacity.release(call.call_id)
        call.readers.tell()
        log.info("call_given_away", call_id=call.call_id)

    def on_line(self, number: str) -> int:
        """Calls to this number that hold a place here, or are another process's."""
        return self.capacity.others_on(number) + sum(
            self.capacity.holds(call.call_id)
            for call in self._calls.values()
            if call.facts.to_number == number and call.facts.direction == "inbound"
        )

    def enter(
        self, facts: CallFacts, earlier: Earlier | None = None, guest: Guest = NOTHING_KNOWN
    ) -> LiveCall:
        """A call that is taken; ``invite`` is what brings it here. ``earlier``: it continues."""
        call = self._unheard(facts, earlier)
        self._introduce(call, guest)
        self._calls[facts.call_sid] = call
        self.admitted += 1
        log.info("call_admitted", call_id=call.call_id, call_sid=facts.call_sid)
        return call

    def _introduce(self, call: LiveCall, guest: Guest) -> None:
        """What the operator's program knows of the caller, for the model and the record."""
        if guest.fault:
            call.tell(0, "warning", {"id": f"before_call:{guest.fault}", "count": 1})
        if guest.variables:
            call.tell(0, "call.looked_up", {"variables": dict(guest.variables)})
            call.memories = (*guest.memories(), *call.memories)
        if guest.metadata:
            call.put(guest.metadata)

    def adopt(self, call: LiveCall) -> None:
        """A call that we placed has been picked up; ``invite`` is what brings it here."""
        call.line = self._line_of(call)
        self._calls[call.facts.call_sid] = call
        self.admitted += 1
        self._store.answered(call.call_id, _now(), call.facts.call_sid, self._me, LEASE_S)
        log.info("call_picked_up", call_id=call.call_id, call_sid=call.facts.call_sid)

    def refused(
        self, facts: CallFacts, reason: str, why: str, answer: str, dial: Dial | None = None
    ) -> None:
        """A call that nobody answered is a call: it has its record, too.

        ``answer`` is the TwiML it got, which a repeated webhook gets again. ``dial``: with whom
        that puts them through.
        """
        call = self._unheard(facts)
        call.tell(0, "call.rejected", {"reason": why})
        if dial is not None:
            call.tell(0, "transfer.started", {"target": dial.target, "mode": "cold"})
            told = {"target": dial.target, "token_digest": dial.digest, "room": ""}
            call.tell(0, "transfer.dialling", told)
        self.end(call, reason)
        self.ended.add(facts.call_sid, call.call_id, reason, answer)

    def _unheard(self, facts: CallFacts, earlier: Earlier | None = None) -> LiveCall:
        edition = self.roster.edition
        line = edition.answering(facts.to_number, facts.pressed)
        choice = edition.choice(facts.to_number, facts.pressed)
        call = LiveCall(f"call_{secrets.token_hex(12)}", facts, self._store.append, line)
        told = {
            **asdict(facts),
            "conversation_id": (
                earlier.conversation_id if earlier else f"conv_{secrets.token_hex(12)}"
            ),
            "resumed_from": earlier.call_id if earlier else None,
            "config_version": call.met.version,
            "agent": call.met.agent,
            "language": choice.language if choice is not None else "",
            "concurrency": self.live + 1,
        }
        self._store.opened(self._row(call, told))
        call.tell(0, "call.created", told)
        call.memories = line_menu.memories(told["language"])
        if earlier is not None:
            call.memories += earlier.memories
            call.tell(0, "call.resumed", {"resumed_from": earlier.call_id, "gap_s": earlier.gap_s})
            if earlier.form.form:
                call.tell(0, CONTINUED, continued(earlier.form))
        return call

    def _row(self, call: LiveCall, told: Mapping[str, Any]) -> NewCall:
        facts = call.facts
        return NewCall(
            call_id=call.call_id,
            call_sid=facts.call_sid,
            conversation_id=told["conversation_id"],
            resumed_from=told["resumed_from"],
            direction=facts.direction,
            from_number=facts.from_number,
            to_number=facts.to_number,
            config_version=told["config_version"],
            created_at=datetime.fromtimestamp(call.created_at, UTC),
            owner=self._me,
            lease_s=LEASE_S,
        )

    def invite(self, call: LiveCall, *, returning: str | None) -> str:
        """Open a model line and a door to it: the TwiML that brings the caller there."""
        document = self.door(call)
        self._start(call, returning)
        return document

    def come_back(self, call: LiveCall) -> str | None:
        """The caller lost their stream and is on the telephone: TwiML for another stream, or
        None when that was tried too often."""
        call.cut_off = False
        if call.report.resumes >= MOST_RESUMES:
            self.end(call, "stream_lost")
            return None
        call.tell(call.now_ms(), "call.returned", {"by": self._me})
        return self.invite(call, returning=INTERRUPTED)

    def door(self, call: LiveCall) -> str:
        """The stream that brings the token of this document belongs to the call."""
        call.invited += 1
        token = self._invitations.draw(call)
        call.invitation = call.scripts.connect(token, call.drawn_ms)
        return call.invitation

    def press(self, call: LiveCall, digits: str) -> str:
        """Another door, before which Twilio presses keys on the caller's line. Asked for again,
        it is without them."""
        token = self._invitations.draw(call)
        call.invitation = call.scripts.connect(token, call.drawn_ms)
        return call.scripts.connect(token, call.drawn_ms, digits)

    def claim(self, line: CallerLine, token: str, *, call_sid: str, stream_sid: str) -> Feed | None:
        """Whose stream this is: where its events go, or None when the token opens nothing."""
        call = self._invitations.take(token, call_sid)
        return None if call is None else self.attach(call, line, stream_sid, drawn_ms_of(token))

    def attach(self, call: LiveCall, line: CallerLine, stream_sid: str, drawn_ms: int = 0) -> Feed:
        """This stream is the call's: where its events go. ``drawn_ms``: its invitation's."""
        runner = call.runner
        if runner is None or runner.reason is not None:
            # The parked model line has given up, or is another process's; the caller has not.
            runner = self._start(call, call.returning or (INTERRUPTED if call.streams else None))
        elif runner.has_stream:
            # Twilio came back before we noticed that it had gone.
            runner = self._start(call, INTERRUPTED)
        runner.attach(line, stream_sid)
        call.invited, call.followed_ms = 0, drawn_ms
        return runner.feed

    def _start(self, call: LiveCall, returning: str | None) -> Runner:
        self._retire(call)
        pressed = call.report.pressed_away
        if pressed is not None:
            returning = KEYS_PRESSED.format(keys=pressed)
        plan = replace(
            _agents_plan(call),
            colleagues=_colleagues(call),
            memories=call.memories,
            returning=returning,
            language=call.report.party.language,
            session=dict(call.report.session),
            returns_to_listen=pressed is not None,
            has_keys=call.has_keys,
            menus=call.met.plan.menus if call.facts.direction.startswith("outbound") else None,
            recording=taken_up(call.met.plan.recording, call.report.recorded),
            began_at_ms=call.report.answered_at_ms,
            bill=_taken_on(call.met.plan.bill, call.report),
            guard=_counted_on(call.met.plan.guard, call.report),
            **call.outset,
        )
        if not call.streams:
            _tell_servers(call)
        call.streams += 1
        call.returning = returning
        call.cut_off = False
        call.tell(call.now_ms(), "call.stream_awaited", {"stream": call.streams})
        self.dials.forget(call)
        call.runner = runner = self._make_runner(call, plan)
        self.capacity.hold(call.call_id)
        runner.begin()
        self.spawn(self._live(call, runner), f"call-{call.call_id}")
        return runner

    def _retire(self, call: LiveCall) -> None:
        """Twilio was faster with the next request than with the end of the last stream."""
        runner, call.runner = call.runner, None
        if runner is not None:
            runner.feed(StreamStopped())
            call.memories = remember(call.memories, runner.machine.transcript.entries)

    async def _live(self, call: LiveCall, runner: Runner) -> None:
        reason = await contained(runner.run(), "carrier_failed")
        self._stream_over(call, runner, reason)

    def _stream_over(self, call: LiveCall, runner: Runner, reason: str) -> None:
        if call.runner is not runner:
            return
        call.runner = None
        call.memories = remember(call.memories, runner.machine.transcript.entries)
        if call.leaving_process:
            self._leave(call)
            return
        if reason == "stream_lost" and runner.has_stream and not call.gone:
            self.cut_off(call)
            return
        if reason == PRESSED and not call.gone:
            # The next model line is ready when the last key was heard.
            self._start(call, None)
            return
        if reason == "stream_lost" and call.report.pressed_away is not None and not call.gone:
            self.cut_off(call)  # Nobody came back from the keys: Twilio knows why.
            return
        self.capacity.release(call.call_id)
        if reason == "transferring":
            self.put_through(call)
        elif reason == PRESSED:
            self.end(call, "caller_hangup")
        elif not runner.has_stream and reason == "stream_lost":
            # Nobody came while the model line was parked; the token is good for longer.
            loop = asyncio.get_running_loop()
            loop.call_at(call.open_until_s, self._nobody_came, call, call.open_until_s)
        else:
            self.end(call, reason)

    def cut_off(self, call: LiveCall) -> None:
        """The socket is gone, perhaps not the call: it keeps its place, and Twilio asks for it."""
        call.cut_off = True
        self.capacity.hold(call.call_id)
        asyncio.get_running_loop().call_later(RETURN_S, self._not_back, call, call.streams)

    def _not_back(self, call: LiveCall, streams: int) -> None:
        if call.cut_off and call.streams == streams and call.report.ending is None:
            self.spawn(contained(self.look_after(call), None), f"lost-{call.call_id}")

    def _nobody_came(self, call: LiveCall, open_until_s: float) -> None:
        """Its last invitation has expired; one that was drawn since has an end of its own."""
        if call.runner is None and not call.at_carrier and call.open_until_s == open_until_s:
            self.end(call, "stream_lost")

    def put_through(self, call: LiveCall) -> None:
        """The caller is with the carrier; the dial result tells how that ends."""
        self.capacity.release(call.call_id)
        if call.report.ending is not None:
            return  # The dial result was faster than the answer of REST.
        if call.ends_as is not None:
            self.end(call, call.ends_as)
            return
        if call.report.too_late_to_transfer:
            self.end(call, "caller_hangup")
            return
        self.dials.await_result(call, self.end)

    def returned(self, call: LiveCall) -> None:
        """The carrier has told how the transfer ended. The redirect was taken, whatever the
        answer to it said: nobody is on a stream of ours."""
        self.dials.forget(call)
        self._retire(call)
        self.capacity.release(call.call_id)

    async def _give_up(self, call: LiveCall) -> None:
        """Nobody can be asked what became of the call."""
        self.end(call, "stream_lost")

    def end(self, call: LiveCall, reason: str) -> None:
        """The record closes, exactly once."""
        if call.report.ending is not None or call.given_away:
            return
        call.cut_off = False
        self.call_over(call)
        if reason in _BY_CARRIER and call.ends_as is not None:
            reason = call.ends_as
        call.tell(call.now_ms(), "call.ended", {"reason": reason})
        self._calls.pop(call.facts.call_sid, None)
        self.capacity.release(call.call_id)
        if call.report.transfer_unclear:
            self.dials.outlive(call)
        self.dials.forget(call)
        self.ended.add(call.facts.call_sid, call.call_id, reason)
        self._store.closed(call.call_id, reason, _now(), call.record(), by=self._me)
        metrics.ended(call.report)
        log.info(
            "call_ended",
            call_id=call.call_id,
            call_sid=call.facts.call_sid,
            reason=reason,
            turns=len(call.report.turns),
            duration_ms=call.report.ended_at_ms,
        )

    def corrected(self, call: LiveCall, reason: str) -> None:
        """A call whose record has closed ended otherwise than was thought."""
        call_sid = call.facts.call_sid
        call.tell(call.now_ms(), "call.corrected", {"reason": reason})
        self.ended.add(call_sid, call.call_id, reason)
        retelling = self._store.retell(call.call_id, call.record())
        self.spawn(contained(retelling, None), f"retell-{call.call_id}")
        log.info("call_corrected", call_id=call.call_id, call_sid=call_sid, reason=reason)

    def drain(self) -> None:
        """No call is taken any more; those that are here go on."""
        self.capacity.draining = True

    def let_go(self) -> None:
        """This process ends: calls that still live go on in another one, where there is one, and
        get the failure treatment otherwise."""
        for call in self.all_here():
            if self.capacity.shared:
                self._send_on(call)
            elif call.runner is not None:
                call.runner.feed(FailoverOrdered("server_shutdown"))

    def _send_on(self, call: LiveCall) -> None:
        """Closing the media socket makes Twilio ask for the call, at whoever answers then."""
        call.leaving_process = True
        runner = call.runner
        if runner is not None and runner.has_stream and runner.reason is None:
            runner.feed(CallerLineLost(GOING_AWAY))
        elif runner is None or not runner.has_stream:
            self._leave(call)

    def _leave(self, call: LiveCall) -> None:
        self.spawn(contained(self.hand_over(call), None), f"leaving-{call.call_id}")

    def close(self) -> None:
        """This process has ended: the calls that go on without it have their records closed."""
        for call in list(self._calls.values()):
            self.end(call, "server_shutdown")


def _tell_servers(call: LiveCall) -> None:
    """What servers of tools offer this call; one that was never reached offers nothing."""
    for label, names in call.met.servers().items():
        kind = "mcp.tools_listed" if names else "mcp.failed"
        told = {"server_label": label, **({"tools": list(names)} if names else {})}
        call.tell(call.now_ms(), kind, told)


def _agents_plan(call: LiveCall) -> CallPlan:
    """What holds with the agent who has the call, as far as it is not the call's own."""
    given = call.met.plan
    own = {UPDATE_FORM: ToolPlan()} if form_of(call.report.order) else {}
    tools = {**given.tools, **call.met.listed(), **own}
    plan = replace(filled(given, call.values), tools=tools)
    return replace(plan, **openness_of(call))


def _colleagues(call: LiveCall) -> dict[str, CallPlan]:
    """The same of every agent that the conversation may come to from here."""
    found: dict[str, CallPlan] = {}
    waiting = list(call.met.plan.handoffs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _agents_plan(call.of(name))
            waiting += found[name].handoffs
    return found


def _taken_on(bill: BillPlan | None, report: Report) -> BillPlan | None:
    """What the earlier streams of a call have cost counts on the next one."""
    return None if bill is None else replace(bill, spent_microusd=report.bill.total())


def _counted_on(guard: GuardPlan | None, report: Report) -> GuardPlan | None:
    """What was tripped on the earlier streams of a call counts on the next one."""
    return None if guard is None else replace(guard, tripped=report.tripped.total())


def _now() -> datetime:
    return datetime.now(UTC)
