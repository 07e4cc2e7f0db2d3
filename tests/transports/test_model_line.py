"""The model line: a server that is not there, or is there no longer, is noticed."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from app.errors import ModelFault
from app.protocol.commands import AskAlive
from app.protocol.events import Event, ModelAlive, ModelLineLost
from app.protocol.realtime_client_events import SessionConfig
from app.transports.model import STALE_AFTER_MS, Endpoint, ModelLine
from tests.call.words import b64
from tests.waiting import until

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

        async with asyncio.timeout(20):
            with pytest.raises(ModelFault, match="unreachable_ConnectionResetError") as fault:
                await line.open(Endpoint(url, ()), timeout_ms=60_000)

    assert fault.value.retryable


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"])
@pytest.mark.parametrize("hurried", [True, False])
async def test_half_an_upgrade_leaves_no_socket(begun: bytes, hurried: bool) -> None:
    """Hours of a server that accepts and never answers must not use up the file descriptors."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        asked.set()
        await reader.read()
        gone.set()
        writer.close()

    async with tcp_server(serve) as url:
        line = ModelLine(CONFIG, [].append)
        opening = asyncio.create_task(line.open(Endpoint(url, ()), timeout_ms=300))
        await asked.wait()
        if hurried:
            opening.cancel()
        with pytest.raises(asyncio.CancelledError if hurried else ModelFault):
            await opening

        async with asyncio.timeout(20):
            await gone.wait()


SESSION = {"audio": {side: {"format": {"type": "audio/pcmu"}} for side in ("input", "output")}}


class Peer:
    """A Realtime server that admits a session and then does as it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def serve(self, line: ServerConnection) -> None:
        """One session."""
        await line.send(json.dumps({"type": "session.created", "session": {"id": "sess_1"}}))
        await line.recv()
        if not self.reads.is_set():
            line.transport.pause_reading()
        await line.send(json.dumps({"type": "session.updated", "session": SESSION}))
        await self.reads.wait()
        line.transport.resume_reading()
        async for message in line:
            self.heard.append(json.loads(message)["audio"])


@asynccontextmanager
async def opened(peer: Peer) -> AsyncIterator[ModelLine]:
    """A line that is ready. The kernel hides as little as it can of a server that does not read."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with serve_websocket(peer.serve, sock=listener, max_queue=None, ping_interval=None):
        line = ModelLine(CONFIG, [].append)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/realtime"
        await line.open(Endpoint(url, ()), timeout_ms=5_000)
        yield line
        line.close()


async def test_a_server_that_does_not_read_hears_the_latest_seconds() -> None:
    """Old sound is worth nothing to a model that is late, and must not fill the memory."""
    peer = Peer()
    peer.reads.clear()
    frames = [f"{n:06}" + b64(160)[6:] for n in range(40_000)]
    async with opened(peer) as line:
        for payload in frames:
            line.append(payload)
        assert line._outbox is not None
        assert line._outbox.paused, "the kernel takes more than this test sends"
        peer.reads.set()
        await until(lambda: peer.heard[-1:] == frames[-1:])
        line.close()

    kept = peer.heard.index(frames[-1]) - peer.heard.index(frames[-STALE_AFTER_MS // 20])
    assert kept == STALE_AFTER_MS // 20 - 1, "the latest of it, without a gap"
    assert peer.heard == sorted(peer.heard)
    assert line.ignored["stale_audio"] == len(frames) - len(peer.heard) > 0


async def test_a_server_that_reads_hears_everything() -> None:
    """What is dropped is counted, and nothing else is."""
    peer = Peer()
    frames = [f"{n:06}" + b64(160)[6:] for n in range(500)]
    async with opened(peer) as line:
        for payload in frames:
            line.append(payload)
        await until(lambda: peer.heard == frames)
        line.close()

    assert "stale_audio" not in line.ignored


async def test_who_is_cancelled_when_the_session_is_confirmed_leaves_none() -> None:
    """The caller hung up in the very tick of ``session.updated``: nobody else knows the line."""
    ended = asyncio.Event()

    async def serve(session: ServerConnection) -> None:
        await Peer().serve(session)
        ended.set()

    async with serve_websocket(serve, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/realtime"
        line = ModelLine(CONFIG, [].append)
        opening = asyncio.create_task(line.open(Endpoint(url, ()), timeout_ms=5_000))
        line._confirmed.add_done_callback(lambda _: opening.cancel())
        with pytest.raises(asyncio.CancelledError):
            await opening

        async with asyncio.timeout(20):
            await ended.wait()


async def told_after_ready(*sessions: object) -> list[Event]:
    """What a ready line makes of further ``session.updated``; the last one ends the wait."""
    events: list[Event] = []
    told = asyncio.Event()

    async def serve(line: ServerConnection) -> None:
        await line.send(json.dumps({"type": "session.created", "session": {"id": "sess_1"}}))
        await line.recv()
        await line.send(json.dumps({"type": "session.updated", "session": SESSION}))
        asked = json.loads(await line.recv())
        assert asked["type"] == "session.update"
        assert asked["session"] == {"type": "realtime"}
        for session in sessions:
            await line.send(json.dumps({"type": "session.updated", "session": session}))
        await line.wait_closed()

    def feed(event: Event) -> None:
        events.append(event)
        if len(events) == len(sessions):
            told.set()

    async with serve_websocket(serve, "127.0.0.1", 0, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        line = ModelLine(CONFIG, feed)
        await line.open(Endpoint(f"ws://127.0.0.1:{port}/realtime", ()), timeout_ms=5_000)
        line.send(AskAlive())
        async with asyncio.timeout(20):
            await told.wait()
        line.close()
    return events


async def test_an_update_of_a_ready_line_is_a_sign_of_life() -> None:
    """Some servers echo the whole session and some what was changed, which is nothing."""
    assert await told_after_ready(SESSION, {}, {"audio": {}}) == [ModelAlive()] * 3


async def test_a_ready_line_whose_format_has_changed_is_lost() -> None:
    """The answer to a harmless question may still tell of static."""
    other = {"audio": {side: {"format": {"type": "audio/pcm"}} for side in ("input", "output")}}

    assert await told_after_ready(other) == [ModelLineLost(1006, "wrong_format")]
