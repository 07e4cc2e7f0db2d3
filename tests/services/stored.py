"""Calls and facts for the tests of the store, and a writer that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.facts import Fact
from app.services.store import schema
from app.services.store.changes import NewCall
from app.services.store.sinks import sink_for
from app.services.store.writer import MOST_FACTS, FactWriter

MOMENT = datetime(2026, 11, 21, 12, 30, 15, 123_000, tzinfo=UTC)


def a_call(call_id: str = "call_1", **more: Any) -> NewCall:
    """A call that rings."""
    known: dict[str, Any] = {
        "conversation_id": f"conv_{call_id}",
        "direction": "inbound",
        "created_at": MOMENT,
        "from_number": "+491701234567",
        "to_number": "+4930123456",
    }
    return NewCall(call_id=call_id, **known | more)


def said(text: str = "hello", at_ms: int = 10) -> Fact:
    """A fact that is to be kept."""
    return Fact("transcript.updated", at_ms, {"text": text})


def figure(number: int = 1, at_ms: int = 10) -> Fact:
    """A fact that may be let go of."""
    return Fact("turn.answered", at_ms, {"latency_ms": number})


def a_writer(url: str, *, most_facts: int = MOST_FACTS) -> FactWriter:
    """A writer on this database, which nobody runs yet."""
    return FactWriter(sink_for(url), most_facts=most_facts)


@asynccontextmanager
async def running(writer: FactWriter) -> AsyncIterator[FactWriter]:
    """The writer with its task, which ends with the block."""
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        await writer.close(5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def rows_of(engine: AsyncEngine, table: sa.Table) -> list[dict[str, Any]]:
    """Everything in a table, in the order of its key."""
    async with engine.connect() as connection:
        found = await connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def facts_of(engine: AsyncEngine, call_id: str = "call_1") -> list[tuple[int, str, Any]]:
    """Number, type and data of the facts of a call."""
    return [
        (row["seq"], row["type"], row["data"])
        for row in await rows_of(engine, schema.call_facts)
        if row["call_id"] == call_id
    ]
