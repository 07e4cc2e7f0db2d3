"""Finding calls, reading their facts, forgetting them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.store import schema
from app.services.store.calls import AFTERWARDS, Calls, CursorFault, Filters
from tests.services.stored import (
    MOMENT,
    a_call,
    a_writer,
    facts_of,
    rows_of,
    running,
    said,
)


def after(minutes: int) -> Any:
    """A moment later (or earlier) than the one of the tests."""
    return MOMENT + timedelta(minutes=minutes)


async def test_a_call_is_found_by_either_of_its_names(url: str, engine: AsyncEngine) -> None:
    """Operators have ours, Twilio's console has theirs."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(call_sid="CA1"))
    calls = Calls(engine)

    by_id, by_sid = await calls.get("call_1"), await calls.get("CA1")

    assert by_id is not None
    assert by_id == by_sid
    assert (by_id.from_number, by_id.created_at) == ("+491701234567", MOMENT)
    assert await calls.get("call_2") is None
    assert await calls.get("\0\ud800") is None


async def test_facts_are_read_from_where_a_reader_stopped(url: str, engine: AsyncEngine) -> None:
    """A stream of events goes on behind the last id that arrived."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call())
        for seq in range(1, 8):
            writer.append("call_1", seq, said(str(seq)))
    calls = Calls(engine)

    found = await calls.facts("call_1", after_seq=3, limit=2)

    assert [(fact.seq, fact.type, fact.data) for fact in found] == [
        (4, "transcript.updated", {"text": "4"}),
        (5, "transcript.updated", {"text": "5"}),
    ]
    assert await calls.facts("call_1", after_seq=7) == []


async def test_pages_show_every_call_once(url: str, engine: AsyncEngine) -> None:
    """Also those that began in the same millisecond, and while others begin."""
    async with running(a_writer(url)) as writer:
        for number in range(25):
            writer.opened(a_call(f"call_{number:02}", created_at=after(number // 10)))
        await writer.flush(within_s=5)
        calls = Calls(engine)

        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await calls.list(cursor=cursor, limit=7)
            seen += [call.call_id for call in page.calls]
            cursor = page.cursor
            if cursor is None:
                break
            writer.opened(a_call(f"new_{len(seen)}", created_at=after(99)))
            await writer.flush(within_s=5)

    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 25


@pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "WyJhIiwiYiJd", "bnVsbA", "\ud800"])
async def test_a_strange_cursor_is_refused(sqlite_url: str, cursor: str) -> None:
    """It comes from outside."""
    from app.services.store.database import open_engine

    engine = open_engine(sqlite_url)
    with pytest.raises(CursorFault):
        await Calls(engine).list(cursor=cursor)
    await engine.dispose()


async def test_filters_narrow_the_list(url: str, engine: AsyncEngine) -> None:
    """Each of them alone, and all that are set together."""
    anna, bert, us = "+4911", "+4922", "+4933"
    async with running(a_writer(url)) as writer:
        writer.opened(a_call("a", from_number=anna, to_number=us))
        writer.opened(a_call("b", from_number=us, to_number=anna, created_at=after(1)))
        writer.opened(a_call("c", from_number=bert, to_number=us, created_at=after(2)))
        writer.opened(a_call("d", from_number=bert, to_number=us, status="queued"))
        writer.closed("c", "done", after(3), {"x": 1})
    calls = Calls(engine)

    async def ids(**filters: Any) -> list[str]:
        page = await calls.list(Filters(**filters))
        assert all(call.record is None for call in page.calls)
        return sorted(call.call_id for call in page.calls)

    assert await ids() == ["a", "b", "c", "d"]
    assert await ids(number=anna) == ["a", "b"]
    assert await ids(from_number=anna) == ["a"]
    assert await ids(to_number=anna) == ["b"]
    assert await ids(created_after=after(1)) == ["b", "c"]
    assert await ids(created_before=after(1)) == ["a", "d"]
    assert await ids(end_reason="done") == ["c"]
    assert await ids(status="queued") == ["d"]
    assert await ids(number=bert, status="ended", created_after=after(0)) == ["c"]
    assert await ids(number="\0") == []


async def test_an_erased_call_leaves_its_ids_and_times(url: str, engine: AsyncEngine) -> None:
    """Neither what was there nor what a writer still holds can be read afterwards."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(call_sid="CA1", custom_data={"form": "A"}))
        writer.append("call_1", 1, said())
        await writer.flush(within_s=5)
        calls = Calls(engine)

        writer.append("call_1", 2, said("on its way"))
        assert await calls.erase("call_1")
        writer.append("call_1", 3, said("still talking"))
        writer.closed("call_1", "done", MOMENT, {"words": "many"})
        await writer.flush(within_s=5)

        assert await calls.erase("call_1")
        assert not await calls.erase("call_2")
        assert not await calls.retell("call_1", {"words": "again"})

    found = await calls.get("CA1")
    assert found is not None
    assert (found.erased, found.status, found.created_at) == (True, "ended", MOMENT)
    assert (found.from_number, found.to_number, found.custom_data, found.record) == (None,) * 4
    assert await facts_of(engine) == []


async def test_erasing_beside_a_busy_writer_leaves_nothing(url: str, engine: AsyncEngine) -> None:
    """A batch that began before the erasure must not bring facts in after it."""
    call_ids = [f"call_{number}" for number in range(20)]
    async with running(a_writer(url)) as writer:
        for call_id in call_ids:
            writer.opened(a_call(call_id))
        await writer.flush(within_s=5)
        calls = Calls(engine)
        for seq in range(1, 101):
            for call_id in call_ids:
                writer.append(call_id, seq, said())
        writing = asyncio.create_task(writer.flush(within_s=20))
        assert all([await calls.erase(call_id) for call_id in call_ids])
        assert await writing

    assert await rows_of(engine, schema.call_facts) == []


async def test_a_record_is_told_again_after_the_end(url: str, engine: AsyncEngine) -> None:
    """The analysis comes when the call is long over."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call())
        await writer.flush(within_s=5)
        calls = Calls(engine)
        assert not await calls.retell("call_1", {"early": True})
        writer.closed("call_1", "done", MOMENT, {"summary": None})
        await writer.flush(within_s=5)
        assert await calls.retell("call_1", {"summary": "short"})

    found = await calls.get("call_1")
    assert found is not None
    assert found.record == {"summary": "short"}


async def test_retention_goes_by_the_end_and_in_portions(url: str, engine: AsyncEngine) -> None:
    """A call that lasts is not deleted while it lasts, and no lock is held for an hour."""
    async with running(a_writer(url)) as writer:
        for number in range(5):
            writer.opened(a_call(f"old_{number}"))
            writer.append(f"old_{number}", 1, said())
            writer.closed(f"old_{number}", "done", after(1), {})
        writer.opened(a_call("young"))
        writer.closed("young", "done", after(60), {})
        writer.opened(a_call("its_own_time", created_at=after(50), expires_at=after(55)))
        writer.closed("its_own_time", "done", after(60), {})
        writer.opened(a_call("living", expires_at=after(0)))
        await writer.flush(within_s=5)
    calls = Calls(engine)

    portions = [await calls.expire(after(30), limit=4) for _ in range(3)]

    assert portions == [4, 2, 0]
    assert [row["call_id"] for row in await rows_of(engine, schema.calls)] == ["living", "young"]
    assert await rows_of(engine, schema.call_facts) == []


async def test_who_phones_again_is_known_by_the_number(url: str, engine: AsyncEngine) -> None:
    """The newest call with that person, whoever called; not the others of our own number."""
    us = "+4933"
    async with running(a_writer(url)) as writer:
        writer.opened(a_call("first", from_number="+4911", to_number=us))
        writer.opened(
            a_call(
                "ours",
                direction="outbound",
                from_number=us,
                to_number="+4911",
                created_at=after(5),
            )
        )
        writer.opened(a_call("other", from_number="+4922", to_number=us, created_at=after(9)))
    calls = Calls(engine)

    last = await calls.last_of("+4911", since=after(0))

    assert last is not None
    assert last.call_id == "ours"
    assert await calls.last_of("+4911", since=after(6)) is None
    assert await calls.last_of(us, since=after(0)) is None


async def test_an_erased_call_is_in_no_list(url: str, engine: AsyncEngine) -> None:
    """A row without numbers is nobody's to read."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call("kept", config_version="sha256:1"))
        writer.opened(a_call("gone", config_version="sha256:2"))
    calls = Calls(engine)

    await calls.erase("gone")

    assert [call.call_id for call in (await calls.list()).calls] == ["kept"]
    assert (await calls.list(Filters(config_version="sha256:2"))).calls == ()
    assert len((await calls.list(Filters(conversation_id="conv_kept"))).calls) == 1


async def test_a_fact_is_added_when_the_call_is_over(url: str, engine: AsyncEngine) -> None:
    """Behind whatever who held the call may still say; never to one that goes on or is erased."""

    async def add(call_id: str, **data: Any) -> bool:
        return await calls.add(
            call_id,
            "call.custom_data",
            data,
            at=after(1),
            tell=lambda record: {**record, "custom_data": {**record["custom_data"], **data}},
        )

    async with running(a_writer(url)) as writer:
        writer.opened(a_call())
        writer.opened(a_call("erased"))
        writer.opened(a_call("living"))
        for call_id in ("call_1", "erased"):
            writer.append(call_id, 1, said())
            writer.closed(call_id, "done", MOMENT, {"custom_data": {}})
        await writer.flush(within_s=5)
        calls = Calls(engine)
        await calls.erase("erased")

        added = await asyncio.gather(*(add("call_1", **{f"k{number}": 1}) for number in range(8)))
        refused = [await add(call_id, late=1) for call_id in ("erased", "living", "nobody")]
        writer.append("call_1", 2, said("late"))

    assert (all(added), refused) == (True, [False, False, False])
    facts = await calls.facts("call_1")
    assert [fact.seq for fact in facts] == [1, 2, *(AFTERWARDS + n for n in range(1, 9))]
    assert facts[-1].at_ms == 60_000
    row = await calls.get("call_1")
    assert row is not None
    assert row.record == {"custom_data": {f"k{number}": 1 for number in range(8)}}
