"""What is still to be done about calls: which facts were told, which ends were followed up.

The mark is on the call itself, so that an end is found also where the process that wrote it
died a moment later. Rule: something is marked when it is enqueued, never before; enqueuing
twice is enqueuing once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.call.notices import CORRECTED
from app.call.record import amended
from app.services.store.calls import AFTERWARDS, CallRow, StoredFact, call_row
from app.services.store.schema import NOT_FOLLOWED_UP, NOT_FOLLOWED_UP_INDEX, call_facts, calls

MOST_CALLS = 100
MOST_FACTS = 500
"""In one go."""
_NOTHING = sa.null()


@dataclass(frozen=True, slots=True)
class Untold:
    """A fact that nobody was told of yet."""

    call: CallRow
    """Without its record."""
    fact: StoredFact


class Afterwards:
    """Over an engine that belongs to the caller. Raises SQLAlchemyError and OSError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ended(self, limit: int = MOST_CALLS) -> list[str]:
        """Calls that are over and were not followed up, or were corrected since; erased ones
        included."""
        by = f" INDEXED BY {NOT_FOLLOWED_UP_INDEX}" if self._engine.name == "sqlite" else ""
        wanted = sa.text(
            f"SELECT call_id FROM calls{by} WHERE {NOT_FOLLOWED_UP} ORDER BY ended_at LIMIT :limit"
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(wanted, {"limit": limit})).scalars())

    async def followed_up(self, call_id: str, corrected_seq: int | None = None) -> None:
        """What follows this call is enqueued, its correction under this number included.

        Nothing is marked where it was corrected anew meanwhile.
        """
        facts = call_facts.c
        newest = (
            sa.select(sa.func.coalesce(sa.func.max(facts.seq), 0))
            .where(facts.call_id == call_id, facts.type == CORRECTED)
            .scalar_subquery()
        )
        known = sa.or_(calls.c.erased, newest == (corrected_seq or 0))
        mark = sa.update(calls).where(calls.c.call_id == call_id, known).values(followed_up=True)
        async with self._engine.begin() as connection:
            await connection.execute(mark)

    async def untold(self, call_id: str | None = None, limit: int = MOST_FACTS) -> list[Untold]:
        """Facts of live calls, or of one call, that nobody was told of; in order for each."""
        whose = calls.c.status == "live" if call_id is None else calls.c.call_id == call_id
        facts = call_facts.c
        wanted = (
            sa.select(facts.seq, facts.at_ms, facts.type, facts.data, *_row())
            .join_from(calls, call_facts, facts.call_id == calls.c.call_id)
            .where(whose, sa.not_(calls.c.erased), facts.seq > calls.c.told_seq)
            .order_by(facts.call_id, facts.seq)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_untold(row) for row in await connection.execute(wanted)]

    async def told(self, call_id: str, seq: int) -> None:
        """The facts of this call up to ``seq`` are enqueued for whoever asked."""
        mark = (
            sa.update(calls)
            .where(calls.c.call_id == call_id, calls.c.told_seq < seq)
            .values(told_seq=seq)
        )
        async with self._engine.begin() as connection:
            await connection.execute(mark)

    async def call(self, call_id: str) -> CallRow | None:
        """The call with its record; None where there is none any more, or it was erased."""
        wanted = sa.select(calls).where(calls.c.call_id == call_id, sa.not_(calls.c.erased))
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else call_row(row)

    async def all_of(self, call_id: str, kind: str, limit: int = MOST_FACTS) -> list[StoredFact]:
        """The facts of this kind about the call, oldest first; the newest where there are many."""
        c = call_facts.c
        wanted = (
            sa.select(c.seq, c.at_ms, c.type, c.data)
            .where(c.call_id == call_id, c.type == kind)
            .order_by(c.seq.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [StoredFact(*row) for row in await connection.execute(wanted)][::-1]

    async def last(self, call_id: str, kind: str) -> StoredFact | None:
        """The newest fact of this kind about the call."""
        async with self._engine.connect() as connection:
            return await _last(connection, call_id, kind)

    async def add_once(
        self, call_id: str, kind: str, data: Mapping[str, Any], *, by: str = ""
    ) -> bool:
        """A fact about a call that is over, unless it has one of this kind; its record as well.

        ``by``: unless it has one with the same value of this, where it is named.

        False where it has, or the call goes on, was erased, or is unknown: nothing is written.
        """
        mine = sa.and_(
            calls.c.call_id == call_id, calls.c.status == "ended", sa.not_(calls.c.erased)
        )
        async with self._engine.begin() as connection:
            # Changes nothing, and locks the row, or SQLite's file, before anything is read.
            lock = sa.update(calls).where(mine).values(status=calls.c.status)
            if not (await connection.execute(lock)).rowcount:
                return False
            if await _has(connection, call_id, kind, {by: data[by]} if by else {}):
                return False
            row = call_row((await connection.execute(sa.select(calls).where(mine))).one())
            await _append(connection, row, kind, data)
            if row.record is not None:
                told = amended(row.record, kind=kind, data=data)
                await connection.execute(sa.update(calls).where(mine).values(record=told))
        return True


async def _append(
    connection: AsyncConnection, row: CallRow, kind: str, data: Mapping[str, Any]
) -> None:
    numbers = sa.select(sa.func.max(call_facts.c.seq)).where(call_facts.c.call_id == row.call_id)
    last = (await connection.execute(numbers)).scalar_one() or 0
    fact = {
        "call_id": row.call_id,
        "seq": max(last, AFTERWARDS) + 1,
        "at_ms": max(0, round((datetime.now(UTC) - row.created_at).total_seconds() * 1000)),
        "type": kind,
        "data": dict(data),
    }
    await connection.execute(sa.insert(call_facts).values(fact))


async def _has(
    connection: AsyncConnection, call_id: str, kind: str, same: Mapping[str, Any]
) -> bool:
    c = call_facts.c
    wanted = sa.select(c.data).where(c.call_id == call_id, c.type == kind)
    known = (await connection.execute(wanted)).scalars()
    return any(same.items() <= data.items() for data in known)


async def _last(connection: AsyncConnection, call_id: str, kind: str) -> StoredFact | None:
    c = call_facts.c
    wanted = (
        sa.select(c.seq, c.at_ms, c.type, c.data)
        .where(c.call_id == call_id, c.type == kind)
        .order_by(c.seq.desc())
        .limit(1)
    )
    row = (await connection.execute(wanted)).first()
    return None if row is None else StoredFact(*row)


def _row() -> Sequence[sa.ColumnElement[Any]]:
    """The columns of a call, without its record."""
    return [_NOTHING.label("record") if c is calls.c.record else c for c in calls.c]


def _untold(row: sa.Row[Any]) -> Untold:
    values: list[Any] = list(row)
    names = [column.name for column in calls.c]
    call = CallRow(**dict(zip(names, values[4:], strict=True)))
    return Untold(call, StoredFact(*values[:4]))
