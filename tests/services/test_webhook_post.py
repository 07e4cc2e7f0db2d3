"""What a receiver may be and do: hang, redirect, lie, or live where we must not go."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from app.services.webhook_post import Posted, WebhookPost


@dataclass
class Receiver:
    """Says what it is told to say, and keeps what it was told."""

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    heard: list[bytes] = field(default_factory=list)
    hangs: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line[15:])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        self.heard.append(head + await reader.readexactly(length))
        if self.hangs:
            await self.released.wait()
        writer.write(self.answer)
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.meet, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    receiver.released.set()
    server.close()
    await server.wait_closed()


async def post(receiver: Receiver, *, patience_s: float = 5) -> Posted:
    url = f"http://127.0.0.1:{receiver.port}/hook"
    return await WebhookPost(loopback=True, patience_s=patience_s).post(
        url, '{"type":"call.ended"}', {"webhook-id": "m1"}
    )


async def test_a_receiver_gets_body_and_headers(receiver: Receiver) -> None:
    """Byte by byte: the signature is over them."""
    assert await post(receiver) == Posted(200)

    head, _, body = receiver.heard[0].partition(b"\r\n\r\n")
    assert json.loads(body) == {"type": "call.ended"}
    assert b"webhook-id: m1" in head.lower()
    assert b"application/json" in head


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """It would lead past every check, with the signature in its hands."""
    receiver.answer = (
        f"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{receiver.port}/in\r\n"
        "content-length: 0\r\n\r\n"
    ).encode()

    assert await post(receiver) == Posted(307)
    assert len(receiver.heard) == 1


async def test_a_receiver_that_hangs_is_left(receiver: Receiver) -> None:
    """Nothing of ours waits for it."""
    receiver.hangs = True

    assert await post(receiver, patience_s=0.3) == Posted(None, "timed_out")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_failed_try(receiver: Receiver, answer: bytes) -> None:
    """A receiver that talks nonsense has not told us that it got it."""
    receiver.answer = answer

    assert (await post(receiver)).status is None


async def test_of_the_answer_only_the_status_is_taken(receiver: Receiver) -> None:
    """A body without an end would fill our memory."""
    receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 10_000

    assert await post(receiver) == Posted(200)


async def test_a_body_is_read_where_it_is_asked_for_and_no_further(receiver: Receiver) -> None:
    """The answer to a question; one without an end is none."""
    receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    url = f"http://127.0.0.1:{receiver.port}/hook"
    asking = WebhookPost(loopback=True, patience_s=5)

    whole = await asking.post(url, "{}", {}, most_bytes=5)
    too_long = await asking.post(url, "{}", {}, most_bytes=4)

    assert whole == Posted(200, body=b"hello")
    assert too_long == Posted(None, "too_large")


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data", "https://0.0.0.0/", "https://100.64.0.1/",
        "https://[::1]/", "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://224.0.0.1/",
        "https://2130706433/", "https://0x7f000001/", "https://localhost/", "https://127.1/",
    ],
)  # fmt: skip
async def test_addresses_of_this_house_are_not_connected_to(url: str) -> None:
    """However they are written."""
    posted = await WebhookPost(patience_s=5).post(url, "{}", {})

    assert posted.status is None
    assert posted.reason in {"refused_address", "unreachable", "not_http"}


@pytest.mark.parametrize("host", ["192.0.0.192", "[::ffff:0:7f00:1]", "[2001::7f00:1]"])
async def test_addresses_that_python_takes_for_public_are_refused_by_us(host: str) -> None:
    """A cloud's metadata and ways around: nobody answering there today is no reason."""
    assert await WebhookPost(patience_s=5).post(f"https://{host}/", "{}", {}) == Posted(
        None, "refused_address"
    )


async def test_a_name_is_judged_by_what_it_resolves_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a stranger may point at our database, if only the second time it is asked."""

    def resolved(*_args: object, **_named: object) -> list[tuple[object, ...]]:
        where = ("127.0.0.1", receiver.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)

    posted = await WebhookPost(patience_s=5).post("https://hooks.example.com/", "{}", {})

    assert posted == Posted(None, "refused_address")
    assert receiver.heard == []


@pytest.mark.parametrize(
    "url",
    ["http://93.184.216.34/", "ftp://a.example/", "file:///etc/passwd", "//a", "", "https://",
     "https://user:pass@a.example/", "https://[::1", "gopher://a.example/"],
)  # fmt: skip
async def test_only_https_is_spoken(url: str) -> None:
    """What a call was about does not cross a network in clear."""
    assert await WebhookPost().post(url, "{}", {}) == Posted(None, "refused_scheme")
