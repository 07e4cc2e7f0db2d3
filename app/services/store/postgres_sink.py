"""Batches into PostgreSQL, over one connection of their own.

Measured (infrastructure 2.1): psycopg's asynchronous ``executemany`` and long VALUES stall the
loop for 30 to 125 ms, so facts go by COPY, into a table of this connection's own, because COPY
itself cannot skip what is there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import URL

from app.services.store import rows
from app.services.store.changes import Answered, Appended, Change, Closed, Opened
from app.services.store.database import conninfo, postgres_arguments
from app.services.store.schema import to_ms


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

    faults: tuple[type[BaseException], ...] = (psycopg.Error, OSError, ValueError, OverflowError)

    def __init__(self, url: URL) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection | None = None

    async def write(self, changes: Sequence[Change]) -> None:
        """In one transaction."""
        connection = await self._connected()
        try:
            async with connection.transaction():
                for opened in rows.of(changes, Opened):
                    await _run(connection, self._OPEN, rows.opened(opened))
                await self._append(connection, rows.of(changes, Appended))
                await self._update(connection, changes)
        finally:
            # A bad value leaves it idle; of whatever else went wrong a new one knows nothing.
            if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
                await self.close()

    def poison(self, fault: BaseException) -> str | None:
        """As in ``Sink``."""
        if isinstance(fault, UnicodeError | psycopg.DataError | OverflowError):
            return "bad_value"
        if isinstance(fault, psycopg.IntegrityError):
            return "not_allowed"
        return "too_large" if isinstance(fault, psycopg.errors.ProgramLimitExceeded) else None

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
                await _run(connection, self._ANSWER, rows.answered(change))
            else:
                await _run(connection, self._CLOSE, rows.closed(change))

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
