"""Idempotency keys: whoever repeats a request is told of the call that the first one made.

One statement decides, so that of two requests at the same moment one is the first, in whatever
processes they are. After ``KEEP_S`` a key stands for nothing any more.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import OurFault
from app.services.store.changes import clean
from app.services.store.schema import idempotency_keys, now

KEEP_S = 24 * 3_600
"""Who has not been answered asks again sooner."""


CONTEXT_S = 3_600
"""Whoever takes a call over asks what it is about while they talk."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a key stands for."""

    call_id: str
    request_hash: str


class IdempotencyKeys:
    """Over an engine that belongs to the caller."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, key: str, call_id: str, request_hash: str) -> Claimed:
        """Make ``key`` stand for this call, unless it stands for one; what it stands for now.

        Raises ``OurFault``, ``database``.
        """
        insert = postgresql.insert if self._engine.name == "postgresql" else sqlite.insert
        row = {"key": clean(key), "call_id": call_id, "request_hash": request_hash}
        c = idempotency_keys.c
        try:
            async with self._engine.begin() as connection:
                claim = insert(idempotency_keys).values(**row, created_at=now())
                await connection.execute(
                    claim.on_conflict_do_update(
                        index_elements=[c.key],
                        set_={
                            name: claim.excluded[name]
                            for name in ("call_id", "request_hash", "created_at")
                        },
                        where=c.created_at < now(-KEEP_S),
                    )
                )
                wanted = sa.select(c.call_id, c.request_hash).where(c.key == row["key"])
                return Claimed(*(await connection.execute(wanted)).one())
        except (SQLAlchemyError, OSError) as exc:
            raise OurFault("database") from exc

    async def forget(self, key: str) -> None:
        """Nothing was done for this key: it stands for nothing any more.

        Raises ``OurFault``, ``database``.
        """
        gone = sa.delete(idempotency_keys).where(idempotency_keys.c.key == clean(key))
        try:
            async with self._engine.begin() as connection:
                await connection.execute(gone)
        except (SQLAlchemyError, OSError) as exc:
            raise OurFault("database") from exc

    async def first_asked(self, call_sid: str, me: str) -> str:
        """Which process Twilio asked first to take a new call: ``me``, if it was none before.

        Twilio repeats its request, and a proxy may bring it elsewhere: one statement decides.
        Raises SQLAlchemyError and OSError.
        """
        # No header can hold this sign: no client's key is a call's.
        row = {"key": f"\N{BLACK TELEPHONE}{clean(call_sid)}", "call_id": "", "request_hash": me}
        insert = postgresql.insert if self._engine.name == "postgresql" else sqlite.insert
        claim = insert(idempotency_keys).values(**row, created_at=now()).on_conflict_do_nothing()
        c = idempotency_keys.c
        async with self._engine.begin() as connection:
            if (await connection.execute(claim)).rowcount > 0:
                return me
            wanted = sa.select(c.request_hash).where(c.key == row["key"])
            return (await connection.execute(wanted)).scalar_one_or_none() or me

    async def keep_context(self, digest: str, call_id: str) -> None:
        """Have a key, of which this is the digest, stand for what a call was about.

        Raises ``OurFault``, ``database``.
        """
        row = {"key": _context(digest), "call_id": call_id, "request_hash": ""}
        try:
            async with self._engine.begin() as connection:
                key = sa.insert(idempotency_keys).values(**row, created_at=now())
                await connection.execute(key)
        except (SQLAlchemyError, OSError) as exc:
            raise OurFault("database") from exc

    async def context(self, digest: str) -> str | None:
        """The call of such a key, for ``CONTEXT_S``; None afterwards, or where there is none.

        Raises ``OurFault``, ``database``.
        """
        c = idempotency_keys.c
        asked = sa.select(c.call_id).where(
            c.key == _context(digest), c.created_at > now(-CONTEXT_S)
        )
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(asked)).scalar_one_or_none()
        except (SQLAlchemyError, OSError) as exc:
            raise OurFault("database") from exc

    async def expire(self) -> int:
        """Delete the keys that stand for nothing any more; how many these were.

        Raises ``OurFault``, ``database``.
        """
        old = sa.delete(idempotency_keys).where(idempotency_keys.c.created_at < now(-KEEP_S))
        try:
            async with self._engine.begin() as connection:
                return (await connection.execute(old)).rowcount
        except (SQLAlchemyError, OSError) as exc:
            raise OurFault("database") from exc


def _context(digest: str) -> str:
    """No header can hold this sign either."""
    return f"\N{KEY}{clean(digest)}"
