"""Where a batch goes: SQLite or PostgreSQL, in one transaction, twice without harm.

Rows first, then facts, then ends. A fact of an erased or unknown call is not written; one that
is there already stays as it is. Both go past SQLAlchemy, over one connection of their own.
Measured (infrastructure 2.1): psycopg's asynchronous ``executemany`` and long VALUES stall the
loop for 30 to 125 ms, so on PostgreSQL facts go by COPY, into a table of this connection's own,
because COPY itself cannot skip what is there. On SQLite it is the other way round, because the
driver gives the interpreter away and wants it back for every row: 21 µs a fact by
``executemany`` beside a busy loop, 12 µs by long VALUES (batches of 25, 2026-11).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import Any, LiteralString, Protocol, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import URL

from app.services.store.changes import Answered, Appended, Change, Closed, Opened
from app.services.store.database import (
    conninfo,
    database_url,
    is_sqlite,
    open_file,
    postgres_arguments,
)
from app.services.store.schema import to_ms

Kind = TypeVar("Kind", Opened, Answered, Appended, Closed)


class Sink(Protocol):
    """Takes a batch whole, or raises and takes nothing."""

    async def write(self, changes: Sequence[Change]) -> None:
        """Make it durable. What it raises, ``poison`` sorts."""

    async def close(self) -> None:
        """Let go of the connection."""


def sink_for(url: str) -> Sink:
    """The sink of this database. Nothing is connected before the first batch."""
    address = database_url(url)
    return SqliteSink(address) if is_sqlite(address) else PostgresSink(address)


def poison(fault: BaseException) -> str | None:
    """Why a database would refuse the same row for ever; None where it may take it later."""
    inner = getattr(fault, "orig", None) or fault
    if isinstance(inner, UnicodeError | psycopg.DataError | sqlite3.DataError | OverflowError):
        return "bad_value"
    if isinstance(inner, psycopg.IntegrityError | sqlite3.IntegrityError):
        return "not_allowed"
    if isinstance(inner, psycopg.errors.ProgramLimitExceeded):
        return "too_large"
    if isinstance(inner, sqlite3.Error) and "binding parameter" in str(inner):
        return "bad_value"
    return None


_OPENED = (
    "call_id",
    "call_sid",
    "conversation_id",
    "resumed_from",
    "direction",
    "from_number",
    "to_number",
    "status",
    "created_at",
    "answered_at",
    "owner",
    "config_version",
    "expires_at",
)


def _opened(change: Opened) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(change.call, name) for name in _OPENED}
    return row | {"custom_data": change.custom_data, "lease_s": change.call.lease_s}


def _answered(change: Answered) -> dict[str, Any]:
    return {
        "call_id": change.call_id,
        "answered_at": change.answered_at,
        "call_sid": change.call_sid,
        "owner": change.owner,
        "lease_s": change.lease_s,
    }


def _closed(change: Closed) -> dict[str, Any]:
    return {
        "call_id": change.call_id,
        "end_reason": change.end_reason,
        "ended_at": change.ended_at,
        "record": change.record,
        "by": change.by,
    }


def _of(changes: Iterable[Change], kind: type[Kind]) -> list[Kind]:
    return [change for change in changes if isinstance(change, kind)]


_INTO_CALLS = (
    "INSERT INTO calls (call_id, call_sid, conversation_id, resumed_from, direction, from_number,"
    " to_number, status, created_at, answered_at, owner, config_version, expires_at, custom_data,"
    " lease_until)"
)


_MOST_ROWS = 128
"""Of one statement; SQLite takes 32,766 values, and older ones 999."""


@cache
def _append(rows: int) -> str:
    values = ",".join(["(?,?,?,?,?)"] * rows)
    return (
        "INSERT INTO call_facts (call_id, seq, at_ms, type, data)"
        f" SELECT column1, column2, column3, column4, column5 FROM (VALUES {values})"
        " WHERE EXISTS (SELECT 1 FROM calls WHERE call_id = column1 AND NOT erased)"
        " ON CONFLICT DO NOTHING"
    )


def _portions(facts: Sequence[Appended]) -> Iterator[Sequence[Appended]]:
    """All of them, in portions of few different sizes, for each of which a statement is kept."""
    begin = 0
    while left := len(facts) - begin:
        rows = min(_MOST_ROWS, 1 << (left.bit_length() - 1))
        yield facts[begin : begin + rows]
        begin += rows


class SqliteSink:
    """A file, written by a thread of its own: one errand a batch, however many changes."""

    _OPEN = (
        f"{_INTO_CALLS} VALUES (:call_id, :call_sid, :conversation_id, :resumed_from, :direction,"
        " :from_number, :to_number, :status, :created_at, :answered_at, :owner, :config_version,"
        " :expires_at, :custom_data,"
        " strftime('%Y-%m-%d %H:%M:%f000', 'now', :lease_s || ' seconds'))"
        " ON CONFLICT (call_id) DO NOTHING"
    )
    _ANSWER = (
        "UPDATE calls SET status = 'live', answered_at = coalesce(answered_at, :answered_at),"
        " call_sid = coalesce(call_sid, :call_sid), owner = coalesce(:owner, owner),"
        " lease_until = coalesce("
        "strftime('%Y-%m-%d %H:%M:%f000', 'now', :lease_s || ' seconds'), lease_until)"
        " WHERE call_id = :call_id AND status <> 'ended'"
    )
    _CLOSE = (
        "UPDATE calls SET status = 'ended', end_reason = :end_reason, ended_at = :ended_at,"
        " record = CASE WHEN erased THEN NULL ELSE :record END, owner = NULL, lease_until = NULL"
        " WHERE call_id = :call_id AND status <> 'ended'"
        " AND (:by IS NULL OR owner IS NULL OR owner = :by)"
    )

    def __init__(self, url: URL, open_: Callable[[URL], sqlite3.Connection] = open_file) -> None:
        self._url = url
        self._open = open_
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="facts")
        self._connection: sqlite3.Connection | None = None
        """The thread's alone."""

    async def write(self, changes: Sequence[Change]) -> None:
        """In one transaction; waits for other writers as long as the connection does.

        Cancelled, it is written all the same, before whatever is written next.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, changes)

    async def close(self) -> None:
        """Let go of file and thread, behind what is being written. There is no next batch."""
        closing = self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)
        await asyncio.wrap_future(closing)

    def _write(self, changes: Sequence[Change]) -> None:
        connection = self._connection = self._connection or self._open(self._url)
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._execute(connection, changes)
            connection.execute("COMMIT")
        except BaseException as fault:
            if poison(fault) is None:
                self._drop()
            elif connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _execute(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
        connection.executemany(self._OPEN, map(_in_text, map(_opened, _of(changes, Opened))))
        connection.executemany(self._ANSWER, map(_in_text, map(_answered, _of(changes, Answered))))
        for facts in _portions(_of(changes, Appended)):
            values: list[Any] = []
            for fact in facts:
                values += (fact.call_id, fact.seq, fact.at_ms, fact.type, fact.data)
            connection.execute(_append(len(facts)), values)
        connection.executemany(self._CLOSE, map(_in_text, map(_closed, _of(changes, Closed))))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _in_text(row: dict[str, Any]) -> dict[str, Any]:
    """``row`` with its instants as the engine of the readers writes them."""
    return {
        name: to_ms(value).replace(tzinfo=None).isoformat(" ", "microseconds")
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


class PostgresSink:
    """A server, over one connection of its own, which is opened again after any fault."""

    _STAGE = (
        "CREATE TEMPORARY TABLE incoming_facts"
        " (call_id text, seq integer, at_ms bigint, type text, data json) ON COMMIT DELETE ROWS"
    )
    _OPEN: LiteralString = (
        "INSERT INTO calls (call_id, call_sid, conversation_id, resumed_from, direction,"
        " from_number, to_number, status, created_at, answered_at, owner, config_version,"
        " expires_at, custom_data, lease_until)"
        " VALUES (%(call_id)s, %(call_sid)s, %(conversation_id)s, %(resumed_from)s,"
        " %(direction)s, %(from_number)s, %(to_number)s, %(status)s, %(created_at)s,"
        " %(answered_at)s, %(owner)s, %(config_version)s, %(expires_at)s, %(custom_data)s::json,"
        " date_trunc('milliseconds',"
        " clock_timestamp() + %(lease_s)s::float8 * interval '1 second'))"
        " ON CONFLICT (call_id) DO NOTHING"
    )
    _ANSWER: LiteralString = (
        "UPDATE calls SET status = 'live', answered_at = coalesce(answered_at, %(answered_at)s),"
        " call_sid = coalesce(call_sid, %(call_sid)s),"
        " owner = coalesce(%(owner)s::text, owner), lease_until = coalesce("
        "date_trunc('milliseconds',"
        " clock_timestamp() + %(lease_s)s::float8 * interval '1 second'), lease_until)"
        " WHERE call_id = %(call_id)s AND status <> 'ended'"
    )
    _COPY = "COPY incoming_facts (call_id, seq, at_ms, type, data) FROM STDIN"
    # Locked against erasing, which would otherwise find nothing of what is about to come in.
    _APPEND = (
        "INSERT INTO call_facts (call_id, seq, at_ms, type, data)"
        " SELECT call_id, seq, at_ms, type, data FROM incoming_facts"
        " JOIN (SELECT call_id FROM calls WHERE NOT erased"
        " AND call_id IN (SELECT call_id FROM incoming_facts) ORDER BY call_id FOR KEY SHARE"
        ") AS known USING (call_id) ON CONFLICT DO NOTHING"
    )
    _CLOSE: LiteralString = (
        "UPDATE calls SET status = 'ended', end_reason = %(end_reason)s, ended_at = %(ended_at)s,"
        " record = CASE WHEN erased THEN NULL ELSE %(record)s::json END,"
        " owner = NULL, lease_until = NULL"
        " WHERE call_id = %(call_id)s AND status <> 'ended'"
        " AND (%(by)s::text IS NULL OR owner IS NULL OR owner = %(by)s)"
    )

    def __init__(self, url: URL) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection | None = None

    async def write(self, changes: Sequence[Change]) -> None:
        """In one transaction."""
        connection = await self._connected()
        try:
            async with connection.transaction():
                for opened in _of(changes, Opened):
                    await _run(connection, self._OPEN, _opened(opened))
                await self._append(connection, _of(changes, Appended))
                await self._update(connection, changes)
        finally:
            # A bad value leaves it idle; of whatever else went wrong a new one knows nothing.
            if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
                await self.close()

    async def close(self) -> None:
        """Let go of the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _append(self, connection: psycopg.AsyncConnection, facts: list[Appended]) -> None:
        if not facts:
            return
        async with connection.cursor() as cursor:
            async with cursor.copy(self._COPY) as copy:
                for fact in facts:
                    await copy.write_row((fact.call_id, fact.seq, fact.at_ms, fact.type, fact.data))
            await cursor.execute(self._APPEND)

    async def _update(self, connection: psycopg.AsyncConnection, changes: Sequence[Change]) -> None:
        # By id, as leases are renewed: two who lock the same rows in two orders wait for ever.
        updates = [change for change in changes if isinstance(change, Answered | Closed)]
        for change in sorted(updates, key=lambda change: (change.call_id, change.ticket)):
            if isinstance(change, Answered):
                await _run(connection, self._ANSWER, _answered(change))
            else:
                await _run(connection, self._CLOSE, _closed(change))

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            # Prepared statements would not survive a pooler between us and the server.
            connection = await psycopg.AsyncConnection.connect(
                conninfo(self._url),
                autocommit=True,
                prepare_threshold=None,
                **postgres_arguments(),
            )
            await connection.execute(self._STAGE)
            self._connection = connection
        return self._connection


async def _run(
    connection: psycopg.AsyncConnection, statement: LiteralString, row: dict[str, Any]
) -> None:
    await connection.execute(statement, {name: _cut(value) for name, value in row.items()})


def _cut(value: Any) -> Any:
    return to_ms(value) if isinstance(value, datetime) else value
