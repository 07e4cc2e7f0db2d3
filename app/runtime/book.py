"""The book of live calls: who may come in, whose stream is whose, what becomes of a call.

Capacity is decided here when the TwiML is answered, so that a caller too many hears a
sentence and not a dead socket. Everything kept is bounded and leaves by itself: invitations
expire, parked model lines are closed, calls at the carrier are forgotten after a day at the
latest.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import structlog

from app.call.conversation import remember
from app.call.plan import CallPlan
from app.protocol.events import (
    CallEnded,
    CallerLineLost,
    FailoverOrdered,
    StreamReportedOver,
    StreamStopped,
)
from app.runtime import metrics
from app.runtime.dials import Dials
from app.runtime.effects import contained
from app.runtime.invitations import Invitations
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.metrics import CALLS_ACTIVE, CALLS_REFUSED
from app.runtime.ports import CallerLine, Feed, RecordStore
from app.runtime.runner import Runner
from app.runtime.scripts import Scripts

ABNORMAL = 1006
_ANSWERED = frozenset({"completed", "answered"})
"""A leg that was answered, by a mailbox for instance, and never bridged says this, too."""
_DONE = frozenset({"assistant_hangup", "operator_ended", "caller_hangup", "transferred"})
INTERRUPTED = "the connection was interrupted"
_REFUSED = {"capacity": "capacity", "draining": "server_shutdown"}
AT_CARRIER_S = 24 * 3600
"""Twilio lets two people talk for four hours; after a day the result was lost."""
DIAL_RESULT_S = 5
"""From the end of a call that was put through to the result of its dialling, at most."""
MOST_ENDED = 2_000
"""Calls whose last reason is remembered, for requests of Twilio's that come late."""

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Start a task that the application's lifespan owns, by name."""
MakeRunner = Callable[[LiveCall, CallPlan], Runner]

log = structlog.get_logger("book")


@dataclass(frozen=True, slots=True)
class Line:
    """What an incoming call meets: the agent's plan, its documents, its version."""

    plan: CallPlan
    scripts: Scripts
    version: str


@dataclass(frozen=True, slots=True)
class _Ended:
    call_id: str
    reason: str


class Book:
    """Every live call of this process. Not thread-safe; belongs to the loop."""

    def __init__(
        self,
        line: Line,
        *,
        capacity: int,
        make_runner: MakeRunner,
        store: RecordStore,
        spawn: Spawn,
    ) -> None:
        self._line = line
        self._capacity = capacity
        self._make_runner = make_runner
        self._store = store
        self._spawn = spawn
        self._calls: dict[str, LiveCall] = {}
        self._invitations = Invitations()
        self._dials = Dials()
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self.draining = False
        self.admitted = 0
        """Calls that came in since the start."""

    @property
    def live(self) -> int:
        """Calls that have a runner."""
        return sum(1 for call in self._calls.values() if call.runner is not None)

    @property
    def unfinished(self) -> int:
        """Calls that have not ended: the live ones, and those that were put through."""
        return len(self._calls)

    def admit(self, facts: CallFacts) -> str:
        """The TwiML for an incoming call. Repeated webhooks get the same document again."""
        call = self._calls.get(facts.call_sid)
        ended = self._ended.get(facts.call_sid)
        if call is None and ended is not None and ended.reason == "capacity":
            return self._line.scripts.full()
        if call is None and ended is not None:
            # A repeated or replayed webhook opens nothing for a call that is over.
            return self.stream_ended(facts.call_sid, call_over=True)
        if call is not None and call.invitation is not None and self._waits(call):
            return call.invitation
        if call is not None and call.at_carrier and call.dial is not None:
            return self._line.scripts.transfer(call.dial)
        if call is not None and call.runner is not None and call.runner.reason is None:
            # Nothing is done to a live stream before another one really comes.
            return self._door(call)
        if self.draining or self.live >= self._capacity:
            why = "draining" if self.draining else "capacity"
            CALLS_REFUSED.labels(why).inc()
            log.warning("call_refused", why=why, call_sid=facts.call_sid)
            if call is None:
                # A call that nobody answered is a call: it has its record, too.
                self._close(self._unheard(facts), _REFUSED[why])
            return self._line.scripts.full()
        if call is None:
            call = self._new_call(facts)
        return self._invite(call, returning=INTERRUPTED if call.report.stream_sids else None)

    def _new_call(self, facts: CallFacts) -> LiveCall:
        call = self._unheard(facts)
        self._calls[facts.call_sid] = call
        self.admitted += 1
        log.info("call_admitted", call_id=call.call_id, call_sid=facts.call_sid)
        return call

    def _unheard(self, facts: CallFacts) -> LiveCall:
        return LiveCall(
            call_id=f"call_{secrets.token_hex(12)}",
            facts=facts,
            config_version=self._line.version,
            concurrency=self.live + 1,
        )

    def _waits(self, call: LiveCall) -> bool:
        runner = call.runner
        return runner is not None and runner.reason is None and not runner.has_stream

    def _invite(self, call: LiveCall, *, returning: str | None) -> str:
        """Open a model line and a door to it."""
        document = self._door(call)
        self._start(call, returning)
        return document

    def _door(self, call: LiveCall) -> str:
        """The stream that brings the token of this document belongs to the call."""
        call.invitation = self._line.scripts.connect(self._invitations.draw(call))
        return call.invitation

    def _start(self, call: LiveCall, returning: str | None) -> Runner:
        self._retire(call)
        plan = replace(self._line.plan, memories=call.memories, returning=returning)
        call.streams += 1
        call.returning = returning
        self._left_carrier(call)
        call.runner = runner = self._make_runner(call, plan)
        CALLS_ACTIVE.set(self.live)
        runner.begin()
        self._spawn(self._live(call, runner), f"call-{call.call_id}")
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

    def claim(self, line: CallerLine, token: str, *, call_sid: str, stream_sid: str) -> Feed | None:
        """Whose stream this is: where its events go, or None when the token opens nothing."""
        call = self._invitations.take(token, call_sid)
        if call is None:
            return None
        runner = call.runner
        if runner is None or runner.reason is not None:
            # The parked model line has given up waiting; the caller has not.
            runner = self._start(call, call.returning)
        elif runner.has_stream:
            # Twilio came back before we noticed that it had gone.
            runner = self._start(call, INTERRUPTED)
        runner.attach(line, stream_sid)
        return runner.feed

    def _stream_over(self, call: LiveCall, runner: Runner, reason: str) -> None:
        if call.runner is not runner:
            return
        call.runner = None
        call.memories = remember(call.memories, runner.machine.transcript.entries)
        CALLS_ACTIVE.set(self.live)
        if reason == "transferring":
            self._with_carrier(call)
        elif not runner.has_stream and reason == "stream_lost":
            # Nobody came while the model line was parked; the token is good for longer.
            loop = asyncio.get_running_loop()
            loop.call_at(call.open_until_s, self._nobody_came, call, call.open_until_s)
        else:
            self._close(call, reason)

    def _nobody_came(self, call: LiveCall, open_until_s: float) -> None:
        """Its last invitation has expired; one that was drawn since has an end of its own."""
        if call.runner is None and not call.at_carrier and call.open_until_s == open_until_s:
            self._close(call, "stream_lost")

    def _with_carrier(self, call: LiveCall) -> None:
        """The caller is being put through; the dial result tells how that ends."""
        if call.report.ending is not None:
            return  # The dial result was faster than the answer of REST.
        if call.report.too_late_to_transfer:
            self._close(call, "caller_hangup")
            return
        loop = asyncio.get_running_loop()
        call.forgetting = loop.call_later(AT_CARRIER_S, self._close, call, "carrier_failed")
        self._store.put(call.record())
        call.readers.tell()

    def _left_carrier(self, call: LiveCall) -> None:
        """The caller is not being put through any more."""
        self._dials.forget(call)
        if call.forgetting is not None:
            call.forgetting.cancel()
            call.forgetting = None

    def _close(self, call: LiveCall, reason: str) -> None:
        """The record closes, exactly once."""
        if not call.report.ended(reason, call.now_ms()):
            return
        self._calls.pop(call.facts.call_sid, None)
        if call.report.transfer_unclear:
            self._dials.outlive(call)
        self._left_carrier(call)
        self._ended[call.facts.call_sid] = _Ended(call.call_id, reason)
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        self._store.put(call.record())
        metrics.ended(call.report)
        call.readers.tell()
        log.info(
            "call_ended",
            call_id=call.call_id,
            call_sid=call.facts.call_sid,
            reason=reason,
            turns=len(call.report.turns),
            duration_ms=call.report.ended_at_ms,
        )

    def stream_ended(self, call_sid: str, *, call_over: bool) -> str:
        """Twilio asks what to do after ``<Connect>``: the TwiML for it.

        A caller who is still there, although we thought they had hung up, is not hung up on.
        """
        call = self._calls.get(call_sid)
        if call_over:
            self.call_over(call_sid, "completed")
        elif call is not None and call.runner is not None and call.runner.has_stream:
            # ``stop`` is late, or never comes.
            call.runner.feed(CallerLineLost(ABNORMAL))
        if call is not None and call.at_carrier and call.dial is not None and not call_over:
            return self._line.scripts.transfer(call.dial)
        reason = self._why_over(call_sid)
        if reason in _DONE and (call_over or reason != "caller_hangup"):
            return self._line.scripts.hang_up()
        return self._line.scripts.failure()

    def _why_over(self, call_sid: str) -> str | None:
        """Why the call has ended, or its last stream while that is settling."""
        ended, call = self._ended.get(call_sid), self._calls.get(call_sid)
        if ended is not None:
            return ended.reason
        return call.runner.reason if call is not None and call.runner is not None else None

    def stream_stopped(self, call_sid: str, stream_sid: str) -> None:
        """The stream's status callback: a second witness of its end, who does not know whether
        the call ended with it. Idempotent."""
        call = self._calls.get(call_sid)
        if call is None or call.runner is None or not call.report.stream_sids:
            return
        if call.report.stream_sids[-1] == stream_sid and call.runner.has_stream:
            call.runner.feed(StreamReportedOver())

    def call_over(self, call_sid: str, status: str) -> None:
        """Twilio says so: nobody is on the line any more. Idempotent."""
        call = self._calls.get(call_sid)
        if call is None:
            return
        if call.runner is not None and call.runner.reason is None:
            call.runner.feed(CallEnded(status))
        elif call.runner is not None or call.at_carrier:
            # The dial result tells how the transfer ended; it may come after this.
            call.gone = True
            loop = asyncio.get_running_loop()
            loop.call_later(DIAL_RESULT_S, self._close, call, "caller_hangup")
        else:
            self._close(call, "caller_hangup")

    def dialled(
        self,
        dial_token: str,
        *,
        call_sid: str,
        connected: bool,
        status: str,
        talk_s: int | None,
        call_over: bool,
    ) -> str:
        """How a transfer ended: hang up, or back to the agent, who knows why.

        ``call_over``: the caller is gone, and nobody is left to come back.
        """
        call = self._dials.call(dial_token, call_sid)
        if call is None or call.dial is None:
            if connected:
                self._correct(dial_token, call_sid, talk_s)
            # Of a process before this one, or of a redirect that was given up and took effect.
            there = not (connected or call_over)
            late = self.failure() if there else self._line.scripts.hang_up()
            return self._dials.answer(dial_token, call_sid) or late
        target = call.dial.target
        self._left_carrier(call)
        # The redirect was taken, whatever the answer to it said: nobody is on a stream of ours.
        self._retire(call)
        CALLS_ACTIVE.set(self.live)
        if connected:
            call.report.transfer_ended("connected", talk_s)
            self._close(call, "transferred")
            twiml = self._line.scripts.hang_up()
        else:
            status = "not-connected" if status in _ANSWERED else status
            call.report.transfer_ended(status)
            call.gone = call.gone or call_over
            twiml = self._nobody_reached(call, target, status)
        return self._dials.answered(dial_token, call_sid, twiml)

    def _correct(self, dial_token: str, call_sid: str, talk_s: int | None) -> None:
        """A redirect that was given up took effect after all: the closed record says so."""
        call = self._dials.late(dial_token, call_sid)
        if call is None:
            return
        call.report.transfer_ended("connected", talk_s)
        call.report.corrected("transferred", call.now_ms())
        self._ended[call_sid] = _Ended(call.call_id, "transferred")
        self._store.put(call.record())
        log.info("call_corrected", call_id=call.call_id, call_sid=call_sid, reason="transferred")

    def _nobody_reached(self, call: LiveCall, target: str, status: str) -> str:
        """The caller was not put through: what becomes of them, in TwiML."""
        destination = self._line.scripts.destinations[target]
        if call.gone:
            self._close(call, "caller_hangup")
            return self._line.scripts.hang_up()
        if not destination.resume:
            self._close(call, "transfer_failed")
            return self._line.scripts.hang_up(destination.say_on_failure)
        why = f"putting them through to {target} failed ({status})"
        if destination.say_on_failure:
            why += f'. Tell them exactly this: "{destination.say_on_failure}"'
        return self._invite(call, returning=why)

    def failure(self) -> str:
        """The failure treatment, for a request that cannot be answered better."""
        return self._line.scripts.failure()

    def transfer_twiml(self, call: LiveCall, target: str) -> str:
        """The document that puts this call through. Raises ``KeyError``."""
        return self._line.scripts.transfer(self._dials.draw(call, target))

    def call(self, call_sid: str) -> LiveCall | None:
        """The call that lives under this CallSid."""
        return self._calls.get(call_sid)

    def record(self, name: str) -> dict[str, object] | None:
        """The record of a live or an ended call, by our id or by Twilio's CallSid."""
        for call in self._calls.values():
            if name in (call.call_id, call.facts.call_sid):
                return call.record()
        return self._store.get(self.call_id(name) or name)

    def lives(self, call_sid: str) -> bool:
        """Whether the call has not ended yet, as far as we know."""
        return call_sid in self._calls

    def call_id(self, call_sid: str) -> str | None:
        """Our name for a call of Twilio's that lives or has ended lately."""
        call = self._calls.get(call_sid)
        if call is not None:
            return call.call_id
        ended = self._ended.get(call_sid)
        return ended.call_id if ended is not None else None

    def let_go(self) -> None:
        """This process ends: every call that still lives gets the failure treatment."""
        for call in list(self._calls.values()):
            if call.runner is not None:
                call.runner.feed(FailoverOrdered("server_shutdown"))

    def close(self) -> None:
        """This process has ended: the calls that go on without it have their records closed."""
        for call in list(self._calls.values()):
            self._close(call, "server_shutdown")
