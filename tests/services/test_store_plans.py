"""How SQLite goes about what is asked often, or of many calls: by an index, not by all of them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.store.afterwards import Afterwards
from app.services.store.calls import Calls, Filters
from app.services.store.database import open_engine
from tests.services.stored import MOMENT, a_call, a_writer, running

Question = Callable[[AsyncEngine], Awaitable[Any]]


async def plan(url: str, question: Question) -> str:
    """What SQLite says it does for the last statement of ``question``."""
    engine = open_engine(url)
    asked: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        asked.append((given[2], given[3]))

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    await question(engine)
    statement, parameters = asked[-1]
    async with engine.connect() as connection:
        steps = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        found = "\n".join(step[3] for step in steps)
    await engine.dispose()
    return found


async def second_page(engine: AsyncEngine) -> None:
    page = await Calls(engine).list(limit=1)
    assert page.cursor is not None
    await Calls(engine).list(cursor=page.cursor, limit=1)


@pytest.mark.parametrize(
    ("question", "by"),
    [
        (lambda engine: Afterwards(engine).ended(), "SCAN calls USING INDEX ix_calls_not_followed"),
        (second_page, "SEARCH calls USING INDEX ix_calls_created_at (created_at<?)"),
        (lambda engine: Calls(engine).list(Filters(status="ended")), "ix_calls_created_at"),
        (lambda engine: Calls(engine).list(Filters(status="live")), "ix_calls_status_lease_until"),
        (lambda engine: Calls(engine).list(Filters(end_reason="x")), "end_reason_created_at (end"),
        (lambda engine: Calls(engine).list(Filters(number="+1")), "from_number_created_at (from"),
        (lambda engine: Calls(engine).list(Filters(number="+1")), "to_number_created_at (to"),
    ],
)
async def test_an_index_answers(sqlite_url: str, question: Question, by: str) -> None:
    """The first is asked every second for as long as a process of jobs lives."""
    async with running(a_writer(sqlite_url)) as writer:
        for number in range(3):
            created_at = MOMENT + timedelta(seconds=number)
            writer.opened(a_call(f"call_{number}", created_at=created_at))

    assert by in await plan(sqlite_url, question)


@pytest.mark.parametrize("filters", [Filters(end_reason="busy"), Filters(number="+1")])
async def test_a_page_of_many_is_not_sorted_from_all(sqlite_url: str, filters: Filters) -> None:
    """Most calls end in the same way, and come in on the same line of the operator's."""
    found = await plan(sqlite_url, lambda engine: Calls(engine).list(filters))

    # The pages of the two sides of a number are put together, and no more.
    sorted_ = found.count("USE TEMP B-TREE FOR ORDER BY")
    assert sorted_ == (1 if filters.number else 0), found
    assert "MULTI-INDEX OR" not in found
