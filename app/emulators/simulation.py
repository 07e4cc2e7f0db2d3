"""`python -m app.emulators simulation`: the callers, the line and the model of simulated calls.

`python -m app simulate` starts it beside its servers and tells it by HTTP, on loopback and with
a key, which calls to play. A lane is one server with a local Twilio of its own and, where the
model's answers are scripted, a local OpenAI: one call at a time, so that whatever comes there
belongs to it. Rule: what became of a call is told as it was; nothing is judged here.
"""

import asyncio
import contextlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from aiohttp import web

from app.audio.tones import tone
from app.emulators import carrier_voice
from app.emulators.carrier_process import watch_input, watch_parent
from app.emulators.demo_server import Server, ServerFault
from app.emulators.phone import Phone
from app.emulators.phone_book import Extension, PhoneBook
from app.emulators.phone_script import (
    Await,
    HangUp,
    Pause,
    PhoneCall,
    PhoneEvent,
    Press,
    Say,
    ScriptedPhone,
    Step,
    Write,
)
from app.emulators.realtime import RealtimeEmulator
from app.emulators.simulated_model import Answer, ScriptedModel
from app.emulators.twilio import DialOutcome, Pace, TwilioEmulator
from app.emulators.twilio_tasks import OwnedTasks

MODEL_KEY = "sk-simulated"
_LOOPBACK = "127.0.0.1"
_PACE = Pace(say_ms_per_character=12, say_cap_ms=2_000)
_GLANCE_S = 0.1
"""A record that another process writes is looked at this often."""
_TALK_MS = 300
_QUIET_MS = {True: 300, False: 700}
"""How long the agent is silent before it is the caller's turn: scripted, or not."""
_GOODBYE_S = 5.0
_LARGEST_BYTES = 1 << 20
_MS_PER_CHARACTER, _SHORTEST_MS, _LONGEST_MS = 25, 300, 1_500
"""Of what a caller says to a scripted model."""


def simulation(
    *,
    port: Annotated[int, typer.Option(help="0: any.")] = 0,
    key: Annotated[
        str, typer.Option(envvar="SIMULATION_KEY", show_default=False, help="Who may ask.")
    ],
) -> None:
    """What `python -m app simulate` runs beside its servers: callers, a line, a model."""
    asyncio.run(_serve(port, key))


async def _serve(port: int, key: str) -> None:
    over = asyncio.Event()
    async with contextlib.AsyncExitStack() as open_:
        theatre = Theatre(open_)
        runner = web.AppRunner(_application(theatre, key), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        open_.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, _LOOPBACK, port).start()
        watch_parent(over.set, open_)
        await watch_input(over.set, open_)
        told = {"ready": True, "port": runner.addresses[0][1]}
        typer.echo(json.dumps(told))
        await over.wait()


def _application(theatre: "Theatre", key: str) -> web.Application:
    expected = f"Bearer {key}".encode()

    @web.middleware
    async def known(request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise web.HTTPForbidden
        answer: web.StreamResponse = await handler(request)
        return answer

    async def open_lane(request: web.Request) -> web.Response:
        return web.json_response(await theatre.open(await request.json()))

    async def play(request: web.Request) -> web.Response:
        return web.json_response(await theatre.play(await request.json()))

    application = web.Application(middlewares=[known], client_max_size=_LARGEST_BYTES)
    application.add_routes([web.post("/lanes", open_lane), web.post("/plays", play)])
    return application


class Theatre:
    """The lanes of one run."""

    def __init__(self, open_: contextlib.AsyncExitStack) -> None:
        self._open = open_
        self._lanes: list[Lane] = []

    async def open(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A lane for the server that is named; says where its two companies are."""
        lane = Lane(Server(**{**asked["server"], "data": Path()}), scripted=asked["scripted"])
        await self._open.enter_async_context(lane.line)
        self._open.push_async_callback(lane.tasks.close)
        if asked["scripted"]:
            await self._open.enter_async_context(lane.openai)
        self._lanes.append(lane)
        return {
            "lane": len(self._lanes) - 1,
            "twilio": lane.line.api_url,
            "openai": lane.openai.base_url,
            "key": MODEL_KEY,
        }

    async def play(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Play a call; says what became of it."""
        lane: Lane = self._lanes[asked["lane"]]
        return await lane.play(asked["call"])


class Lane:
    """One server's line and model."""

    def __init__(self, server: Server, *, scripted: bool) -> None:
        self._server = server
        self._scripted = scripted
        self._model = ScriptedModel()
        self._people: Mapping[str, str] = {}
        self.tasks = OwnedTasks()
        self.openai = RealtimeEmulator(
            self._model, api_key=MODEL_KEY, keep_audio=False, remembered=4
        )
        self.line = TwilioEmulator(
            account_sid=server.account_sid,
            auth_token=server.auth_token,
            public_url=server.public_url,
            server_url=server.url,
            answers=self._answers,
            pace=_PACE,
            keep_audio=False,
            phones=PhoneBook(
                Extension("caller", ""),
                Extension("person", ""),
                _Beeps(),
                persons_numbers=frozenset(),
            ),
        )

    async def play(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """From dialling to the record; ``timed_out`` where that took too long."""
        self._model.begin([Answer(**one) for one in call["script"]])
        self._people = call["people"]
        dialler = _Dialler(self, call["from"], call["to"])
        unheard: list[str] = []
        voice = _Beeps() if self._scripted else carrier_voice.found()[1]
        if voice.rung == "none":
            unheard.append("the caller has no voice: install flite or espeak-ng")
        phone = ScriptedPhone(
            [self._step(one, dialler, unheard) for one in call["caller"]],
            voice=voice,
            quiet_ms=_QUIET_MS[self._scripted],
            patience_ms=call["patience_ms"],
            told=self._told,
        )
        timed_out = False
        try:
            async with asyncio.timeout(call["timeout_ms"] / 1000):
                await phone.place(dialler)
        except TimeoutError:
            timed_out = True
            await dialler.hang_up()
        return {
            "timed_out": timed_out,
            "call_sid": dialler.call_sid,
            "said": [str(one.fields.get("text")) for one in phone.events if one.name == "said"],
            "complaints": [*unheard, *(self._model.complaints() if self._scripted else [])],
            "record": await self._record(dialler.call_sid),
        }

    def _answers(self, destination: str) -> DialOutcome:
        kind: Any = self._people.get(destination, "bridged")
        return DialOutcome(kind, talk_ms=_TALK_MS)

    def _told(self, event: PhoneEvent) -> None:
        if event.name == "line" and "say" in event.fields:
            self._model.said(str(event.fields["say"]))

    def _step(self, given: Mapping[str, Any], dialler: "_Dialler", unheard: list[str]) -> Step:
        value, after_ms = given["value"], given["after_ms"]
        match given["kind"]:
            case "say":
                return Say(value, after_ms)
            case "keys":
                return Press(value, after_ms)
            case "text":
                return Write(value, after_ms)
            case "silence":
                return Pause(value)
            case "wait":
                return Await(lambda: self._heard(dialler, value, given["within_ms"], unheard))
            case _:
                return HangUp(after_ms)

    async def _heard(
        self, dialler: "_Dialler", text: str, within_ms: int, unheard: list[str]
    ) -> None:
        """Return when the caller has heard ``text``, the call is over or the time is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_ms / 1000):
                while True:
                    record = await self._so_far(dialler.call_sid)
                    if text.casefold() in " ".join(heard(record)).casefold():
                        return
                    if record.get("status") == "completed":
                        break
                    await asyncio.sleep(_GLANCE_S)
        unheard.append(f'the caller waited in vain to hear "{text}"')

    async def _so_far(self, call_sid: str) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._server.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(f"{self._server.url}/v1/calls/{call_sid}") as answer,
        ):
            return dict(await answer.json()) if answer.status == web.HTTPOk.status_code else {}

    async def _record(self, call_sid: str) -> dict[str, Any] | None:
        try:
            return await self._server.record(call_sid) if call_sid else None
        except ServerFault:
            return None


def heard(record: Mapping[str, Any]) -> Sequence[str]:
    """What the caller of a record heard of the agent."""
    return [
        str(one["text"])
        for turn in record.get("turns", ())
        for one in turn["responses"]
        if one["type"] == "speech"
    ]


@dataclass(slots=True)
class _Dialler:
    """Places one call on a lane's line."""

    lane: Lane
    from_: str
    to: str
    call_sid: str = ""

    async def dial(self, phone: Phone) -> PhoneCall:
        """Call the agent."""
        call = await self.lane.line.call(from_=self.from_, to=self.to, phone=phone)
        self.call_sid = call.call_sid
        return call

    def text(self, body: str) -> None:
        """Write to the agent's number."""
        self.lane.tasks.start(self._brought(body), name="text message of a simulated caller")

    async def _brought(self, body: str) -> None:
        await self.lane.line.post.bring(self.from_, self.to, body)

    async def hang_up(self) -> None:
        """End the call, whatever goes on in it."""
        call = self.lane.line.calls.get(self.call_sid)
        if call is not None:
            await call.hang_up()
            with contextlib.suppress(TimeoutError):
                await call.ended(_GOODBYE_S)


class _Beeps:
    """A voice for ears that are told the words: as loud as speech, and quicker."""

    rung = "tone"

    async def say(self, text: str) -> bytes:
        """A tone, the longer the text the longer."""
        return tone(300, min(_LONGEST_MS, max(_SHORTEST_MS, _MS_PER_CHARACTER * len(text))))
