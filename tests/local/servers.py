"""An OpenAI-compatible server that answers as a test wants, on a real socket."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


class Compatible:
    """Answers every POST with ``answer``; keeps what was asked."""

    def __init__(self, answer: Any, *, status: int = 200, kind: str = "application/json") -> None:
        self.answer = answer
        self.status = status
        self.kind = kind
        self.asked: list[tuple[str, Any]] = []
        self.keys: list[str] = []
        self.base_url = ""

    async def _serve(self, request: web.Request) -> web.Response:
        json = request.content_type == "application/json"
        self.asked.append((request.path, await request.json() if json else await request.read()))
        self.keys.append(request.headers.get("Authorization", ""))
        if self.kind == "application/json":
            return web.json_response(self.answer, status=self.status)
        body = self.answer if isinstance(self.answer, bytes) else self.answer.encode()
        return web.Response(body=body, status=self.status, content_type=self.kind)


@contextlib.asynccontextmanager
async def compatible(answer: Any, **how: Any) -> AsyncIterator[Compatible]:
    """The server, listening."""
    server = Compatible(answer, **how)
    application = web.Application()
    application.router.add_post("/{path:.*}", server._serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()
