"""Who holds a call: of two who want it, one gets it, whatever their clocks say."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.services.store import schema
from app.services.store.calls import CallRow, Calls
from app.services.store.changes import NewCall
from app.services.store.database import open_engine
from app.services.store.leases import Leases
from tests.services.stored import MOMENT, a_call, a_writer, rows_of, running


async def written(url: str, engine: AsyncEngine, *calls: NewCall) -> None:
    """Put calls there."""
    async with running(a_writer(url)) as writer:
        for call in calls:
            writer.opened(call)


async def race(url: str, *, force: bool = False, seen: int | None = None) -> Sequence[CallRow]:
    """What eight processes get that claim ``call_1`` at once."""
    engines = [open_engine(url) for _ in range(8)]
    got = await asyncio.gather(
        *(
            Leases(engine).claim("call_1", f"p{number}", force=force, seen_resumes=seen)
            for number, engine in enumerate(engines)
        )
    )
    for engine in engines:
        await engine.dispose()
    return [row for row in got if row is not None]


async def test_of_eight_claims_one_wins(url: str, engine: AsyncEngine) -> None:
    """Twilio's callback and the reaper find the same orphan, on several machines."""
    await written(url, engine, a_call(owner="dead", lease_s=0))

    (winner,) = await race(url)

    assert (winner.resume_count, winner.status) == (1, "live")
    found = await Calls(engine).get("call_1")
    assert found is not None
    assert (found.owner, found.lease_until) == (winner.owner, winner.lease_until)


async def test_of_eight_who_were_told_one_wins(url: str, engine: AsyncEngine) -> None:
    """The callback comes twice, while the owner's lease still runs."""
    await written(url, engine, a_call(owner="hung", lease_s=15))

    assert await race(url) == []
    assert len(await race(url, force=True, seen=0)) == 1


async def test_a_call_is_claimed_where_it_may_be(url: str, engine: AsyncEngine) -> None:
    """Not from a living owner, not more often than allowed, not when it is over."""
    await written(
        url,
        engine,
        a_call("held", call_sid="CA1", owner="other", lease_s=15),
        a_call("mine", owner="me", lease_s=15),
        a_call("orphan", call_sid="CA3", owner="other", lease_s=-1),
        a_call("nobodys"),
        a_call("queued", status="queued"),
        a_call("over"),
    )
    async with running(a_writer(url)) as writer:
        writer.closed("over", "done", MOMENT, None)
    leases = Leases(engine)

    async def claimed(call: str, **more: bool) -> bool:
        return await leases.claim(call, "me", 15, 2, **more) is not None

    assert [await claimed(call) for call in ("held", "CA1", "queued", "over", "no", "\0")] == [
        False
    ] * 6
    assert [await claimed(call) for call in ("mine", "CA3", "nobodys")] == [True] * 3
    assert await claimed("held", force=True)
    assert not await claimed("over", force=True)
    assert [await claimed("mine"), await claimed("mine")] == [True, False]


async def test_a_lease_is_as_long_as_asked_by_the_databases_clock(
    url: str, engine: AsyncEngine
) -> None:
    """Machines may be seconds apart; here there is one, so both clocks agree."""
    await written(url, engine, a_call())
    leases = Leases(engine)

    for lease_s in (15, 40.5):
        row = await leases.claim("call_1", "me", lease_s)
        assert row is not None
        assert row.lease_until is not None
        left = row.lease_until - datetime.now(UTC)
        assert abs(left - timedelta(seconds=lease_s)) < timedelta(seconds=3)
        assert row.lease_until.microsecond % 1000 == 0


async def test_the_owner_renews_all_at_once_and_hears_what_it_lost(
    url: str, engine: AsyncEngine
) -> None:
    """One statement, however many calls; who was away too long finds out."""
    await written(
        url,
        engine,
        *(a_call(f"call_{n}", owner="me", lease_s=-1) for n in range(3)),
        a_call("theirs", owner="other", lease_s=-1),
    )
    leases, calls = Leases(engine), Calls(engine)
    assert await calls.counts_live() == 0
    assert await leases.claim("call_1", "other") is not None

    assert await leases.renew("me") == {"call_0", "call_2"}
    assert await calls.counts_live() == 3
    assert [row.call_id for row in await leases.stale(0)] == ["theirs"]


async def test_renewing_beside_a_busy_writer_locks_nobody_out(
    url: str, engine: AsyncEngine
) -> None:
    """Both touch the same rows; in two orders, PostgreSQL would end one of them by force."""
    call_ids = [f"call_{number}" for number in range(400)]
    random.Random(7).shuffle(call_ids)
    leases = Leases(engine)
    with capture_logs() as logs:
        async with running(a_writer(url)) as writer:
            for call_id in call_ids:
                writer.opened(a_call(call_id, owner="me", lease_s=15, status="queued"))
            assert await writer.flush(within_s=20)
            for call_id in call_ids:
                writer.answered(call_id, MOMENT, f"CA_{call_id}")
            for call_id in reversed(call_ids):
                writer.closed(call_id, "done", MOMENT, None, by="me")
            closing = asyncio.create_task(writer.flush(within_s=20))
            while not closing.done():
                await leases.renew("me")
            assert await closing

    assert logs == []
    assert {row["status"] for row in await rows_of(engine, schema.calls)} == {"ended"}
    assert {row["owner"] for row in await rows_of(engine, schema.calls)} == {None}


async def test_a_released_call_is_free_at_once(url: str, engine: AsyncEngine) -> None:
    """A drain hands over; nobody waits for the lease to run out."""
    await written(url, engine, a_call(owner="me", lease_s=15))
    leases = Leases(engine)

    assert not await leases.release("call_1", "other")
    assert await leases.release("call_1", "me")
    assert await leases.claim("call_1", "other") is not None
    assert await leases.renew("me") == frozenset()


async def test_the_reaper_sees_who_was_left_alone(url: str, engine: AsyncEngine) -> None:
    """Longest first; a call that never had an owner counts from its beginning."""
    await written(
        url,
        engine,
        a_call("held", owner="me", lease_s=15),
        a_call("short", owner="dead", lease_s=-10),
        a_call("long", owner="dead", lease_s=-60),
        a_call("never"),
        a_call("queued", status="queued"),
    )
    leases = Leases(engine)

    assert [row.call_id for row in await leases.stale(5)] == ["never", "long", "short"]
    assert [row.call_id for row in await leases.stale(30)] == ["never", "long"]


async def test_of_eight_who_show_a_token_one_gets_in(url: str, engine: AsyncEngine) -> None:
    """A token that opened two streams would be two runners of one call."""
    await written(url, engine, a_call(call_sid="CA1"))
    await Leases(engine).invite("call_1", "hash", 30)
    engines = [open_engine(url) for _ in range(8)]

    got = await asyncio.gather(*(Leases(one).take("hash", "CA1", "me") for one in engines))

    for one in engines:
        await one.dispose()
    assert [row.call_id for row in got if row is not None] == ["call_1"]
    (invitation,) = await rows_of(engine, schema.invitations)
    assert invitation["used_by"] == "me"


async def test_a_token_opens_its_own_call_in_its_time(url: str, engine: AsyncEngine) -> None:
    """Late, under another CallSid, for a call that is over: nothing opens."""
    await written(
        url, engine, a_call("a", call_sid="CA1"), a_call("b", call_sid="CA2"), a_call("c")
    )
    async with running(a_writer(url)) as writer:
        writer.closed("b", "done", MOMENT, None)
    leases = Leases(engine)
    await leases.invite("a", "late", 0)
    await leases.invite("a", "stolen", 30)
    await leases.invite("b", "over", 30)
    await leases.invite("c", "unnamed", 30)
    await leases.invite("c", "again", 30)

    assert await leases.take("late", "CA1", "me") is None
    assert await leases.take("stolen", "CA2", "me") is None
    assert await leases.take("stolen", "CA1", "me") is None
    assert await leases.take("over", "CA2", "me") is None
    assert await leases.take("\0", "\ud800", "me") is None
    taken = await leases.take("unnamed", "CA3", "me")
    assert taken is not None
    assert (taken.call_id, taken.call_sid) == ("c", "CA3")
    assert await leases.take("again", "CA1", "me") is None


async def test_nobody_is_invited_to_a_call_that_is_not_written(
    url: str, engine: AsyncEngine
) -> None:
    """The row first: a token for nothing would be found out by the caller."""
    with pytest.raises(IntegrityError):
        await Leases(engine).invite("nobody", "hash", 30)


async def test_what_the_others_hold_is_counted_by_number(url: str, engine: AsyncEngine) -> None:
    """``max_concurrent``: what came in there, and nothing that we called or hold ourselves."""
    await written(
        url,
        engine,
        a_call("mine", owner="me", lease_s=15, to_number="+1"),
        a_call("a", owner="other", lease_s=15, to_number="+1"),
        a_call("b", owner="third", lease_s=15, to_number="+1"),
        a_call("c", owner="third", lease_s=15, to_number="+2"),
        a_call("placed", owner="third", lease_s=15, to_number="+2", direction="outbound"),
        a_call("over", owner="dead", lease_s=-1, to_number="+1"),
    )

    assert await Leases(engine).others_on("me") == {"+1": 2, "+2": 1}
    assert await Leases(engine).others_on("third") == {"+1": 2}


async def test_what_the_others_hold_and_would_take_is_counted(
    url: str, engine: AsyncEngine
) -> None:
    """Over all processes that live: not ours, not the dead, not those that answer nothing."""
    await written(
        url,
        engine,
        a_call("mine", owner="me", lease_s=15),
        a_call("a", owner="other", lease_s=15),
        a_call("b", owner="third", lease_s=15),
        a_call("over", owner="dead", lease_s=-1),
        a_call("nobodys"),
    )
    leases = Leases(engine)
    assert await leases.others("me", "voice") == (2, 0)
    for name, role, room in (("me", "voice", 9), ("other", "voice", 2), ("third", "voice", 3)):
        await leases.beat(name, role, "0.1.0", room=room)
    await leases.beat("jobs", "jobs", "0.1.0", room=100)

    assert await leases.others("me", "voice") == (2, 5)
    await leases.beat("third", "voice", "0.1.0", room=0)
    assert await leases.others("me", "voice") == (2, 2)
    assert await leases.others("me", "voice", within_s=-1) == (2, 0)


async def test_processes_beat_and_are_forgotten(url: str, engine: AsyncEngine) -> None:
    """The list of who lives must not grow with every deploy."""
    leases = Leases(engine)
    await written(url, engine, a_call())
    await leases.invite("call_1", "hash", -10)
    await leases.beat("p1", "voice", "0.1.0", "10.0.0.1:5050")
    (first,) = await rows_of(engine, schema.processes)
    await leases.beat("p1", "voice", "0.1.0", "10.0.0.2:5050")
    (second,) = await rows_of(engine, schema.processes)

    assert second["started_at"] == first["started_at"]
    assert second["beat_at"] >= first["beat_at"]
    assert second["address"] == "10.0.0.2:5050"
    assert await leases.forget(5) == 1
    assert await leases.forget(-1) == 1
    assert await rows_of(engine, schema.processes) == []
    async with engine.connect() as connection:
        assert (
            await connection.execute(sa.select(sa.func.count()).select_from(schema.invitations))
        ).scalar_one() == 0
