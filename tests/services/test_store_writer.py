"""The writer: what it is told becomes durable, in order, whatever the database does."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app.call.facts import Fact
from app.services.store import schema
from app.services.store.database import open_engine, open_file
from app.services.store.migrate import migrate
from app.services.store.sqlite_sink import SqliteSink
from app.services.store.writer import FactWriter
from tests.services.stored import (
    MOMENT,
    a_call,
    a_writer,
    facts_of,
    figure,
    rows_of,
    running,
    said,
)
from tests.waiting import until


async def test_a_call_is_written_as_it_was_told(url: str, engine: AsyncEngine) -> None:
    """Row, facts and end come out of either database with the same values."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(call_sid="CA1", custom_data={"näme": [1, None]}, answered_at=MOMENT))
        writer.append("call_1", 1, said("Grüße"))
        writer.append("call_1", 2, figure(250, at_ms=2**40))
        writer.closed("call_1", "caller_hung_up", MOMENT, {"turns": 1})
        assert await writer.flush("call_1", within_s=5)
        assert writer.backlog == 0

    (row,) = await rows_of(engine, schema.calls)
    assert row == {
        "call_id": "call_1",
        "call_sid": "CA1",
        "conversation_id": "conv_call_1",
        "resumed_from": None,
        "direction": "inbound",
        "from_number": "+491701234567",
        "to_number": "+4930123456",
        "status": "ended",
        "end_reason": "caller_hung_up",
        "created_at": MOMENT,
        "answered_at": MOMENT,
        "ended_at": MOMENT,
        "owner": None,
        "lease_until": None,
        "resume_count": 0,
        "config_version": None,
        "custom_data": {"näme": [1, None]},
        "record": {"turns": 1},
        "expires_at": None,
        "erased": False,
        "told_seq": 0,
        "followed_up": False,
    }
    assert row["created_at"].tzinfo is UTC
    assert await facts_of(engine) == [
        (1, "transcript.updated", {"text": "Grüße"}),
        (2, "turn.answered", {"latency_ms": 250}),
    ]


async def test_instants_are_cut_to_milliseconds(url: str, engine: AsyncEngine) -> None:
    """A value that comes back another than it went in makes two records of one call."""
    fine = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(created_at=fine))
        assert await writer.flush(within_s=5)

    (row,) = await rows_of(engine, schema.calls)
    assert row["created_at"] == fine.replace(microsecond=678_000)


async def test_what_is_written_twice_is_there_once(url: str, engine: AsyncEngine) -> None:
    """A batch whose commit was not heard of is written again; the first word counts."""
    async with running(a_writer(url)) as writer:
        for text in ("first", "second"):
            writer.opened(a_call(custom_data={"said": text}))
            writer.append("call_1", 1, said(text))
            writer.append("call_1", 1, said(text + " again"))
            writer.closed("call_1", text, MOMENT, {"said": text})
            assert await writer.flush(within_s=5)
            writer.append("call_1", 2, said("behind the end"))

    (row,) = await rows_of(engine, schema.calls)
    assert (row["custom_data"], row["end_reason"]) == ({"said": "first"}, "first")
    assert row["record"] == {"said": "first"}
    assert [seq for seq, _, _ in await facts_of(engine)] == [1, 2]


async def test_the_end_is_refused_to_who_lost_the_call(url: str, engine: AsyncEngine) -> None:
    """A process that hung for a minute must not close a call that goes on elsewhere."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(owner="new", lease_s=15))
        writer.closed("call_1", "lost", MOMENT, None, by="old")
        await writer.flush(within_s=5)
        (row,) = await rows_of(engine, schema.calls)
        assert (row["status"], row["owner"]) == ("live", "new")
        writer.closed("call_1", "done", MOMENT, None, by="new")

    (row,) = await rows_of(engine, schema.calls)
    assert (row["status"], row["end_reason"], row["owner"]) == ("ended", "done", None)


async def test_a_queued_call_is_answered_once(url: str, engine: AsyncEngine) -> None:
    """Callbacks come twice and late; the first pick-up is the one that is billed."""
    later = MOMENT.replace(second=59)
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(status="queued"))
        writer.answered("call_1", MOMENT, "CA9")
        writer.answered("call_1", later, "CA9")

    (row,) = await rows_of(engine, schema.calls)
    assert (row["status"], row["answered_at"], row["call_sid"]) == ("live", MOMENT, "CA9")


async def test_many_facts_go_in_batches_and_in_order(url: str, engine: AsyncEngine) -> None:
    """More than one batch, from calls whose rows come in the midst of it."""
    async with running(a_writer(url)) as writer:
        for number in range(40):
            call_id = f"call_{number}"
            writer.opened(a_call(call_id))
            for seq in range(1, 51):
                writer.append(call_id, seq, said(str(seq)) if seq % 2 else figure(seq))
            writer.closed(call_id, "done", MOMENT, {"facts": 50})
        assert await writer.flush(within_s=20)

    assert len(await rows_of(engine, schema.call_facts)) == 2_000
    assert {row["status"] for row in await rows_of(engine, schema.calls)} == {"ended"}


async def test_a_flush_of_one_call_waits_for_that_one(url: str, engine: AsyncEngine) -> None:
    """Who must know that the row is there does not care about the figures of others."""
    async with running(a_writer(url)) as writer:
        writer.opened(a_call())
        assert await writer.flush("call_1", within_s=5)
        assert await writer.flush("nobody", within_s=0)
        writer.append("call_1", 1, said())
        assert not await writer.flush("call_1", within_s=0)


async def test_hostile_values_do_not_hold_up_the_others(url: str, engine: AsyncEngine) -> None:
    """One bad row in a batch of hundreds: the others are written, and it says what it was."""
    endless: list[Any] = []
    endless.append(endless)
    hostile: list[Fact] = [
        Fact("warning", 1, {"text": "a\0b"}),
        Fact("warning", 1, {"number": float("nan")}),
        Fact("warning", 1, {"text": "\ud800"}),
        Fact("warning", 1, {"text": "x" * 300_000}),
        Fact("warning", 1, {"object": object()}),
        Fact("warning", 1, {"endless": endless}),
        Fact("warning", 2**80, {}),
        Fact("warn\ud800ing", 1, {}),
    ]
    async with running(a_writer(url)) as writer:
        writer.opened(a_call(from_number="+49\x00170\udfff", custom_data={"x": object()}))
        for seq in range(1, 301):
            writer.append("call_1", seq, said(str(seq)))
        for seq, fact in enumerate(hostile, 1000):
            writer.append("call_1", seq, fact)
        writer.append("call_1", 2**70, said())
        writer.closed("call_1", "done", MOMENT, {"x": "\udfff"})
        assert await writer.flush(within_s=20)
        assert writer.dropped == 1

    (row,) = await rows_of(engine, schema.calls)
    assert row["from_number"] == "+49\ufffd170?"
    assert row["custom_data"] == row["record"] == {"unwritable": "no_json"}
    found = await facts_of(engine)
    assert found[:300] == [(n, "transcript.updated", {"text": str(n)}) for n in range(1, 301)]
    assert [data for _, _, data in found[300:]] == [
        {"text": "a\0b"},
        {"number": None},
        {"unwritable": "no_json"},
        {"unwritable": "too_large"},
        {"unwritable": "no_json"},
        {"unwritable": "no_json"},
        {"unwritable": "bad_value"},
        {"unwritable": "bad_value"},
    ]


async def test_a_call_whose_sid_is_taken_keeps_its_story(url: str, engine: AsyncEngine) -> None:
    """Twilio gives one sid to one call; if we ever give it to two, both are written."""
    async with running(a_writer(url)) as writer:
        for call_id in ("call_1", "call_2"):
            writer.opened(a_call(call_id, call_sid="CA1"))
            writer.append(call_id, 1, said())

    assert [row["call_sid"] for row in await rows_of(engine, schema.calls)] == ["CA1", None]
    assert len(await rows_of(engine, schema.call_facts)) == 2


async def test_facts_of_no_call_do_not_hold_up_the_others(url: str, engine: AsyncEngine) -> None:
    """A call that retention took away has nothing to add to."""
    async with running(a_writer(url)) as writer:
        writer.append("nobody", 1, said())
        writer.opened(a_call())
        writer.append("call_1", 1, said())
        writer.closed("nobody", "done", MOMENT, None)

    assert [row["call_id"] for row in await rows_of(engine, schema.call_facts)] == ["call_1"]


async def test_figures_go_first_and_the_gap_is_told(url: str, engine: AsyncEngine) -> None:
    """Overload costs figures before words, and the reader sees how many are missing."""
    writer = a_writer(url, most_facts=10)
    writer.opened(a_call())
    for seq in range(1, 21):
        writer.append("call_1", seq, said(str(seq)) if seq % 2 else figure(seq))
    for seq in range(21, 31):
        writer.append("call_1", seq, figure(seq) if seq == 25 else said(str(seq)))
    assert writer.backlog == 11
    assert writer.dropped == 20

    async with running(writer):
        assert await writer.flush(within_s=5)

    gaps = [(seq, data) for seq, kind, data in await facts_of(engine) if kind == "record.gap"]
    assert gaps == [
        (1, {"dropped": 9, "weight": "kept", "from_seq": 1, "to_seq": 17}),
        (2, {"dropped": 11, "weight": "figure", "from_seq": 2, "to_seq": 25}),
    ]
    kept = [seq for seq, kind, _ in await facts_of(engine) if kind != "record.gap"]
    assert kept == [19, *range(21, 25), *range(26, 31)]


async def test_nothing_fits_and_it_is_still_told(url: str, engine: AsyncEngine) -> None:
    """Even a writer without any room says that there was something."""
    writer = a_writer(url, most_facts=0)
    writer.opened(a_call())
    async with running(writer):
        assert await writer.flush(within_s=5)
        writer.append("call_1", 1, said())
        assert await writer.flush("call_1", within_s=5)

    assert [kind for _, kind, _ in await facts_of(engine)] == ["record.gap"]


async def test_a_locked_file_is_waited_for(sqlite_url: str) -> None:
    """Somebody else's transaction longer than SQLite waits: told once, then all is written."""
    engine = open_engine(sqlite_url)
    other = sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)
    with capture_logs() as logs:
        async with running(a_writer(sqlite_url + "?timeout=0.05")) as writer:
            writer.opened(a_call())
            await writer.flush(within_s=5)
            other.execute("BEGIN EXCLUSIVE")
            writer.append("call_1", 1, said())
            assert not await writer.flush(within_s=0.3)
            await until(lambda: any(log["event"] == "store.outage" for log in logs))
            other.execute("COMMIT")
            assert await writer.flush(within_s=10)
    other.close()
    assert len(await facts_of(engine)) == 1
    await engine.dispose()

    assert [log["event"] for log in logs] == ["store.outage", "store.recovered"]


async def test_a_full_disk_is_waited_for(sqlite_url: str) -> None:
    """Somebody makes room, and what waited is written."""
    engine = open_engine(sqlite_url)
    most_pages = 40

    def limited(url: URL) -> sqlite3.Connection:
        connection = open_file(url)
        connection.execute(f"PRAGMA max_page_count={most_pages}")
        return connection

    with capture_logs() as logs:
        sink = SqliteSink(make_url(sqlite_url), limited)
        async with running(FactWriter(sink)) as writer:
            writer.opened(a_call())
            for seq in range(1, 101):
                writer.append("call_1", seq, said("x" * 5_000))
            await until(lambda: any(log["event"] == "store.outage" for log in logs))
            writer.append("call_1", 101, said())
            most_pages = 100_000
            assert await writer.flush(within_s=10)
    found = await facts_of(engine)
    await engine.dispose()

    assert len(found) == 101
    assert [log["event"] for log in logs] == ["store.outage", "store.recovered"]
    assert "x" * 10 not in str(logs)


def _terminate_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_killed_connection_costs_nothing(postgres_url: str) -> None:
    """The server restarts in mid-run, again and again; every fact is there, once."""
    engine = open_engine(postgres_url)
    async with running(a_writer(postgres_url)) as writer:
        call_id = "call_killed"
        writer.opened(a_call(call_id))
        for seq in range(1, 3_001):
            writer.append(call_id, seq, said(str(seq)))
            if seq % 700 == 0:
                await asyncio.to_thread(_terminate_all, postgres_url)
        writer.closed(call_id, "done", MOMENT, None)
        assert await writer.flush(within_s=20)
    found = await facts_of(engine, call_id)
    await engine.dispose()

    assert [seq for seq, _, _ in found] == list(range(1, 3_001))


async def test_a_database_that_comes_late_gets_everything(postgres_url: str) -> None:
    """The server is not there at the start; nothing but time is lost, and no password shown."""
    name = f"{make_url(postgres_url).database}_late"
    url = make_url(postgres_url).set(database=name, password="geheim")
    text = url.render_as_string(hide_password=False)
    engine = open_engine(text)
    admin = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
    with capture_logs() as logs:
        async with running(a_writer(text)) as writer:
            writer.opened(a_call())
            writer.append("call_1", 1, said())
            await until(lambda: bool(logs))
            await admin.execute(f'CREATE DATABASE "{name}"'.encode())
            await asyncio.to_thread(migrate, text)
            assert await writer.flush(within_s=10)
            assert len(await facts_of(engine)) == 1
    await engine.dispose()
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    await admin.close()

    assert [log["event"] for log in logs] == ["store.outage", "store.recovered"]
    assert "geheim" not in str(logs)


async def test_closing_says_what_is_left() -> None:
    """A drain that ends before the database is back must not say that all is well."""
    nowhere = "postgresql://user:geheim@127.0.0.1:1/nothing"
    engine = open_engine(nowhere)
    with capture_logs() as logs:
        writer = a_writer(nowhere)
        writer.opened(a_call())
        task = asyncio.create_task(writer.run())
        assert not await writer.close(within_s=0.01)
        assert writer.backlog == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await engine.dispose()

    assert logs[-1] == {"event": "store.left_unwritten", "changes": 1, "log_level": "error"}
    assert "geheim" not in str(logs)
