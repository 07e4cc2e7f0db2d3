"""The lifetime of a process: what starts with the application, and in which order it ends.

First come the store and what goes on beside the calls, then the calls; at the end the other way
round, so that the last word of the last call is written down. Every task has its owner here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from app.runtime import metrics
from app.runtime.book import Book
from app.runtime.flight_log import Hangar
from app.runtime.outbound import Outbound
from app.services.store.archive import LAST_WORDS_S, Archive
from app.transports import takeover

Work = Callable[[], Coroutine[Any, Any, None]]


class Spawner:
    """Starts tasks in the lifespan's group, which exists only while the application lives."""

    def __init__(self) -> None:
        self.group: asyncio.TaskGroup | None = None

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self.group is None:
            work.close()
            raise RuntimeError("the application is not running")
        self.group.create_task(work, name=name)


class Standing:
    """What is begun at any time and stands until the application ends, or it ends itself."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._early: list[tuple[Work, str]] = []

    def begin(self, work: Work, name: str) -> None:
        """Have it stand from now on, or from the start of the application."""
        if self._group is None:
            self._early.append((work, name))
        else:
            self._group.create_task(work(), name=name)

    async def run(self) -> None:
        """The time in which it all stands; cancelling ends all of it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            early, self._early = self._early, []
            for work, name in early:
                self.begin(work, name)
            await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes on beside the calls, until nobody needs it any more."""

    archive: Archive
    custody: Work
    bus: Work
    retention: Work
    reloading: Work
    servers: Work
    """Keeps in touch with the servers of tools."""
    close_bus: Work
    knowledge: Work

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The time in which it goes on; at its end what is left to write is, within bounds."""
        metrics.watch(self.archive.writer)
        async with self.archive.opened(), asyncio.TaskGroup() as group:
            writing = group.create_task(self.archive.writer.run(), name="store")
            tasks = (
                group.create_task(self.custody(), name="custody"),
                group.create_task(self.bus(), name="bus"),
                group.create_task(self.retention(), name="retention"),
                group.create_task(self.servers(), name="servers"),
                group.create_task(self.reloading(), name="reloading"),
                group.create_task(self.knowledge(), name="knowledge"),
            )
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                if not await self.archive.writer.close(LAST_WORDS_S):
                    writing.cancel()
                await self.close_bus()


def lifespan(
    book: Book,
    spawn: Spawner,
    hangar: Hangar,
    beside: Beside,
    closers: Sequence[Callable[[], None]],
    *,
    dialling: Outbound | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The time in which calls may live; at its end those that still do are let go.

    ``dialling`` is None where no calls are placed. ``closers`` let go of what was opened.
    """

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        takeover.check()
        await asyncio.to_thread(hangar.open)
        async with beside.running():
            try:
                async with asyncio.TaskGroup() as group:
                    spawn.group = group
                    if dialling is not None:
                        spawn(dialling.watch(), "outbound")
                    yield
                    if dialling is not None:
                        dialling.close()
                    book.drain()
                    book.let_go()
            finally:
                spawn.group = None
                book.close()
                for close in closers:
                    close()
                await asyncio.to_thread(hangar.close)

    return living


async def at_once(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The outcomes, in order. The request that asks owns the tasks, and outlives them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name="check") for one in work]
    return [task.result() for task in tasks]
