"""One visit to a Realtime server in one dialect, and what was found out on it.

It says what a call would say, listens to the answer as a caller would, and asks at last for
what should be refused. Every wait is bounded.
"""

import asyncio
import audioop
from array import array
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import aiohttp
import orjson

from app.audio import mulaw
from app.audio.tones import tone
from app.protocol.commands import AppendAudio, CancelResponse, CreateResponse, TruncateItem
from app.protocol.dialect import AudioFormat, Dialect, Truncate
from app.protocol.errors import Malformed
from app.protocol.realtime_client_events import (
    SessionConfig,
    append,
    session_update,
    write,
    writer,
)
from app.protocol.realtime_server_events import SessionUpdated, parse
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES, FRAME_MS
from app.transports.transcode import from_format, to_format

_IMPOSSIBLE_MS = 3_600_000
_SMOOTH = 0.5
"""Correlation of neighbouring samples: 0.8 and more in speech, near 0 in bytes read wrongly."""
_LISTEN_BYTES = 4_000
"""Mu-law that is enough to judge a sound by."""
_SYLLABLE_MS = 200
_INSTRUCTIONS = "You are being tested. Count slowly from one to forty, in English."


@dataclass(frozen=True, slots=True)
class Patience:
    """How long answers are waited for, in seconds."""

    opening_s: float = 5
    hearing_s: float = 3
    speaking_s: float = 10
    asking_s: float = 1.5
    """For what may well not come."""
    all_s: float = 45
    """For everything, in one dialect."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    outcome: str
    good: bool | None
    """None: nothing follows from it."""


class _Stop(Exception):
    """Nothing more can be found out in this dialect."""


class Wire:
    """The socket, and everything that came on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.events: list[dict[str, Any]] = []
        self.closed = False

    async def say(self, text: str) -> None:
        """Send a message; a socket that is closed is noticed by whoever waits."""
        if not self._socket.closed:
            await self._socket.send_str(text)

    async def until(self, kinds: Collection[str], within_s: float) -> dict[str, Any] | None:
        """The next event of those kinds; None when it does not come in time, or never."""
        try:
            async with asyncio.timeout(within_s):
                while (event := await self._next()) is not None:
                    if event["type"] in kinds:
                        return event
        except TimeoutError:
            pass
        return None

    async def _next(self) -> dict[str, Any] | None:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                self.closed = True
                return None
            try:
                event = orjson.loads(message.data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict) and isinstance(event.get("type"), str):
                self.events.append(event)
                return event

    def came(self, kind: str) -> list[dict[str, Any]]:
        """The events of that kind so far."""
        return [event for event in self.events if event["type"] == kind]


class Visit:
    """One connection in one dialect, from the greeting to the last question."""

    def __init__(self, wire: Wire, dialect: Dialect, model: str, patience: Patience) -> None:
        self._wire = wire
        self._dialect = dialect
        self._model = model
        self._patience = patience
        self.findings: list[Finding] = []

    async def run(self) -> None:
        """Everything, in order; ends early where the rest would mean nothing."""
        try:
            await self._open()
            await self._configure()
            await self._speak_up()
            item = await self._listen()
            await self._truncate(item)
            await self._cancel(item)
            await self._babble()
        except _Stop:
            return

    def _find(self, what: str, outcome: str, good: bool | None) -> None:
        self.findings.append(Finding(what, outcome, good))

    async def _open(self) -> None:
        kind = self._dialect.opens_with
        event = await self._wire.until({kind, "error"}, self._patience.opening_s)
        if event is None or event["type"] == "error":
            if event is None and not self._wire.events and not self._wire.closed:
                self._find("speaks first", f"no {kind}, nor anything else", False)
                raise _Stop
            self._find("opens", _code(event) if event else f"no {kind}", False)
            raise _Stop
        self._find("opens", kind, True)

    async def _configure(self) -> None:
        config = SessionConfig(
            model=self._model,
            instructions=_INSTRUCTIONS,
            turn_detection={"type": "server_vad", "create_response": False},
        )
        await self._wire.say(session_update(config, self._dialect))
        event = await self._wire.until({"session.updated", "error"}, self._patience.opening_s)
        if event is None or event["type"] == "error":
            self._find("session", _code(event) if event else "no session.updated", False)
            raise _Stop
        self._find("session", "taken", True)
        confirmed = _confirmed(event, self._dialect)
        wanted = self._dialect.audio_in
        told = "confirmed" if self._dialect.echoes_format else "not denied"
        self._find(
            "format", f"{_named(wanted)} {told if confirmed else 'not confirmed'}", confirmed
        )
        if not confirmed:
            raise _Stop

    async def _speak_up(self) -> None:
        """Something like a voice, at the pace of one."""
        convert = to_format(self._dialect.audio_in)
        for frame in _frames(_murmur() + mulaw.silence(700)):
            payload = b64encode(convert(frame)).decode()
            await self._wire.say(append(AppendAudio(payload)))
            await asyncio.sleep(FRAME_MS / 1000)
        kind = "input_audio_buffer.speech_started"
        heard = await self._wire.until({kind}, self._patience.hearing_s)
        # A detector trained on voices may be right to pass over a murmur.
        outcome = "speech_started" if heard else "our murmur was no voice to it"
        self._find("hears", outcome, True if heard else None)

    async def _listen(self) -> dict[str, Any]:
        """The answer judged by its sound; its last delta."""
        ask = CreateResponse("probe", instructions=_INSTRUCTIONS)
        await self._wire.say(writer(self._dialect)(ask))
        convert, heard = from_format(self._dialect.audio_out), b""
        delta: dict[str, Any] | None = None
        kind = "response.output_audio.delta"
        for _ in range(_LISTEN_BYTES):
            event = await self._wire.until({kind, "response.done"}, self._patience.speaking_s)
            if event is None or event["type"] == "response.done":
                break
            delta = event
            heard += convert(_audio_of(event))
            if len(heard) >= _LISTEN_BYTES:
                break
        if delta is None:
            self._find("speaks", "no audio", False)
            raise _Stop
        clear = smoothness(heard) >= _SMOOTH
        self._find("speaks", _named(self._dialect.audio_out) if clear else "static", clear)
        if not clear:
            raise _Stop
        return delta

    async def _truncate(self, delta: dict[str, Any]) -> None:
        """What was never said cannot have been heard: an exact server refuses."""
        cut = TruncateItem(str(delta.get("item_id")), 0, _IMPOSSIBLE_MS)
        await self._wire.say(_marked(write(cut), "truncate"))
        kinds = {"conversation.item.truncated", "error"}
        event = await self._wire.until(kinds, self._patience.asking_s)
        while event is not None and event["type"] == "error" and not _answers(event, "truncate"):
            event = await self._wire.until(kinds, self._patience.asking_s)
        found = Truncate.NONE
        if event is not None:
            found = Truncate.EXACT if event["type"] == "error" else Truncate.BLANKS
        self._find("truncate", found.value, found is self._dialect.truncate)

    async def _cancel(self, delta: dict[str, Any]) -> None:
        if self._wire.came("response.done"):
            self._find("cancel", "not tried: its answer was over", None)
            return
        await self._wire.say(write(CancelResponse(str(delta.get("response_id")))))
        event = await self._wire.until({"response.done"}, self._patience.hearing_s)
        response = event.get("response") if event else None
        status = response.get("status") if isinstance(response, dict) else None
        outcome = str(status)[:40] if event else "no response.done"
        self._find("cancel", outcome, event is not None)

    async def _babble(self) -> None:
        await self._wire.say('{"type":"patchline.unknown","event_id":"unknown"}')
        event = await self._wire.until({"error"}, self._patience.asking_s)
        outcome = _code(event) if event else "passed over"
        if self._wire.closed:
            outcome = "hung up"
        self._find("unknown event", outcome, not self._wire.closed)


def smoothness(audio: bytes) -> float:
    """How much neighbouring samples of mu-law ``audio`` are alike, -1 to 1; 0 for silence."""
    samples = array("h", mulaw.decode(audio))
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    return sum(a * b for a, b in pairwise(samples)) / energy


def _murmur() -> bytes:
    """A second of a low voice without words: harmonics in syllables, as mu-law."""
    syllable = bytes(2 * _SYLLABLE_MS * BYTES_PER_MS)
    for harmonic in range(1, 9):
        part = mulaw.decode(tone(140 * harmonic, _SYLLABLE_MS, amplitude=6000 // harmonic))
        syllable = audioop.add(syllable, part, 2)
    return (mulaw.encode(syllable) + mulaw.silence(60)) * 4


def _frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def _confirmed(event: dict[str, Any], dialect: Dialect) -> bool:
    try:
        read = parse(orjson.dumps(event))
    except Malformed:
        return False
    return isinstance(read, SessionUpdated) and read.confirms(dialect)


def _named(audio: AudioFormat) -> str:
    return f"{audio.type} at {audio.rate_hz // 1000} kHz" if audio.linear else audio.type


def _audio_of(event: dict[str, Any]) -> bytes:
    try:
        return b64decode(str(event.get("delta", "")))
    except ValueError:
        return b""


def _marked(text: str, event_id: str) -> str:
    return orjson.dumps(orjson.loads(text) | {"event_id": event_id}).decode()


def _answers(event: dict[str, Any], event_id: str) -> bool:
    error = event.get("error")
    return isinstance(error, dict) and error.get("event_id") in (None, "", event_id)


def _code(event: dict[str, Any]) -> str:
    """Why, in a word; what a stranger's server says is cut short and not believed."""
    error = event.get("error")
    code = error.get("code") or error.get("type") if isinstance(error, dict) else error
    return f"refused: {str(code)[:40]!r}"
