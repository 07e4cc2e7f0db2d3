"""Converted audio: as long as it was, to the sample, and the same sound."""

import audioop
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from app.audio import mulaw
from app.audio.tones import loudest, tone
from app.errors import ModelFault
from app.protocol import commands as c
from app.protocol.dialect import DIALECTS, HF_SPEECH_TO_SPEECH, LOCALAI, MULAW, AudioFormat, Dialect
from app.protocol.events import Event, SpeechAudio, SpeechAudioDone
from app.protocol.realtime_client_events import SessionConfig
from app.transports.model import TRUNCATE_NOT_EXACT, Endpoint
from app.transports.transcode import TranscodedLine, from_format, to_format
from tests.waiting import until

CONFIG = SessionConfig(model="m", instructions="Answer.", turn_detection={"type": "server_vad"})
RATES = [8_000, 16_000, 24_000]
ODD_SIZES = [1, 3, 2, 641, 4_800, 777, 96_001, 5]
"""Bytes of deltas, as no server should cut them; some of them are half a sample."""
TEN_MINUTES_S = 600


def linear(rate_hz: int) -> AudioFormat:
    return AudioFormat("audio/pcm", rate_hz, says_rate=True)


@pytest.mark.parametrize("rate_hz", RATES)
def test_ten_minutes_of_odd_deltas_are_ten_minutes(rate_hz: int) -> None:
    """What was heard is counted in bytes: a drift would move every later interruption."""
    convert = from_format(linear(rate_hz))
    given = made = turn = 0

    while given < TEN_MINUTES_S * rate_hz * 2:
        size = ODD_SIZES[turn % len(ODD_SIZES)]
        made += len(convert(bytes(size)))
        given += size
        turn += 1
        assert abs(made - given / 2 * 8_000 / rate_hz) <= 1.5, f"after {given} bytes"


@pytest.mark.parametrize("rate_hz", RATES)
def test_ten_minutes_of_frames_are_ten_minutes(rate_hz: int) -> None:
    """The server's clock is the audio it is given."""
    convert = to_format(linear(rate_hz))
    frame = mulaw.silence(20)

    made = sum(len(convert(frame)) for _ in range(TEN_MINUTES_S * 50))

    assert TEN_MINUTES_S * rate_hz * 2 - made <= 4, "two samples, at the beginning"


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_is_the_same_tone_on_the_other_side(rate_hz: int) -> None:
    """The right bytes at the wrong rate are another voice."""
    audio = tone(440, 400)
    given = to_format(linear(rate_hz))(audio)
    heard = from_format(linear(rate_hz))(given)

    assert loudest(heard, [220.0, 440.0, 880.0, 1_320.0]) == 440.0
    assert abs(mulaw.rms(heard) - mulaw.rms(audio)) < mulaw.rms(audio) // 20


@pytest.mark.parametrize("size", [1, 2, 7, 320, 1_001])
def test_how_speech_is_cut_makes_no_difference(size: int) -> None:
    """A seam between two deltas would click fifty times a second."""
    whole = audioop.ratecv(mulaw.decode(tone(440, 200)), 2, 1, 8_000, 24_000, None)[0]
    convert = from_format(linear(24_000))

    pieces = b"".join(convert(whole[at : at + size]) for at in range(0, len(whole), size))

    assert pieces == from_format(linear(24_000))(whole)


def test_mulaw_is_left_alone() -> None:
    """One direction may need no conversion."""
    audio = tone(440, 20)

    assert to_format(MULAW)(audio) == from_format(MULAW)(audio) == audio


class Server:
    """A server of one session that says what it is told, and echoes a format."""

    def __init__(self, echo: dict[str, object] | None) -> None:
        self.echo = echo
        self.events: list[dict[str, object]] = []
        self.line: ServerConnection | None = None

    async def serve(self, line: ServerConnection) -> None:
        """Admit, configure, listen."""
        self.line = line
        await line.send(json.dumps({"type": "session.created", "session": {"id": "sess_1"}}))
        await line.recv()
        side = {"format": self.echo} if self.echo else {}
        session = {"audio": {"input": side, "output": side}}
        await line.send(json.dumps({"type": "session.updated", "session": session}))
        async for message in line:
            self.events.append(json.loads(message))

    async def say(self, item: str, audio: bytes) -> None:
        """A delta of that item."""
        part = {"response_id": "r", "item_id": item, "content_index": 0}
        delta = {"type": "response.output_audio.delta", "delta": b64encode(audio).decode()}
        assert self.line is not None
        await self.line.send(json.dumps(delta | part))

    async def done(self, item: str) -> None:
        """No more of that item."""
        part = {"response_id": "r", "item_id": item, "content_index": 0}
        assert self.line is not None
        await self.line.send(json.dumps({"type": "response.output_audio.done"} | part))

    def heard(self) -> bytes:
        """All audio appended."""
        return b"".join(b64decode(str(event["audio"])) for event in self.events)


@asynccontextmanager
async def opened(
    server: Server, dialect: Dialect, heard: list[Event]
) -> AsyncIterator[TranscodedLine]:
    """A converted line to ``server``; TimeoutError and ModelFault pass."""
    async with serve_websocket(server.serve, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        line = TranscodedLine(CONFIG, heard.append, dialect)
        try:
            await line.open(Endpoint(f"ws://127.0.0.1:{port}/realtime", ()), timeout_ms=5_000)
            yield line
        finally:
            line.close()


async def test_the_server_hears_samples_and_we_hear_mulaw() -> None:
    """Everything above the line goes on counting telephone bytes."""
    server, heard = Server({"type": "audio/pcm"}), list[Event]()
    async with opened(server, HF_SPEECH_TO_SPEECH, heard) as line:
        line.append(b64encode(tone(300, 20)).decode())
        line.send(c.AppendAudio(b64encode(tone(300, 20)).decode()))
        line.send(c.AppendSilence(20))
        await until(lambda: len(server.events) == 3)
        await server.say("a", bytes(3_200))
        await server.done("a")
        await until(lambda: len(heard) == 2)

    assert len(server.heard()) == 60 * 32 - 2
    speech, done = heard
    assert isinstance(speech, SpeechAudio)
    assert (speech.length_bytes, b64decode(speech.payload_b64)) == (800, b"\xff" * 800)
    assert isinstance(done, SpeechAudioDone)


async def test_half_a_sample_of_one_item_is_no_part_of_the_next() -> None:
    """From then on every sample would be two halves: static for the rest of the call."""
    server, heard = Server(None), list[Event]()
    voice = mulaw.decode(tone(440, 100))
    async with opened(server, LOCALAI, heard):
        await server.say("a", voice[:-1])
        await server.say("b", voice)
        await until(lambda: len(heard) == 2)

    assert isinstance(heard[1], SpeechAudio)
    assert b64decode(heard[1].payload_b64) == tone(440, 100)


async def test_less_than_a_sample_is_not_told() -> None:
    """Speech of no length would be a frame of nothing to Twilio."""
    server, heard = Server(None), list[Event]()
    async with opened(server, LOCALAI, heard):
        for half in (b"\x00", b"\x00"):
            await server.say("a", half)
        await server.done("a")
        await until(lambda: len(heard) == 2)

    assert isinstance(heard[0], SpeechAudio)
    assert heard[0].length_bytes == 1


@pytest.mark.parametrize(
    ("dialect", "echo"),
    [
        (HF_SPEECH_TO_SPEECH, {"type": "audio/pcm", "rate": 24_000}),
        (HF_SPEECH_TO_SPEECH, {"type": "audio/pcmu"}),
        (HF_SPEECH_TO_SPEECH, None),
        (LOCALAI, {"type": "audio/pcm", "rate": 24_000}),
    ],
)
async def test_no_audio_before_the_format_is_confirmed(
    dialect: Dialect, echo: dict[str, object] | None
) -> None:
    """The right protocol with the wrong sound is the one failure the caller cannot explain."""
    server = Server(echo)

    with pytest.raises(ModelFault, match="wrong_format"):
        async with opened(server, dialect, []):
            pass
    assert server.events == []


@pytest.mark.parametrize("name", ["localai", "hf-speech-to-speech"])
async def test_a_truncation_that_is_not_exact_is_noted(name: str) -> None:
    """The operator who wonders what the model remembers must find it in the record."""
    dialect = DIALECTS[name]
    server = Server(
        {"type": "audio/pcm", "rate": 8_000} if name == "localai" else {"type": "audio/pcm"}
    )
    async with opened(server, dialect, []) as line:
        line.send(c.TruncateItem("a", 0, 500))
        line.send(c.CancelResponse("r"))
        await until(lambda: bool(server.events))

        assert line.warnings == {TRUNCATE_NOT_EXACT: 1}
