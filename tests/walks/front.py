"""A load balancer of thirty lines, which sends every new connection where the test wants it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Front:
    """Forwards bytes; ``to`` are the ports that take turns."""

    def __init__(self, *to: int) -> None:
        self.to = list(to)
        self.port = 0
        self._next = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._requests: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Front"]:
        """Listening on ``port``."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await server.wait_closed()

    async def drop_kept(self) -> None:
        """Close connections that are kept for further requests; streams go on."""
        for writer in list(self._requests):
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._requests))
        self._requests.clear()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.to[self._next % len(self.to)]
        self._next += 1
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        first = await reader.read(65_536)
        if b"upgrade: websocket" not in first.lower():
            self._requests.add(writer)
        there_writer.write(first)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(reader, there_writer))
            group.create_task(self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)
        self._requests.discard(writer)
