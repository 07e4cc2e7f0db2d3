"""The store of one process: what a reader is told of a call that lives elsewhere, or no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.facts import Fact
from app.errors import StoreFault
from app.runtime.deadline import Patience
from app.services.store.afterwards import Afterwards
from app.services.store.archive import Archive
from app.services.store.calls import Filters
from tests.services.stored import MOMENT, a_call, a_writer, running

CREATED = Fact("call.created", 0, {"from_number": "+4911", "to_number": "+4922"})


@asynccontextmanager
async def opened(url: str, *asked: Patience) -> AsyncIterator[Archive]:
    """The archive of a process, with its writer."""
    archive = Archive(url, *asked)
    async with archive.opened():
        writing = asyncio.create_task(archive.writer.run())
        try:
            yield archive
        finally:
            await archive.writer.close(5)
            await writing


def warned(number: int) -> Fact:
    """A fact that counts."""
    return Fact("warning", number, {"id": "odd", "count": 1})


async def test_a_long_call_of_another_process_is_told_whole(url: str, engine: AsyncEngine) -> None:
    """A call that lasts has thousands of facts, and none of them may be passed over."""
    async with running(a_writer(url)) as other, opened(url) as archive:
        other.opened(a_call())
        other.append("call_1", 1, CREATED)
        for number in range(2, 2_502):
            other.append("call_1", number, warned(number))
        assert await other.flush(within_s=20)

        found = await archive.get("call_1")

    assert found is not None
    assert found["warnings"] == [{"id": "odd", "count": 2_500}]
    assert (found["status"], found["from"]) == ("in_progress", {"number": "+4911"})


async def test_a_record_that_could_not_be_kept_is_told_from_facts(sqlite_url: str) -> None:
    """Under load the database may have got the facts, and no record."""
    async with opened(sqlite_url) as archive:
        archive.writer.opened(a_call())
        archive.writer.append("call_1", 1, CREATED)
        archive.writer.append("call_1", 2, Fact("call.model_connected", 5, {"unwritable": "x"}))
        archive.writer.append("call_1", 3, Fact("call.ended", 9, {"reason": "caller_hangup"}))
        archive.writer.closed("call_1", "caller_hangup", MOMENT, {"unwritable": "too_large"})

        found = await archive.get("call_1")

    assert found is not None
    assert (found["end_reason"], found["model"]["sessions"]) == ("caller_hangup", [])


async def test_what_was_added_survives_a_correction(sqlite_url: str) -> None:
    """Who held the call tells its record again and knows nothing of what came since."""
    before: dict[str, Any] = {"end_reason": "carrier_failed", "custom_data": {"a": 1, "b": 1}}
    async with opened(sqlite_url) as archive:
        archive.writer.opened(a_call())
        archive.writer.closed("call_1", "carrier_failed", MOMENT, {**before, "analysis": None})
        assert await archive.add("call_1", "call.custom_data", {"a": None, "c": [2]})
        assert await archive.add("call_1", "call.analyzed", {"analysis": {"short": "x"}})

        await archive.writer.retell("call_1", {**before, "end_reason": "transferred"})
        found = await archive.get("call_1")
        listed = await archive.page(Filters(end_reason="transferred"), None, 5)

    assert [row.call_id for row in listed.calls] == ["call_1"]
    assert found == {
        "end_reason": "transferred",
        "custom_data": {"b": 1, "c": [2]},
        "analysis": {"short": "x"},
        "form": None,
    }


async def test_a_correction_from_elsewhere_has_the_call_followed_up_again(sqlite_url: str) -> None:
    """A process that never held the call learnt how it went on: that is told, too."""
    told = {"outcome": "busy", "talk_s": None}
    record = {"transfers": [{"target": "desk", "outcome": "requested", "talk_s": None}]}
    async with opened(sqlite_url) as archive:
        archive.writer.opened(a_call())
        archive.writer.closed("call_1", "closed_hours", MOMENT, record)
        await archive.writer.flush()
        after = Afterwards(archive._engine)
        await after.followed_up("call_1")
        assert await archive.add("call_1", "transfer.ended", told)
        assert await after.ended() == []

        assert await archive.add("call_1", "call.corrected", {"reason": "closed_hours"})

        assert await after.ended() == ["call_1"]
        assert await archive.get("call_1") == {"transfers": [{"target": "desk", **told}]}


async def test_a_database_that_is_gone_is_a_fault_with_a_name(sqlite_url: str) -> None:
    """Whoever asks is told to come again, and no driver's words reach anybody."""
    async with opened(sqlite_url) as archive:
        async with archive._engine.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE call_facts")

        with pytest.raises(StoreFault, match="cannot be reached"):
            await archive.facts("call_1", 0)
        assert (await archive.page(Filters(), None, 5)).calls == ()


async def test_a_reader_does_not_wait_for_a_silent_database(postgres_url: str) -> None:
    """PostgreSQL gives a statement up after half a minute: whoever asks is told much sooner."""
    url = postgres_url.replace("+psycopg", "")
    async with (
        asyncio.timeout(20),
        await psycopg.AsyncConnection.connect(url) as other,
        asyncio.TaskGroup() as group,
    ):
        asked = Patience(0.2, lambda work, name: void(group.create_task(work, name=name)))
        async with opened(postgres_url, asked) as archive:
            await other.execute("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")

            for reading in (archive.get("x"), archive.page(Filters(), None, 5)):
                with pytest.raises(StoreFault):
                    await reading

            await other.rollback()
            assert await archive.get("x") is None


def void(_task: object) -> None:
    """Nobody asks what became of it."""
