"""Facts go from the audio path to the database, in batches and behind its back.

``opened``, ``append`` and ``closed`` only put something into a bounded backlog. One loop task,
the caller's, writes it twenty times a second, or down to four times where the database takes
its time, at 500 changes, or when somebody flushes. A database that is locked, full or gone is
tried again until it is back; what it will never take is found by halving the batch and written
without its data. So the rule is: the call goes on, and nothing is lost silently.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from app.call.facts import FACTS, Fact, Weight
from app.services.store.backlog import Backlog
from app.services.store.changes import (
    MOST_FACT_BYTES,
    MOST_RECORD_BYTES,
    Answered,
    Appended,
    Change,
    Closed,
    NewCall,
    Opened,
    cleaned,
    json_of,
    rescued,
)
from app.services.store.sinks import Sink

MOST_FACTS = 50_000
INTERVAL_S = 0.05
"""A process that is killed takes what waits with it; together with the marks, which come five
times a second, it has to be less than 300 ms of what was heard."""
LONGEST_INTERVAL_S = 0.25
IDLE_SHARE = 5
"""A batch that took long is followed by as many times as long without one, within these bounds:
many calls are written in few batches."""
BATCH = 500
WRITE_S = 30
"""A batch that takes longer is given up and tried again."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

log = structlog.get_logger("store")


class FactWriter:
    """Belongs to one loop. Nothing here raises, and nothing without ``async`` blocks."""

    def __init__(self, sink: Sink, *, most_facts: int = MOST_FACTS) -> None:
        self._sink = sink
        self._backlog = Backlog(most_facts)
        self._ticket = 0
        self._written = 0
        self._wanted = 0
        self._last: dict[str, int] = {}
        self._spoilt = 0
        self._closing = False
        self._out_since_s: float | None = None
        self._due_at_s = 0.0
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Changes that are not durable yet."""
        return len(self._backlog)

    @property
    def dropped(self) -> int:
        """Facts that nobody will read, since the start; each is in a gap or in the log."""
        return self._backlog.dropped + self._spoilt

    def opened(self, call: NewCall) -> None:
        """A call begins."""
        data = json_of(call.custom_data, MOST_RECORD_BYTES)
        self._add(call.call_id, Opened(self._next(), cleaned(call), data))

    def answered(
        self,
        call_id: str,
        answered_at: datetime,
        call_sid: str | None = None,
        owner: str | None = None,
        lease_s: float | None = None,
    ) -> None:
        """Somebody picked up, or Twilio told the CallSid of a call that was queued. ``owner``
        holds the call from now on, for ``lease_s``."""
        change = Answered(self._next(), call_id, answered_at, call_sid, owner, lease_s)
        self._add(call_id, change)

    def append(self, call_id: str, seq: int, fact: Fact) -> None:
        """A fact; ``seq`` counts from 1 for each call, and the first under a number counts."""
        weight = FACTS.get(fact.type, Weight.KEPT)
        data = json_of(fact.data, MOST_FACT_BYTES)
        self._add(
            call_id, Appended(self._next(), call_id, seq, fact.at_ms, fact.type, data, weight)
        )

    def closed(
        self,
        call_id: str,
        end_reason: str,
        ended_at: datetime,
        record: Mapping[str, Any] | None,
        *,
        by: str | None = None,
    ) -> None:
        """The call is over; the first who says so counts. ``by``: only while it owns the call."""
        told = None if record is None else json_of(record, MOST_RECORD_BYTES)
        self._add(call_id, Closed(self._next(), call_id, end_reason, ended_at, told, by))

    async def flush(self, call_id: str | None = None, within_s: float = 1) -> bool:
        """Wait until what was said before (about one call, or all) is durable.

        False when the time is over first; it is still written when that becomes possible.
        Cancelling is safe.
        """
        ticket = self._ticket if call_id is None else self._last.get(call_id, 0)
        if ticket <= self._written:
            return True
        self._wanted = max(self._wanted, ticket)
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._written < ticket:
                    await self._progress.wait()
        return self._written >= ticket

    async def close(self, within_s: float) -> bool:
        """Flush everything and let ``run`` return; False where something is left.

        ``run`` then goes on trying until its task is cancelled.
        """
        self._closing = True
        self._something.set()
        self._hurry.set()
        return await self.flush(within_s=within_s)

    async def run(self) -> None:
        """Write until closed and empty. For a task that the caller owns; run it once."""
        try:
            while not self._closing or self._backlog.waiting:
                await self._due()
                await self._write_batch()
        finally:
            if self.backlog:
                log.error("store.left_unwritten", changes=self.backlog)
            with contextlib.suppress(*self._sink.faults):
                await self._sink.close()

    def _next(self) -> int:
        self._ticket += 1
        return self._ticket

    def _add(self, call_id: str, change: Change) -> None:
        self._last[call_id] = change.ticket
        self._backlog.add(change)
        self._something.set()
        if len(self._backlog) >= BATCH:
            self._hurry.set()

    async def _due(self) -> None:
        """Return when there is something, and the last batch is long enough ago or it is many.

        Counted from batch to batch, so that nothing waits longer than one interval and what a
        batch takes; after a silence the first change goes at once.
        """
        await self._something.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._due_at_s):
                await self._hurry.wait()

    async def _write_batch(self) -> None:
        began_s = asyncio.get_running_loop().time()
        await self._write_until_written()
        took_s = asyncio.get_running_loop().time() - began_s
        pause_s = min(max(INTERVAL_S, IDLE_SHARE * took_s), LONGEST_INTERVAL_S)
        self._due_at_s = began_s + pause_s

    async def _write_until_written(self) -> None:
        batch = self._backlog.take(BATCH)
        pause_s = _FIRST_PAUSE_S
        while batch and (fault := await self._attempt(batch)) is not None:
            self._note_outage(fault)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._note_recovery()
        self._settle(batch)

    def _settle(self, batch: Sequence[Change]) -> None:
        self._backlog.settle()
        more = self._backlog.waiting
        # Without anything waiting, what was let go of is told of, too.
        self._written = batch[-1].ticket if more and batch else self._ticket
        if not more:
            self._last.clear()
        for change in batch if more else ():
            call_id = change.call.call_id if isinstance(change, Opened) else change.call_id
            if self._last.get(call_id, self._ticket + 1) <= self._written:
                del self._last[call_id]
        if not more and not self._closing:
            self._something.clear()
        if more < BATCH and self._written >= self._wanted and not self._closing:
            self._hurry.clear()
        self._progress.set()
        self._progress = asyncio.Event()

    async def _attempt(self, batch: Sequence[Change]) -> BaseException | None:
        """Write the batch; what speaks against it, where another attempt may succeed."""
        try:
            async with asyncio.timeout(WRITE_S):
                await self._write(batch)
        except self._sink.faults as fault:
            return fault
        return None

    async def _write(self, changes: Sequence[Change]) -> None:
        """Write, halving around what the database will never take."""
        try:
            await self._sink.write(changes)
        except self._sink.faults as fault:
            reason = self._sink.poison(fault)
            if reason is None:
                raise
        else:
            return
        if len(changes) == 1:
            await self._write_rescued(changes[0], reason)
            return
        middle = len(changes) // 2
        await self._write(changes[:middle])
        await self._write(changes[middle:])

    async def _write_rescued(self, change: Change, reason: str) -> None:
        kind = type(change).__name__.lower()
        try:
            await self._sink.write([rescued(change, reason)])
        except self._sink.faults as fault:
            if self._sink.poison(fault) is None:
                raise
            self._spoilt += 1
            log.exception("store.refused", kind=kind, reason=reason, exc_info=False)
        else:
            log.warning("store.unwritable", kind=kind, reason=reason)

    def _note_outage(self, fault: BaseException) -> None:
        if self._out_since_s is not None:
            return
        self._out_since_s = time.monotonic()
        # The kind only: what a driver says may quote a value, an address or a password.
        log.error("store.outage", fault=type(fault).__name__, waiting=self.backlog)

    def _note_recovery(self) -> None:
        if self._out_since_s is None:
            return
        seconds = round(time.monotonic() - self._out_since_s, 1)
        self._out_since_s = None
        log.info("store.recovered", seconds=seconds, waiting=self.backlog, dropped=self.dropped)
