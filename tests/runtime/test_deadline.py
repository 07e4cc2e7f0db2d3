"""Waiting for a database that does not answer, and does not even let go."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.runtime.deadline import within

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


@asynccontextmanager
async def tasks() -> AsyncIterator[Spawn]:
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            group.create_task(work, name=name)

        yield spawn


async def answer(value: int) -> int:
    return value


async def fail(fault: Exception) -> None:
    raise fault


async def test_what_comes_in_time_is_returned() -> None:
    """The result, or what the database raised."""
    async with tasks() as spawn:
        assert await within(20, answer(7), spawn) == 7
        with pytest.raises(OSError, match="gone"):
            await within(20, fail(OSError("gone")), spawn)


async def test_nobody_waits_for_what_cannot_be_cancelled() -> None:
    """A server that is silent does not answer psycopg's request to stop either."""
    stopped, asked_to_stop = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asked_to_stop.set()
            await stopped.wait()

    async with tasks() as spawn:
        with pytest.raises(TimeoutError):
            await within(0.01, stubborn(), spawn)

        await asyncio.wait_for(asked_to_stop.wait(), 60)
        stopped.set()


async def test_a_fault_of_ours_ends_nothing_but_the_waiting() -> None:
    """The task is the lifetime's own: with it every call would end."""
    async with tasks() as spawn:
        with pytest.raises(TimeoutError):
            await within(0.01, fail(KeyError("ours")), spawn)


async def test_what_nobody_began_is_closed() -> None:
    """The process ends, and with it the tasks: nothing complains of what was not awaited."""
    work = answer(7)

    with pytest.raises(TimeoutError):
        await within(0.01, work, lambda never_begun, _name: never_begun.close())

    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
