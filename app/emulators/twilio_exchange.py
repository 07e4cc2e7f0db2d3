"""The life of a call: ringing, documents, orders from outside, the end and its callbacks.

Three parties can change a running call at the same moment: its own TwiML, a REST update and
the caller. Rule: they meet in one loop per call. A call that ended is not revived, a
redirect takes effect after its delay if the call still lives then, and otherwise it is lost,
which is the race of a server that closes its socket too early.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from app.emulators.phone import Answer
from app.emulators.phone_book import PhoneBook, rung
from app.emulators.twilio_call import EmulatedCall, Fetch, HungUp, Order, Redirected, Source
from app.emulators.twilio_detection import Detection, form_of, judge, verdict
from app.emulators.twilio_run import Carrier, Ended, Run
from app.emulators.twilio_tape import Tape
from app.emulators.twilio_words import FINAL_STATUSES, DialOutcome, PickUp, monotonic_ms
from app.emulators.twiml_interpreter import interpret

_EVENTS = {"in-progress": "answered"}
"""Status callbacks are asked for by event and speak of statuses."""
_RANG_OUT = 487
"""SipResponseCode of a call that nobody picked up in time."""
_ENDED_BY = {
    "caller": "caller",
    "rest": "agent",
    "hangup": "agent",
    "end_of_twiml": "agent",
    "reject": "agent",
}


class Exchange:
    """Starts calls and sees them through; every task belongs to the carrier's owner."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def receive(self, call: EmulatedCall, source: Source) -> None:
        """Begin an inbound call whose number is answered by ``source``."""
        self._carrier.tasks.start(self._inbound(call, source), name=f"call {call.call_sid}")

    def place(self, call: EmulatedCall, source: Source, detection: Detection | None = None) -> None:
        """Begin an outbound call that runs ``source`` once it is answered."""
        work = self._outbound(call, source, detection)
        self._carrier.tasks.start(work, name=f"call {call.call_sid}")

    def report_tape(self, call: EmulatedCall, tape: Tape) -> None:
        """Tell whoever wanted to know how far a recording has come."""
        Run(call, self._carrier, interpret).report_tape(tape)

    async def _inbound(self, call: EmulatedCall, source: Source) -> None:
        run = Run(call, self._carrier, interpret)
        try:
            await self._settle(run, await self._live(run, source))
        finally:
            _release_phone(call)

    async def _outbound(
        self, call: EmulatedCall, source: Source, detection: Detection | None
    ) -> None:
        run = Run(call, self._carrier, interpret)
        for status in ("initiated", "ringing"):
            call.status = status
            self._progress(run)
        try:
            ended = await self._ring(run)
            if ended is None:
                call.status = "in-progress"
                call.answered_at_ms = monotonic_ms()
                self._progress(run)
                ended = await self._picked_up(run, source, detection)
            await self._settle(run, ended)
        finally:
            _release_phone(call)

    async def _picked_up(self, run: Run, source: Source, detection: Detection | None) -> Ended:
        """Run ``source`` with whoever picked up, and find out who that is if somebody asked."""
        call, who = run.call, self._outcome(run).pick_up
        call.voice.say(who.says)
        if detection is None:
            return await self._live(run, source)
        judge(call, detection)
        if not detection.beside:
            call.answered_by = await verdict(call, detection, who)
            if isinstance(source, Fetch):
                told = {**source.extra, "AnsweredBy": call.answered_by}
                source = replace(source, extra=told)
            return await self._live(run, source)
        finding = self._carrier.tasks.start(
            self._find_out(run, detection, who), name=f"detection {call.call_sid}"
        )
        try:
            return await self._live(run, source)
        finally:
            await _cancelled(finding)

    async def _find_out(self, run: Run, detection: Detection, who: PickUp) -> None:
        """The verdict beside the call; a call that ends first has none."""
        run.call.answered_by = await verdict(run.call, detection, who)
        if detection.callback:
            form = form_of(run.call, run.call.answered_by)
            run.deliver(
                run.late("amd", run.callback(detection.callback, form, detection.method)),
                "callback amd",
            )

    def _outcome(self, run: Run) -> DialOutcome:
        return run.outcome(run.call.to) or DialOutcome(ring_ms=self._carrier.pace.ring_ms)

    async def _ring(self, run: Run) -> Ended | None:
        """None when the call is answered."""
        run.call.pulse.beat()
        phones = self._carrier.phones
        if phones is not None:
            return await self._ring_phone(run, phones)
        return await self._pretend_to_ring(run, self._outcome(run))

    async def _ring_phone(self, run: Run, phones: PhoneBook) -> Ended | None:
        call = run.call
        ringing = asyncio.create_task(
            rung(
                phones.called_at(call.to),
                call,
                call_sid=call.call_sid,
                from_=call.from_,
                to=call.to,
                sentence=f"The agent is calling you from {call.from_}",
                patience_ms=call.ring_limit_ms,
                unattended_ms=phones.unattended_ms,
            ),
            name=f"ringing {call.call_sid}",
        )
        given_up = asyncio.create_task(_hang_up_order(call), name=f"orders {call.call_sid}")
        try:
            await asyncio.wait({ringing, given_up}, return_when=asyncio.FIRST_COMPLETED)
            answer = None
            if ringing.done():
                answer, call.phone = ringing.result()
            if given_up.done():
                return Ended(given_up.result().ended_by, "canceled")
            if answer is Answer.ANSWERED:
                return None
            return Ended("not_answered", "busy" if answer is Answer.DECLINED else "no-answer")
        finally:
            for task in (ringing, given_up):
                await _cancelled(task)

    async def _pretend_to_ring(self, run: Run, outcome: DialOutcome) -> Ended | None:
        limit_ms = run.call.ring_limit_ms
        try:
            async with asyncio.timeout(min(outcome.ring_ms, limit_ms) / 1000):
                while True:
                    order = await run.call.orders.get()
                    if isinstance(order, HungUp):
                        return Ended(order.ended_by, "canceled")
        except TimeoutError:
            if outcome.ring_ms > limit_ms:
                return Ended("not_answered", "no-answer", _RANG_OUT)
            if outcome.status == "completed":
                return None
            return Ended("not_answered", outcome.status, outcome.sip_response_code)

    async def _live(self, run: Run, source: Source) -> Ended:
        """Run documents and obey orders until the call is over."""
        call = run.call
        work = asyncio.create_task(interpret(run, source), name=f"twiml {call.call_sid}")
        asking = asyncio.create_task(call.orders.get(), name=f"orders {call.call_sid}")
        waiting: tuple[Redirected, float] | None = None
        try:
            while True:
                due_s = None if waiting is None else max(0.0, waiting[1] - monotonic_ms()) / 1000
                await asyncio.wait(
                    {work, asking}, timeout=due_s, return_when=asyncio.FIRST_COMPLETED
                )
                if work.done():
                    return _lost(call, work.result(), asking, waiting)
                if asking.done():
                    order = asking.result()
                    asking = asyncio.create_task(call.orders.get(), name=asking.get_name())
                    if isinstance(order, HungUp):
                        ended = Ended(order.ended_by, order.status)
                        return _lost(call, ended, asking, waiting)
                    waiting = (order, monotonic_ms() + order.delay_ms)
                if waiting is not None and monotonic_ms() >= waiting[1]:
                    await _cancelled(work)
                    await self._end_stream(run)
                    call.pending_action = None
                    work = asyncio.create_task(interpret(run, waiting[0].source))
                    waiting = None
        finally:
            await _cancelled(asking)
            await _cancelled(work)

    async def _end_stream(self, run: Run) -> None:
        """Send ``stop`` on a stream that still runs; its closing goes on beside the call."""
        if not run.call.streams or run.call.stream.end is not None:
            return
        stream = run.call.stream
        await stream.stop()
        self._carrier.tasks.start(
            stream.close(self._carrier.pace.close_limit_s), name=f"close {stream.stream_sid}"
        )
        if stream.started_at_ms is not None:
            run.report_over(stream)

    async def _settle(self, run: Run, ended: Ended) -> None:
        """End the call: the stream first, then its status, then whoever wants to know."""
        call = run.call
        call.ended_by = ended.by
        await self._end_stream(run)
        call.ended_at_ms = monotonic_ms()
        call.status = ended.status
        run.finish_tapes()
        call.pulse.beat()
        _release_phone(call)
        if self._carrier.faults.end_is_told_first:
            self._progress(run, ended.sip_response_code)
            await _delivered(call)
        if call.pending_action is not None:
            action = call.pending_action
            form = {**call.form(), **action.extra}
            await self._carrier.webhooks.send(action.url, form, call.requests, method=action.method)
        if not self._carrier.faults.end_is_told_first:
            self._progress(run, ended.sip_response_code)
        await _delivered(call)
        call.settled = True
        call.pulse.beat()

    def _progress(self, run: Run, sip_response_code: int | None = None) -> None:
        """Report the call's status to whoever subscribed to this event."""
        call, wish = run.call, run.call.callback
        final = call.status in FINAL_STATUSES
        event = "completed" if final else _EVENTS.get(call.status, call.status)
        if wish is None or event not in wish.events:
            return
        form = {
            **call.form(),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(call.callback_sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        if final:
            form["CallDuration"] = str(call.duration_s)
            form["Duration"] = str(-(-call.duration_s // 60))
            if sip_response_code is not None:
                form["SipResponseCode"] = str(sip_response_code)
        call.callback_sequence += 1
        delay_ms = self._carrier.faults.status_delay_ms.get(call.status, 0)
        run.deliver(_later(run, form, delay_ms), f"callback {call.status}")


async def _hang_up_order(call: EmulatedCall) -> HungUp:
    while True:
        order = await call.orders.get()
        if isinstance(order, HungUp):
            return order


def _release_phone(call: EmulatedCall) -> None:
    """Tell the caller's phone that the call is over, and why; a second time says nothing."""
    if call.phone is None:
        return
    by = _ENDED_BY.get(call.ended_by or "", "carrier")
    if by == "agent" and call.left_by_person:
        by = "person"
    if (problem := _problem(call)) is not None:
        call.phone.tell("problem", code=problem[0], sentence=problem[1])
    reason = call.ended_by if call.status == "completed" else call.status
    call.phone.over(call, by, reason if call.over and reason else "carrier_closed")


async def _delivered(call: EmulatedCall) -> None:
    """Return when every callback of the call has arrived."""
    while call.deliveries:
        await asyncio.wait(set(call.deliveries))


def _problem(call: EmulatedCall) -> tuple[str, str] | None:
    """What the person at the phone should know went wrong: a code and a sentence."""
    if call.ended_by == "error":
        reasons = "; ".join(str(one) for one in call.violations[-1:])
        return "webhook_failed", f"The server could not go on with this call: {reasons}."
    refused = call.streams[-1].refused if call.streams else None
    if refused is not None:
        return "stream_refused", f"The server did not open its media socket: {refused}."
    return None


async def _later(run: Run, form: dict[str, str], delay_ms: int) -> None:
    wish = run.call.callback
    if delay_ms > 0:
        await run.take(delay_ms)
    if wish is not None:
        await run.callback(wish.url, form, wish.method)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel and wait; a result it may still have is of no interest."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def _lost(
    call: EmulatedCall,
    ended: Ended,
    asking: asyncio.Task[Order],
    waiting: tuple[Redirected, float] | None,
) -> Ended:
    """Note the redirects that a call which ended by itself did not live to obey."""
    if waiting is not None:
        call.lost_redirects.append(waiting[0])
    if asking.done():
        order = asking.result()
        if isinstance(order, Redirected):
            call.lost_redirects.append(order)
    return ended
