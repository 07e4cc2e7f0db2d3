"""A bare client for the local OpenAI: sends any JSON, keeps every event, waits with a limit."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from app.audio import mulaw, tones
from app.emulators.realtime import RealtimeEmulator

PHONE = {
    "type": "realtime",
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}},
        "output": {"format": {"type": "audio/pcmu"}},
    },
}
LOOKUP = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}
KEY = {"Authorization": "Bearer sk-local"}
_FRAME_BYTES = 160


class Peer:
    """One open socket; ``events`` grows as events are waited for."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, event_type: str, **fields: object) -> None:
        """Send one event."""
        await self.socket.send(json.dumps({"type": event_type} | fields))

    async def next(self) -> dict[str, Any]:
        """The next event, whatever it is."""
        async with asyncio.timeout(60):
            event: dict[str, Any] = json.loads(await self.socket.recv())
        self.events.append(event)
        return event

    async def until(self, event_type: str) -> dict[str, Any]:
        """The next event of the type; the ones before it are kept."""
        while (event := await self.next())["type"] != event_type:
            pass
        return event

    async def refused(self, event_type: str, **fields: object) -> dict[str, Any]:
        """Send one event and return the error it is answered with."""
        await self.send(event_type, **fields)
        error: dict[str, Any] = (await self.until("error"))["error"]
        return error

    async def configure(self, change: Mapping[str, Any] = PHONE) -> dict[str, Any]:
        """Update the session and return what it is afterwards."""
        await self.send("session.update", session=change)
        session: dict[str, Any] = (await self.until("session.updated"))["session"]
        return session

    async def append(self, audio: bytes) -> None:
        """Append mu-law in telephone frames."""
        for start in range(0, len(audio), _FRAME_BYTES):
            piece = base64.b64encode(audio[start : start + _FRAME_BYTES]).decode()
            await self.send("input_audio_buffer.append", audio=piece)

    async def speak(self, length_ms: int = 400) -> None:
        """The caller speaks."""
        await self.append(tones.tone(300, length_ms))

    async def pause(self, length_ms: int = 600) -> None:
        """The caller is silent."""
        await self.append(mulaw.silence(length_ms))

    def types(self) -> list[str]:
        """The types of all events so far, runs of deltas told once."""
        told: list[str] = []
        for event in self.events:
            if not (event["type"].endswith(".delta") and event["type"] in told[-2:]):
                told.append(event["type"])
        return told

    def of(self, event_type: str) -> list[dict[str, Any]]:
        """All events so far of one type."""
        return [event for event in self.events if event["type"] == event_type]

    def sound(self, item_id: str | None = None) -> bytes:
        """The mu-law received so far, of one item or of all."""
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.of("response.output_audio.delta")
            if item_id in (None, event["item_id"])
        )


@asynccontextmanager
async def dialled(
    emulator: RealtimeEmulator, *, headers: Mapping[str, str] = KEY
) -> AsyncIterator[Peer]:
    """A peer with an open socket, whatever comes on it."""
    url = emulator.base_url.replace("http", "ws") + "/realtime?model=gpt-realtime-2.1"
    async with connect(url, additional_headers=headers, compression=None) as socket:
        yield Peer(socket)


@asynccontextmanager
async def ready(emulator: RealtimeEmulator) -> AsyncIterator[Peer]:
    """A peer whose session speaks mu-law both ways."""
    async with dialled(emulator) as peer:
        await peer.until("session.created")
        await peer.configure()
        yield peer


async def answered(peer: Peer, **response: Any) -> dict[str, Any]:
    """Ask for a response and return it as ``response.done`` tells it."""
    await peer.send("response.create", response=response)
    done: dict[str, Any] = (await peer.until("response.done"))["response"]
    return done


async def offering(peer: Peer) -> None:
    """Offer the tool ``lookup``."""
    await peer.configure({"type": "realtime", "tools": [LOOKUP]})
