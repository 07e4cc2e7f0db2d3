"""Waiting for the database no longer than a caller can.

Cancelling a query is itself a question to the server: where that does not answer, psycopg 3.3
waits five seconds for a connection to ask by and five more for the query's end, so that a
timeout of half a second took eleven and Twilio, which waits fifteen, nearly gave up (2026-11).
Rule: who waits goes on when the time is over; what was asked comes to its end behind them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.runtime.effects import contained
from app.services.store.archive import UNREACHABLE

READ_S = 4.0
"""For the operator's programs, which are told then that they must ask again."""

T = TypeVar("T")


async def within(
    seconds: float,
    work: Coroutine[Any, Any, T],
    spawn: Callable[[Coroutine[Any, Any, None], str], None],
) -> T:
    """What ``work`` returns, in a task of ``spawn``'s, which is cancelled when the time is over.

    Raises TimeoutError then, at once, and what ``UNREACHABLE`` names. Cancelling is safe.
    """
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    asked = False

    async def ask() -> None:
        nonlocal asked
        if answer.done():
            return
        asked = True
        try:
            async with asyncio.timeout(seconds):
                found = await work
        except UNREACHABLE as exc:
            if not answer.done():
                answer.set_exception(exc)
        else:
            if not answer.done():
                answer.set_result(found)

    async def begun() -> None:
        await contained(ask(), None)

    try:
        spawn(begun(), "within")
        return await asyncio.wait_for(answer, seconds)
    finally:
        if not asked:
            work.close()


class Patience:
    """So long, for every question that is put this way."""

    def __init__(
        self, seconds: float, spawn: Callable[[Coroutine[Any, Any, None], str], None]
    ) -> None:
        self._seconds = seconds
        self._spawn = spawn

    async def __call__(self, question: Coroutine[Any, Any, T], /) -> T:
        """As ``within``."""
        return await within(self._seconds, question, self._spawn)
