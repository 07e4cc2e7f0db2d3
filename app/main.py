"""The composition root: the one module that knows everybody, and where shapes meet things."""

import secrets
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from phonenumbers import SUPPORTED_REGIONS

from app import judging, line_numbers, recordings
from app.agents.load import AgentDocument, load_document
from app.before_call import asker
from app.built_ins import Means, carried_out
from app.call.chronicle import Tell
from app.call.plan import CallPlan
from app.editions import Connect, Editor
from app.front_page import front_page
from app.http import (
    api,
    commands,
    context,
    costs,
    mcp,
    messages,
    numbers,
    pages,
    problems,
    reading,
    records,
    voice,
    webhooks,
)
from app.http.approvals import routes as approval_routes
from app.http.call_center_ai import routes as seed_routes
from app.http.guard import TwilioGuard, operator
from app.http.home import Home
from app.http.link_page import routes as link_routes
from app.http.lobby import routes as lobby_routes
from app.http.mcp_calls import Calls as CallsForModels
from app.http.media import MediaDoor
from app.http.outbound import Desk
from app.http.outbound import routes as ordering_routes
from app.http.picked_up import routes as callee_routes
from app.http.recordings import routes as recording_routes
from app.http.recordings import twilio_routes
from app.http.side_calls import routes as side_call_routes
from app.http.steps import Calls
from app.jobs.client import DurableJobs
from app.jobs.destinations import TEXTED, DestinationPolicy
from app.jobs.hours import CallingHours, zones_of
from app.jobs.port import Jobs
from app.lifetime import Beside, Spawner, Standing, Work, at_once, lifespan
from app.protocol.dialect import DIALECTS
from app.protocol.realtime_client_events import SessionConfig
from app.protocol.twilio_signature import Secrets
from app.reloading import Reloading
from app.runtime.approvals import Approvals
from app.runtime.book import Book
from app.runtime.callbacks import Callees
from app.runtime.commanding import Commanding
from app.runtime.correspondence import Correspondence
from app.runtime.custody import Custody
from app.runtime.deadline import READ_S, Patience
from app.runtime.effects import Effects, contained
from app.runtime.flight_log import FlightLog, Hangar
from app.runtime.knowledge import Libraries
from app.runtime.links import Links
from app.runtime.live_call import LiveCall
from app.runtime.lobby import Waiting
from app.runtime.once import Once
from app.runtime.outbound import Outbound
from app.runtime.ports import Carrier, Feed, ModelLine, People, Recorder
from app.runtime.putting_through import PuttingThrough
from app.runtime.reception import Reception
from app.runtime.recording import Recordings
from app.runtime.records import Records
from app.runtime.retention import keep_for
from app.runtime.roster import Roster
from app.runtime.routing import Routing
from app.runtime.runner import Runner
from app.runtime.side_calls import SideCalls
from app.runtime.signalling import Signalling
from app.runtime.spending import Spending
from app.runtime.texting import Texting
from app.runtime.turned_away import TurnedAway
from app.runtime.ways import Ways
from app.services.no_bus import NoBus
from app.services.no_carrier import NoCarrier
from app.services.store.archive import Archive
from app.services.store.database import database_url, lasting
from app.services.twilio_rest import TwilioRest
from app.settings import Settings, SettingsFault, named_secret
from app.tool_kinds import House, registry
from app.tools.registry import Registry
from app.transports.caller import CallerLine
from app.transports.model import Endpoint
from app.transports.model import ModelLine as RealtimeLine
from app.transports.transcode import TranscodedLine

DATA = Path("data")

if TYPE_CHECKING:
    from app.services.bus import PostgresBus

log = structlog.get_logger("main")


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Everything that was put together."""

    app: FastAPI
    book: Book
    door: MediaDoor
    api_key: str
    api_key_is_new: bool
    instance: str
    """The name of this process among those that answer under the same address."""


def switchboard(
    settings: Settings,
    document: AgentDocument | None = None,
    *,
    data: Path = DATA,
    phone: Callable[[], pages.PhoneSetup | None] = lambda: None,
    operators: Settings | None = None,
    jobs: Jobs | None = None,
    tools: Callable[..., Registry] = registry,
) -> Switchboard:
    """Put everything together. Opens no port and starts no task.

    ``phone`` says where the local line is; None while there is none. ``operators`` are the
    settings without what stands in for a missing account: what the first page shows. ``jobs``
    place calls; None: a process beside this one, over the database. ``tools`` makes the tools
    of an agent.

    Raises ``SettingsFault``, ``AgentFault`` or ``ToolFault`` with a sentence that names the fix.
    """
    document = document or load_document(settings.agent_file)
    agent = document.agent
    dials = bool(settings.dial_countries)
    origin, instance = _origin(settings), secrets.token_hex(8)
    carrier = _carrier(settings)
    hangar = Hangar(data / "flights")
    spawn, standing = Spawner(), Standing()
    archive = Archive(_database(settings, data), Patience(READ_S, spawn))
    roster = Roster()
    spending = Spending(instance, archive.costs, _most_a_day(settings))

    book = Book(
        roster,
        capacity=settings.max_concurrent_calls,
        together=settings.max_total_calls,
        make_runner=lambda call, plan: _runner(
            call,
            plan,
            carrier=carrier,
            hangar=hangar,
            put_through=put_through,
            people=people.of(call, book.dials),
            approvals=approvals,
            tell=spending.noting(call.tell),
            recorder=tapes.of(call),
            keys_twiml=partial(routing.press, call),
        ),
        store=archive.writer,
        spawn=spawn,
        me=instance,
    )
    ways = Ways(asker(settings), _keeper(archive, spawn))
    signalling = Signalling(book, ways)
    put_through = PuttingThrough(signalling, ways, carrier, asker(settings))
    people = SideCalls(carrier, spawn, signalling.left_alone, ways)
    durable = DurableJobs(_database(settings, data))
    bus = _bus(settings, instance)
    tapes = Recordings(carrier, archive, book, bus, origin=origin, me=instance)
    approvals = Approvals(book, archive, bus, me=instance)
    routing = Routing(
        signalling,
        book,
        archive,
        bus,
        me=instance,
        shared=settings.several_processes,
        people=people,
        reception=_reception(roster, settings, lambda: book.capacity.refusal() is None),
    )
    commanding = Commanding(
        routing, book, archive, bus, signalling=signalling, carrier=carrier, me=instance
    )
    dialling = Outbound(
        book,
        routing,
        archive,
        jobs or durable,
        origin=origin,
        refusal=DestinationPolicy(frozenset(settings.dial_countries)).refusal,
        me=instance,
        shared=settings.several_processes,
    )
    texting = Texting(
        carrier,
        archive,
        book,
        bus,
        refusal=_texted(settings),
        spawn=spawn,
        letters=Correspondence(archive, jobs or durable, roster),
        origin=origin,
        me=instance,
    )
    links = Links(book, archive, texting, origin=origin)
    means = _means(
        settings, dialling, archive, jobs or durable, texting=texting, links=links, spawn=spawn
    )
    editor = Editor(
        origin,
        _model_opener(settings),
        partial(tools, house=House(named_secret, frozenset(settings.private_hosts))),
        partial(carried_out, means=means, dials=dials),
        process=instance if settings.several_processes else "",
        dials=dials,
        local_line=settings.local_line,
        zones=zones_of,
        judge=judging.judge(settings),
        stand=standing.begin,
    )
    reloading = _watched(document, roster, editor, settings)
    custody = Custody(book, archive, carrier, me=instance, spending=spending)
    book.capacity.exhausted = lambda: spending.exhausted
    book.look_after, book.hand_over, book.call_over = (
        custody.look_after,
        routing.let_go,
        people.call_over,
    )
    (key, is_new), signing = _api_key(settings, data), _signing(settings)
    front = front_page(
        operators or settings,
        agent.model,
        texts=agent.sms is not None,
        instance=instance,
        phone=phone,
        calls=lambda: Calls(book.live, book.admitted),
        at_once=at_once,
    )
    home = Home(front, operator(key))
    beside = Beside(
        archive,
        custody=custody.run,
        bus=partial(
            bus.run,
            approvals.or_else(tapes.or_else(texting.or_else(commanding.answer))),
            spawn,
        ),
        retention=partial(keep_for, settings.retention_days, archive, hangar, tapes.erase),
        reloading=reloading.run,
        servers=standing.run,
        close_bus=bus.close,
        knowledge=means.libraries.run,
    )
    living = lifespan(
        book,
        spawn,
        hangar,
        beside,
        (durable.close, carrier.close, editor.close, front.close),
        dialling=dialling if settings.dial_countries else None,
    )
    app = _application(living)
    _include_ours(app, book, home, reloading, words=banner(operators or settings), me=instance)
    app.include_router(api.metrics_routes(operator(key)))
    after = settings.dial_countries or settings.webhook_secrets or agent.asks_afterwards
    known = Records(
        book,
        archive,
        hangar,
        (jobs or durable).forget if after else None,
        put_elsewhere=commanding.put,
        unrecord=tapes.erase,
    )
    orders = Once(commanding, book, archive)
    _include_calls(
        app,
        known,
        orders,
        tapes,
        links=links,
        settings=settings,
        check=operator(key),
    )
    _include_twilio(
        app,
        routing,
        dialling,
        texting,
        waiting=Waiting(book),
        turned_away=TurnedAway(signalling, archive, spawn),
        tapes=tapes,
        guard=TwilioGuard(origin, signing),
    )
    _include_ordering(
        app,
        dialling,
        archive,
        settings,
        for_models=partial(CallsForModels, known, orders, analysed=agent.analysis is not None),
        stand=standing.begin,
        check=operator(key),
    )
    _include_programs(app, jobs or durable, approvals, operator(key))
    for further in (
        costs.routes(spending.days, _most_a_day(settings), operator(key)),
        context.routes(known, archive.keys.context, key),
        numbers.routes(line_numbers.listing(settings, agent), operator(key)),
    ):
        app.include_router(further)
    _include_telephone(app, book, phone, settings.host, local=(operators or settings).local_line)
    door = MediaDoor(origin, signing, routing, CallerLine)
    return Switchboard(app, book, door, key, is_new, instance)


def _runner(
    call: LiveCall,
    plan: CallPlan,
    *,
    carrier: Carrier,
    hangar: Hangar,
    put_through: PuttingThrough,
    people: People,
    approvals: Approvals,
    tell: Tell,
    recorder: Recorder,
    keys_twiml: Callable[[str], Awaitable[str]],
) -> Runner:
    """One stream of a call."""
    effects = Effects(
        call.facts.call_sid,
        carrier=carrier,
        run_tool=lambda wish: call.met.run_tool(call, wish),
        allowed=partial(approvals.asked, call),
        put_through=partial(put_through, call),
        failure_twiml=partial(_failure, call),
        kept=call.kept,
        people=people,
        recorder=recorder,
        keys_twiml=keys_twiml,
        judge=call.met.judge,
    )
    return Runner(
        plan,
        call_id=call.call_id,
        began_ns=call.began_ns,
        open_model=partial(_open_model, call),
        hand_over=call.hand_over,
        effects=effects,
        tell=tell,
        stream=call.streams,
        flight=FlightLog(f"{call.call_id}-{call.streams}", plan, hangar.write),
        sounds=call.met.sounds,
    )


def _failure(call: LiveCall) -> str:
    """As the agent has it who has the call when it fails."""
    return call.scripts.failure()


def _open_model(
    call: LiveCall, feed: Feed, timeout_ms: int, *, agent: str = ""
) -> Awaitable[ModelLine]:
    """A line of the agent who has the call, or of another."""
    seen = call.of(agent) if agent else call
    return seen.met.open_model(seen, feed, timeout_ms)


def _most_a_day(settings: Settings) -> int | None:
    """In millionths of a dollar."""
    most = settings.max_cost_per_day
    return None if most is None else round(most * 1_000_000)


def _application(living: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """Without routes, for as long as ``living`` says."""
    app = FastAPI(
        title="Patchline",
        lifespan=living,
        openapi_tags=api.TAGS,
        redirect_slashes=False,  # the redirect would be built from Host, and lose the signature
        docs_url=None,
        redoc_url=None,
        # What a generated client calls its functions.
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(app)
    return app


def _watched(
    document: AgentDocument, roster: Roster, editor: Editor, settings: Settings
) -> Reloading:
    """The roster has its first edition, and is to be kept as the document is."""
    roster.edition = editor.edition(document)
    return Reloading(document, roster, editor.edition, every_s=settings.agent_reload_s)


def _include_ours(
    app: FastAPI, book: Book, home: Home, document: Reloading, *, words: str, me: str
) -> None:
    """What anybody may ask."""
    app.include_router(api.public_routes(book, words, home, instance=me, document=document))
    app.include_router(home.routes())


def _origin(settings: Settings) -> str:
    return settings.public_url or f"http://localhost:{settings.port}"


def _reception(roster: Roster, settings: Settings, has_room: Callable[[], bool]) -> Reception:
    return Reception(
        lambda: roster.edition.numbers,
        lambda number: roster.edition.answering(number).scripts.dialled,
        asker(settings),
        has_room=has_room,
    )


def _keeper(archive: Archive, spawn: Spawner) -> Callable[[str, str], None]:
    """Keeps what a key stands for. Nobody waits: a caller is put through without it, too."""

    def keep(digest: str, call_id: str) -> None:
        spawn(contained(archive.keys.keep_context(digest, call_id), None), f"context-{call_id}")

    return keep


def _bus(settings: Settings, me: str) -> "NoBus | PostgresBus":
    if not settings.several_processes:
        return NoBus(me)
    # Ten megabytes of libpq that a process on SQLite does without.
    from app.services.bus import PostgresBus  # noqa: PLC0415

    return PostgresBus(lasting(database_url(settings.database_url.get_secret_value())), me)


def _include_twilio(
    app: FastAPI,
    routing: Routing,
    dialling: Outbound,
    texting: Texting,
    *,
    waiting: Waiting,
    turned_away: TurnedAway,
    tapes: Recordings,
    guard: TwilioGuard,
) -> None:
    """The routes that Twilio asks."""
    app.include_router(voice.routes(routing, dialling, guard))
    app.include_router(lobby_routes(waiting, routing, turned_away, guard))
    app.include_router(callee_routes(dialling, guard))
    app.include_router(side_call_routes(routing, guard))
    app.include_router(messages.routes(texting, guard))
    app.include_router(twilio_routes(tapes, guard))


def _include_calls(
    app: FastAPI,
    known: Records,
    orders: Once,
    tapes: Recordings,
    *,
    links: Links,
    settings: Settings,
    check: Callable[..., Awaitable[None]],
) -> None:
    """The routes about calls, past and present, and what was recorded of them."""
    app.include_router(records.routes(known, check))
    app.include_router(link_routes(links))
    app.include_router(commands.routes(orders, check))
    app.include_router(recording_routes(tapes.ours, recordings.media(settings), check))


def _include_programs(
    app: FastAPI, jobs: Jobs, approvals: Approvals, check: Callable[..., Awaitable[None]]
) -> None:
    """The routes about what the operator's programs are told, and asked."""
    app.include_router(webhooks.routes(jobs, check))
    app.include_router(approval_routes(approvals, check))


def _include_ordering(
    app: FastAPI,
    dialling: Outbound,
    archive: Archive,
    settings: Settings,
    *,
    for_models: Callable[[Desk], CallsForModels],
    stand: Callable[[Work, str], None],
    check: Callable[..., Awaitable[None]],
) -> None:
    """The routes that place calls: in our words, in those of call-center-ai, and by MCP."""
    desk = Desk(
        dialling,
        archive.get,
        dial_from=settings.dial_from,
        allowed=bool(settings.dial_countries),
    )
    app.include_router(ordering_routes(desk, check))
    app.include_router(seed_routes(desk, archive.get, archive.calls_with, check))
    app.include_router(
        mcp.routes(
            for_models(desk) if settings.mcp_server else None,
            check,
            origin=_origin(settings),
            stand=stand,
        )
    )


def _include_telephone(
    app: FastAPI,
    book: Book,
    phone: Callable[[], pages.PhoneSetup | None],
    host: str,
    *,
    local: bool,
) -> None:
    """The softphone, and reading a call of its line along."""
    app.include_router(pages.routes(phone, host))
    app.include_router(reading.routes(book, pages.of_local_line(phone, host)))
    if local and not pages.answers_at_home(host):
        log.warning("phone_out_of_reach", fix=pages.out_of_reach(host))


def banner(settings: Settings) -> str:
    """What is running, on which model and which line, and the next step."""
    if settings.local_line:
        model = "the local model" if settings.local_model else settings.openai_base_url
        at_home = pages.answers_at_home(settings.host)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        talk = f"Talk to it now: http://localhost:{settings.port}/phone"
        return (
            f"Patchline is running on http://{'localhost' if at_home else host}:{settings.port},"
            f" on {model}.\n"
            f"{talk if at_home else f'No telephone: {pages.out_of_reach(settings.host)}'}\n"
            "Hear a whole call go right: ./scripts/demo\n"
            "Take real calls: put OPENAI_API_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and\n"
            "PUBLIC_URL into .env (see .env.example) and start again.\n"
        )
    return (
        f"Patchline is running for {settings.public_url}, on port {settings.port}.\n"
        f"Point your number's voice webhook at {settings.public_url}/incoming-call\n"
    )


def _carrier(settings: Settings) -> TwilioRest | NoCarrier:
    if settings.twilio_account_sid is None:
        return NoCarrier()
    username, password = settings.rest_credentials
    return TwilioRest(
        account_sid=settings.twilio_account_sid,
        username=username,
        password=password,
        base_url=settings.twilio_api_url,
    )


def _database(settings: Settings, data: Path) -> str:
    """Where calls are kept: unless it is set, a file in the data directory."""
    if "database_url" in settings.model_fields_set:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{data}/patchline.db"


def _signing(settings: Settings) -> Secrets | None:
    if settings.twilio_account_sid is None:
        return None
    return Secrets(
        tuple(token.get_secret_value() for token in settings.twilio_auth_tokens),
        {key.id: key.secret.get_secret_value() for key in settings.twilio_shared_keys},
    )


def _model_opener(settings: Settings) -> Connect:
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    dialect = DIALECTS[settings.dialect]
    headers = (*dialect.headers(key), ("User-Agent", "Patchline"))
    tls = ssl.create_default_context()
    make_line = TranscodedLine if dialect.converts else RealtimeLine

    async def connect(session: SessionConfig, feed: Feed, timeout_ms: int) -> ModelLine:
        address = dialect.address(settings.realtime_url(session.model))
        line = make_line(session, feed, dialect)
        await line.open(Endpoint(address, headers, tls), timeout_ms)
        return line

    return connect


def _means(
    settings: Settings,
    dialling: Outbound,
    archive: Archive,
    jobs: Jobs,
    *,
    texting: Texting,
    links: Links,
    spawn: Spawner,
) -> Means:
    """What carrying out built-in tools takes."""
    callees = Callees(
        DestinationPolicy(frozenset(settings.dial_countries)).refusal,
        zones_of,
        CallingHours.read(settings.calling_hours).opens_at_ms,
        archive.unwanted,
    )
    libraries = Libraries(archive)
    return Means(dialling, archive, jobs, texting, links, callees, zones_of, spawn, libraries)


def _texted(settings: Settings) -> Callable[[str], str | None]:
    """Who may not be sent messages. Whoever calls may live anywhere, unless it was said where we
    may call; and landlines get none."""
    countries = frozenset(settings.dial_countries) or frozenset(SUPPORTED_REGIONS)
    return DestinationPolicy(countries, TEXTED).refusal


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
