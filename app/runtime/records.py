"""What is known about calls, wherever they live: here, in another process, or no more.

Of a call that is here the live one is asked; of all others their facts in the store, which every
process reads. The one rule: who reads waits for nobody who speaks, and lets a process end that
drains.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app.call.facts import Fact
from app.call.timeline import Timeline
from app.errors import CarrierFault, OurFault, StoreFault
from app.runtime.book import Book
from app.runtime.flight_log import Hangar
from app.runtime.live_call import patched
from app.services.store.archive import Archive
from app.services.store.calls import CallRow, CursorFault, Filters, Page, StoredFact
from app.services.store.instants import utc_of

__all__ = ["CallRow", "CursorFault", "Filters", "Page", "StoredFact"]

LOOK_S = 0.5
"""How often the store is asked about a call that lives in another process."""
STILL_HERE_S = 15
"""How often a reader is told that there is nothing to tell."""
Forget = Callable[[str], Awaitable[int]]
"""Stop and delete what was asked for after a call; raises ``OurFault`` where it cannot."""
Unrecord = Callable[[Sequence[str]], Awaitable[None]]
"""Erase recordings by their SIDs. Raises ``CarrierFault`` where that is to be tried again."""
Utc = Callable[[int | None], str | None]


Put = Callable[[CallRow, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Merge into the custom data of a live call of another process: all of it then. Raises
``CallerFault`` and ``OurFault``."""


class GoesOn(Exception):
    """The call is not over, or has not begun."""


class Records:
    """Of all calls. Belongs to the loop. All raise ``StoreFault`` where the store is needed."""

    def __init__(
        self,
        book: Book,
        archive: Archive,
        hangar: Hangar,
        forget: Forget | None = None,
        *,
        put_elsewhere: Put,
        unrecord: Unrecord,
    ) -> None:
        """``forget``: what else is kept about a call; None where nothing is. ``unrecord``: erases
        recordings where they are kept."""
        self._unrecord = unrecord
        self._forget = forget
        self._put_elsewhere = put_elsewhere
        self._book = book
        self._archive = archive
        self._hangar = hangar

    async def get(self, name: str) -> dict[str, Any] | None:
        """The record, by our id or the CallSid; None where there is none, or it was erased."""
        return self._book.record(name) or await self._archive.get(name)

    async def find(self, name: str) -> CallRow | None:
        """The call with this id or CallSid; None where there is none, or it was erased."""
        row = await self._archive.row(name)
        return None if row is None or row.erased else row

    async def page(self, filters: Filters, cursor: str | None, limit: int) -> Page:
        """Calls, newest first. Raises ``CursorFault``."""
        return await self._archive.page(filters, cursor, limit)

    async def timeline(self, row: CallRow) -> list[dict[str, Any]]:
        """What happened, one thing after the other."""
        timeline = Timeline()
        async for fact in self._archive.story(row.call_id):
            timeline.learn(Fact(fact.type, fact.at_ms, fact.data))
        return timeline.items(utc_in(row))

    async def erase(self, name: str) -> bool:
        """Forget everything about a call that is over; False where there is no such call.

        Raises ``GoesOn``: who speaks cannot be forgotten.
        """
        row = await self._archive.row(name)
        if row is None:
            return False
        if row.status != "ended" or self._book.here(row.call_id) is not None:
            raise GoesOn
        if self._forget is not None:
            # First: whoever is refused asks again, and finds the call.
            try:
                await self._forget(row.call_id)
            except OurFault as exc:
                raise StoreFault(exc.reason, "what is still to be done cannot be reached") from exc
        recordings = (row.record or {}).get("recording") or ()
        try:
            await self._unrecord([one["sid"] for one in recordings])
        except CarrierFault as exc:
            raise StoreFault(
                exc.reason, "Twilio, which has the recording, was not reached"
            ) from exc
        await self._archive.erase(row.call_id)
        await self._hangar.forget(row.call_id)
        return True

    async def put(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any] | None:
        """Merge into the call's ``custom_data``: what it is now, None where there is no call.

        Whoever holds a live call does it. Raises ``CallerFault``, ``too_much``; ``OurFault`` where
        the process that holds it cannot be asked; ``GoesOn`` of a call that has not begun.
        """
        row = await self.find(name)
        if row is None:
            return None
        live = self._book.here(row.call_id)
        if live is not None:
            return live.put(patch)
        if row.status == "live":
            return await self._put_elsewhere(row, patch)
        record = await self.get(row.call_id)
        if record is None:
            return None
        now = patched(record["custom_data"], patch)
        if not await self._archive.add(row.call_id, "call.custom_data", patch):
            raise GoesOn
        return now

    async def follow(self, row: CallRow, after_seq: int) -> AsyncGenerator[Sequence[StoredFact]]:
        """The facts behind ``after_seq`` as they come; nothing at all every now and then.

        Ends behind the last fact of a call that is over, and when this process drains.
        """
        capacity, bell = self._book.capacity, asyncio.Event()
        quiet_since_s = _now_s()
        while not capacity.draining:
            live = self._book.here(row.call_id)
            readers = live.readers.ringing(bell) if live else contextlib.nullcontext()
            with capacity.watchers.ringing(bell), readers:
                bell.clear()
                # Asked before the facts: what was told before the end is then among them.
                over = live is None and await self._over(row)
                facts = await self._archive.facts(row.call_id, after_seq)
                if facts or _now_s() - quiet_since_s >= STILL_HERE_S:
                    yield facts
                    quiet_since_s = _now_s()
                if facts:
                    after_seq = facts[-1].seq
                elif over:
                    return
                elif not capacity.draining:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), STILL_HERE_S if live else LOOK_S)

    async def told_all(self, row: CallRow, after_seq: int) -> bool:
        """Whether a call is over and has nothing behind ``after_seq``."""
        over = self._book.here(row.call_id) is None and await self._over(row)
        return over and not await self._archive.facts(row.call_id, after_seq)

    async def _over(self, row: CallRow) -> bool:
        now = await self._archive.row(row.call_id)
        return now is None or now.erased or now.status == "ended"

    @property
    def draining(self) -> bool:
        """Whether whoever reads along is let go."""
        return self._book.draining


def utc_in(row: CallRow) -> Utc:
    """A moment of this call, in ms since it was created, as RFC 3339."""
    return partial(utc_of, row.created_at.timestamp())


def _now_s() -> float:
    return asyncio.get_running_loop().time()
