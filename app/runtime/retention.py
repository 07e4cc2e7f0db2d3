"""How long calls are kept: what is older is deleted, with the flight logs of that time.

Idempotency keys go after their day in any case, and so do the flight logs of calls that were
erased by a process that does not see our folder.

Once an hour, in small portions with other work between them, so that no lock is held for long.
Every process does so; two at the same portion pass each other by.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from app.errors import CarrierFault, OurFault, StoreFault
from app.runtime.flight_log import Hangar
from app.services.store.archive import Archive

EVERY_S = 3_600
PORTION = 100
PAUSE_S = 0.1
"""Between two portions: calls come first."""

log = structlog.get_logger("retention")


Unrecord = Callable[[Sequence[str]], Awaitable[None]]
"""Erase recordings by their SIDs. Raises ``CarrierFault``."""


async def keep_for(days: int | None, archive: Archive, hangar: Hangar, unrecord: Unrecord) -> None:
    """Delete what ended more than so many days ago, now and every hour, until cancelled.

    None: calls are kept for ever. ``unrecord``: recordings go before the calls that know them.
    """
    while True:
        await _expire_keys(archive)
        await forget_erased(archive, hangar)
        if days is not None:
            await expire(datetime.now(UTC) - timedelta(days=days), archive, hangar, unrecord)
        await asyncio.sleep(EVERY_S)


async def _expire_keys(archive: Archive) -> None:
    try:
        await archive.keys.expire()
    except OurFault as fault:
        log.warning("keys_not_expired", reason=fault.reason)


async def forget_erased(archive: Archive, hangar: Hangar) -> None:
    """Remove the flight logs of calls that were erased on another machine than they lived on."""
    known = await hangar.calls()
    try:
        for at in range(0, len(known), PORTION):
            for call_id in await archive.erased(known[at : at + PORTION]):
                await hangar.forget(call_id)
    except StoreFault:
        log.warning("erasure_interrupted")


async def expire(before: datetime, archive: Archive, hangar: Hangar, unrecord: Unrecord) -> None:
    """Delete all calls that ended before then; what cannot be done now is for the next time."""
    deleted = 0
    try:
        await unrecord(await archive.aged_recordings(before))
        while portion := await archive.expire(before, PORTION):
            deleted += portion
            if portion < PORTION:
                break
            await asyncio.sleep(PAUSE_S)
    except (StoreFault, CarrierFault):
        log.warning("retention_interrupted", calls=deleted)
    await hangar.expire(before.timestamp())
    if deleted:
        log.info("calls_expired", calls=deleted)
