"""The one address of several processes: as much of a load balancer as the demonstration needs.

The first process that answers gets everything, and the others wait for its end. Rule: a request
is asked again, of all of them, until somebody answers or Twilio would wait no longer, because
every webhook is idempotent; a stream that was answered is its process's, and ends with it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

PATIENCE_S = 14.0
"""Twilio waits for 15 s."""
_AGAIN_S = 0.05
_CHUNK_BYTES = 65_536
_CONNECTION = re.compile(rb"(?im)^connection:.*\r\n")
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)\r$")
_UPGRADE = re.compile(rb"(?im)^upgrade: *websocket\r$")
_BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class _Line(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Front:
    """Before the processes that listen on ``ports`` of this machine."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        """Where it listens itself."""
        self.carrying = 0
        """The port of the process that has the newest stream; 0 before the first."""

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Front"]:
        """Listening; at the end every connection is dropped."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here = _Line(reader, writer)
        self._writers.add(writer)
        try:
            request = await _request(reader)
            async with asyncio.timeout(PATIENCE_S):
                there, begun = await self._asked(request)
            self._writers.add(there.writer)
            writer.write(begun)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(here, there))
                group.create_task(_pump(there, here))
            self._writers.discard(there.writer)
        except _BROKEN:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _asked(self, request: bytes) -> tuple[_Line, bytes]:
        """Who answers, and the beginning of the answer. Does not end before; safe to cancel."""
        while True:
            for port in self.ports:
                with suppress(OSError):
                    there, begun = await _begun(port, request)
                    if begun and _UPGRADE.search(request):
                        self.carrying = port
                    if begun:
                        return there, begun
            await asyncio.sleep(_AGAIN_S)


async def _begun(port: int, request: bytes) -> tuple[_Line, bytes]:
    """A line to a process that was asked, and what it said first; nothing where it is gone."""
    there, begun = _Line(*await asyncio.open_connection("127.0.0.1", port)), b""
    try:
        there.writer.write(request)
        begun = await there.reader.read(_CHUNK_BYTES)
    finally:
        if not begun:
            there.writer.transport.abort()
    return there, begun


async def _request(reader: asyncio.StreamReader) -> bytes:
    """A request and nothing behind it: where it is not an upgrade, its connection ends with it,
    so that none is kept to a process that may be gone for the next one."""
    head = await reader.readuntil(b"\r\n\r\n")
    if _UPGRADE.search(head):
        return head
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    head = _CONNECTION.sub(b"", head)
    return head[:-2] + b"Connection: close\r\n\r\n" + body


async def _pump(source: _Line, target: _Line) -> None:
    """Everything, to its end; an end that was no good order is one on the other side, too."""
    try:
        while data := await source.reader.read(_CHUNK_BYTES):
            target.writer.write(data)
            await target.writer.drain()
        target.writer.close()
    except OSError:
        source.writer.transport.abort()
        target.writer.transport.abort()
