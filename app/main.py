"""The composition root: the one module that knows everybody, and where shapes meet things."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from app import assembly
from app.agents.load import AgentDocument, load_document
from app.call.plan import CallPlan
from app.errors import CarrierFault
from app.front_page import front_page
from app.http import api, pages, problems, reading, voice
from app.http.guard import TwilioGuard, operator
from app.http.home import Home
from app.http.media import MediaDoor
from app.http.steps import Calls
from app.protocol.commands import RunTool
from app.protocol.dialect import DIALECTS
from app.protocol.events import ToolDone
from app.protocol.realtime import SessionConfig
from app.protocol.twilio_signature import Secrets
from app.runtime.book import Book, Line
from app.runtime.effects import Effects
from app.runtime.flight_log import FlightLog, Hangar
from app.runtime.live_call import LiveCall
from app.runtime.ports import Feed, ModelLine
from app.runtime.runner import Runner
from app.services.store import MemoryStore
from app.services.twilio_rest import TwilioRest
from app.settings import Settings, SettingsFault
from app.tools.registry import CallFacts, Registry
from app.transports import takeover
from app.transports.caller import CallerLine
from app.transports.model import Endpoint
from app.transports.model import ModelLine as RealtimeLine
from app.transports.transcode import TranscodedLine

DATA = Path("data")
log = structlog.get_logger("main")


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Everything that was put together."""

    app: FastAPI
    book: Book
    door: MediaDoor
    api_key: str
    api_key_is_new: bool


class _NoCarrier:
    """Stands where Twilio would, when it is not configured: no call can have come from there."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        raise CarrierFault("credentials")

    async def hang_up(self, call_sid: str) -> None:
        raise CarrierFault("credentials")

    async def call_status(self, call_sid: str) -> str:
        raise CarrierFault("credentials")

    def close(self) -> None:
        """Nothing to close."""


class _Spawner:
    """Starts tasks in the lifespan's group, which exists only while the application lives."""

    def __init__(self) -> None:
        self.group: asyncio.TaskGroup | None = None

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self.group is None:
            work.close()
            raise RuntimeError("the application is not running")
        self.group.create_task(work, name=name)


def switchboard(
    settings: Settings,
    document: AgentDocument | None = None,
    *,
    data: Path = DATA,
    phone: Callable[[], pages.PhoneSetup | None] = lambda: None,
    operators: Settings | None = None,
) -> Switchboard:
    """Put everything together. Opens no port and starts no task.

    ``phone`` says where the local line is; None while there is none. ``operators`` are the
    settings without what stands in for a missing account: what the first page shows.

    Raises ``SettingsFault``, ``AgentFault`` or ``ToolFault`` with a sentence that names the fix.
    """
    document = document or load_document(settings.agent_file)
    agent = document.agent
    tools = assembly.registry(document)
    session = assembly.session(agent, tools)
    origin = settings.public_url or f"http://localhost:{settings.port}"
    scripts = assembly.scripts(agent, origin)
    carrier = _carrier(settings)
    hangar = Hangar(data / "flights")
    spawn = _Spawner()
    connect = _model_opener(settings, session)

    def make_runner(call: LiveCall, plan: CallPlan) -> Runner:
        effects = Effects(
            call.facts.call_sid,
            carrier=carrier,
            run_tool=_tool_runner(tools, call),
            transfer_twiml=lambda target: book.transfer_twiml(call, target),
            failure_twiml=scripts.failure,
        )
        return Runner(
            plan,
            call_id=call.call_id,
            began_ns=call.began_ns,
            open_model=connect,
            effects=effects,
            report=call.report,
            flight=FlightLog(f"{call.call_id}-{call.streams}", plan, hangar.write),
            changed=call.readers.tell,
        )

    book = Book(
        Line(assembly.plan(agent), scripts, document.version),
        capacity=settings.max_concurrent_calls,
        make_runner=make_runner,
        store=MemoryStore(),
        spawn=spawn,
    )
    key, is_new = _api_key(settings, data)
    signing = _signing(settings)
    instance = secrets.token_hex(8)
    front = front_page(
        operators or settings,
        agent.model,
        instance=instance,
        phone=phone,
        calls=lambda: Calls(book.live, book.admitted),
        at_once=_at_once,
    )
    home = Home(front, operator(key))
    lifespan = _lifespan(book, spawn, hangar, (carrier.close, tools.close, front.close))
    app = FastAPI(
        title="Patchline",
        lifespan=lifespan,
        openapi_tags=api.TAGS,
        redirect_slashes=False,  # the redirect would be built from Host, and lose the signature
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    app.include_router(api.public_routes(book, banner(operators or settings), home, instance))
    app.include_router(home.routes())
    app.include_router(api.operator_routes(book, operator(key)))
    app.include_router(voice.routes(book, TwilioGuard(origin, signing)))
    app.include_router(pages.routes(phone))
    app.include_router(reading.routes(book, pages.of_local_line(phone)))
    door = MediaDoor(origin, signing, book, CallerLine)
    return Switchboard(app, book, door, key, is_new)


def _lifespan(
    book: Book, spawn: _Spawner, hangar: Hangar, closers: Sequence[Callable[[], None]]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The time in which calls may live; at its end those that still do are let go."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        takeover.check()
        await asyncio.to_thread(hangar.open)
        try:
            async with asyncio.TaskGroup() as group:
                spawn.group = group
                yield
                book.draining = True
                book.let_go()
        finally:
            spawn.group = None
            book.close()
            for close in closers:
                close()
            await asyncio.to_thread(hangar.close)

    return lifespan


def banner(settings: Settings) -> str:
    """What is running, on which model and which line, and the next step."""
    if settings.local_line:
        model = "the local model" if settings.local_model else settings.openai_base_url
        return (
            f"Patchline is running on http://localhost:{settings.port}, on {model}.\n"
            f"Talk to it now: http://localhost:{settings.port}/phone\n"
            "Hear a whole call go right: ./scripts/demo\n"
            "Take real calls: put OPENAI_API_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and\n"
            "PUBLIC_URL into .env (see .env.example) and start again.\n"
        )
    return (
        f"Patchline is running for {settings.public_url}, on port {settings.port}.\n"
        f"Point your number's voice webhook at {settings.public_url}/incoming-call\n"
    )


async def _at_once(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The outcomes, in order. The request that asks owns the tasks, and outlives them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name="check") for one in work]
    return [task.result() for task in tasks]


def _carrier(settings: Settings) -> TwilioRest | _NoCarrier:
    if settings.twilio_account_sid is None:
        return _NoCarrier()
    username, password = settings.rest_credentials
    return TwilioRest(
        account_sid=settings.twilio_account_sid,
        username=username,
        password=password,
        base_url=settings.twilio_api_url,
    )


def _signing(settings: Settings) -> Secrets | None:
    if settings.twilio_account_sid is None:
        return None
    return Secrets(
        tuple(token.get_secret_value() for token in settings.twilio_auth_tokens),
        {key.id: key.secret.get_secret_value() for key in settings.twilio_shared_keys},
    )


def _model_opener(
    settings: Settings, session: SessionConfig
) -> Callable[[Feed, int], Coroutine[Any, Any, ModelLine]]:
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    dialect = DIALECTS[settings.dialect]
    endpoint = Endpoint(
        dialect.address(settings.realtime_url(session.model)),
        (*dialect.headers(key), ("User-Agent", "Patchline")),
        ssl.create_default_context(),
    )
    make_line = TranscodedLine if dialect.converts else RealtimeLine

    async def connect(feed: Feed, timeout_ms: int) -> ModelLine:
        line = make_line(session, feed, dialect)
        await line.open(endpoint, timeout_ms)
        return line

    return connect


def _tool_runner(
    tools: Registry, call: LiveCall
) -> Callable[[RunTool], Coroutine[Any, Any, ToolDone]]:
    facts = CallFacts(
        call_id=call.call_id,
        call_sid=call.facts.call_sid,
        caller=call.facts.from_number,
        line=call.facts.to_number,
    )

    async def run(command: RunTool) -> ToolDone:
        outcome = await tools.run(command.name, command.arguments, facts)
        return ToolDone(
            command.tool_call_id,
            outcome.output,
            ok=outcome.ok,
            background=outcome.background,
            elapsed_ms=outcome.elapsed_ms,
        )

    return run


def _api_key(settings: Settings, data: Path) -> tuple[str, bool]:
    """The operator's key, and whether it was drawn just now."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value(), False
    file = data / "api_key"
    try:
        if file.is_file() and (kept := file.read_text().strip()):
            return kept, False
        key = secrets.token_urlsafe(32)
        data.mkdir(exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.write_text(key + "\n")
    except OSError as exc:
        raise SettingsFault(
            f"The folder {data} cannot be used ({exc.strerror}): make it a folder that this user"
            " may write to, or set API_KEY."
        ) from None
    return key, True
