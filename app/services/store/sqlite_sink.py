"""Batches into an SQLite file, past the pool and its hops between threads.

Facts go by long VALUES, because the driver gives the interpreter away for every statement and
wants it back: 21 µs a fact by ``executemany`` beside a busy loop, 12 µs like this (batches of
25, 2026-11).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy.engine import URL

from app.services.store import rows
from app.services.store.changes import Answered, Appended, Change, Closed, Opened
from app.services.store.database import open_file
from app.services.store.schema import to_ms

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
        f"{rows.INTO_CALLS} VALUES"
        " (:call_id, :call_sid, :conversation_id, :resumed_from, :direction, :from_number,"
        " :to_number, :status, :created_at, :answered_at, :owner, :config_version, :expires_at,"
        " :custom_data, strftime('%Y-%m-%d %H:%M:%f000', 'now', :lease_s || ' seconds'))"
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

    faults: tuple[type[BaseException], ...] = (sqlite3.Error, OSError, ValueError, OverflowError)

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

    def poison(self, fault: BaseException) -> str | None:
        """As in ``Sink``."""
        if isinstance(fault, UnicodeError | sqlite3.DataError | OverflowError):
            return "bad_value"
        if isinstance(fault, sqlite3.IntegrityError):
            return "not_allowed"
        if isinstance(fault, sqlite3.Error) and "binding parameter" in str(fault):
            return "bad_value"
        return None

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
        except self.faults as fault:
            if self.poison(fault) is None:
                self._drop()
            raise
        finally:
            if connection is self._connection and connection.in_transaction:
                connection.execute("ROLLBACK")

    def _execute(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
        connection.executemany(self._OPEN, map(_opened, rows.of(changes, Opened)))
        connection.executemany(self._ANSWER, map(_answered, rows.of(changes, Answered)))
        for facts in _portions(rows.of(changes, Appended)):
            values: list[Any] = []
            for fact in facts:
                values += (fact.call_id, fact.seq, fact.at_ms, fact.type, fact.data)
            connection.execute(_append(len(facts)), values)
        connection.executemany(self._CLOSE, map(_closed, rows.of(changes, Closed)))

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


def _opened(change: Opened) -> dict[str, Any]:
    return _in_text(rows.opened(change))


def _answered(change: Answered) -> dict[str, Any]:
    return _in_text(rows.answered(change))


def _closed(change: Closed) -> dict[str, Any]:
    return _in_text(rows.closed(change))
