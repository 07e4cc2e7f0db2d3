"""A client's key stands for one call, and a call that is picked up has an owner."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import OurFault
from app.services.store import schema
from app.services.store.calls import Calls
from app.services.store.database import open_engine
from app.services.store.keys import CONTEXT_S, KEEP_S, Claimed, IdempotencyKeys
from app.services.store.leases import Leases
from tests.services.stored import MOMENT, a_call, a_writer, rows_of, running


async def test_of_eight_orders_under_one_key_one_is_the_first(url: str) -> None:
    """A program that was not answered asks again, and reaches another process."""
    engines = [open_engine(url) for _ in range(8)]

    told = await asyncio.gather(
        *(
            IdempotencyKeys(engine).claim("key", f"call_{number}", f"hash_{number}")
            for number, engine in enumerate(engines)
        )
    )

    assert len(set(told)) == 1
    assert told[0].call_id.removeprefix("call_") == told[0].request_hash.removeprefix("hash_")
    for engine in engines:
        await engine.dispose()


async def test_a_key_stands_for_what_it_stood_for(url: str, engine: AsyncEngine) -> None:
    """Whatever is asked under it later; NUL and half a character are no obstacle."""
    del url
    keys = IdempotencyKeys(engine)

    first = await keys.claim("a\0b\ud800", "call_1", "hash_1")
    again = await keys.claim("a\0b\ud800", "call_2", "hash_2")
    other = await keys.claim("c", "call_2", "hash_2")

    assert (first, again) == (Claimed("call_1", "hash_1"), Claimed("call_1", "hash_1"))
    assert other.call_id == "call_2"
    assert len(await rows_of(engine, schema.idempotency_keys)) == 2


async def test_a_key_stands_for_a_day(url: str, engine: AsyncEngine) -> None:
    """Nobody repeats a request for longer, and what it stood for is not kept for longer."""
    del url
    keys = IdempotencyKeys(engine)
    for key in ("old", "older", "young"):
        await keys.claim(key, "call_1", "hash_1")
    async with engine.begin() as connection:
        for key, age_s in (("old", KEEP_S + 1), ("older", KEEP_S + 1), ("young", KEEP_S - 60)):
            aged = sa.update(schema.idempotency_keys).where(schema.idempotency_keys.c.key == key)
            await connection.execute(aged.values(created_at=schema.now(-age_s)))

    anew = await keys.claim("old", "call_2", "hash_2")
    again = await keys.claim("old", "call_3", "hash_3")
    young = await keys.claim("young", "call_2", "hash_2")
    gone = await keys.expire()

    assert anew == again == Claimed("call_2", "hash_2")
    assert young == Claimed("call_1", "hash_1")
    assert gone == 1
    kept = await rows_of(engine, schema.idempotency_keys)
    assert {row["key"] for row in kept} == {"old", "young"}


async def test_without_tables_there_is_a_reason(tmp_path: object) -> None:
    """Whoever orders a call is told that it was not kept."""
    engine = open_engine(f"sqlite:///{tmp_path}/empty.db")

    with pytest.raises(OurFault) as caught:
        await IdempotencyKeys(engine).claim("key", "call_1", "hash_1")

    assert caught.value.reason == "database"
    await engine.dispose()


async def test_who_is_picked_up_by_a_process_is_held_by_it(url: str, engine: AsyncEngine) -> None:
    """The reaper looks for live calls that nobody holds."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(status="queued", call_sid=None))
        writer.answered("call_1", MOMENT, "CA9", "p1", 15)
        writer.answered("call_1", MOMENT, "CA9")

    row = await Calls(engine).get("CA9")
    assert row is not None
    assert (row.status, row.owner, row.lease_until is not None) == ("live", "p1", True)
    assert await Leases(engine).renew("p1") == {"call_1"}


async def test_w42_a_key_to_what_a_call_was_about_is_good_for_an_hour(
    url: str, engine: AsyncEngine
) -> None:
    """It survives the process, and is no client's key."""
    keys = IdempotencyKeys(engine)
    await keys.keep_context("digest", "call_1")

    other = open_engine(url)
    assert await IdempotencyKeys(other).context("digest") == "call_1"
    await other.dispose()
    assert await keys.context("another") is None
    table = schema.idempotency_keys
    async with engine.begin() as connection:
        await connection.execute(sa.update(table).values(created_at=schema.now(-CONTEXT_S - 1)))
    assert await keys.context("digest") is None
