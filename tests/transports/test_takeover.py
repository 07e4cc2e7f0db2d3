"""The media socket on uvicorn's port: bytes as they come, and the version it was made for."""

import asyncio
import base64
import functools
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from app.transports import takeover
from app.transports.frames import answer_close
from app.transports.takeover import Admission, TakenOver, check
from tests.waiting import until

KEY = base64.b64encode(bytes(16)).decode()
UPGRADE = (
    "GET /media-stream HTTP/1.1\r\n"
    "Host: phone.contoso.test\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "X-Twilio-Signature: abc=\r\n\r\n"
).encode()


class Listener(WSListener):
    """Keeps what it is told, and says it back."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.transport: WSTransport | None = None
        self.gone = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            answer_close(transport, frame)
        elif frame.msg_type == WSMsgType.TEXT:
            self.heard.append(frame.get_payload_as_bytes())
            transport.send(WSMsgType.TEXT, b"heard")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()


@asynccontextmanager
async def serving(admit: Admission) -> AsyncIterator[int]:
    """uvicorn with a page and a media socket; its port."""
    app = FastAPI()

    @app.get("/page")
    async def page() -> str:
        return "a page"

    config = uvicorn.Config(
        app,
        ws=functools.partial(TakenOver, admit),  # type: ignore[arg-type]
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server._serve([listener]))
        await until(lambda: server.started)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def text_frame(text: bytes) -> bytes:
    """A masked text frame of a client's."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    length = bytes([0x80 | len(text)]) if len(text) < 126 else struct.pack("!BH", 0xFE, len(text))
    return b"\x81" + length + mask + masked


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the server."""
    return await asyncio.open_connection("127.0.0.1", port)


async def gone(writer: asyncio.StreamWriter) -> None:
    """Close our end."""
    writer.close()
    await writer.wait_closed()


async def test_pages_and_media_share_a_port() -> None:
    """One port is all a tunnel forwards."""
    listener = Listener()
    async with serving(lambda _request: listener) as port, aiohttp.ClientSession() as client:
        async with client.get(f"http://127.0.0.1:{port}/page") as answer:
            assert answer.status == 200
        async with client.ws_connect(f"http://127.0.0.1:{port}/media-stream") as ws:
            await ws.send_str("hello")
            assert await ws.receive_str(timeout=60) == "heard"
            async with client.get(f"http://127.0.0.1:{port}/page") as answer:
                assert await answer.json() == "a page"
        await listener.gone.wait()

    assert listener.heard == [b"hello"]


async def test_the_request_arrives_whole_however_it_was_cut() -> None:
    """TCP may cut anywhere; path and headers are what the signature is checked over."""
    seen: list[WSUpgradeRequest] = []
    listener = Listener()

    def admit(request: WSUpgradeRequest) -> WSListener:
        seen.append(request)
        return listener

    async with serving(admit) as port:
        reader, writer = await opened(port)
        for index in range(0, len(UPGRADE), 17):
            writer.write(UPGRADE[index : index + 17])
            await writer.drain()
            await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        whole = text_frame(b"x" * 3000)
        for index in range(0, len(whole), 700):
            writer.write(whole[index : index + 700])
            await writer.drain()
            await asyncio.sleep(0)
        await until(lambda: listener.heard == [b"x" * 3000])
        await gone(writer)
        await listener.gone.wait()

    assert head.startswith(b"HTTP/1.1 101")
    (request,) = seen
    assert request.path == b"/media-stream"
    assert request.headers["x-twilio-signature"] == "abc="
    assert request.headers["host"] == "phone.contoso.test"


async def test_a_refusal_is_an_answer_and_the_end() -> None:
    """Twilio reports what was answered; a dead socket would only say that something is wrong."""
    refusal = WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_error_response(403, b"no"), None
    )
    async with serving(lambda _request: refusal) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE)
        answer = await asyncio.wait_for(reader.read(), 60)
        await gone(writer)

    assert answer.startswith(b"HTTP/1.1 403")
    assert answer.endswith(b"no")


async def test_an_upgrade_without_a_key_is_no_upgrade() -> None:
    """Nothing is connected that did not complete the handshake."""
    listener = Listener()
    async with serving(lambda _request: listener) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key"))
        answer = await asyncio.wait_for(reader.read(), 60)
        await gone(writer)

    assert answer.startswith(b"HTTP/1.1 400") or answer == b""
    assert listener.transport is None


@pytest.mark.parametrize(
    "bad",
    [
        b"\x81\x05hello",
        b"\x83\x80\x00\x00\x00\x00",
        b"\x81\xff" + (1 << 40).to_bytes(8, "big") + bytes(4),
        b"\x89\xfe\x01\x00" + bytes(4) + bytes(256),
    ],
    ids=["unmasked", "unknown_opcode", "a_terabyte", "long_ping"],
)
async def test_broken_frames_end_the_socket_and_not_the_server(bad: bytes) -> None:
    """What breaks RFC 6455 costs whoever sent it the socket, before memory is spent on it."""
    listener = Listener()
    async with serving(lambda _request: listener) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bad)
        await asyncio.wait_for(reader.read(), 60)
        await gone(writer)
        await asyncio.wait_for(listener.gone.wait(), 60)
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/page") as answer,
        ):
            assert answer.status == 200
    assert listener.heard == []


@pytest.mark.parametrize(("said", "answered"), [(b"", b"\x03\xe8"), (b"\x03\xe9", b"\x03\xe9")])
async def test_a_close_is_answered_with_a_code_that_exists(said: bytes, answered: bytes) -> None:
    """A close without a code was answered with 0, which RFC 6455 forbids on the wire."""
    async with serving(lambda _request: Listener()) as port:
        reader, writer = await opened(port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bytes([0x88, 0x80 | len(said), 0, 0, 0, 0]) + said)

        assert await asyncio.wait_for(reader.read(), 60) == b"\x88\x02" + answered
        await gone(writer)


async def test_a_listener_that_raises_keeps_its_socket() -> None:
    """A bug met in one message must not cost the call."""

    class Clumsy(Listener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.get_payload_as_bytes() == b"trip":
                raise RuntimeError("a bug")
            super().on_ws_frame(transport, frame)

    listener = Clumsy()
    async with serving(lambda _request: listener) as port, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"http://127.0.0.1:{port}/media-stream") as ws:
            await ws.send_str("trip")
            await ws.send_str("walk")
            assert await ws.receive_str(timeout=60) == "heard"
        await listener.gone.wait()

    assert listener.heard == [b"walk"]


async def test_the_pinned_version_passes_its_check() -> None:
    """The check at start tries the very class that is not documented."""
    check()


async def test_another_picows_fails_at_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the first call would be too late to find out."""

    class Other(takeover.TakenOver):  # type: ignore[misc]
        def __init__(self, admit: Admission) -> None:
            raise TypeError("an unexpected argument")

    monkeypatch.setattr(takeover, "TakenOver", Other)

    with pytest.raises(RuntimeError, match="pinned in pyproject"):
        check()
