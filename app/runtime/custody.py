"""Custody: this process says that it lives, and looks after calls that nobody holds.

Every few seconds it renews the leases of its calls, finds out which of them another process has
claimed meanwhile, sees how much room the others have, and takes over the calls whose owner is
silent. What became of such a call only the carrier knows: it is asked, and a caller who is still
on the line is brought back to the agent; of every other call the record is closed.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import structlog

from app.call.facts import Fact
from app.call.plan import Memory
from app.call.record import record
from app.call.report import Report
from app.errors import CarrierFault
from app.protocol.twilio_webhooks import FINAL_STATUSES
from app.runtime.book import LEASE_S, MOST_RESUMES, Book
from app.runtime.capacity import Fleet
from app.runtime.continuing import recalled
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.runtime.ports import Carrier
from app.runtime.spending import Spending
from app.services.store.archive import Archive
from app.services.store.calls import CallRow, StoredFact
from app.services.store.instants import utc_of

VOICE = "voice"
"""What processes that answer calls are to each other."""
ROUND_S = 5.0
"""Three rounds may fail before a lease is over."""
FRESH_S = 2.0
SETTLED_S = 10.0
"""A call that came so lately may not be on record yet."""
FORGET_S = 3_600.0
MOST_ASKED = 3
"""So often the carrier is asked about a call before it counts as lost."""
ASK_AGAIN_S = 5.0

log = structlog.get_logger("custody")


class Custody:
    """One process's part in it."""

    def __init__(
        self,
        book: Book,
        archive: Archive,
        carrier: Carrier,
        *,
        me: str,
        spending: Spending,
    ) -> None:
        self._book = book
        self._archive = archive
        self._carrier = carrier
        self._me = me
        self._spending = spending
        self._renewed_at_s = float("-inf")

    async def run(self) -> None:
        """Go round until cancelled. A round that fails is left out."""
        while True:
            await contained(self._round(), None)
            await asyncio.sleep(ROUND_S)

    async def _round(self) -> None:
        capacity, leases = self._book.capacity, self._archive.leases
        await leases.beat(self._me, VOICE, self._book.version, room=capacity.room)
        others, lines = await leases.others(self._me, VOICE), await leases.others_on(self._me)
        capacity.fleet = Fleet(*others, lines)
        await self._renew()
        await self._spending.settle()
        if not self._in_touch():
            return
        for row in await self._archive.leases.stale(LEASE_S):
            if self._book.here(row.call_id) is None:
                await contained(self._see_to(row), None)
        await self._archive.leases.forget(FORGET_S)

    async def _see_to(self, row: CallRow) -> None:
        """A call that nobody holds: held from now on, or closed."""
        claimed = await self._archive.leases.claim(
            row.call_id, self._me, most_resumes=MOST_RESUMES + 1, seen_resumes=row.resume_count
        )
        if claimed is None:
            if row.resume_count > MOST_RESUMES:
                await self._close(row.call_id)
            return
        told = await self._archive.all_facts(row.call_id)
        before = await recalled(self._archive, claimed.resumed_from)
        call = self._taken_over(claimed, told, before)
        if call is not None:
            self._book.spawn(contained(self.look_after(call), None), f"lost-{call.call_id}")

    def _taken_over(
        self, row: CallRow, told: Sequence[StoredFact], before: tuple[Memory, ...] = ()
    ) -> LiveCall | None:
        """The call, which lives here now; None where nothing can be made of what is known of it:
        its record is then what can be told, and it is closed."""
        try:
            return self._book.take_over(row, told, before)
        except (LookupError, TypeError, ValueError, AttributeError):
            log.exception("call_not_understood", call_id=row.call_id)
        report, now = Report(), datetime.now(UTC)
        for one in told:
            report.learn(Fact(one.type, one.at_ms, one.data))
        age_ms = round((now - row.created_at).total_seconds() * 1000)
        ended = Fact("call.ended", max(0, age_ms), {"reason": "stream_lost"})
        report.learn(ended)
        writer = self._archive.writer
        writer.append(row.call_id, told[-1].seq + 1 if told else 1, ended)
        as_told = record(row.call_id, report, partial(utc_of, row.created_at.timestamp()))
        writer.closed(row.call_id, "stream_lost", now, as_told, by=self._me)
        return None

    def _in_touch(self) -> bool:
        """Whether our own leases were renewed in time: who was cut off from the database, or
        stood still, cannot tell the dead from those who were cut off with it."""
        now_s, before_s = asyncio.get_running_loop().time(), self._renewed_at_s
        self._renewed_at_s = now_s
        return now_s - before_s <= LEASE_S

    async def _close(self, call_id: str) -> None:
        """A call that was taken over too often: nobody is going to hold it again."""
        claimed = await self._archive.leases.claim(call_id, self._me, most_resumes=1_000)
        if claimed is not None:
            call = self._taken_over(claimed, await self._archive.all_facts(call_id))
            if call is not None:
                self._book.end(call, "stream_lost")

    async def _renew(self) -> None:
        settled = [call for call in self._book.all_here() if call.now_ms() > SETTLED_S * 1000]
        written = await self._archive.writer.flush(within_s=FRESH_S)
        held = await self._archive.leases.renew(self._me)
        for call in settled if written else ():
            if call.call_id not in held and self._book.here(call.call_id) is call:
                log.warning("call_taken_over", call_id=call.call_id)
                self._book.give_away(call)

    async def look_after(self, call: LiveCall) -> None:
        """What became of a call without a stream: Twilio knows. Ends it, or brings it back."""
        for _ in range(MOST_ASKED):
            if not self._lost(call):
                return
            try:
                status = await self._carrier.call_status(call.facts.call_sid)
            except CarrierFault as exc:
                log.warning("carrier_refused", reason=exc.reason, call_id=call.call_id)
                if exc.reason in {"credentials", "call_over"}:
                    break
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            if not self._lost(call):
                return
            if status in FINAL_STATUSES:
                break
            await self._bring_back(call)
            return
        if self._lost(call):
            self._book.end(call, "stream_lost")

    def _lost(self, call: LiveCall) -> bool:
        return call.cut_off and call.report.ending is None and not call.given_away

    async def _bring_back(self, call: LiveCall) -> None:
        twiml = self._book.come_back(call)
        if twiml is None:
            return
        try:
            await self._carrier.redirect(call.facts.call_sid, twiml)
        except CarrierFault as exc:
            log.warning("not_brought_back", reason=exc.reason, call_id=call.call_id)
