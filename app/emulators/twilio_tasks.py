"""Everything the local Twilio does on its own, so that leaving it leaves nothing behind.

Rule: a task belongs to one owner, ends with it, and a task that failed is heard of: the
emulator's own mistakes must not pass as the tested server's.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

KEPT_FAILURES = 100
"""The first ones: they are the cause, and a carrier that runs for weeks must not collect more."""


class Pulse:
    """A moment many may wait for: something changed, look again."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        """Wake everybody who waits; costs nothing when nobody does."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self) -> None:
        """Return at the next beat; safe to cancel."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class OwnedTasks:
    """Tasks with one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[Exception] = []

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Begin ``work``; it is cancelled by ``close`` if it has not ended by then."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait for it; safe to call twice."""
        while self._tasks:
            running = list(self._tasks)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            self._tasks.difference_update(running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception) and len(self.failures) < KEPT_FAILURES:
            self.failures.append(error)
