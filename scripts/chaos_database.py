"""The database goes away under live calls and comes back: nobody hears of it, nothing is lost.

On PostgreSQL, behind HAProxy: every connection is ended twice a second for a while, then all
tables are locked for a minute. On SQLite, one process: the file is locked for a minute. Calls
that come in meanwhile are answered as well: a stream names the process that expects it, and
HAProxy knows which that is.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import psycopg
from bench_tally import summary_of
from bench_voice import Plan
from chaos_calls import Caller
from chaos_records import kept, turns_told
from chaos_stage import Row, Stage, shown, stage, zero

BLOCKED_S = 60.0
TERMINATED_S = 10.0
EVERY_S = 0.5
"""Between two ends of all connections."""
NEW_CALL_S = 6.0
"""Between two new calls while it lasts."""
WEBHOOK_MS = 5_000
"""For the answer to the webhook of a new call; Twilio waits 15 s."""
BACK_S = 12.0
"""After the end of it: two rounds in which processes look after calls."""
_TABLES = "calls, call_facts, invitations, processes"


async def run(calls: int) -> list[Row]:
    """The rows of both databases."""
    plan = Plan(kind="server", calls=2 * calls, seconds=0)
    async with stage(plan, processes=2) as s:
        rows = await _away(s, calls, "PostgreSQL, two processes")
    async with stage(plan, processes=1) as s:
        return rows + await _away(s, calls, "SQLite, one process")


async def _away(s: Stage, calls: int, where: str) -> list[Row]:
    callers = await s.calls(calls)
    early = len(s.refused)
    await asyncio.sleep(2)
    if s.database:
        await _terminated(s)
    async with _blocked(s):
        tried, new = await _new_calls(s)
    await asyncio.sleep(BACK_S)
    cut = sum(one.losses for one in callers)
    went_on = sum(one.transport is not None for one in callers)
    await s.part(callers + new)
    records = await kept(s)
    for note in (s.refused + s.floor.tally.notes)[:5]:
        print(note)
    complete = sum(one.complete for one in records.values())
    words = sum(
        abs(turns_told(s, one) - records[one.call_sid].turns)
        for one in callers + new
        if one.call_sid in records
    )
    asked = summary_of([one.webhook_ms for one in new])
    rows = [
        zero("calls that could not begin before", early),
        Row("calls that go on", str(went_on), str(calls), went_on == calls),
        zero("… that lost their stream meanwhile", cut),
        _answered(new, tried),
        Row(
            "webhooks of new calls, ms: p50 / p95 / max",
            shown(asked),
            f"≤ {WEBHOOK_MS}",
            all(one.webhook_ms <= WEBHOOK_MS for one in new),
        ),
        Row(
            "records complete, closed once",
            str(complete),
            str(len(records)),
            complete == len(records) >= calls + len(new),
        ),
        zero("turns of callers missing on record", words),
        Row("gaps told", str(sum(one.count("record.gap") for one in records.values()))),
        Row("faults of audio and messages", faults := s.faults(), "none", faults == "none"),
    ]
    return [Row(f"{where}: {row.figure}", row.measured, row.must, row.met) for row in rows]


def _answered(new: list[Caller], tried: int) -> Row:
    again = sum(one.losses > 0 for one in new)
    measured = f"{len(new)} of {tried}" + (f", {again} at a second try" if again else "")
    return Row("new calls answered meanwhile", measured, "all", len(new) == tried > 0)


async def _new_calls(s: Stage) -> tuple[int, list[Caller]]:
    """How many there were, and those that were answered."""
    tried, new = 0, list[Caller]()
    until_s = time.monotonic() + BLOCKED_S
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < until_s - NEW_CALL_S:
            group.create_task(s.carrier.call(new), name="new call")
            tried += 1
            await asyncio.sleep(NEW_CALL_S)
    await asyncio.sleep(until_s - time.monotonic())
    return tried, new


async def _terminated(s: Stage) -> None:
    """As when the server is restarted, again and again."""
    async with await psycopg.AsyncConnection.connect(s.database, autocommit=True) as database:
        for _ in range(int(TERMINATED_S / EVERY_S)):
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(EVERY_S)


@asynccontextmanager
async def _blocked(s: Stage) -> AsyncIterator[None]:
    """Nothing can be read or written."""
    if s.database:
        async with await psycopg.AsyncConnection.connect(s.database) as database:
            await database.execute(f"LOCK TABLE {_TABLES} IN ACCESS EXCLUSIVE MODE".encode())
            yield
        return
    path = s.folders[0] / "data" / "patchline.db"
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        yield
        file.execute("ROLLBACK")
