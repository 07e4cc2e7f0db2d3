"""A program of the operator's that is told things, and behaves as such programs do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.waiting import until


class Receiver:
    """Answers what it is told to, the last answer for ever; 0 is no answer at all."""

    def __init__(self) -> None:
        self.answers = [200]
        self.heard: list[tuple[dict[str, str], str]] = []
        self.url = ""
        self._over = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """A webhook."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((headers, await request.text()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not status:
            await self._over.wait()
        return web.Response(status=status, headers={"location": f"{self.url}/elsewhere"})

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        """The bodies of these types, in the order in which they came."""
        bodies = [json.loads(body) for _, body in self.heard]
        return [body for body in bodies if not kinds or body["type"] in kinds]

    async def hears(self, kind: str, times: int = 1) -> None:
        """Returns when it was told so often, repetitions included."""
        await until(lambda: len(self.told(kind)) >= times, 60)

    async def knows(self, messages: int) -> None:
        """Returns when it was told so many different things."""
        await until(lambda: len(self.ids) >= messages, 60)

    @property
    def ids(self) -> set[str]:
        """Of the messages that came."""
        return {headers["webhook-id"] for headers, _ in self.heard}


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """One on this machine, which the tests' worker may tell."""
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"{site.name}/hook"
    try:
        yield made
    finally:
        made._over.set()
        await runner.cleanup()
