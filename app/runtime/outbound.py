"""Calls that we place: queued, dialled by the jobs, and taken when somebody picks up.

A call exists from the moment it is ordered: its record says so before Twilio hears of it. It
waits here until one of three ends it: somebody picks up, and it is a call like any other; an
attempt fails and no other follows; the job says that there will be none. Rule: Twilio's callbacks
come in any order, twice, or never, and only the request for a document brings a call to life.

    queued ──document asked for──▶ live (the book's)
       └──last attempt over, refused, taken back──▶ ended
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from app.errors import CallerFault, PatchlineFault
from app.jobs.port import Jobs, JobState, JobStatus
from app.protocol.events import PickedUp
from app.protocol.twilio_webhooks import FINAL_STATUSES, CallStatus
from app.protocol.twiml import hangup
from app.runtime.book import Book
from app.runtime.continuing import recalled
from app.runtime.effects import contained
from app.runtime.line import Line
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.orders import Order
from app.runtime.queue import FIRST_LOOK_S, Ending, Queue, Queued
from app.runtime.routing import Routing
from app.services.store.archive import Archive
from app.services.store.calls import PAGE, CallRow, Filters
from app.services.store.changes import NewCall

OUTBOUND = "outbound"
"""The direction of a call that we placed."""
WRITTEN_S = 1.0
"""How long an order waits for its record; it is written all the same."""
LONGEST_LOOK_S = 30.0
"""Between two looks at a job: the database announces nothing to who did not write."""
AWAITED_LOOK_S = 1.0
"""The same where somebody waits for it."""
LOST_S = 60.0
"""An order whose job is not there after so long was never enqueued."""
ABANDONED_LOOK_S = 60.0
"""How often it is looked for orders whose process has died since we started."""
_RECOVERED = 1_000
_REASONS = {
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "dial_failed",
    "canceled": "canceled",
    "refused": "rejected",
    "completed": "stream_lost",
}
"""End reasons by how the last attempt ended; anything else is ``dial_failed``."""

log = structlog.get_logger("outbound")


def ending_of(status: JobStatus | None, waited_s: float) -> Ending | None:
    """Why a job will not bring the call any more; None while it may. Pure."""
    if status is None:
        return Ending("dial_failed", "job_lost") if waited_s > LOST_S else None
    if status.state is JobState.CANCELLED:
        return Ending("canceled")
    if status.state is JobState.FAILED:
        return Ending("dial_failed", "job_failed")
    if status.state is not JobState.DONE or "next" in status.result:
        return None
    state = str(status.result.get("state"))
    why = status.result.get("reason")
    return Ending(_REASONS.get(state, "dial_failed"), str(why) if why else state)


def followed(order: Order, attempts: Mapping[str, Mapping[str, Any]], status: str) -> bool:
    """Whether the job tries again after an attempt that ended so, itself included. Pure.

    The job counts in the same way (``app.jobs.workflows``).
    """
    rule = order.retries.get(status)
    ended_so = sum(1 for one in attempts.values() if one["status"] == status)
    return rule is not None and ended_so <= rule.times


class Outbound:
    """The calls we place. Belongs to the loop."""

    def __init__(
        self,
        book: Book,
        routing: Routing,
        archive: Archive,
        jobs: Jobs,
        *,
        origin: str,
        refusal: Callable[[str], str | None],
        me: str,
        shared: bool,
    ) -> None:
        """``refusal``: why a number may never be called, as a stable word. ``shared``: other
        processes take orders, and are asked for their calls, too."""
        self._book = book
        self._routing = routing
        self._archive = archive
        self._jobs = jobs
        self._origin = origin
        self._refusal = refusal
        self._keys = archive.keys
        self._queue = Queue(book, archive, me=me, shared=shared)
        self._news = asyncio.Event()
        self._closing = False

    async def place(self, order: Order, key: str | None = None) -> str:
        """Order a call, once for each ``key``; its id.

        Raises ``CallerFault`` with the reason why the number may not be called, or
        ``key_in_use``; ``OurFault`` where database or jobs cannot be had.
        """
        reason = "own_number" if order.to == order.from_ else self._refusal(order.to)
        if reason is not None:
            raise CallerFault(reason)
        self._speaker(order)
        call_id = f"call_{secrets.token_hex(12)}"
        if key is not None:
            first = await self._keys.claim(key, call_id, order.digest)
            if first.request_hash != order.digest:
                raise CallerFault("key_in_use")
            repeated, call_id = first.call_id != call_id, first.call_id
            row = await self._archive.row(call_id) if repeated else None
            if row is not None:
                if row.status == "queued":
                    await self._enqueue(call_id, order)
                return call_id
        self._ordered(call_id, order)
        await self._archive.writer.flush(call_id, WRITTEN_S)
        await self._enqueue(call_id, order)
        self._news.set()
        return call_id

    def _speaker(self, order: Order) -> Line:
        """Who is to speak. Raises ``CallerFault`` where nobody can, or has what to say."""
        edition = self._book.roster.edition
        if order.agent is not None and order.agent not in edition.agents:
            known = ", ".join(edition.agents)
            raise CallerFault("unknown_agent", f"agent must be one of the document's: {known}")
        answering = edition.answering(order.from_)
        line = edition.line(order.agent or answering.agent, order.from_)
        if missing := line.lore.missing(order.variables):
            raise CallerFault("variables_missing", f"variables are missing: {', '.join(missing)}")
        return line

    async def _enqueue(self, call_id: str, order: Order) -> None:
        after_s = max(0.0, (order.at_ms or 0) / 1000 - time.time())
        await self._jobs.enqueue(order.dial(call_id, self._origin), job_id=call_id, after_s=after_s)

    def _ordered(self, call_id: str, order: Order) -> None:
        facts = CallFacts("", "", order.from_, order.to, OUTBOUND)
        call = LiveCall(call_id, facts, self._archive.writer.append)
        told: dict[str, Any] = {
            "direction": OUTBOUND,
            "from_number": order.from_,
            "to_number": order.to,
            "conversation_id": order.conversation_id or f"conv_{secrets.token_hex(12)}",
            "resumed_from": order.continues,
            "config_version": self._book.version,
            "agent": self._speaker(order).agent,
            "concurrency": self._book.live + 1,
            "order": order.to_json(),
        }
        self._archive.writer.opened(
            NewCall(
                call_id=call_id,
                conversation_id=told["conversation_id"],
                resumed_from=order.continues,
                direction=OUTBOUND,
                from_number=order.from_,
                to_number=order.to,
                status="queued",
                config_version=self._book.version,
                created_at=datetime.fromtimestamp(call.created_at, UTC),
                custom_data=order.custom_data,
            )
        )
        call.tell(0, "call.created", told)
        if order.custom_data:
            call.tell(0, "call.custom_data", order.custom_data)
        log.info("call_queued", call_id=call_id)
        self._queue.keep(call, order)

    async def cancel(self, call_id: str) -> bool:
        """Take an order back that nobody is about to dial; it ends as ``canceled``.

        False where the call is being placed, was answered, or is over otherwise: nothing was
        changed. Between two attempts an order waits like a new one. Repeating it is harmless.
        Raises ``CallerFault``, ``unknown``, where there is no such call; ``OurFault``.
        """
        row = await self._archive.row(call_id)
        if row is None or row.erased:
            raise CallerFault("unknown")
        if row.status != "queued":
            return row.end_reason == "canceled"
        if not await self._jobs.withdraw(row.call_id):
            status = await self._jobs.status(row.call_id)
            if status is None or status.state is not JobState.CANCELLED:
                return False
        queued = await self._queue.found(row.call_id)
        if queued is not None:
            await self._queue.end(queued, Ending("canceled"))
        return True

    async def settled(self, call_id: str, within_s: float) -> None:
        """Return when somebody has picked up, when nobody will, or when the time is over."""
        queued = self._queue.here.get(call_id)
        if queued is None:
            return
        queued.awaited += 1
        queued.pause_s, queued.look_at_s = FIRST_LOOK_S, time.monotonic() + FIRST_LOOK_S
        self._news.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(queued.settled.wait(), within_s)
        finally:
            queued.awaited -= 1

    async def answered(self, call_id: str, facts: CallFacts, *, call_over: bool) -> str:
        """Somebody picked up: the TwiML that brings them here. Repeated requests get the same.

        ``call_over``: they have hung up by now.
        """
        queued = None
        if self._book.call(facts.call_sid) is None:
            queued = await self._queue.found(call_id)
        if queued is not None:
            async with queued.taking:
                waits = self._queue.here.get(call_id) is queued
                twiml = await self._answered(queued, facts, call_over) if waits else None
            if twiml is not None:
                return twiml
        if self._book.lives(facts.call_sid) or await self._elsewhere(call_id, facts.call_sid):
            return await self._routing.admit(facts)
        log.warning("nobody_ordered", call_id=call_id, call_sid=facts.call_sid)
        return hangup()

    async def _answered(self, queued: Queued, facts: CallFacts, call_over: bool) -> str | None:
        """The TwiML for a call that waited; None where another process was faster."""
        why = self._book.capacity.refusal()
        if call_over or why is not None:
            call = queued.call
            call.facts = replace(call.facts, call_sid=facts.call_sid, account_sid=facts.account_sid)
            refused = {"capacity": "capacity", "cost": "cost_limit"}.get(
                why or "", "server_shutdown"
            )
            await self._queue.end(queued, Ending("caller_hangup" if call_over else refused))
            return hangup()
        if not await self._queue.take(queued, facts):
            self._queue.gone(queued.call.call_id)
            return None
        await self._recalled(queued)
        return await self._taken(queued)

    async def _recalled(self, queued: Queued) -> None:
        """A call-back is told what was said before, as far as that is still known."""
        if queued.order.continues is None or queued.recalled:
            return
        queued.recalled = True
        before = await recalled(self._archive, queued.order.continues)
        queued.call.memories = (*before, *queued.call.memories)

    async def _elsewhere(self, call_id: str, call_sid: str) -> bool:
        """Another process was asked for this very call's document before."""
        row = await self._archive.row(call_id)
        return row is not None and row.status == "live" and row.call_sid == call_sid

    async def _taken(self, queued: Queued) -> str:
        call = queued.call
        sids = {"call_sid": call.facts.call_sid, "account_sid": call.facts.account_sid}
        call.tell(call.now_ms(), "call.answered", {"answered_by": None, **sids})
        self._book.adopt(call)
        document = self._book.invite(call, returning=None)
        self._queue.gone(call.call_id)
        if queued.verdict is not None:
            who, word = queued.verdict
            await self._routing.picked_up(call.facts.call_sid, who.who, who.records, word)
        return await self._routing.told(call.facts.call_sid, document)

    async def picked_up(
        self, call_id: str, call_sid: str, who: PickedUp, twilios_word: str
    ) -> None:
        """Twilio's detection has found out who is there. Idempotent."""
        known = await self._routing.picked_up(call_sid, who.who, who.records, twilios_word)
        if not known and (queued := self._queue.here.get(call_id)) is not None:
            queued.verdict = who, twilios_word

    async def progressed(self, call_id: str, run: str, news: CallStatus) -> None:
        """A status callback of one attempt. Idempotent, and in any order.

        Nothing happens without a ``call_id``: the call came in.
        """
        if not call_id:
            return
        told = {"call_sid": news.call_sid, "status": news.status}
        if news.sip_response_code is not None:
            told["sip_response_code"] = str(news.sip_response_code)
        try:
            await self._jobs.tell(run, told)
        except PatchlineFault as fault:
            # The job asks Twilio itself where it is told nothing.
            log.warning("job_not_told", reason=fault.reason, call_id=call_id)
        queued = await self._queue.found(call_id)
        if queued is None:
            return
        report = queued.call.report
        if news.status == "ringing" and run not in report.rung:
            first = queued.order.continues if not report.rung else None
            rung = {"run": run, "call_sid": news.call_sid}
            if await self._queue.tell(queued, "call.ringing", rung) and first:
                await self._queue.tell(queued, "callback.started", {"callback_of": first})
        elif news.status in FINAL_STATUSES and run not in report.attempts:
            await self._attempted(queued, run, news)

    async def _attempted(self, queued: Queued, run: str, news: CallStatus) -> None:
        call = queued.call
        call.facts = replace(call.facts, call_sid=news.call_sid)
        told = {
            "run": run,
            "call_sid": news.call_sid,
            "status": news.status,
            "sip_response_code": news.sip_response_code,
        }
        if not await self._queue.tell(queued, "call.attempted", told):
            return
        if not followed(queued.order, call.report.attempts, news.status):
            await self._queue.end(queued, Ending(_REASONS.get(news.status, "dial_failed")))

    async def watch(self) -> None:
        """Look after what waits, until ``close``; begins with what was left by others.

        An order that cannot be read is another version's, and takes nobody along.
        """
        await self._recover()
        search_at_s = time.monotonic() + ABANDONED_LOOK_S
        while not self._closing:
            due_s = min((one.look_at_s for one in self._queue.here.values()), default=search_at_s)
            left_s = max(0.0, min(due_s, search_at_s) - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)
            self._news.clear()
            now_s = time.monotonic()
            for queued in [one for one in self._queue.here.values() if one.look_at_s <= now_s]:
                if not self._closing:
                    await contained(self._look(queued), None)
            if now_s >= search_at_s and not self._closing:
                await contained(self._search(), None)
                search_at_s = time.monotonic() + ABANDONED_LOOK_S

    def close(self) -> None:
        """What waits goes on waiting, for whoever Twilio asks next."""
        self._closing = True
        self._news.set()

    async def _recover(self) -> None:
        try:
            page = await self._archive.page(Filters(status="queued"), None, _RECOVERED)
        except PatchlineFault as fault:
            log.warning("orders_not_recovered", reason=fault.reason)
            return
        for row in page.calls:
            await contained(self._queue.found(row.call_id), None)

    async def _search(self) -> None:
        """End the orders of other processes whose jobs are over: who took them is gone, or is just
        about to do the same, and of two one does.

        What still waits is left to them: whoever is asked for its document has it.
        """
        cursor = None
        try:
            while not self._closing:
                page = await self._archive.page(Filters(status="queued"), cursor, PAGE)
                for row in page.calls:
                    if row.call_id not in self._queue.here:
                        await self._end_abandoned(row)
                cursor = page.cursor
                if cursor is None:
                    return
        except PatchlineFault as fault:
            log.warning("orders_not_recovered", reason=fault.reason)

    async def _end_abandoned(self, row: CallRow) -> None:
        waited_s = (datetime.now(UTC) - row.created_at).total_seconds()
        if waited_s < ABANDONED_LOOK_S:
            return
        ending = ending_of(await self._jobs.status(row.call_id), waited_s)
        queued = await self._queue.found(row.call_id) if ending is not None else None
        if queued is not None and ending is not None and not queued.taking.locked():
            log.info("order_abandoned", call_id=row.call_id)
            await self._queue.end(queued, ending)

    async def _look(self, queued: Queued) -> None:
        """What the job, or another process, has made of a call that waits."""
        longest_s = AWAITED_LOOK_S if queued.awaited else LONGEST_LOOK_S
        queued.pause_s = min(longest_s, 2 * queued.pause_s)
        queued.look_at_s = time.monotonic() + queued.pause_s
        call_id = queued.call.call_id
        try:
            row = await self._archive.row(call_id)
            status = await self._jobs.status(call_id)
        except PatchlineFault as fault:
            log.warning("order_not_looked_after", reason=fault.reason, call_id=call_id)
            return
        if self._queue.here.get(call_id) is not queued:
            return
        if row is not None and row.status != "queued":
            # Another process was asked for its document, and has it.
            self._queue.gone(call_id)
            return
        ending = ending_of(status, time.monotonic() - queued.since_s)
        if ending is not None and not queued.taking.locked():
            await self._queue.end(queued, ending)
