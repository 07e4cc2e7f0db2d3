"""Calls that were ordered and that nobody has: any process may be asked, and one at a time acts."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.facts import Fact
from app.services.store.calls import Calls
from app.services.store.database import open_engine
from app.services.store.waiting import Waiting
from tests.services.stored import a_call, a_writer, running


async def ordered(url: str, *call_ids: str) -> None:
    """Calls that wait, each with its first fact."""
    async with running(a_writer(url)) as writer:
        for call_id in call_ids:
            writer.opened(a_call(call_id, call_sid=None, status="queued"))
            writer.append(call_id, 1, Fact("call.created", 0, {}))


async def told(engine: AsyncEngine, call_id: str) -> Sequence[tuple[int, str]]:
    """What is on record of it."""
    return [(fact.seq, fact.type) for fact in await Calls(engine).facts(call_id, 0, 100)]


async def test_of_eight_who_are_told_all_are_heard(url: str, engine: AsyncEngine) -> None:
    """Callbacks of one call at eight processes: each has a number of its own."""
    await ordered(url, "call_1")
    engines = [open_engine(url) for _ in range(8)]

    got = await asyncio.gather(
        *(Waiting(one).tell("call_1", 5, "call.ringing", {"run": "1"}) for one in engines)
    )
    for one in engines:
        await one.dispose()

    assert sorted(got, key=str) == list(range(2, 10))
    assert [seq for seq, _ in await told(engine, "call_1")] == list(range(1, 10))


async def test_of_eight_who_are_asked_one_has_the_call(url: str, engine: AsyncEngine) -> None:
    """Twilio asks again, and another process: there is one conversation."""
    await ordered(url, "call_1")
    engines = [open_engine(url) for _ in range(8)]

    got = await asyncio.gather(
        *(Waiting(one).take("call_1", "CA1", f"p{n}") for n, one in enumerate(engines))
    )
    for one in engines:
        await one.dispose()

    (row,) = [row for row in got if row is not None]
    assert (row.status, row.call_sid, row.answered_at is not None) == ("live", "CA1", True)
    assert row.owner in {f"p{n}" for n in range(8)}
    assert row.lease_until is not None


@pytest.mark.parametrize("how", ["taken", "held", "over", "unknown"])
async def test_what_somebody_has_is_not_told_by_others(
    url: str, engine: AsyncEngine, how: str
) -> None:
    """The numbers of its facts are the owner's from then on."""
    await ordered(url, "call_1", "call_2")
    waiting = Waiting(engine)
    if how == "taken":
        await waiting.take("call_1", "CA1", "me")
    elif how == "held":
        await waiting.hold("call_1", "me")
    elif how == "over":
        async with running(a_writer(url)) as writer:
            writer.closed("call_1", "busy", a_call().created_at, {})
    name = "call_9" if how == "unknown" else "call_1"

    assert await waiting.tell(name, 5, "call.ringing", {}) is None
    assert await waiting.take(name, "CA1", "other") is None
    assert await waiting.hold(name, "other") is None
    assert await waiting.tell("call_2", 5, "call.ringing", {}) == 2


async def test_who_holds_a_call_and_dies_holds_it_for_a_while(
    url: str, engine: AsyncEngine
) -> None:
    """Its end is told by the next one then."""
    await ordered(url, "call_1")
    waiting = Waiting(engine)

    assert await waiting.hold("call_1", "dead", lease_s=-1) is not None
    assert await waiting.hold("call_1", "me") is not None
    assert await waiting.hold("call_1", "me") is not None
