"""The model line: a server that is not there, or is there no longer, is noticed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.errors import ModelFault
from app.protocol.realtime import SessionConfig
from app.transports.model import Endpoint, ModelLine

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CONFIG = SessionConfig(model="gpt-realtime", instructions="Answer the phone.")


@asynccontextmanager
async def tcp_server(serve: Serve) -> AsyncIterator[str]:
    """A server that does to every connection what it is told; its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/realtime"


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close at once."""
    writer.close()


async def slam_after_the_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read what is asked and close without an answer, as a load balancer without a server does."""
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def slam_in_mid_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin to accept the upgrade."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("serve", [slam, slam_after_the_request, slam_in_mid_answer])
async def test_a_server_that_closes_before_the_upgrade_is_noticed_at_once(serve: Serve) -> None:
    """The patience of an attempt is for servers that are slow, not for those that have left."""
    async with tcp_server(serve) as url:
        line = ModelLine(CONFIG, [].append)

        async with asyncio.timeout(5):
            with pytest.raises(ModelFault, match="unreachable_ConnectionResetError") as fault:
                await line.open(Endpoint(url, ()), timeout_ms=60_000)

    assert fault.value.retryable
