"""A stage for walks: the real server on a real port, between the two emulators.

Everything that a caller, Twilio and OpenAI would meet is there; nothing is switched off, and
nothing is replaced but the two companies.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
import uvicorn

from app.agents.load import load_document
from app.audio import mulaw
from app.audio.tones import strength, tone
from app.call.facts import Fact
from app.call.record import record
from app.call.report import Report
from app.emulators.carrier import Account, LocalCarrier
from app.emulators.realtime import EmulatedSession, RealtimeEmulator
from app.emulators.scenario import Reply, ToolUse
from app.emulators.twilio import DialOutcome, EmulatedStream, Pace, TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_signing import signature
from app.http.pages import PhoneSetup
from app.http.record import CallRecord
from app.jobs.port import Jobs
from app.main import Switchboard, switchboard
from app.runtime.replay import replay
from app.server import DrainingServer, configuration
from app.services.store.calls import AFTERWARDS
from app.settings import Settings
from tests.emulators.conformance import check_client_event
from tests.waiting import until

log = structlog.get_logger("walk")
ACCOUNT = "AC" + "0" * 32
TOKEN = "12345"
API_KEY = "operator-key-of-the-tests"
PUBLIC_URL = "https://phone.contoso.test"
HERE = "here"
"""As a public address: where the server really listens."""

AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello, this is the test line.
turn_detection: {type: server_vad, silence_duration_ms: 120}
"""
NUMBER = "+14155550123"
PROBLEM = "We have a problem."
DESK = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
failure: {{say: "{PROBLEM}", then: end_call}}
"""
"""An agent that puts callers through to one person, and leaves failing calls to nobody."""
GREETING = Reply("Hello.", 200, 440)
THROUGH = Reply(
    "I put you through.", 400, 660, tools=[ToolUse("transfer_call", {"target": "billing"})]
)
QUICK = Pace(say_ms_per_character=1)
BRIEF = DialOutcome("bridged", talk_ms=40)
VOICE = tone(300, 160)
"""What a caller says: loud enough for the model's ear, over in a moment."""


@dataclass
class Stage:
    """What a walk plays on."""

    twilio: TwilioEmulator
    openai: RealtimeEmulator
    board: Switchboard
    server: "StagedServer"
    port: int
    folder: Path
    local: LocalCarrier | None = None
    """The carrier with telephones that the local Twilio is a part of, if it is one."""

    @property
    def url(self) -> str:
        """Where the server really listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def session(self) -> EmulatedSession:
        """The newest model session."""
        return self.openai.connections[-1]

    async def record(self, call: EmulatedCall) -> dict[str, Any]:
        """The record of a call, by the API an operator would use, once the call has ended."""
        call_id = await self.call_id(call)
        await until(lambda: not self.board.book.lives(call.call_sid), 60)
        found = await self.get(f"/v1/calls/{call_id}")
        CallRecord.model_validate(found)
        return found

    async def call_id(self, call: EmulatedCall) -> str:
        """Our name for a call, as the log and the API know it."""
        book = self.board.book
        await until(lambda: book.call_id(call.call_sid) is not None)
        return book.call_id(call.call_sid) or ""

    async def get(self, path: str, key: str = API_KEY) -> dict[str, Any]:
        """A request of the operator's."""
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(self.url + path) as answer,
        ):
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def post(self, path: str, form: dict[str, str]) -> tuple[int, str]:
        """A webhook of Twilio's, signed as it should be: its status and body."""
        async with (
            aiohttp.ClientSession(headers=self.seal(path, form)) as client,
            client.post(self.url + path, data=form) as answer,
        ):
            return answer.status, await answer.text()

    def seal(self, path: str, form: dict[str, str]) -> dict[str, str]:
        """Twilio's signature of a form, as a header."""
        return {"X-Twilio-Signature": signature(TOKEN, PUBLIC_URL + path, form.items())}

    async def all_closed(self) -> None:
        """Wait until no model session and no runner is left; raises TimeoutError."""
        await until(lambda: not self.openai.open_connections and not self.board.book.live, 60)

    def assert_conforms(self) -> None:
        """Everything we sent to the model is valid by OpenAI's own types."""
        for session in self.openai.connections:
            for event in session.client_events:
                if event["type"] != "input_audio_buffer.append":
                    check_client_event(event)


def measured(what: str, since_s: float) -> float:
    """Milliseconds since the loop's time ``since_s``, written where ``pytest -s`` shows them."""
    elapsed_ms = (asyncio.get_running_loop().time() - since_s) * 1000
    log.info("measured", what=what, ms=round(elapsed_ms))
    return elapsed_ms


FULL = 5000
"""Level of 20 ms of tone and nothing else; with less, frequencies cannot be told apart."""


def heard_tone(stream: EmulatedStream, frequency_hz: float) -> int:
    """Milliseconds of the tone at ``frequency_hz`` that reached the ear, in steps of 20 ms.

    Pieces at its edges do not count: up to 40 ms less than there was.
    """
    heard = stream.line.heard
    pieces = [heard[at : at + 160] for at in range(0, len(heard) - 159, 160)]
    return 20 * sum(
        mulaw.rms(piece) > FULL and strength(piece, frequency_hz) > 0.8 for piece in pieces
    )


def media_signature(url: str = f"{PUBLIC_URL.replace('https', 'wss')}/media-stream") -> str:
    """What Twilio would sign the upgrade with."""
    digest = hmac.new(TOKEN.encode(), url.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class StagedServer(DrainingServer):
    """The server, told of the end by an event; uvicorn looks ten times a second."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until ``over``."""
        await self.over.wait()


@asynccontextmanager
async def stage(
    openai: RealtimeEmulator,
    folder: Path,
    *,
    agent: str = AGENT,
    twilio: dict[str, Any] | None = None,
    local: dict[str, Any] | None = None,
    send_buffer_bytes: int | None = None,
    jobs: Callable[[str], Jobs] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Server and emulators, up and connected; all of it is gone afterwards.

    With ``local`` the local Twilio is a local carrier, made with those arguments. ``jobs`` makes
    what places calls, given the address of Twilio's API.
    """
    listener = socket.socket()
    if send_buffer_bytes is not None:
        # Accepted sockets inherit it: the kernel then hides less of a peer that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if settings.get("public_url") == HERE:
        settings["public_url"] = f"http://127.0.0.1:{port}"
    document = folder / "agent.yaml"
    document.write_text(agent)
    carrier = _carrier(f"http://127.0.0.1:{port}", twilio, local)
    async with openai, carrier:
        values: dict[str, Any] = {
            "openai_api_key": "sk-local",
            "openai_base_url": openai.base_url,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_tokens": (TOKEN,),
            "twilio_api_url": carrier.api_url,
            "public_url": PUBLIC_URL,
            "port": port,
            "api_key": API_KEY,
            "agent_file": document,
        }
        given = Settings(_env_file=None, **(values | settings))
        board = switchboard(
            given,
            load_document(document),
            data=folder / "data",
            phone=lambda: _setup(carrier),
            jobs=jobs(carrier.api_url) if jobs else None,
        )
        server = StagedServer(configuration(given, board), board, given.drain_seconds)
        serving = asyncio.create_task(_serve(server, listener), name="server")
        try:
            await until(lambda: server.started)
            twilio_itself = carrier.twilio if isinstance(carrier, LocalCarrier) else carrier
            at_home = carrier if isinstance(carrier, LocalCarrier) else None
            yield Stage(twilio_itself, openai, board, server, port, folder, at_home)
        finally:
            server.over.set()
            await asyncio.wait_for(serving, 60)
            listener.close()
    assert_replays(folder)
    assert_facts_tell_all(folder)


def _carrier(
    server_url: str, twilio: dict[str, Any] | None, local: dict[str, Any] | None
) -> TwilioEmulator | LocalCarrier:
    if local is not None:
        return LocalCarrier(Account(server_url, PUBLIC_URL, ACCOUNT, TOKEN), **local)
    return TwilioEmulator(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        public_url=PUBLIC_URL,
        server_url=server_url,
        **{"pace": QUICK, "answers": lambda _number: BRIEF} | (twilio or {}),
    )


def _setup(carrier: TwilioEmulator | LocalCarrier) -> PhoneSetup | None:
    return PhoneSetup(carrier.phone_url, "t", ()) if isinstance(carrier, LocalCarrier) else None


def kept_records(folder: Path) -> list[dict[str, Any]]:
    """The records of all calls that have ended, as the store keeps them, oldest first."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        rows = database.execute("SELECT record FROM calls WHERE record IS NOT NULL ORDER BY rowid")
        return [json.loads(record) for (record,) in rows]


def assert_facts_tell_all(folder: Path) -> None:
    """The record of every call is what its facts come to, and nothing but."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        rows = "SELECT call_id, status, record FROM calls WHERE NOT erased"
        for call_id, status, record_text in database.execute(rows).fetchall():
            assert status == "ended", call_id
            facts = database.execute(
                "SELECT seq, type, at_ms, data FROM call_facts WHERE call_id = ? ORDER BY seq",
                (call_id,),
            ).fetchall()
            of_its_own = [seq for seq, *_ in facts if seq < AFTERWARDS]
            assert of_its_own == list(range(1, len(of_its_own) + 1))
            report, kept = Report(), json.loads(record_text)
            for _, kind, at_ms, data in facts:
                report.learn(Fact(kind, at_ms, json.loads(data)))
            told = record(call_id, report, lambda at_ms: None if at_ms is None else str(at_ms))
            moments = dict.fromkeys(("timestamps", "transfers", "failure", "agents"))
            assert {**told, **moments} == {**kept, **moments}


def assert_replays(folder: Path) -> None:
    """Every call of every walk is decided the same way again from its flight log."""
    for log in sorted((folder / "data" / "flights").glob("*.jsonl")):
        for moment in replay(log):
            assert moment.same, f"{log.name}: {moment}"


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """``Server.serve`` without its signal handlers, which belong to the process."""
    await server._serve([listener])
