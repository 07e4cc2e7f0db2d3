"""HAProxy as it is shipped, before two servers that say nothing but their names."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from app.server import PROCESS_HEADER
from tests.deploy.test_pair import script
from tests.needs import needs

NAMES = ("a" * 16, "b" * 16)


@asynccontextmanager
async def named(name: str) -> AsyncIterator[asyncio.Server]:
    """Answers every request with its name, as a process of ours tells its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n"
        writer.write(f"{head}{PROCESS_HEADER}: {name}\r\n\r\n{name}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server


async def asked(port: int, path: str) -> str:
    """Who answered; nobody outside is told the name by a header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    assert head.startswith("HTTP/1.1 200 ")
    assert PROCESS_HEADER not in head.lower()
    return body


@needs("HAProxy", there=shutil.which("haproxy") is not None)
async def test_what_names_its_process_comes_to_it_while_it_lives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whose stream it is need not be asked then; where the process is gone, anybody is."""
    chaos = script("chaos_stage", monkeypatch)

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(named(name)) for name in NAMES]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        port = await chaos.haproxy(stack, tmp_path, ports)
        learnt: set[str] = set()
        while learnt != set(NAMES):
            learnt.add(await asked(port, "/incoming-call"))

        for name in NAMES * 2:
            assert await asked(port, f"/media-stream/{name}") == name
            assert await asked(port, f"/twilio/stream-ended?at={name}") == name
        servers[0].close()

        assert await asked(port, f"/media-stream/{NAMES[0]}") == NAMES[1]
        assert await asked(port, f"/twilio/dial-result/x?at={NAMES[0]}") == NAMES[1]
        assert await asked(port, "/media-stream/" + "c" * 16) == NAMES[1]
