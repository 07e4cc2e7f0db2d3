"""The bench's calls, made to go on over several lines of the model.

One rule: what the bench counts as a fault because a call of its has one model line is counted
here only where it is one also for a call whose line was replaced.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import orjson
from bench_caller import CallerLine
from bench_edge import Invitation, NotAnsweredError, stream_ended
from bench_edge import invitation as invitation_in
from bench_model import ModelLine
from bench_playout import Playout
from bench_voice import CallerVoice, Floor, ModelVoice
from bench_wire import BYTES_PER_MS, FRAME_MS, NS_PER_BYTE, SEAL_BYTES, Seal, read_seal, seal_b64
from picows import WSMsgType, WSTransport

_SEEDING = b'"conversation.item.create"'
_SAID = b'"conversation.item.input_audio_transcription.completed"'
_FOREIGN = -1
"""The item of audio that no model of ours has said."""
MOST_RETURNS = 5
"""The server gives up before; a caller who comes back for ever would hide that it does not."""


class Caller(CallerLine):
    """A call that takes whichever model line speaks to it after its own is gone, and that asks,
    as Twilio does, when its stream is lost."""

    def __init__(self, floor: Floor, voice: CallerVoice, lost: "Callable[[Caller], None]") -> None:
        """``lost`` is called when the server's end of the stream is gone."""
        super().__init__(floor, voice)
        self._lost = lost
        self.silent_from_ns = 0
        """When a silence may have begun, at the earliest; 0: nobody asks."""
        self.silence_ns: int | None = None
        """From there, or the end of what was played then, to the next audible piece."""
        self.lines = 0
        """Model lines that were heard."""
        self.losses = 0
        """Streams that ended without anybody's wish."""
        self.returns_ns: list[int] = []
        """For each return, from the question what to do next to the first audible piece."""
        self.webhook_ms = 0.0
        """What the answer to the first webhook took."""
        self._asked_at_ns = 0
        self._started = True
        """Whether the present stream may carry frames already."""
        self._first = 0
        """Frames that went over the streams before."""
        self._played_bytes = 0
        self.streams: list[Stream] = []
        """Those that were lost."""

    # -- losing a stream -------------------------------------------------------------------

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The stream is over; where nobody wished for it, the telephone call is not."""
        if transport is not self.transport:
            return
        self.transport = None
        if self.over:
            return
        self.losses += 1
        self._keep_stream()
        self._lost(self)

    def _keep_stream(self) -> None:
        self.streams.append(Stream(self._played_bytes, self.playout.ends_at_ns))

    async def enter(self, port: int, invitation: Invitation) -> None:
        """Open the media stream that the webhook was answered with."""
        if not self.webhook_ms:
            self.webhook_ms = (time.perf_counter_ns() - self.called_at_ns) / 1e6
        await super().enter(port, invitation)

    async def come_back(self, port: int) -> None:
        """Ask what to do next, and do it. Raises what ``dial`` raises."""
        self._asked_at_ns = time.perf_counter_ns()
        await self.enter_again(port, await stream_ended(port, self.call_sid, self.stream_sid))

    async def enter_again(self, port: int, invitation: Invitation) -> None:
        """Another stream of the same call."""
        if len(self.streams) > MOST_RETURNS:
            raise NotAnsweredError("the call comes back again and again")
        self.stream_sid = f"MZ{len(self.streams):08x}{self.voice.number:024x}"
        self._frame = self._frame_of(self.stream_sid)
        self._sequence, self._rest, self._first = 1, 0, self.voice.sent
        self._played_bytes, self.playout, self.model = 0, Playout(), None
        self._started = False
        await self.enter(port, invitation)
        self._started = True

    async def redirected(self, port: int, twiml: str) -> None:
        """REST says what to do next: the present stream, if there is one, ends for it."""
        self._asked_at_ns = time.perf_counter_ns()
        if self.transport is not None:
            self._keep_stream()
            self.stop_stream()
        await self.enter_again(port, invitation_in(twiml))

    def heard_ms(self, now_ns: int) -> int:
        """Of the present stream, or of the last one."""
        if self.transport is None and self.streams:
            return self.streams[-1].heard_ms(now_ns)
        return Stream(self._played_bytes, self.playout.ends_at_ns).heard_ms(now_ns)

    def say(self) -> None:
        """Send the next 20 ms of the caller's voice, counted from the beginning of the stream."""
        if self.transport is None or not self._started:
            return
        number = self.voice.sent
        self.voice.sent = number + 1
        self._sequence += 1
        seal = seal_b64(0, self.voice.number, number, time.perf_counter_ns())
        place = number - self._first
        self.transport.send(
            WSMsgType.TEXT, self._frame % (self._sequence, place + 1, place * FRAME_MS, seal)
        )

    # -- silences --------------------------------------------------------------------------

    def ask_silence(self, now_ns: int) -> None:
        """From now on: how long until the next audio that is not of the present line."""
        self.silent_from_ns, self.silence_ns = now_ns, None

    def _heard_speech(self, audio: bytes, now_ns: int) -> None:
        self._played_bytes += len(audio)
        if self._asked_at_ns:
            self.returns_ns.append(now_ns - self._asked_at_ns)
            self._asked_at_ns = 0
        seal = read_seal(audio[:SEAL_BYTES])
        if self.model is not None and self.model.gone.is_set():
            if seal is not None and seal.owner != self.model.number:
                self.model, self._rest = None, 0
            elif seal is None and not self._rest:
                # Something that was kept ready for such a moment.
                self._audible(now_ns)
                self.playout.play(_FOREIGN, len(audio), now_ns)
                return
        super()._heard_speech(audio, now_ns)

    def _began(self, seal: Seal, now_ns: int) -> bool:
        if self.model is None:
            self._audible(now_ns)
            self.lines += 1
        return super()._began(seal, now_ns)

    def _audible(self, now_ns: int) -> None:
        if self.silent_from_ns and self.silence_ns is None:
            began_ns = max(self.silent_from_ns, self.playout.ends_at_ns)
            self.silence_ns = max(0, now_ns - began_ns)


@dataclass(frozen=True, slots=True)
class Stream:
    """What went over a stream to the caller."""

    played_bytes: int
    ends_at_ns: int
    """When the last of it is heard."""

    def heard_ms(self, now_ns: int) -> int:
        """How much of it the caller had heard, ``now_ns`` not being before the last arrived."""
        left_bytes = max(0, self.ends_at_ns - now_ns) // NS_PER_BYTE
        return max(0, self.played_bytes - left_bytes) // BYTES_PER_MS


class Model(ModelLine):
    """A session that remembers what it was told, and can be cut."""

    def __init__(self, floor: Floor, voice: ModelVoice, opening_ms: int = 0) -> None:
        super().__init__(floor, voice)
        self._opening_ms = opening_ms
        self.told: list[str] = []
        """What items the server wrote into the conversation."""
        self.transcribed_ns: list[int] = []
        """When the caller's turns were told to the server."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The server opened a session, which answers after a while."""
        if self._opening_ms:
            self.floor.wheel.after(self._opening_ms, partial(super().on_ws_connected, transport))
        else:
            super().on_ws_connected(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """A session that nobody has heard may go: the call is taken over by another process."""
        self.voice.quiet = self.voice.quiet or self.voice.heard_by is None
        super().on_ws_disconnected(transport)

    def _send(self, payload: bytes) -> None:
        if _SAID in payload:
            self.transcribed_ns.append(time.perf_counter_ns())
        super()._send(payload)

    @property
    def mid_sentence(self) -> bool:
        """Whether it has said a part of an answer and not the rest."""
        return self.answer is not None and any(
            0 < one.sent < one.pieces for one in self.answer.items
        )

    def cut(self) -> None:
        """The socket is gone without a word, as when the network is."""
        self.voice.quiet = True
        if self.transport is not None:
            self.transport.disconnect(False)

    def _heard_message(self, payload: bytes, now_ns: int) -> None:
        if _SEEDING in payload:
            self.told.append(orjson.dumps(orjson.loads(payload).get("item")).decode())
        super()._heard_message(payload, now_ns)

    def _heard_piece(self, seal: Seal, piece: bytes, now_ns: int) -> None:
        caller = self.floor.callers.get(seal.owner)
        if caller is not None and caller.heard_by not in (None, self.voice.number):
            before = self.floor.models.get(caller.heard_by)
            if before is None or before.gone.is_set():
                caller.heard_by = None
        super()._heard_piece(seal, piece, now_ns)
        if self.caller is not None:
            self.caller_says = phrase(self.caller.number)


def remembers(models: list[Model], caller: Caller) -> bool:
    """Whether its last model was told what this caller had said, and nobody else."""
    last = [one for one in models if one.voice.heard_by == caller.voice.number][-1]
    told, mine = " ".join(last.told), phrase(caller.voice.number)
    return mine in told and told.count("caller number") == told.count(mine)


def phrase(number: int) -> str:
    """What a caller says and nobody else: who is told it knows what was said before."""
    return f"Please go on, I am caller number {number}."
