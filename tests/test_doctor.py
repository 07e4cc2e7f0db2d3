"""The probe: it finds the dialect of every server there is an emulation of, by ear."""

import asyncio
import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from app.audio import mulaw
from app.audio.tones import tone
from app.doctor import PATIENCE, Examination, address, attended, examine, show
from app.doctor_visit import Patience, smoothness
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_deviations import Deviation, HfLike, LocalAiLike, XaiLike
from app.emulators.realtime_turns import Ask, Brain, Plan, Speech
from app.settings import setting_names
from app.transports.transcode import to_format
from tests.transports.test_transcode import linear
from tests.waiting import until

QUICK = Patience(opening_s=0.5, hearing_s=1, speaking_s=2, asking_s=0.3, all_s=20)
ROOT = Path(__file__).parents[1]


class Talker(Brain):
    """Answers everything at length."""

    def answer(self, ask: Ask) -> Plan:
        """Four seconds."""
        return Plan((Speech("One, two, three, four.", 4_000, 440),))


def server(deviations: type[Deviation] = Deviation) -> RealtimeEmulator:
    return RealtimeEmulator(Talker, pace=1, deviations=deviations)


def findings(one: Examination) -> dict[str, tuple[str, bool | None]]:
    return {finding.what: (finding.outcome, finding.good) for finding in one.findings}


@pytest.mark.parametrize(
    ("deviations", "name", "truncate"),
    [
        (Deviation, "openai", "exact"),
        (XaiLike, "xai", "exact"),
        (LocalAiLike, "localai", "blanks"),
        (HfLike, "hf-speech-to-speech", "none"),
    ],
)
async def test_the_dialect_of_a_server_is_found(
    deviations: type[Deviation], name: str, truncate: str
) -> None:
    """Nobody should have to read another project's source to set one setting."""
    async with server(deviations) as openai:
        tried = await examine(openai.base_url, "sk-local", "m", QUICK)

    best = tried[-1]
    assert best.fits
    assert best.dialect.name == name
    assert not any(one.fits for one in tried[:-1])
    found = findings(best)
    assert found["hears"] == ("speech_started", True)
    assert found["truncate"] == (truncate, True)
    assert found["cancel"] == ("cancelled", True)
    assert found["unknown event"][1]


async def test_a_server_that_confirms_what_it_does_not_speak_is_found_out() -> None:
    """Everything it says is right, and the caller would hear static."""
    async with server(HfLike) as openai:
        first = (await examine(openai.base_url, "sk-local", "m", QUICK))[0]

    assert findings(first)["format"] == ("audio/pcmu confirmed", True)
    assert findings(first)["speaks"] == ("static", False)
    assert not first.fits


class Forgetful(Deviation):
    """Strict GA, but for one thing."""

    def truncate(self, conversation: object, place: object) -> bool:
        """Nothing."""
        return False


async def test_a_server_that_only_forgets_to_truncate_does_not_fit() -> None:
    """It would remember what nobody heard, and the record would not say so."""
    async with server(Forgetful) as openai:
        tried = await examine(openai.base_url, "sk-local", "m", QUICK)

    assert not tried[-1].fits
    wrong = [f for f in tried[0].findings if f.good is False]
    assert [(f.what, f.outcome) for f in wrong] == [("truncate", "none")]


async def test_a_key_that_is_refused_is_told() -> None:
    """It is the first thing to be wrong on a new server."""
    async with server() as openai:
        tried = await examine(openai.base_url, "sk-other", "m", QUICK)

    assert findings(tried[0])["opens"] == ("refused: 'invalid_api_key'", False)


async def test_where_nobody_is_one_attempt_is_enough() -> None:
    """No dialect helps there."""
    tried = await examine("http://127.0.0.1:9/v1", "sk-local", "m", QUICK)

    assert len(tried) == 1
    assert [finding.what for finding in tried[0].findings] == ["connects"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http:///v1", "no address: write it as http://localhost:8080/v1"),
        ("http://[::1/v1", "no address: write it as http://localhost:8080/v1"),
        ("http://h:port/v1", "no address: write it as http://localhost:8080/v1"),
        ("localhost:8080/v1", "no address: write it as http://localhost:8080/v1"),
        ("http://127.0.0.1:9/v1", "nobody listens there: check host and port"),
    ],
)
async def test_what_keeps_it_from_connecting_is_a_sentence_with_the_fix(
    url: str, sentence: str
) -> None:
    """The name of a class of a library tells nobody what to do."""
    tried = await examine(url, "sk-local", "m", QUICK)

    assert sentence in tried[-1].findings[0].outcome


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("200 OK", "HTTP 200 where a WebSocket should open: give the base"),
        ("401 Unauthorized", "HTTP 401: it refuses OPENAI_API_KEY"),
        ("404 Not Found", "HTTP 404: there is no Realtime socket"),
        ("503 No", "HTTP 503: it is there and cannot serve now"),
    ],
)
async def test_a_refusal_over_http_is_explained(head: str, sentence: str) -> None:
    """A number is not a fix."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        tried = await examine(f"http://127.0.0.1:{port}/v1", "sk-local", "m", QUICK)

    assert len(tried) == 1
    assert sentence in tried[0].findings[0].outcome


async def test_a_server_that_hangs_is_asked_once() -> None:
    """Four dialects, each with its own patience, took most of a minute."""
    came: list[asyncio.StreamWriter] = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        tried = await examine(f"http://127.0.0.1:{port}/v1", "sk-local", "m", QUICK)
        for writer in came:
            writer.close()

    assert [one.outcome for one in tried[0].findings] == [
        "no answer within 0.5 s: it hangs, or something else listens on that port"
    ]
    assert len(came) == len(tried) == 1
    assert 2 * PATIENCE.opening_s <= 15


async def test_a_socket_that_says_nothing_is_asked_once() -> None:
    """No dialect helps where nobody speaks."""
    async with strange() as url:
        tried = await examine(url, None, "m", QUICK)

    assert len(tried) == 1


async def test_whoever_waits_is_told_so() -> None:
    """A command that is silent for seconds looks like one that hangs itself."""
    console = Console(file=StringIO(), force_terminal=True, width=80)
    done = asyncio.Event()
    work = asyncio.create_task(attended(done.wait(), console, after_s=0))
    file = console.file
    assert isinstance(file, StringIO)
    await until(lambda: "Talking to the server" in file.getvalue())
    done.set()

    assert await work


@asynccontextmanager
async def strange(*messages: str | bytes) -> AsyncIterator[str]:
    """A server that says those things; those about responses when it is asked for one."""
    late = [m for m in messages if isinstance(m, str) and '"response.' in m]

    async def serve(line: ServerConnection) -> None:
        for message in messages:
            if message not in late:
                await line.send(message)
        async for asked in line:
            for message in late if "response.create" in str(asked) else ():
                await line.send(message)

    async with serve_websocket(serve, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/v1"


CREATED = json.dumps({"type": "session.created", "session": {}})
UPDATED = {
    "type": "session.updated",
    "session": {
        "audio": {side: {"format": {"type": "audio/pcmu"}} for side in ("input", "output")}
    },
}

VOICE = json.dumps(
    {"type": "response.output_audio.delta", "delta": b64encode(tone(440, 600)).decode()}
)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        ("[]", "7", "{", '"text"', "null", '{"type": []}', '{"type": {}}'),
        (b"\x00\xff",),
        ('{"type": "error"}',),
        ('{"type": "error", "error": "no"}',),
        ('{"type": "error", "error": {"code": {"a": [1]}}}',),
        (CREATED, '{"type": "session.updated"}'),
        (CREATED, '{"type": "session.updated", "session": {"audio": {"input": 7, "output": 7}}}'),
        (
            CREATED,
            json.dumps(UPDATED),
            '{"type": "response.output_audio.delta", "delta": "!!"}',
            '{"type": "response.output_audio.delta", "delta": 7}',
            '{"type": "response.done"}',
        ),
        (CREATED, json.dumps(UPDATED), VOICE, '{"type": "response.done", "response": []}'),
        (CREATED, json.dumps(UPDATED), VOICE),
    ],
)
async def test_no_server_can_break_the_probe(messages: tuple[str | bytes, ...]) -> None:
    """What it is pointed at may be anything that listens."""
    hasty = Patience(opening_s=0.1, hearing_s=0.1, speaking_s=0.1, asking_s=0.1, all_s=5)
    async with strange(*messages) as url:
        tried = await examine(url, None, "m", hasty)

    assert tried
    assert not any(one.fits for one in tried)


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("http://localhost:8080/v1", "ws://localhost:8080/v1/realtime?model=a%2Fb"),
        ("https://api.x.ai/v1/", "wss://api.x.ai/v1/realtime?model=a%2Fb"),
        ("wss://api.x.ai/v1/realtime", "wss://api.x.ai/v1/realtime?model=a%2Fb"),
        ("ws://h/v1/realtime?model=own", "ws://h/v1/realtime?model=own"),
    ],
)
def test_an_address_may_be_written_as_it_is_found_in_documents(url: str, socket: str) -> None:
    """Some give the base, some the socket."""
    assert address(url, "a/b") == socket


def test_samples_taken_for_mulaw_are_known_by_their_sound() -> None:
    """The one difference between a voice and static that needs no model."""
    voice = b"".join(
        tone(hz, 40, amplitude=a) for hz, a in ((180, 4_000), (900, 800), (300, 9_000))
    )

    assert smoothness(voice) > 0.7
    assert abs(smoothness(to_format(linear(16_000))(voice))) < 0.4
    assert smoothness(mulaw.silence(100)) == 0


def test_the_table_ends_with_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever ran it wants one line."""

    async def found() -> list[Examination]:
        async with server(LocalAiLike) as openai:
            return await examine(openai.base_url, "sk-local", "m", QUICK)

    assert show(asyncio.run(found()), Console(width=200))

    assert "set REALTIME_DIALECT=localai" in capsys.readouterr().out


@pytest.mark.parametrize(("key", "status"), [("sk-local", 0), ("sk-other", 1)])
async def test_the_command_ends_with_whether_a_dialect_fits(
    tmp_path: Path, key: str, status: int
) -> None:
    """Scripts ask for the number, people read the table."""
    environment = {name: v for name, v in os.environ.items() if name not in setting_names()}
    environment |= {"OPENAI_API_KEY": key, "PYTHONPATH": str(ROOT)}
    async with server() as openai:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "doctor", "--realtime-url", openai.base_url),
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == status
    assert (b"The dialect openai fits" in out) is (status == 0)
    assert key.encode() not in out
