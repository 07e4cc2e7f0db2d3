"""What strangers send on real sockets: too much, too slowly, or half of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.http.room import MOST, Room
from app.http.wire import BoundedHttp, Bounds
from tests.walks.stage import Stage, media_signature, stage

ROOMY = Bounds(head_bytes=400, head_s=20, body_bytes=1000, body_s=20)
HASTY = Bounds(head_bytes=400, head_s=0.15, body_bytes=1000, body_s=0.15)
PATIENCE_S = 60
"""Longer than any bound of these tests, shorter than 20 seconds."""
HOST = b"GET / HTTP/1.1\r\nHost: x\r\n"
LARGE = b"x" * 8_000_000
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(scope: dict[str, Any], receive: Callable[..., Any], send: Any) -> None:
    """Reads the body as routes do, and answers with its length; /deaf does not read it.

    The answer of /large is longer than any buffer.
    """
    length, more = 0, scope["path"] != "/deaf"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    text = LARGE if scope["path"] == "/large" else str(length).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def connected(bounds: Bounds, keep_alive_s: int = 20) -> AsyncIterator[Client]:
    """A raw socket to a small server that has these bounds."""
    config = uvicorn.Config(echo, log_config=None, timeout_keep_alive=keep_alive_s, lifespan="off")
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedHttp(bounds, Room(MOST), config, state, {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()
        server.close()


async def said(client: Client, *pieces: bytes) -> bytes:
    """All that is answered to ``pieces`` until the other side closes."""
    reader, writer = client
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    return await reader.read()


def head_of(length: int, line: bytes = b"GET / HTTP/1.1\r\n") -> bytes:
    """A whole head of so many bytes, which asks for the connection to be closed."""
    fixed = line + b"Host: x\r\nConnection: close\r\nX: "
    return fixed + b"a" * (length - len(fixed) - 4) + b"\r\n\r\n"


async def test_a_head_of_just_the_limit_is_read() -> None:
    """A bound that bites early refuses an honest proxy."""
    async with connected(ROOMY) as client:
        assert (await said(client, head_of(400))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "pieces",
    [
        [head_of(401)],
        [HOST, b"X: " + b"a" * 400],
        [HOST + b"X: ", *[b"a" * 40] * 12],
        [HOST, *[b"X: a\r\n"] * 80],
        [b"GET /" + b"a" * 500],
        [b"\r\n" * 300],
    ],
    ids=["whole", "one-header", "dripped", "many-headers", "line", "nothing-but-line-ends"],
)
async def test_a_head_beyond_the_limit_is_refused_and_closed(pieces: list[bytes]) -> None:
    """One header without an end would otherwise eat the memory of every call."""
    async with connected(ROOMY) as client:
        assert (await said(client, *pieces)).startswith(b"HTTP/1.1 431 ")


async def test_a_large_body_in_the_packet_of_the_head_is_no_large_head() -> None:
    """The head alone is measured, wherever packets begin and end."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900\r\n\r\n"
    async with connected(ROOMY) as client:
        assert (await said(client, head + b"b" * 900)).endswith(b"\r\n\r\n900")


async def test_each_request_of_a_connection_has_the_limits_to_itself() -> None:
    """Twilio keeps connections open; its tenth webhook must not pay for nine others."""
    one = HOST + b"X: " + b"a" * 200 + b"\r\n\r\n"
    async with connected(ROOMY) as (reader, writer):
        for _ in range(5):
            writer.write(one)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n0")


async def test_requests_sent_without_waiting_are_all_answered() -> None:
    """Pipelined requests arrive in one packet that is longer than a head may be."""
    one = HOST + b"X: " + b"a" * 200 + b"\r\n\r\n"
    async with connected(ROOMY) as (reader, writer):
        writer.write(one * 5)
        for _ in range(5):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n0")


@pytest.mark.parametrize("begun", [b"", b"G", HOST, HOST + b"X: a"])
async def test_a_head_that_does_not_end_in_time_is_closed(begun: bytes) -> None:
    """A thousand sockets that say nothing cost an attacker nothing, and us a file each."""
    async with connected(HASTY) as client:
        assert (await said(client, begun)).startswith(b"HTTP/1.1 408 ")


async def test_a_later_head_has_its_time_from_its_first_byte() -> None:
    """Dripping must not pay on the second request either."""
    async with connected(HASTY) as (reader, writer):
        writer.write(HOST + b"\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        assert (await said((reader, writer), b"GET")).startswith(b"HTTP/1.1 408 ")


async def test_a_quiet_connection_is_closed_without_a_word() -> None:
    """Between requests nothing is late: the keep-alive time ends it."""
    async with connected(HASTY, keep_alive_s=1) as (reader, writer):
        writer.write(HOST + b"\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 9\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: a",
    ],
    ids=["counted", "chunked", "trailer"],
)
async def test_a_body_that_does_not_end_in_time_is_closed(body: bytes) -> None:
    """A handler that waits for a body waits for somebody's goodwill."""
    async with connected(HASTY) as client:
        answer = await said(client, b"POST / HTTP/1.1\r\nHost: x\r\n" + body)

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_slow_body_is_closed_after_its_answer_too() -> None:
    """A refusal that came before the body leaves nobody to read it."""
    async with connected(HASTY) as client:
        half = b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
        answer = await said(client, half)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5000\r\n\r\n" + b"b" * 1400,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 1400,
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"t" * 1400,
    ],
    ids=["body", "chunk-extension", "trailer"],
)
async def test_a_body_beyond_the_limit_is_refused_and_closed(body: bytes) -> None:
    """Trailers and the frills of chunks reach no route that could count them."""
    async with connected(ROOMY) as client:
        answer = await said(client, b"POST / HTTP/1.1\r\nHost: x\r\n" + body)

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """The whole server, with its own bounds."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", [b"/health", b"/media-stream"])
async def test_the_server_bounds_every_door(s: Stage, path: bytes) -> None:
    """The upgrade to the media socket is read by the same protocol before it is taken over."""
    lines = (
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    async with asyncio.timeout(PATIENCE_S):
        client = await asyncio.open_connection("127.0.0.1", s.port)
        answer = await said(client, lines, b"X: " + b"a" * 32 * 1024)
        client[1].close()

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_an_upgrade_with_a_long_head_is_decided_and_not_hung(s: Stage) -> None:
    """Between our bound and the media protocol's own there must be no hole to wait in."""
    head = (
        b"GET /media-stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"X-Twilio-Signature: " + media_signature().encode() + b"\r\nX: "
    )
    for length in (1000, 4000, 15_000, 30_000):
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(head + b"a" * length + b"\r\n\r\n")
            line = await reader.readline()
            writer.close()
        assert line.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 4")) or line == b"", line


async def test_requests_that_wait_for_no_answer_are_cut_off() -> None:
    """Three thousand in one packet would all be answered before the next frame of any call."""
    async with connected(ROOMY) as client:
        answer = await said(client, (HOST + b"\r\n") * 3000)

    assert answer.count(b"HTTP/1.1 200 ") <= 1


async def test_a_few_requests_at_once_are_answered_in_order() -> None:
    """The protocol allows it, and some proxies do it."""
    few = (HOST + b"\r\n") * 4 + HOST + b"Connection: close\r\n\r\n"
    async with connected(ROOMY) as client:
        assert (await said(client, few)).count(b"HTTP/1.1 200 ") == 5
