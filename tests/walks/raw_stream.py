"""A media socket in a stranger's hand: whatever a test wants to send, and nothing else.

The local Twilio is well-behaved; what comes through a door that is open to the internet is
not. Messages are strings written by the test.
"""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.emulators.twilio_words import new_sid
from tests.walks.stage import ACCOUNT, Stage, media_signature

MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


def incoming(call_sid: str) -> dict[str, str]:
    """The form of a voice webhook."""
    return {
        "CallSid": call_sid,
        "AccountSid": ACCOUNT,
        "From": "+14155550100",
        "To": "+15005550006",
        "CallStatus": "ringing",
        "Direction": "inbound",
    }


def token_of(twiml: str) -> str:
    """The one-time token of a TwiML document; raises AssertionError where there is none."""
    found = re.search(r'name="token" value="([^"]+)"', twiml)
    assert found, twiml
    return found[1]


def action_of(twiml: str) -> str:
    """Where Twilio asks when the stream of a TwiML document is over, without the origin."""
    found = re.search(r'<Connect action="https://[^/"]+([^"]+)"', twiml)
    assert found, twiml
    return html.unescape(found[1])


async def invited(s: Stage) -> tuple[str, str]:
    """A CallSid and the token it was given."""
    call_sid = new_sid("CA")
    status, twiml = await s.post("/incoming-call", incoming(call_sid))
    assert status == 200
    return call_sid, token_of(twiml)


class RawStream:
    """One socket, and the stream that was begun on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.stream_sid = new_sid("MZ")

    async def start(self, call_sid: str, token: str, **changes: Any) -> None:
        """Send ``connected`` and ``start``."""
        await self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "streamSid": self.stream_sid,
            "accountSid": ACCOUNT,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": MULAW,
            "customParameters": {"token": token},
        }
        await self.send(
            {
                "event": "start",
                "sequenceNumber": "1",
                "streamSid": self.stream_sid,
                "start": start | changes,
            }
        )

    async def media(self, payload: str, timestamp: str = "0", **changes: Any) -> None:
        """Send one ``media`` message, the payload as it is."""
        media = {"track": "inbound", "chunk": "1", "timestamp": timestamp, "payload": payload}
        await self.send(
            {
                "event": "media",
                "sequenceNumber": "2",
                "streamSid": self.stream_sid,
                "media": media | changes,
            }
        )

    async def send(self, message: object) -> None:
        """Send JSON, or a string or bytes as they are."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.socket.send(raw)

    async def closed(self, limit_s: float = 60) -> int:
        """The server's close code, once it has closed; raises TimeoutError."""
        async with asyncio.timeout(limit_s):
            await self.socket.wait_closed()
        return self.socket.close_code or 1006

    async def read(self, event: str, limit_s: float = 60) -> dict[str, Any]:
        """The next message of that kind; raises TimeoutError, or ConnectionClosed."""
        async with asyncio.timeout(limit_s):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["event"] == event:
                    return message


@asynccontextmanager
async def raw_stream(
    s: Stage, path: str = "/media-stream", signature: str | None = None
) -> AsyncIterator[RawStream]:
    """A socket on the media path with Twilio's signature, or the one that is given."""
    headers = {"X-Twilio-Signature": media_signature() if signature is None else signature}
    async with connect(
        f"ws://127.0.0.1:{s.port}{path}",
        additional_headers=headers,
        compression=None,
        proxy=None,
        close_timeout=1,
        max_size=None,
    ) as socket:
        try:
            yield RawStream(socket)
        except ConnectionClosed as closed:
            raise AssertionError(f"the server closed the socket: {closed}") from closed
