"""Finding calls and their facts, and making them forgotten.

Lists are newest first and paged by the last call of a page, not by a count, so that calls which
begin meanwhile shift nothing. An erased call keeps a row with its ids and times: that it took
place is not personal, and a second erasure must find it.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.notices import CORRECTED
from app.services.store.changes import clean
from app.services.store.schema import call_facts, calls, now, to_ms

PAGE = 100
EXPIRE_BATCH = 100
AFTERWARDS = 1_000_000_000
"""Facts that are added when a call is over are numbered from here: whoever held the call may
still have something to say under the numbers that follow its last one."""
_NOTHING = sa.null()


Amend = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A record to the same record, with something more in it."""


class CursorFault(ValueError):
    """A cursor that no page of ours ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call, as it is known now."""

    call_id: str
    call_sid: str | None
    conversation_id: str
    resumed_from: str | None
    direction: str
    from_number: str | None
    to_number: str | None
    status: str
    end_reason: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    owner: str | None
    lease_until: datetime | None
    resume_count: int
    config_version: str | None
    custom_data: Mapping[str, Any] | None
    record: Mapping[str, Any] | None
    """None in lists, and until the call ends."""
    expires_at: datetime | None
    erased: bool
    told_seq: int
    followed_up: bool


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A fact with its number."""

    seq: int
    at_ms: int
    type: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls a list shows; None leaves that out."""

    number: str | None = None
    """On either side."""
    from_number: str | None = None
    to_number: str | None = None
    created_after: datetime | None = None
    """This moment included."""
    created_before: datetime | None = None
    """This moment not included."""
    end_reason: str | None = None
    status: str | None = None
    config_version: str | None = None
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Calls, newest first."""

    calls: Sequence[CallRow] = field(default_factory=tuple)
    cursor: str | None = None
    """What the next page is asked for with; None: this was the last."""


class Calls:
    """Queries over an engine that belongs to the caller. Raises SQLAlchemyError and OSError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, call: str) -> CallRow | None:
        """The call with this id or CallSid."""
        call = clean(call)
        async with self._engine.connect() as connection:
            # The id first: a CallSid that is another call's id would be that call's invention.
            for column in (calls.c.call_id, calls.c.call_sid):
                found = await connection.execute(sa.select(calls).where(column == call))
                if row := found.first():
                    return call_row(row)
        return None

    async def facts(self, call_id: str, after_seq: int = 0, limit: int = 1_000) -> list[StoredFact]:
        """The facts behind ``after_seq``, oldest first, at most ``limit``."""
        c = call_facts.c
        wanted = (
            sa.select(c.seq, c.at_ms, c.type, c.data)
            .where(c.call_id == clean(call_id), c.seq > after_seq)
            .order_by(c.seq)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [StoredFact(*row) for row in await connection.execute(wanted)]

    async def list(
        self, filters: Filters | None = None, cursor: str | None = None, limit: int = PAGE
    ) -> Page:
        """A page of calls without their records, and without erased ones. Raises CursorFault."""
        filters = filters or Filters()
        asked = [sa.not_(calls.c.erased), *_conditions(filters), *_behind(cursor)]
        columns = [_NOTHING.label("record") if c is calls.c.record else c for c in calls.c]
        wanted = _newest(sa.select(*columns).where(*asked), limit + 1)
        if filters.number is not None:
            # Each side by its own index, newest first: asked with OR, SQLite sorts all calls of
            # the number, 416 ms for 100,000 of the operator's own line (2026-11).
            number = clean(filters.number)
            pages = [
                _newest(sa.select(calls.c.call_id).where(*asked, side == number), limit + 1)
                for side in (calls.c.from_number, calls.c.to_number)
            ]
            either = sa.union(*(sa.select(page.subquery()) for page in pages))
            ours = sa.select(*columns).where(calls.c.call_id.in_(either))
            wanted = _newest(ours, limit + 1)
        async with self._engine.connect() as connection:
            found = [call_row(row) for row in await connection.execute(wanted)]
        more = len(found) > limit
        return Page(tuple(found[:limit]), _cursor(found[limit - 1]) if more else None)

    async def erase(self, call_id: str) -> bool:
        """Forget what was said, who called and what it was about; False: no such call.

        Facts that a writer still holds are not written any more. Also right for a live call,
        whose end is then kept without its record.
        """
        mine = calls.c.call_id == clean(call_id)
        gone = {
            "erased": True,
            **dict.fromkeys(("from_number", "to_number", "custom_data", "record"), _NOTHING),
        }
        async with self._engine.begin() as connection:
            # First, because it locks the row against a batch that is about to add facts to it.
            await connection.execute(sa.select(calls.c.call_id).where(mine).with_for_update())
            found = await connection.execute(sa.update(calls).where(mine).values(gone))
            await connection.execute(
                sa.delete(call_facts).where(call_facts.c.call_id == clean(call_id))
            )
        return _count(found) > 0

    async def erased(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Those of these calls that were erased; some hundred may be asked about at once."""
        wanted = sa.select(calls.c.call_id).where(calls.c.call_id.in_(call_ids), calls.c.erased)
        async with self._engine.connect() as connection:
            return (await connection.execute(wanted)).scalars().all()

    async def expire(self, older_than: datetime, limit: int = EXPIRE_BATCH) -> int:
        """Delete calls that ended before, or whose own time is over; returns how many.

        At most ``limit`` at once, so that no lock is held for long: call it until it returns
        less. Everything that belongs to them goes with them, the row included.
        """
        oldest = sa.select(calls.c.call_id).where(_over(older_than)).limit(limit)
        # Two processes that delete the same rows in two orders would wait for each other.
        oldest = oldest.with_for_update(skip_locked=True)
        async with self._engine.begin() as connection:
            found = await connection.execute(sa.delete(calls).where(calls.c.call_id.in_(oldest)))
        return _count(found)

    async def aged_recordings(self, older_than: datetime) -> Sequence[str]:
        """The SIDs of recordings of those calls, each once, of all of them."""
        recorded = call_facts.c.type.in_(("recording.started", "message.taken"))
        of_aged = sa.and_(call_facts.c.call_id == calls.c.call_id, _over(older_than))
        wanted = sa.select(call_facts.c.data).where(recorded, of_aged)
        async with self._engine.connect() as connection:
            told = (await connection.execute(wanted)).scalars().all()
        return sorted({one["recording_sid"] for one in told if one.get("recording_sid")})

    async def retell(self, call_id: str, record: Mapping[str, Any]) -> bool:
        """Replace the record of an ended call, when facts came after its end, and have it
        followed up once more; False: no such call, or it was erased."""
        changes: dict[str, Any] = {"record": dict(record), "followed_up": False}
        if record.get("end_reason") is not None:
            changes["end_reason"] = record["end_reason"]
        wanted = (
            sa.update(calls)
            .where(
                calls.c.call_id == call_id,
                calls.c.status == "ended",
                sa.not_(calls.c.erased),
            )
            .values(changes)
        )
        async with self._engine.begin() as connection:
            return _count(await connection.execute(wanted)) > 0

    async def add(
        self, call_id: str, kind: str, data: Mapping[str, Any], *, at: datetime, tell: Amend
    ) -> bool:
        """A fact about a call that is over; ``tell`` says what its record comes to with it. A
        correction has the call followed up once more.

        False where there is no such call, it goes on, or it was erased: nothing is written.
        """
        mine = sa.and_(
            calls.c.call_id == clean(call_id), calls.c.status == "ended", sa.not_(calls.c.erased)
        )
        numbers = sa.select(sa.func.max(call_facts.c.seq)).where(
            call_facts.c.call_id == clean(call_id)
        )
        async with self._engine.begin() as connection:
            # Changes nothing, and locks the row, or SQLite's file, before anything is read.
            locked = await connection.execute(
                sa.update(calls).where(mine).values(status=calls.c.status)
            )
            if not _count(locked):
                return False
            row = call_row((await connection.execute(sa.select(calls).where(mine))).one())
            last = (await connection.execute(numbers)).scalar_one() or 0
            fact = {
                "call_id": row.call_id,
                "seq": max(last, AFTERWARDS) + 1,
                "at_ms": max(0, round((at - row.created_at).total_seconds() * 1000)),
                "type": kind,
                "data": dict(data),
            }
            await connection.execute(sa.insert(call_facts).values(fact))
            if row.record is not None:
                told: dict[str, Any] = {"record": dict(tell(row.record))}
                if kind == CORRECTED:
                    told["followed_up"] = False
                await connection.execute(sa.update(calls).where(mine).values(told))
        return True

    async def last_of(self, number: str, since: datetime) -> CallRow | None:
        """The newest call with this person since then, whoever called whom; not one to come."""
        number = clean(number)
        theirs = sa.or_(
            sa.and_(calls.c.direction == "inbound", calls.c.from_number == number),
            sa.and_(calls.c.direction == "outbound", calls.c.to_number == number),
        )
        wanted = (
            sa.select(calls)
            .where(theirs, calls.c.created_at >= since, calls.c.status != "queued")
            .order_by(calls.c.created_at.desc(), calls.c.call_id.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else call_row(row)

    async def told_live(self, kinds: Sequence[str]) -> Sequence[tuple[str, str, Any]]:
        """The facts of these kinds of all live calls, in their order: call, kind, data."""
        c = call_facts.c
        wanted = (
            sa.select(c.call_id, c.type, c.data)
            .join(calls, calls.c.call_id == c.call_id)
            .where(calls.c.status == "live", sa.not_(calls.c.erased), c.type.in_(kinds))
            .order_by(c.call_id, c.seq)
        )
        async with self._engine.connect() as connection:
            found = await connection.execute(wanted)
            return [(call_id, kind, data) for call_id, kind, data in found]

    async def counts_live(self) -> int:
        """How many calls are held by a process that lives, over all processes."""
        wanted = sa.select(sa.func.count()).where(
            calls.c.status == "live", calls.c.lease_until > now()
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(wanted)).scalar_one()


def _over(older_than: datetime) -> sa.ColumnElement[bool]:
    """Calls that ended before then, or whose own time is over."""
    # What ended before then began before then, and there is an index for that.
    aged = sa.and_(calls.c.created_at < older_than, calls.c.ended_at < older_than)
    return sa.and_(calls.c.status == "ended", sa.or_(aged, calls.c.expires_at < now()))


def call_row(row: sa.Row[Any]) -> CallRow:
    """A row of ``calls``, all its columns, as a value."""
    return CallRow(**row._mapping)


def _newest(wanted: sa.Select[Any], limit: int) -> sa.Select[Any]:
    return wanted.order_by(calls.c.created_at.desc(), calls.c.call_id.desc()).limit(limit)


def _behind(cursor: str | None) -> list[sa.ColumnElement[bool]]:
    """Calls behind the page that ended so. Raises CursorFault."""
    if cursor is None:
        return []
    created_at, call_id = _read_cursor(cursor)
    # Written out, because SQLite would compare a pair without the column's type.
    # The first condition says nothing new, and begins where the page does: without it
    # all newer calls were read, 170 ms behind 100,000 of them on SQLite (2026-11).
    return [
        calls.c.created_at <= created_at,
        sa.or_(
            calls.c.created_at < created_at,
            sa.and_(calls.c.created_at == created_at, calls.c.call_id < call_id),
        ),
    ]


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    """All but ``number``, which is two questions."""
    c = calls.c
    asked: list[tuple[Any, Any]] = [
        (filters.from_number, lambda value: c.from_number == clean(value)),
        (filters.to_number, lambda value: c.to_number == clean(value)),
        (filters.created_after, lambda value: c.created_at >= value),
        (filters.created_before, lambda value: c.created_at < value),
        (filters.end_reason, lambda value: c.end_reason == clean(value)),
        (filters.status, _in_status),
        (filters.config_version, lambda value: c.config_version == clean(value)),
        (filters.conversation_id, lambda value: c.conversation_id == clean(value)),
    ]
    return [condition(value) for value, condition in asked if value is not None]


def _in_status(status: str) -> sa.ColumnElement[bool]:
    if status == "ended":
        # Nearly all are: SQLite would sort them all by the index that finds the others at once.
        return calls.c.status.not_in(("queued", "live"))
    return calls.c.status == clean(status)


def _cursor(last: CallRow) -> str:
    place = orjson.dumps([last.created_at.isoformat(), last.call_id])
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        created_at, call_id = place
        return to_ms(datetime.fromisoformat(created_at)), clean(str(call_id))
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise CursorFault("the cursor is not one of ours") from None


def _count(found: CursorResult[Any]) -> int:
    return found.rowcount
