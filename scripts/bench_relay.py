"""The floor the server is measured against: the least that can carry a call's audio.

One rule: no framework, no JSON, no decisions. picows on both sides; payloads are cut out of
one message and put into the other. It knows no interruption, no marks and no tools, so that
what the server costs beyond it is the price of everything that makes a phone call.
"""

import asyncio
import sys

import uvloop
from picows import (
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

_TEXT = WSMsgType.TEXT
_MEDIA = b'{"event":"media"'
_PAYLOAD = b'"payload":"'
_START = b'{"event":"start"'
_STOP = b'"event":"stop"'
_SID = b'"streamSid":"'
_DELTA = b'{"type":"response.output_audio.delta"'
_SPEECH = b'"delta":"'
_APPEND = b'{"type":"input_audio_buffer.append","audio":"%b"}'
_WAITING = 250
"""Frames kept while the model line opens: five seconds."""


def _between(text: bytes, opening: bytes) -> bytes:
    """What stands between ``opening`` and the next quotation mark."""
    begin = text.find(opening) + len(opening)
    return text[begin : text.find(b'"', begin)]


class ModelLeg(WSListener):
    """The socket to the model."""

    def __init__(self, caller: "CallerLeg") -> None:
        super().__init__()
        self.caller = caller

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Hand over what the caller said meanwhile."""
        self.caller.model = transport
        for payload in self.caller.waiting:
            transport.send(_TEXT, _APPEND % payload)
        self.caller.waiting.clear()
        if self.caller.transport is None:
            transport.disconnect()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The call has no model any more."""
        self.caller.model = None
        if self.caller.transport is not None:
            self.caller.transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass speech on; nothing else matters to a relay."""
        if frame.msg_type == _TEXT:
            text = frame.get_payload_as_bytes()
            if text.startswith(_DELTA) and self.caller.transport is not None:
                speech = _between(text, _SPEECH)
                self.caller.transport.send(_TEXT, self.caller.opening + speech + b'"}}')
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class CallerLeg(WSListener):
    """The socket from Twilio."""

    def __init__(self, model_url: str) -> None:
        super().__init__()
        self.model_url = model_url
        self.transport: WSTransport | None = None
        self.model: WSTransport | None = None
        self.opening = b""
        self.waiting: list[bytes] = []
        self.connecting: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """A stream came in."""
        self.transport = transport

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The caller is gone: so is the model."""
        self.transport = None
        if self.model is not None:
            self.model.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass the caller's voice on; open the model line when the stream starts."""
        if frame.msg_type != _TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        text = frame.get_payload_as_bytes()
        if text.startswith(_MEDIA):
            payload = _between(text, _PAYLOAD)
            if self.model is not None:
                self.model.send(_TEXT, _APPEND % payload)
            elif len(self.waiting) < _WAITING:
                self.waiting.append(payload)
        elif text.startswith(_START):
            sid = _between(text, _SID)
            self.opening = b'{"event":"media","streamSid":"%b","media":{"payload":"' % sid
            self.connecting = asyncio.get_running_loop().create_task(self._connect())
        elif _STOP in text:
            transport.disconnect()

    async def _connect(self) -> None:
        try:
            await ws_connect(lambda: ModelLeg(self), self.model_url)
        except (OSError, TimeoutError, WSHandshakeError) as exc:
            print(f"error: the model line did not open: {exc}", file=sys.stderr)
            if self.transport is not None:
                self.transport.disconnect()


async def serve(port: int, model_url: str) -> None:
    """Relay every stream that comes to ``port`` until cancelled."""

    def leg(_request: WSUpgradeRequest) -> CallerLeg:
        return CallerLeg(model_url)

    server = await ws_create_server(leg, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
