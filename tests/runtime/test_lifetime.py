"""The end of a process whose lifetime has failed beside the calls."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import uvicorn

from app.server import DrainingServer
from tests.runtime.test_draining import book

__all__ = ["book"]


async def test_a_server_ends_whose_lifetime_has_ended(book: Any) -> None:
    """It answered every call with 500 and every probe with 200, until somebody looked."""
    broken = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await broken.wait()
        raise KeyError("what goes on beside the calls")

    board: Any = SimpleNamespace(book=book)
    server = DrainingServer(uvicorn.Config(application, log_config=None), board, 600)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server._serve([listener]))
        broken.set()

        await asyncio.wait_for(serving, 20)

    assert server.broken
