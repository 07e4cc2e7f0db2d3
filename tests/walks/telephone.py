"""A telephone for walks: a program that does on the phone socket what a browser tab does.

It plays by a clock of its own, returns marks when it has played up to them, and speaks every
20 ms from the start on. What was heard is kept, to be listened to.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.audio import mulaw
from app.audio.tones import strength
from app.emulators.carrier import LocalCarrier
from app.emulators.phone_line import PhoneLine
from app.emulators.twilio_words import monotonic_ms
from app.protocol.units import FRAME_BYTES

TICKET = "the-ticket-of-the-tests"
FULL = 3000


class Telephone:
    """One phone on the socket; ``messages`` are those it got, media excepted."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.marks_returned: list[str] = []
        self.cleared = 0
        self.line = PhoneLine(now_ms=monotonic_ms())
        self.speaks = True
        """False: a phone without a microphone."""
        self._speech = bytearray()
        self._talking = False
        self._news = asyncio.Event()

    @property
    def events(self) -> list[str]:
        """The names of the messages, in order."""
        return [message["event"] for message in self.messages]

    @property
    def call_sid(self) -> str:
        """Of the newest call."""
        return str([m["callSid"] for m in self.messages if m["event"] == "calling"][-1])

    def last(self, event: str) -> dict[str, Any]:
        """The newest message of a kind."""
        return [m for m in self.messages if m["event"] == event][-1]

    async def send(self, event: str, **fields: Any) -> None:
        """One message."""
        await self.socket.send(json.dumps({"event": event, **fields}))

    async def dial(self) -> str:
        """Call the agent; the CallSid."""
        before = self.events.count("calling")
        await self.send("dial")
        await self.got("calling", before + 1)
        return self.call_sid

    async def press(self, digit: str) -> None:
        """A key."""
        await self.send("dtmf", dtmf={"digit": digit})

    def speak(self, audio: bytes) -> None:
        """Say it behind what is being said."""
        self._speech += audio

    async def got(self, event: str, times: int = 1, timeout: float = 60) -> dict[str, Any]:  # noqa: ASYNC109
        """The ``times``-th message of a kind, once it came."""
        await self.until(lambda: self.events.count(event) >= times, timeout)
        return [m for m in self.messages if m["event"] == event][times - 1]

    async def until(self, fact: Any, timeout: float = 60) -> None:  # noqa: ASYNC109
        """Return when ``fact`` holds; looked at whenever something happened."""
        try:
            async with asyncio.timeout(timeout):
                while not fact():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"waited {timeout} s in vain, got {self.events}") from None

    def heard(self, frequency_hz: float) -> int:
        """Milliseconds of a tone that were played so far, in steps of 20 ms."""
        audio = self.line.heard
        pieces = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio) - 159, FRAME_BYTES)]
        return 20 * sum(
            mulaw.rms(one) > FULL and strength(one, frequency_hz) > 0.8 for one in pieces
        )

    async def hears(self, frequency_hz: float, length_ms: int, timeout: float = 60) -> None:  # noqa: ASYNC109
        """Return when so much of a tone was heard."""
        await self.until(lambda: self.heard(frequency_hz) >= length_ms, timeout)

    async def run(self) -> None:
        """Take what comes, and speak; until the socket is gone."""
        speaking = asyncio.create_task(self._speak())
        try:
            async for message in self.socket:
                await self._take(json.loads(message))
                self._news.set()
        except ConnectionClosed:
            pass
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
            self._news.set()

    async def _take(self, message: dict[str, Any]) -> None:
        now = monotonic_ms()
        match message["event"]:
            case "media":
                await self._return(self.line.advance(now))
                self.line.play(base64.b64decode(message["media"]["payload"]), now)
                return
            case "mark":
                await self._return(self.line.mark(message["mark"]["name"], now))
            case "clear":
                self.cleared += 1
                await self._return(self.line.clear(now))
            case "start" | "bridged":
                self._talking = True
            case "hungup":
                self._talking = False
        self.messages.append(message)

    async def _return(self, names: list[str]) -> None:
        for name in names:
            self.marks_returned.append(name)
            await self.send("mark", mark={"name": name})

    async def _speak(self) -> None:
        due_ms = monotonic_ms()
        with contextlib.suppress(ConnectionClosed):
            while True:
                due_ms += 20
                await asyncio.sleep(max(0.0, due_ms - monotonic_ms()) / 1000)
                await self._return(self.line.advance(monotonic_ms()))
                self._news.set()
                if self._talking and self.speaks:
                    frame = bytes(self._speech[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\xff")
                    del self._speech[:FRAME_BYTES]
                    payload = base64.b64encode(frame).decode()
                    await self.send("media", media={"payload": payload})


@asynccontextmanager
async def telephone(
    carrier: LocalCarrier | None, line: str = "caller", *, ticket: str = TICKET, **options: Any
) -> AsyncIterator[Telephone]:
    """A phone that is registered, as long as the block lasts."""
    assert carrier is not None
    url = f"{carrier.phone_url}?ticket={ticket}&line={line}"
    async with connect(url, proxy=None, compression=None, **options) as socket:
        phone = Telephone(socket)
        running = asyncio.create_task(phone.run())
        try:
            await phone.got("ready")
            yield phone
        finally:
            running.cancel()
            await asyncio.wait({running})
