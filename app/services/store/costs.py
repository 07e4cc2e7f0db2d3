"""What the model has cost, by the day and the process that spent it.

Each process has one row a day, which only it writes: nobody waits for a lock, and a sum that is
written twice is the same.
"""

from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import StoreFault
from app.services.store.schema import costs

MOST_DAYS = 366


class Costs:
    """Over an engine that belongs to the caller. All raise ``StoreFault``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def spent(self, process_id: str, day: date, microusd: int) -> None:
        """This process has spent so much on that day, all in all."""
        insert = postgresql.insert if self._engine.name == "postgresql" else sqlite.insert
        row = insert(costs).values(day=day, process_id=process_id, microusd=microusd)
        kept = row.on_conflict_do_update(
            index_elements=["day", "process_id"], set_={"microusd": microusd}
        )
        try:
            async with self._engine.begin() as connection:
                await connection.execute(kept)
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc

    async def together(self, day: date) -> int:
        """What all processes have spent on that day, in millionths of a dollar."""
        return dict(await self.days(day, day)).get(day, 0)

    async def days(self, first: date, last: date) -> Sequence[tuple[date, int]]:
        """What was spent on each day on which something was, newest first; both included."""
        c = costs.c
        wanted = (
            sa.select(c.day, sa.cast(sa.func.sum(c.microusd), sa.BigInteger))
            .where(c.day >= first, c.day <= last)
            .group_by(c.day)
            .order_by(c.day.desc())
            .limit(MOST_DAYS)
        )
        try:
            async with self._engine.connect() as connection:
                return [(day, amount) for day, amount in await connection.execute(wanted)]
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc
