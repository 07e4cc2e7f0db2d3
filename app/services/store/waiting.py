"""Calls that were ordered and that nobody has: told, taken, ended by whichever process is asked.

Facts are numbered by who has the call. Of a queued call nobody has, each is numbered where it is
written, under a lock of the call's row; who takes the call or ends it holds it from then on, and
numbers on from what is there. So the rule: one transaction each, and of two one wins.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.store.calls import CallRow, call_row
from app.services.store.changes import MOST_FACT_BYTES, clean, json_of
from app.services.store.leases import LEASE_S
from app.services.store.schema import call_facts, calls, now

_FREE = sa.or_(calls.c.owner.is_(None), calls.c.lease_until.is_(None), calls.c.lease_until <= now())


class Waiting:
    """Over an engine that belongs to the caller. Raises SQLAlchemyError and OSError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def tell(
        self, call_id: str, at_ms: int, kind: str, data: Mapping[str, Any]
    ) -> int | None:
        """The number under which a fact was written; None where somebody has the call by now."""
        locked = (
            sa.select(calls.c.call_id)
            .where(calls.c.call_id == call_id, calls.c.status == "queued", _FREE, ~calls.c.erased)
            .with_for_update()
        )
        last = sa.func.coalesce(sa.func.max(call_facts.c.seq), 0)
        number = sa.select(last + 1).where(call_facts.c.call_id == call_id)
        fact = {"call_id": call_id, "at_ms": at_ms, "type": kind}
        fact["data"] = orjson.loads(json_of(data, MOST_FACT_BYTES))
        write = sa.insert(call_facts).values(**fact, seq=number.scalar_subquery())
        async with self._engine.begin() as connection:
            if (await connection.execute(locked)).first() is None:
                return None
            written = await connection.execute(write.returning(call_facts.c.seq))
            return int(written.scalar_one())

    async def take(
        self, call_id: str, call_sid: str, me: str, lease_s: float = LEASE_S
    ) -> CallRow | None:
        """Somebody picked up, and ``me`` has the call; None where another has it, or it is over."""
        values = {"status": "live", "answered_at": now(), "call_sid": clean(call_sid)}
        return await self._held(call_id, me, lease_s, values)

    async def hold(self, call_id: str, me: str, lease_s: float = LEASE_S) -> CallRow | None:
        """Nobody but ``me`` tells anything of the call any more, for so long; None as ``take``."""
        return await self._held(call_id, me, lease_s, {})

    async def _held(
        self, call_id: str, me: str, lease_s: float, more: Mapping[str, Any]
    ) -> CallRow | None:
        hold = (
            sa.update(calls)
            .where(
                calls.c.call_id == call_id,
                calls.c.status == "queued",
                sa.or_(_FREE, calls.c.owner == me),
            )
            .values(owner=me, lease_until=now(lease_s), **more)
            .returning(*calls.c)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(hold)).first()
        return None if row is None else call_row(row)
