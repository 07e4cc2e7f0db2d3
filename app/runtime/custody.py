"""Custody: this process says that it lives, and looks after calls that nobody holds.

Every few seconds it renews the leases of its calls, finds out which of them another process has
claimed meanwhile, sees how much room the others have, and takes over the calls whose owner is
silent. What became of such a call only the carrier knows: it is asked, and a caller who is still
on the line is brought back to the agent; of every other call the record is closed.
"""

import asyncio

import structlog

from app.errors import CarrierFault
from app.protocol.twilio_webhooks import FINAL_STATUSES
from app.runtime.book import LEASE_S, MOST_RESUMES, Book
from app.runtime.capacity import Fleet
from app.runtime.continuing import recalled
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.runtime.ports import Carrier
from app.services.store.archive import Archive

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
        version: str,
    ) -> None:
        self._book = book
        self._archive = archive
        self._carrier = carrier
        self._me = me
        self._version = version
        self._renewed_at_s = float("-inf")

    async def run(self) -> None:
        """Go round until cancelled. A round that fails is left out."""
        while True:
            await contained(self._round(), None)
            await asyncio.sleep(ROUND_S)

    async def _round(self) -> None:
        capacity, leases = self._book.capacity, self._archive.leases
        await leases.beat(self._me, VOICE, self._version, room=capacity.room)
        capacity.fleet = Fleet(*await leases.others(self._me, VOICE))
        await self._renew()
        if not self._in_touch():
            return
        for row in await self._archive.leases.stale(LEASE_S):
            if self._book.here(row.call_id) is not None:
                continue
            claimed = await self._archive.leases.claim(
                row.call_id, self._me, most_resumes=MOST_RESUMES + 1, seen_resumes=row.resume_count
            )
            if claimed is not None:
                told = await self._archive.all_facts(row.call_id)
                before = await recalled(self._archive, claimed.resumed_from)
                call = self._book.take_over(claimed, told, before)
                self._book.spawn(contained(self.look_after(call), None), f"lost-{call.call_id}")
            elif row.resume_count > MOST_RESUMES:
                await self._close(row.call_id)
        await self._archive.leases.forget(FORGET_S)

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
            call = self._book.take_over(claimed, await self._archive.all_facts(call_id))
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
