"""Waiting for a fact in another task, with an end to it."""

import asyncio
from collections.abc import Callable


async def until(fact: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return when ``fact`` holds; raises TimeoutError. For facts that announce themselves to
    nobody; a fact with an event of its own is awaited by that."""
    async with asyncio.timeout(timeout_s):
        while not fact():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
