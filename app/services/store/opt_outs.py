"""Who wants no text messages: numbers that sent STOP, or of which Twilio says so.

A number is on the list until it sends START. It holds for every number of the operator's: Twilio
keeps its own by the sender, and a caller who writes STOP does not count our numbers.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import StoreFault
from app.services.store.changes import clean
from app.services.store.schema import now, text_opt_outs


class OptOuts:
    """Over an engine that belongs to the caller. All raise ``StoreFault``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, number: str) -> None:
        """No more messages to this number."""
        insert = postgresql.insert if self._engine.name == "postgresql" else sqlite.insert
        row = insert(text_opt_outs).values(number=clean(number), created_at=now())
        await self._write(row.on_conflict_do_nothing())

    async def remove(self, number: str) -> None:
        """It may be sent messages again."""
        c = text_opt_outs.c
        await self._write(sa.delete(text_opt_outs).where(c.number == clean(number)))

    async def has(self, number: str) -> bool:
        """Whether it wants none."""
        asked = sa.select(text_opt_outs.c.number).where(text_opt_outs.c.number == clean(number))
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(asked)).first() is not None
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc

    async def _write(self, statement: sa.Executable) -> None:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc
