"""Twilio's end of a call: the webhook, the media stream, the caller's ear and voice.

One rule: it accepts exactly the messages Twilio accepts, plays them out on an exact clock, and
says fifty frames a second without pause, whatever the server does.
"""

import asyncio
import time
from binascii import a2b_base64
from typing import Any
from uuid import uuid4

import orjson
from bench_edge import ACCOUNT_SID, PUBLIC_HOST, Invitation, hold_call, incoming_call
from bench_playout import Playout
from bench_voice import CallerVoice, Floor, ModelVoice
from bench_wire import FRAME_MS, SEAL_BYTES, Seal, read_seal, seal_b64
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

_TEXT = WSMsgType.TEXT
_ANSWER_S = 10.0
_SHAPES: dict[str, tuple[set[str], str | None]] = {
    "media": ({"event", "streamSid", "media"}, "payload"),
    "mark": ({"event", "streamSid", "mark"}, "name"),
    "clear": ({"event", "streamSid"}, None),
}


class CallerLine(WSListener):
    """One telephone call as the server sees it."""

    def __init__(self, floor: Floor, voice: CallerVoice) -> None:
        super().__init__()
        self.floor = floor
        self.voice = voice
        self.call_sid = f"CA{uuid4().hex}"
        self.stream_sid = f"MZ{uuid4().hex}"
        self.model: ModelVoice | None = None
        self.talking = asyncio.Event()
        """Set when the caller hears the first piece of speech."""
        self.called_at_ns = 0
        self.redirects = 0
        """How often its webhook was answered with another address."""
        self.over = False
        self.playout = Playout()
        self.transport: WSTransport | None = None
        self._sequence = 1
        self._item = 0
        self._rest = 0
        """Bytes of the current piece still to come: the server may split pieces."""
        self._frame = self._frame_of(self.stream_sid)

    # -- the life of a call ----------------------------------------------------------------

    async def dial(self, port: int) -> None:
        """Call, and return when the server's first word is heard.

        Raises NotAnsweredError, OSError, WSHandshakeError or TimeoutError. Safe to cancel.
        """
        self.called_at_ns = time.perf_counter_ns()
        invitation = Invitation("/media-stream", "", {})
        if self.floor.plan.judged:
            invitation = await incoming_call(port, self.call_sid)
            self.redirects = invitation.redirects
        await self.enter(port, invitation)
        self.floor.wheel.join(self._phase, self.say)
        async with asyncio.timeout(_ANSWER_S):
            await self.talking.wait()

    async def enter(self, port: int, invitation: Invitation) -> None:
        """Open the media stream, and say whose it is. Raises OSError or WSHandshakeError."""
        await ws_connect(
            lambda: self,
            f"ws://127.0.0.1:{port}{invitation.path}",
            extra_headers={
                "Host": PUBLIC_HOST,
                "User-Agent": "Twilio.TmeWs/1.0",
                "X-Twilio-Signature": invitation.signature,
            },
        )
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self._send(self._start(invitation.parameters))

    def _frame_of(self, stream_sid: str) -> bytes:
        return (
            b'{"event":"media","sequenceNumber":"%%d","streamSid":"%b","media":{"track":"inbound",'
            b'"chunk":"%%d","timestamp":"%%d","payload":"%%b%b"}}'
            % (stream_sid.encode(), self.voice.tail_b64)
        )

    async def hold(self, port: int) -> None:
        """The operator puts this call on hold. Raises NotAnsweredError."""
        self.voice.held = True
        if self.model is not None:
            self.model.held = True
        await hold_call(port, self.call_sid)

    def fall_silent(self) -> None:
        """Say nothing more, so that what is under way can arrive and be counted."""
        self.floor.wheel.leave(self._phase, self.say)
        if self.model is not None:
            self.model.quiet = True

    def hang_up(self) -> None:
        """End the stream as Twilio does when the caller hangs up."""
        self.fall_silent()
        self.over = True
        self.stop_stream()

    def stop_stream(self) -> None:
        """End the stream alone."""
        if self.transport is not None:
            stop = {"accountSid": ACCOUNT_SID, "callSid": self.call_sid}
            self._send(self._counted({"event": "stop", "stop": stop}))
            transport, self.transport = self.transport, None
            transport.send_close()
            transport.disconnect()

    @property
    def _phase(self) -> int:
        return self.voice.number * 7 % FRAME_MS

    def _counted(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._sequence += 1
        return {"sequenceNumber": str(self._sequence), "streamSid": self.stream_sid, **fields}

    def _start(self, parameters: dict[str, str]) -> dict[str, Any]:
        mulaw = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        return {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": self.stream_sid,
            "start": {
                "accountSid": ACCOUNT_SID,
                "streamSid": self.stream_sid,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": mulaw,
                "customParameters": parameters,
            },
        }

    # -- the socket ------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The server accepted the stream."""
        self.transport = transport

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The stream is over, by our wish or the server's."""
        self.transport = None
        if not self.over:
            self.floor.tally.faults.caller_lines_lost += 1
            self.floor.tally.note(f"call {self.voice.number}: the server closed the stream")
            self.fall_silent()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One message of the server."""
        now_ns = time.perf_counter_ns()
        if frame.msg_type == _TEXT:
            self._heard_message(frame.get_payload_as_bytes(), now_ns)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def _send(self, fields: dict[str, Any]) -> None:
        if self.transport is not None:
            self.transport.send(_TEXT, orjson.dumps(fields))

    def say(self) -> None:
        """Send the next 20 ms of the caller's voice."""
        voice = self.voice
        if self.transport is None:
            return
        number = voice.sent
        voice.sent = number + 1
        self._sequence += 1
        seal = seal_b64(0, voice.number, number, time.perf_counter_ns())
        self.transport.send(
            _TEXT, self._frame % (self._sequence, number + 1, number * FRAME_MS, seal)
        )

    # -- what the server says --------------------------------------------------------------

    def _heard_message(self, payload: bytes, now_ns: int) -> None:
        try:
            said = orjson.loads(payload)
        except orjson.JSONDecodeError:
            said = {}
        kind = said.get("event")
        fields, inner = _SHAPES.get(kind, (None, None))
        if (
            said.keys() != fields
            or said["streamSid"] != self.stream_sid
            or (inner is not None and said[kind].keys() != {inner})
        ):
            self.floor.tally.faults.twilio_messages_refused += 1
            self.floor.tally.note(f"call {self.voice.number}: refused {payload[:120]!r}")
        elif kind == "media":
            self._heard_speech(a2b_base64(said["media"]["payload"]), now_ns)
        elif kind == "mark":
            self.floor.tally.marks += 1
            self.floor.wheel.at(self.playout.mark(said["mark"]["name"], now_ns), self._reach_marks)
        else:
            self._clear(now_ns)

    def _heard_speech(self, audio: bytes, now_ns: int) -> None:
        """Follow the stream of pieces through whatever portions the server chose."""
        if self.voice.held:
            self.floor.tally.music_bytes += len(audio) if self.floor.tally.measuring else 0
            self.playout.play(self._item, len(audio), now_ns)
            return
        begin = 0
        while begin < len(audio):
            if self._rest == 0:
                seal = read_seal(audio[begin : begin + SEAL_BYTES])
                if seal is None or not self._began(seal, now_ns):
                    self.floor.tally.faults.corrupt += 1
                    return
                assert self.model is not None
                self._rest = self.model.piece_bytes
            assert self.model is not None
            done = self.model.piece_bytes - self._rest
            portion = audio[begin : begin + self._rest]
            tail = portion[max(0, SEAL_BYTES - done) :]
            where = max(0, done - SEAL_BYTES)
            if tail != self.model.tail[where : where + len(tail)]:
                self.floor.tally.faults.corrupt += 1
            self._rest -= len(portion)
            begin += len(portion)
            self.playout.play(self._item, len(portion), now_ns)

    def _began(self, seal: Seal, now_ns: int) -> bool:
        tally = self.floor.tally
        if self.model is None:
            self._meet(seal.owner, now_ns)
        if self.model is None or self.model.number != seal.owner:
            tally.faults.leaked += 1
            return False
        self._item = seal.item
        self.model.heard(seal, tally)
        if tally.measuring:
            tally.model_to_caller.add(now_ns - seal.sent_at_ns)
        return True

    def _meet(self, number: int, now_ns: int) -> None:
        """The first piece tells which model line belongs to this call."""
        model = self.floor.models.get(number)
        if model is None or model.heard_by is not None:
            return
        self.model = model
        model.heard_by = self.voice.number
        self.talking.set()
        if self.floor.plan.judged:
            own_ns = model.first_sent_at_ns - model.asked_at_ns
            self.floor.tally.greetings_ms.append((now_ns - self.called_at_ns - own_ns) / 1e6)

    def _clear(self, now_ns: int) -> None:
        cut, marks = self.playout.clear(now_ns)
        self._rest = 0
        if self.model is None or not self.model.cleared(now_ns, cut):
            self.floor.tally.clears_needless += 1
        for name in marks:
            self._return_mark(name)

    def _reach_marks(self) -> None:
        for name in self.playout.reached(time.perf_counter_ns()):
            self._return_mark(name)

    def _return_mark(self, name: str) -> None:
        self._send(self._counted({"event": "mark", "mark": {"name": name}}))
