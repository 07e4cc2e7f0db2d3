"""What Twilio says on a media socket, and how the wire below it fails.

The messages are written out literally: nothing of the server's own codecs is used, so that
a mistake there is found here and not shared. Rule: a message has the next number, whatever it
is; a frame that is lost has none, and leaves a gap in ``timestamp``.
"""

import base64
import contextlib
import json
import socket
import struct
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.emulators.twilio_words import Faults, Violation
from app.protocol.units import FRAME_BYTES, FRAME_MS, MULAW_SILENCE

UNREAD_LIMIT_BYTES = 64 * 1024
"""Caller audio is discarded (31930) while this much waits for the server to read."""
_SILENCE_B64 = base64.b64encode(bytes([MULAW_SILENCE]) * FRAME_BYTES).decode()


class Wire:
    """One stream's way to the server, from ``attach`` on; before that nothing is sent."""

    def __init__(
        self, stream_sid: str, *, faults: Faults, complain: Callable[[Violation], None]
    ) -> None:
        self._stream_sid = stream_sid
        self._faults = faults
        self._complain = complain
        self._socket: ClientConnection | None = None
        self._mute = False
        self._sequence = 0
        self._chunk = 0
        self._skip = 0
        self._warned_slow = False

    def attach(self, opened: ClientConnection) -> None:
        """The socket that was opened."""
        self._socket = opened

    async def receive(self) -> str | bytes:
        """The server's next message; raises ConnectionClosed."""
        if self._socket is None:
            raise RuntimeError("dial before reading a stream")
        return await self._socket.recv()

    async def connected(self) -> None:
        """The first message, which has no number."""
        if self._socket is None:
            raise RuntimeError("dial before running a stream")
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')

    async def start(self, account_sid: str, call_sid: str, parameters: dict[str, str]) -> None:
        """The second."""
        await self._send(
            "start",
            f'"start":{{"accountSid":"{account_sid}","streamSid":"{self._stream_sid}",'
            f'"callSid":"{call_sid}","tracks":["inbound"],"mediaFormat":'
            '{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
            f'"customParameters":{json.dumps(parameters)}}}',
        )

    async def media(self, index: int, frame: bytes | None) -> None:
        """The 20 ms number ``index`` (from 0), None for silence; lost where that is the plan."""
        if self._lost(index):
            return
        self._chunk += 1
        payload = _SILENCE_B64 if frame is None else base64.b64encode(frame).decode()
        await self._send(
            "media",
            f'"media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{index * FRAME_MS}","payload":"{payload}"}}',
        )

    async def dtmf(self, digit: str) -> None:
        """A key the caller pressed."""
        await self._send("dtmf", f'"dtmf":{{"track":"inbound_track","digit":{json.dumps(digit)}}}')

    async def mark(self, name: str) -> None:
        """A mark comes back."""
        await self._send("mark", f'"mark":{{"name":{json.dumps(name)}}}')

    async def stop(self, account_sid: str, call_sid: str) -> bool:
        """The last message; False when it could not be sent."""
        ids = f'"accountSid":"{account_sid}","callSid":"{call_sid}"'
        return await self._send("stop", f'"stop":{{{ids}}}')

    def skip(self, count: int) -> None:
        """Lose the next frames."""
        self._skip += count

    def fall_silent(self) -> None:
        """Send nothing more; the socket stays as it is."""
        self._mute = True

    def pause_reading(self) -> None:
        """Take nothing more from the network."""
        if self._socket is not None:
            self._socket.transport.pause_reading()

    async def close(self, code: int) -> None:
        """The closing handshake; whoever wants an end to it sets a timeout and aborts."""
        if self._socket is not None:
            await self._socket.close(code)
            await self._socket.wait_closed()

    def abort(self) -> None:
        """Drop the socket at once, whatever state it is in."""
        if self._socket is not None:
            self._socket.transport.abort()

    def reset(self) -> None:
        """Reset the TCP connection: no close frame, no FIN."""
        if self._socket is not None:
            raw = self._socket.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.transport.abort()

    async def _send(self, event: str, body: str) -> bool:
        """Send one numbered message; False when the socket is gone or half-open."""
        if self._socket is None or self._mute:
            return False
        self._sequence += 1
        try:
            await self._socket.send(
                f'{{"event":"{event}","sequenceNumber":"{self._sequence}",'
                f'"streamSid":"{self._stream_sid}",{body}}}'
            )
        except ConnectionClosed:
            return False
        return True

    def _lost(self, index: int) -> bool:
        if self._skip > 0:
            self._skip -= 1
            return True
        every = self._faults.drop_every
        if self._faults.silent_media or (every > 0 and (index + 1) % every == 0):
            return True
        if self._socket is None:
            return True
        if self._socket.transport.get_write_buffer_size() < UNREAD_LIMIT_BYTES:
            return False
        if not self._warned_slow:
            self._warned_slow = True
            self._complain(Violation(31930, "caller audio discarded: the server does not read"))
        return True
