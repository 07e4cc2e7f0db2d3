"""Servers of the agents under test, each with a line of its own: where simulated calls happen.

A lane is the server that takes real calls, on a port of this machine, an empty folder and an
account drawn for it; one call at a time, so that what a tool is asked belongs to the case that
is played. Rule: nothing of the operator's account, database or model is used, but the model
where a file says ``model: real``; webhooks and what is done after calls are not carried out.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from pydantic import SecretStr

from app.agents.load import AgentDocument
from app.companions import Companion, Programme
from app.main import Switchboard, switchboard
from app.server import configuration
from app.settings import Settings, bare_environment
from app.simulation.cases import Case, Mock, steps_of
from app.simulation.verdict import Played
from app.standins import PUBLIC_URL, stand_in
from app.tool_kinds import registry
from app.tools.registry import Registry, Tool, ToolProblem

_HOST = "127.0.0.1"
_PATIENCE_MS = 15_000
_ANSWERS_WITHIN_S = 30.0
"""Beyond the time of a call: for its end, and its record."""


class LineFault(Exception):
    """The simulated line cannot be used; the message says why."""


@dataclass(slots=True)
class Stage:
    """Whoever plays callers, line and model: a process beside this one."""

    url: str
    key: str = field(repr=False)

    async def ask(self, path: str, body: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """Raises ``LineFault``."""
        headers = {"Authorization": f"Bearer {self.key}"}
        limit = aiohttp.ClientTimeout(total=within_s)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=limit) as client,
                client.post(self.url + path, json=body) as answer,
            ):
                answer.raise_for_status()
                told: dict[str, Any] = await answer.json()
                return told
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise LineFault(f"the simulated line failed: {exc or type(exc).__name__}") from None


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """The process, for as long as the block lasts. Raises ``CompanionFault``."""
    key = secrets.token_urlsafe(24)
    programme = Programme(
        "simulated line",
        ("app.emulators", "simulation"),
        bare_environment({"SIMULATION_KEY": key}),
    )
    with Companion(programme) as companion:
        yield Stage(f"http://{_HOST}:{companion.ready['port']}", key)


@contextlib.contextmanager
def model_of(kind: str, settings: Settings) -> Iterator[Settings]:
    """The settings with the model a file asks for. Raises ``CompanionFault``.

    A scripted one belongs to each lane and is set there.
    """
    if kind != "local":
        yield settings
        return
    # With an account of its own, so that only the model is stood in for.
    asked = settings.model_copy(update={"openai_api_key": None, **_account()})
    with stand_in(asked) as house:
        yield house.settings


@dataclass(slots=True)
class Mocks:
    """What is answered in tools' places while a case is played."""

    current: Mapping[str, Mock] = field(default_factory=dict)

    def registry(self, document: AgentDocument, **more: Any) -> Registry:
        """The tools of an agent, of which those that are mocked are not run."""
        made = registry(document, **more)
        made.acted = self.acted
        return made

    def acted(self, tool: Tool) -> Tool:
        """The tool, or what takes its place: its arguments and time limit are those it has."""
        mock = self.current.get(tool.name)
        return tool if mock is None else replace(tool, function=_answering(mock))


def _answering(mock: Mock) -> Callable[..., object]:
    async def answer(**_arguments: object) -> object:
        await asyncio.sleep(mock.delay_ms / 1000)
        if mock.error is not None:
            raise ToolProblem("simulated", mock.error)
        return mock.result

    return answer


@dataclass(slots=True)
class Lane:
    """A server and its line."""

    stage: Stage
    number: int
    mocks: Mocks

    async def play(self, case: Case) -> Played:
        """The call, from dialling to its record. Raises ``LineFault``."""
        self.mocks.current = case.tools
        call = {
            "from": case.from_,
            "to": case.to,
            "caller": steps_of(case),
            "script": [one.model_dump() for one in case.script],
            "people": case.people,
            "patience_ms": _PATIENCE_MS,
            "timeout_ms": case.timeout_ms,
        }
        within_s = case.timeout_ms / 1000 + _ANSWERS_WITHIN_S
        told = await self.stage.ask("/plays", {"lane": self.number, "call": call}, within_s)
        return Played(told["record"], told["said"], told["complaints"], told["timed_out"])


@contextlib.asynccontextmanager
async def lane(
    stage: Stage, document: AgentDocument, settings: Settings, folder: Path, *, scripted: bool
) -> AsyncIterator[Lane]:
    """A lane for ``document``, for as long as the block lasts.

    Raises ``LineFault``, ``SettingsFault`` or ``ToolFault``.
    """
    mocks = Mocks()
    with socket.create_server((_HOST, 0)) as listener:
        port = listener.getsockname()[1]
        own = {**_account(), "host": _HOST, "port": port, "public_url": PUBLIC_URL}
        key = secrets.token_urlsafe(24)
        server = {
            "url": f"http://{_HOST}:{port}",
            "public_url": PUBLIC_URL,
            "account_sid": own["twilio_account_sid"],
            "auth_token": own["twilio_auth_tokens"][0].get_secret_value(),
            "api_key": key,
        }
        asked = {"server": server, "scripted": scripted}
        found = await stage.ask("/lanes", asked, _ANSWERS_WITHIN_S)
        own |= {"api_key": SecretStr(key), "twilio_api_url": found["twilio"]}
        if scripted:
            own |= {
                "openai_api_key": SecretStr(found["key"]),
                "openai_base_url": found["openai"],
                "realtime_dialect": "openai",
            }
        database = SecretStr(f"sqlite:///{folder}/patchline.db")
        given = settings.model_copy(update={**_OF_NO_OPERATOR, **own, "database_url": database})
        board = switchboard(given, _quiet(document), data=folder, tools=mocks.registry)
        async with _serving(given, board, listener):
            yield Lane(stage, found["lane"], mocks)


_OF_NO_OPERATOR: Mapping[str, Any] = {
    "twilio_shared_keys": (),
    "twilio_api_key": None,
    "twilio_api_secret": None,
    "agent_reload_s": 0,
    "mcp_server": False,
    "dial_countries": (),
    "webhook_secrets": (),
    "jobs": "none",
    "max_total_calls": None,
    "max_cost_per_day": None,
    "retention_days": None,
    "drain_seconds": 0,
}
"""Settings of a server that takes real calls, and has no say here."""


def _quiet(document: AgentDocument) -> AgentDocument:
    """Without the sound under the speech: a scripted caller waits until the agent is silent."""
    roles = (
        replace(role, sounds={name: one for name, one in role.sounds.items() if name != AMBIENCE})
        for role in document.roles
    )
    return replace(document, roles=tuple(roles))


AMBIENCE = "ambience"


def _account() -> dict[str, Any]:
    return {
        "twilio_account_sid": f"AC{secrets.token_hex(16)}",
        "twilio_auth_tokens": (SecretStr(secrets.token_hex(16)),),
    }


class _Server(uvicorn.Server):
    """uvicorn without a say in signals, which belong to the whole run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


@contextlib.asynccontextmanager
async def _serving(
    settings: Settings, board: Switchboard, listener: socket.socket
) -> AsyncIterator[None]:
    server = _Server(configuration(settings, board))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="simulated server")
    try:
        while not server.started:
            if serving.done():
                raise LineFault("a server of the simulation did not start: what it said is above")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({serving})
