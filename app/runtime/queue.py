"""Calls that were ordered and that nobody has picked up yet.

Where one process answers they live in its memory. Where several do, any of them may be told of
any of these calls at any moment: what is known of one is read again before anything follows from
it, and every step is the database's to allow (``app.services.store.waiting``). A database that
cannot be asked makes each process go on as if it were alone.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from app.call.facts import Fact
from app.errors import PatchlineFault
from app.protocol.events import PickedUp
from app.runtime.adoption import adopted
from app.runtime.book import Book
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.orders import Order
from app.services.store.archive import UNREACHABLE, Archive
from app.services.store.calls import CallRow

FIRST_LOOK_S = 0.5

_UNREACHABLE = (PatchlineFault, *UNREACHABLE)

log = structlog.get_logger("outbound")


@dataclass(slots=True)
class Queued:
    """A call that nobody has picked up yet."""

    call: LiveCall
    order: Order
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody picked up, or nobody will."""
    awaited: int = 0
    """So many wait for that."""
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Twilio's requests for its document are answered one after the other."""
    recalled: bool = False
    """What was said in the call it continues was looked up."""
    verdict: tuple[PickedUp, str] | None = None
    """Who picked up, told before the call was taken, and Twilio's word for it."""
    look_at_s: float = 0.0
    pause_s: float = FIRST_LOOK_S
    since_s: float = field(default_factory=time.monotonic)

    def begin(self, call: LiveCall) -> None:
        """``call`` is what is known of it now."""
        call.outset, call.memories = self.order.outset(), self.order.memories()
        self.call, self.recalled = call, False


@dataclass(frozen=True, slots=True)
class Ending:
    """Why no attempt follows."""

    reason: str
    why: str | None = None


class Queue:
    """The calls that wait, as this process knows them. Belongs to the loop."""

    def __init__(self, book: Book, archive: Archive, *, me: str, shared: bool) -> None:
        """``shared``: other processes are told of the same calls."""
        self._book = book
        self._archive = archive
        self._me = me
        self._shared = shared
        self.here: dict[str, Queued] = {}

    def keep(self, call: LiveCall, order: Order) -> Queued:
        """One more."""
        if (known := self.here.get(call.call_id)) is not None:
            return known
        queued = Queued(call, order, look_at_s=time.monotonic() + FIRST_LOOK_S)
        queued.begin(call)
        self.here[call.call_id] = queued
        return queued

    def gone(self, call_id: str) -> None:
        """It waits no longer."""
        if (queued := self.here.pop(call_id, None)) is not None:
            queued.settled.set()

    async def found(self, call_id: str) -> Queued | None:
        """The call, also where another process, or one before this, took the order; None where
        it does not wait any more."""
        queued = self.here.get(call_id)
        if queued is not None and not self._shared:
            return queued
        try:
            return await self._read(call_id, queued)
        except _UNREACHABLE:
            if queued is None:
                raise
            return queued

    async def _read(self, call_id: str, queued: Queued | None) -> Queued | None:
        row = await self._archive.row(call_id)
        if row is None:
            return queued  # Where there is one, its record is not written yet.
        if row.erased or row.status != "queued":
            self.gone(call_id)
            return None
        call = await self._story(row)
        if call.report.order is None:
            return None
        if queued is None:
            return self.keep(call, Order.of(call.report.order))
        if not queued.taking.locked():
            queued.begin(call)
        return queued

    async def _story(self, row: CallRow) -> LiveCall:
        told = [fact async for fact in self._archive.story(row.call_id)]
        return adopted(row, told, self._archive.writer.append)

    async def tell(self, queued: Queued, kind: str, data: Mapping[str, Any]) -> bool:
        """Something became known about it; False where somebody has the call by now."""
        call = queued.call
        at_ms = call.now_ms()
        if self._shared:
            try:
                seq = await self._archive.waiting.tell(call.call_id, at_ms, kind, data)
            except _UNREACHABLE as exc:
                log.warning("told_alone", reason=type(exc).__name__, call_id=call.call_id)
            else:
                if seq is None:
                    return False
                call.report.learn(Fact(kind, at_ms, data))
                call.report.seq = seq
                call.readers.tell()
                return True
        call.tell(at_ms, kind, data)
        return True

    async def take(self, queued: Queued, facts: CallFacts) -> bool:
        """Somebody picked up, and the call is this process's; False where it is another's."""
        if self._shared:
            try:
                row = await self._archive.waiting.take(
                    queued.call.call_id, facts.call_sid, self._me
                )
                if row is None:
                    return False
                queued.begin(await self._story(row))
            except _UNREACHABLE as exc:
                log.warning("taken_alone", reason=type(exc).__name__, call_id=queued.call.call_id)
        call = queued.call
        call.facts = replace(call.facts, call_sid=facts.call_sid, account_sid=facts.account_sid)
        return True

    async def end(self, queued: Queued, ending: Ending) -> None:
        """Nobody will pick up; its record closes, once."""
        call_id = queued.call.call_id
        if self._shared:
            try:
                row = await self._archive.waiting.hold(call_id, self._me)
                if row is None:
                    self.gone(call_id)
                    return
                call_sid = queued.call.facts.call_sid
                queued.begin(await self._story(row))
                queued.call.facts = replace(queued.call.facts, call_sid=call_sid)
            except _UNREACHABLE as exc:
                log.warning("ended_alone", reason=type(exc).__name__, call_id=call_id)
        call = queued.call
        self.here.pop(call_id, None)
        if ending.why is not None and not call.report.attempts:
            told = {"run": "", "call_sid": "", "status": ending.why, "sip_response_code": None}
            call.tell(call.now_ms(), "call.attempted", told)
        if queued.order.continues and ending.reason != "canceled":
            failed = {"callback_of": queued.order.continues, "reason": ending.reason}
            call.tell(call.now_ms(), "callback.exhausted", failed)
        self._book.end(call, ending.reason)
        queued.settled.set()
