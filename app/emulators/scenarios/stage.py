"""What a scenario plays on: a server of its own, the two companies, and telephones.

The server is the program itself, started as `./scripts/demo` starts it, with the scenario's agent
document. Rule: a scenario says what is done and what has to be heard; it fails by its checks, which
are all made, by a wait in vain, or by what the two companies would complain about.
"""

import asyncio
import audioop
import contextlib
import io
import json
import tempfile
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from app.audio import mulaw
from app.audio.tones import tone
from app.emulators.demo_server import (
    ACCOUNT,
    API_KEY,
    AUTH_TOKEN,
    PUBLIC_URL,
    Server,
    free_port,
    own,
    own_environment,
    running,
)
from app.emulators.demo_verdict import Check
from app.emulators.demo_voice import mono_wav
from app.emulators.phone_book import Extension, PhoneBook
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_turns import Brain
from app.emulators.scenario import Scenario
from app.emulators.scenarios import ear
from app.emulators.scenarios.handset import Handset
from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import Answers, Pace
from app.protocol.units import FRAME_MS

CALLER, PERSON = "+12125551234", "+14155550123"
CALLER_HZ, PERSON_HZ, MUSIC_HZ, CARRIER_HZ = 300, 2500, 1000, 2000
"""Who sounds how; the agent's sentences have pitches of their own."""
SAYS = tone(CALLER_HZ, 400)
"""What a caller says: a turn, as the model hears it."""
HEAD = """
instructions: You answer the phone of the scenarios.
greeting: Hello.
turn_detection: {type: server_vad, silence_duration_ms: 200}
"""
_EDGES_MS = 3 * FRAME_MS
"""Frames that a tone does not fill, where it begins and ends."""
_TRACE_MS = 2 * FRAME_MS
"""A tone that begins or ends within a frame leaves traces of others."""
_CLOSING_S = 10.0
_STARTING_S = 20.0
"""The jobs are a process of their own, which makes its tables first."""
_AGAIN_S = 0.2
_ACCEPTED, _NOT_YET = 202, 503
_BEEP_MS_PER_CHARACTER, _LONGEST_BEEP_MS = 10, 600


class _Beeper:
    """The carrier's voice: one tone, the longer the longer."""

    rung = "none"

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law."""
        return tone(CARRIER_HZ, min(_LONGEST_BEEP_MS, _BEEP_MS_PER_CHARACTER * len(text)))


@dataclass(frozen=True, slots=True)
class Play:
    """One scenario."""

    name: str
    about: str
    agent: str
    """The agent document; sounds named in it lie beside it: hold.wav."""
    model: Callable[[], Brain]
    """What the agent's model does, once for all its sessions."""
    act: Callable[["Stage"], Awaitable[None]]
    settings: Mapping[str, str] = field(default_factory=dict)
    answers: Answers = field(default_factory=dict)
    """How numbers behave that no telephone stands for."""
    phones: bool = True
    """False: numbers that are called behave as ``answers`` say, and nobody holds a telephone."""
    pace: Pace = field(default_factory=Pace)


class Stage:
    """One play while it is given. Checks gather in ``checks``, sounds in ``tracks``."""

    def __init__(
        self, server: Server, twilio: TwilioEmulator, openai: RealtimeEmulator, book: PhoneBook
    ) -> None:
        self.server = server
        self.twilio = twilio
        self.openai = openai
        self.checks: list[Check] = []
        self.heard: list[str] = []
        """What was heard, as the table tells it."""
        self.tracks: dict[str, bytes] = {}
        """WAV files by their names, beside those of the telephones."""
        self.phones: list[Handset] = []
        self._book = book
        self._open = contextlib.AsyncExitStack()

    @asynccontextmanager
    async def live(self) -> AsyncIterator["Stage"]:
        """With the caller's and the person's telephone."""
        async with self._open:
            self.caller = await self.telephone("caller")
            self.person = await self.telephone("person")
            self._book.caller.plug_in(self.caller)
            self._book.person.plug_in(self.person)
            yield self

    async def telephone(self, name: str) -> Handset:
        """One more."""
        phone = await self._open.enter_async_context(Handset(name).live())
        self.phones.append(phone)
        return phone

    async def dial(self, phone: Handset | None = None, from_: str = CALLER) -> EmulatedCall:
        """The agent is called."""
        phone = phone or self.caller
        call = await self.twilio.call(from_=from_, phone=phone)
        phone.take_up(call)
        return call

    async def order(self, **order: Any) -> str:
        """The operator has somebody called: the id of the call."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "the only one"}
        async with aiohttp.ClientSession(headers=headers) as client, asyncio.timeout(_STARTING_S):
            while True:
                url, body = f"{self.server.url}/v1/calls", {"to": CALLER, **order}
                async with client.post(url, json=body) as answer:
                    told: dict[str, Any] = await answer.json()
                if answer.status == _ACCEPTED:
                    return str(told["call_id"])
                if answer.status != _NOT_YET:
                    raise AssertionError(f"the order was refused: {told}")
                await asyncio.sleep(_AGAIN_S)

    async def call_to(self, number: str) -> EmulatedCall:
        """A call that the server has placed."""
        async with asyncio.timeout(_CLOSING_S):
            while True:
                for call in self.twilio.calls.values():
                    if call.to == number and call.direction == "outbound-api":
                        return call
                await asyncio.sleep(FRAME_MS / 1000)

    async def ended(self, call: EmulatedCall, call_id: str = "") -> dict[str, Any]:
        """The record of a call, when it is over."""
        await call.ended()
        return await self.server.record(call_id or call.call_sid)

    def equal(self, what: str, found: object, wanted: object) -> None:
        """Check that it is so."""
        fault = None if found == wanted else f"{found!r} instead of {wanted!r}"
        self.checks.append(Check(what, fault))

    def hears(self, what: str, audio: bytes, frequency_hz: float, least_ms: int) -> None:
        """Check that so much of a tone is on it."""
        found = ear.lasts_ms(audio, frequency_hz)
        self.heard.append(f"{what} {found / 1000:.1f} s")
        fault = None if found >= least_ms - _EDGES_MS else f"{found} ms instead of {least_ms}"
        self.checks.append(Check(f"heard: {what}", fault))

    def took(self, what: str, since_ms: float, until_ms: float) -> None:
        """Tell how long it took; a machine that is busy with others is no fault of the server's."""
        self.heard.append(f"{what} {until_ms - since_ms:.0f} ms")

    def hears_no(self, what: str, audio: bytes, frequency_hz: float) -> None:
        """Check that nothing of a tone is on it, under whatever else there is."""
        found = ear.trace_ms(audio, frequency_hz)
        fault = None if found <= _TRACE_MS else f"for {found} ms"
        self.checks.append(Check(f"not heard: {what}", fault))

    def keys(self, what: str, audio: bytes, wanted: str) -> None:
        """Check which keys are on it."""
        found = ear.keys(audio)
        self.heard.append(f"{what} {found or 'none'}")
        self.equal(f"keys: {what}", found, wanted)

    async def close(self) -> None:
        """What the two companies say, when everything is over."""
        with contextlib.suppress(TimeoutError):
            for session in self.openai.connections:
                await session.until_closed(timeout_s=_CLOSING_S)
        self.equal("no model session is left", len(self.openai.open_connections), 0)
        for what, verdict in (
            ("nothing broke Twilio's rules", self.twilio.assert_clean),
            ("the model's script was used up", self.openai.assert_clean),
        ):
            try:
                verdict()
            except AssertionError as fault:
                self.checks.append(Check(what, str(fault)))
            else:
                self.checks.append(Check(what))

    def keep(self, folder: Path) -> list[Path]:
        """Write what every telephone heard, the other tracks, and what REST was asked for."""
        folder.mkdir(parents=True, exist_ok=True)
        tracks = {f"{one.name}-heard": wav(one.heard) for one in self.phones if one.used}
        files = []
        for name, content in (tracks | self.tracks).items():
            files.append(folder / f"{name}.wav")
            files[-1].write_bytes(content)
        requests = [[method, path, form] for method, path, form in self.twilio.desk.requests]
        (folder / "requests.json").write_text(json.dumps(requests, indent=1) + "\n")
        return files


def wav(audio: bytes) -> bytes:
    """Mu-law as a WAV file."""
    return mono_wav(mulaw.decode(audio))


@asynccontextmanager
async def staged(play: Play) -> AsyncIterator[Stage]:
    """The server, the companies and the telephones of a play; all of it is gone afterwards."""
    brain = play.model()
    port = free_port()
    book = PhoneBook(Extension("caller", CALLER), Extension("person", PERSON), _Beeper())
    async with contextlib.AsyncExitStack() as stack:
        openai = await stack.enter_async_context(RealtimeEmulator(brain))
        twilio = await stack.enter_async_context(
            TwilioEmulator(
                account_sid=ACCOUNT,
                auth_token=AUTH_TOKEN,
                public_url=PUBLIC_URL,
                server_url=f"http://127.0.0.1:{port}",
                answers=play.answers,
                phones=book if play.phones else None,
                pace=play.pace,
            )
        )
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="patchline-scenario-"))
        folder = Path(name)
        (folder / "agent.yaml").write_text(play.agent)
        (folder / "hold.wav").write_bytes(wav(tone(MUSIC_HZ, 2_000, amplitude=6_000)))
        settings = own_environment(port, openai_url=openai.base_url, twilio_url=twilio.api_url)
        settings |= {"AGENT_FILE": str(folder / "agent.yaml"), "JOBS": "none", **play.settings}
        server = own(folder, port)
        await stack.enter_async_context(running(folder, server.url, settings))
        yield await stack.enter_async_context(Stage(server, twilio, openai, book).live())


def script(*steps: Any) -> Callable[[], Brain]:
    """A model that goes by a script."""

    return lambda: Scenario(list(steps))


def since(audio: bytes, frequency_hz: float) -> bytes:
    """What is heard from the tone on; nothing where it is not heard."""
    at = ear.begins(audio, frequency_hz)
    return b"" if at is None else audio[at:]


def halves(sound: bytes) -> tuple[bytes, bytes]:
    """The two channels of a WAV file, as mu-law."""
    with wave.open(io.BytesIO(sound)) as file:
        both = file.readframes(file.getnframes())
    return mulaw.encode(audioop.tomono(both, 2, 1, 0)), mulaw.encode(audioop.tomono(both, 2, 0, 1))
