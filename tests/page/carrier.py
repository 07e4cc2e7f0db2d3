"""A local carrier that does what a test tells it, and remembers what the phone said.

Time is told in frames: every 20 ms of the phone's audio clock a frame comes, on the same socket
and in order with marks. What is measured so does not depend on how busy the machine is.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TICKET = "the-ticket"
CALL = "CA" + "1" * 32
STREAM = "MZ" + "2" * 32


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the phone."""

    at_s: float
    frames: int
    """How many frames had come before it."""
    message: dict[str, Any]


class Phone:
    """One socket of the page."""

    def __init__(self, socket: ServerConnection, line: str, tickets: list[str]) -> None:
        self.line = line
        self.tickets = tickets
        self.origin = (socket.request.headers if socket.request else {}).get("Origin")
        self.frames: list[bytes] = []
        self.frame_times_s: list[float] = []
        self.heard: list[Heard] = []
        self.closed = False
        self._socket = socket
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Until the page goes away."""
        try:
            async for text in self._socket:
                self._note(json.loads(text), asyncio.get_running_loop().time())
                self._tell()
        except ConnectionClosed:
            pass
        finally:
            self.closed = True
            self._tell()

    async def send(self, event: str, **rest: object) -> None:
        """One message to the page."""
        await self._socket.send(json.dumps({"event": event, **rest}))

    async def play(self, mulaw: bytes) -> None:
        """Audio to be heard."""
        await self.send("media", media={"payload": base64.b64encode(mulaw).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    async def stream(self) -> None:
        """Wait until the page dials, and answer."""
        await self.got("dial")
        await self.send("calling", callSid=CALL)
        await self.send("start", callSid=CALL, streamSid=STREAM)

    async def close(self, code: int) -> None:
        await self._socket.close(code)

    def all(self, event: str) -> list[Heard]:
        return [one for one in self.heard if one.message["event"] == event]

    async def got(self, event: str, count: int = 1, timeout_s: float = 60) -> Heard:
        """The ``count``-th message of this name, waited for."""
        await self.until(lambda: len(self.all(event)) >= count, timeout_s)
        return self.all(event)[count - 1]

    async def marked(self, name: str, timeout_s: float = 60) -> Heard:
        """The return of a mark, waited for."""

        def back() -> list[Heard]:
            return [one for one in self.all("mark") if one.message["mark"]["name"] == name]

        await self.until(lambda: bool(back()), timeout_s)
        return back()[0]

    async def until(self, fact: Callable[[], bool], timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not fact():
                self._news.clear()
                await self._news.wait()

    def _note(self, message: dict[str, Any], at_s: float) -> None:
        if message["event"] == "media":
            self.frames.append(base64.b64decode(message["media"]["payload"], validate=True))
            self.frame_times_s.append(at_s)
        else:
            self.heard.append(Heard(at_s, len(self.frames), message))

    def _tell(self) -> None:
        self._news.set()


class ScriptedCarrier:
    """Takes phones in; the newest of each line is the one that counts."""

    def __init__(self) -> None:
        self.phones: list[Phone] = []
        self.voice = "flite"
        self.url = ""
        self._came = asyncio.Event()

    async def phone(self, count: int = 1, timeout_s: float = 60) -> Phone:
        """The ``count``-th phone that came, waited for."""
        async with asyncio.timeout(timeout_s):
            while len(self.phones) < count:
                self._came.clear()
                await self._came.wait()
        return self.phones[count - 1]

    async def take(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        phone = Phone(socket, query["line"][0], query["ticket"])
        await phone.send("ready", line=phone.line, number="+15005550006", voice=self.voice)
        self.phones.append(phone)
        self._came.set()
        await phone.listen()


@asynccontextmanager
async def scripted_carrier() -> AsyncIterator[ScriptedCarrier]:
    """A carrier on a port of its own."""
    carrier = ScriptedCarrier()
    async with serve(carrier.take, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        carrier.url = f"ws://localhost:{port}/phone"
        yield carrier
