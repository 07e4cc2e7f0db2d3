"""`python -m app jobs`: the process that does the work, and its end.

Whoever starts it with a pipe as its input reads one line of JSON when it has the right to work,
and ends it by closing that pipe. Rule: it ends at once and loses nothing, because whatever is
under way was written down; only a request that is on its way to Twilio is waited for.
"""

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from phonenumbers import SUPPORTED_REGIONS
from sqlalchemy.exc import SQLAlchemyError

from app.agents.document import Agent
from app.agents.load import load_document
from app.agents.problems import AgentFault
from app.call.analysis import Wish
from app.call.correspondence import Correspondent
from app.call.forms import Form, FormField
from app.errors import OurFault
from app.jobs.aftermath import LOOK_EVERY_S, Aftermath, Endpoint
from app.jobs.client import DurableJobs
from app.jobs.database import jobs_file
from app.jobs.destinations import DestinationPolicy
from app.jobs.dial import Dialler, Rules
from app.jobs.hours import CallingHours
from app.jobs.lease import BEAT_S, AloneLease, Lease, OthersAlive, SharedLease, new_executor_id
from app.jobs.port import Deliver
from app.jobs.signing import signed
from app.jobs.texting import LINE, Texter
from app.services.analyst import Analyst, Penman
from app.services.store.afterwards import Afterwards
from app.services.store.database import AddressFault, check_sqlite, open_blocking, open_engine
from app.services.store.migrate import migrate
from app.services.store.schema import do_not_call, text_opt_outs
from app.services.twilio_rest import TwilioRest
from app.services.webhook_post import WebhookPost
from app.settings import Settings

FORGET_EVERY_S = 3_600.0
_LAST_REQUEST_S = 4.0
"""For a request that is on its way when we end; whoever started us waits five seconds."""

log = structlog.get_logger("jobs")


class JobsFault(Exception):
    """The process cannot work; the message is one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What one life of the process consists of."""

    settings: Settings
    lease: Lease
    me: str
    dialler: Dialler
    post: Callable[[str, Deliver], Awaitable[dict[str, Any]]]
    aftermath: Callable[[], Aftermath]
    """Makes one for the loop that asks."""


def run(settings: Settings, *, settle_s: float | None = None) -> None:
    """Work until told to end. Raises ``JobsFault``."""
    address = settings.database_url.get_secret_value()
    me = new_executor_id()
    lease = _lease(address, me)
    sys.stdout.write(json.dumps({"ready": True, "executor": me}) + "\n")
    sys.stdout.flush()
    with contextlib.ExitStack() as ends:
        ends.callback(_ended, lease)
        _prepare(address, lease)
        work = _work(settings, lease, me, settle_s)
        if not asyncio.run(_live(work)):
            raise JobsFault("The database could not be reached for too long; others do the work.")


def _lease(address: str, me: str) -> Lease:
    try:
        file = jobs_file(address)
        if file is None:
            return SharedLease(open_blocking(address), me, "1")
        check_sqlite()
        return AloneLease(Path(file), me)
    except AddressFault as fault:
        raise JobsFault(f"DATABASE_URL: {fault}") from None
    except OthersAlive:
        raise JobsFault(
            "Another jobs process works on this SQLite database, which is for one alone: end"
            " it, or set DATABASE_URL to PostgreSQL."
        ) from None


def _prepare(address: str, lease: Lease) -> None:
    try:
        migrate(address)
        lease.beat()
    except (SQLAlchemyError, OSError) as exc:
        raise JobsFault(f"DATABASE_URL cannot be used ({type(exc).__name__}).") from exc


def _ended(lease: Lease) -> None:
    with contextlib.suppress(SQLAlchemyError):  # then we are thought dead a moment later
        lease.end()


def _work(settings: Settings, lease: Lease, me: str, settle_s: float | None) -> _Work:
    hours = _hours(settings.calling_hours)
    rules = Rules(
        DestinationPolicy(frozenset(settings.dial_countries)), hours, settings.calls_per_second
    )
    if settle_s is not None:
        rules = Rules(rules.destinations, rules.hours, rules.per_second, settle_s)
    dialler = Dialler(
        rules,
        _carrier(settings),
        me=me,
        unwanted=_list_of_unwanted(settings.database_url.get_secret_value()),
        alive=lease.trusted,
    )
    return _Work(settings, lease, me, dialler, _poster(settings), _aftermath(settings, lease, me))


def _aftermath(settings: Settings, lease: Lease, me: str) -> Callable[[], Aftermath]:
    try:
        document = load_document(settings.agent_file, sounds=False)
    except AgentFault as fault:
        raise JobsFault(str(fault)) from None
    agent = document.agent
    address = settings.database_url.get_secret_value()
    endpoints = [Endpoint(one.url, one.events) for one in agent.webhooks]
    return lambda: Aftermath(
        Afterwards(open_engine(address)),
        DurableJobs(address),
        endpoints,
        _analyst(settings, agent),
        texter=_texter(settings, agent, lease, me),
        penman=_penman(settings, document.agents),
    )


def _texter(settings: Settings, agent: Agent, lease: Lease, me: str) -> Texter | None:
    """Who sends messages when a call is over: its summary, and answers."""
    carrier, sms = _carrier(settings), agent.sms
    summarised = agent.analysis is not None and agent.analysis.sms_summary is not None
    if carrier is None or not (summarised or agent.answers_texts):
        return None
    # Who called us may live anywhere, unless it was said where we may call.
    countries = frozenset(settings.dial_countries) or frozenset(SUPPORTED_REGIONS)
    return Texter(
        carrier,
        DestinationPolicy(countries),
        me=me,
        unwanted=_list_of_unwanted(settings.database_url.get_secret_value(), text_opt_outs),
        alive=lease.trusted,
        sender=sms.from_ if sms else LINE,
        told_at=f"{settings.public_url}/twilio/message-status" if settings.public_url else "",
    )


def _penman(settings: Settings, agents: Mapping[str, Agent]) -> Penman | str:
    """Who answers callers in writing, each agent's by its instructions, or why nobody does."""
    writing = {
        name: Correspondent(one.sms.text_model, one.instructions, one.sms.segments)
        for name, one in agents.items()
        if one.sms is not None and one.answers_texts
    }
    if not writing:
        return "not_wanted"
    if settings.openai_api_key is None:
        return "no_key"
    key = settings.openai_api_key.get_secret_value()
    first = next(iter(writing.values()))
    return Penman(first, agents=writing, api_key=key, base_url=settings.openai_base_url)


def _analyst(settings: Settings, agent: Agent) -> Analyst | str:
    """Who analyses calls, or why nobody does."""
    wanted = agent.analysis
    if wanted is None:
        return "not_wanted"
    if settings.openai_api_key is None:
        return "no_key"
    fields = agent.forms[agent.form].fields if agent.form else ()
    checked = tuple(FormField(**one.model_dump()) for one in fields)
    wish = Wish(
        wanted.model,
        wanted.summary,
        wanted.satisfaction,
        wanted.next_action,
        wanted.success,
        wanted.sms_summary is not None,
        Form(agent.form, checked) if agent.form else None,
    )
    key = settings.openai_api_key.get_secret_value()
    return Analyst(wish, api_key=key, base_url=settings.openai_base_url)


def _hours(text: str) -> CallingHours:
    try:
        return CallingHours.read(text)
    except ValueError as fault:
        raise JobsFault(f"CALLING_HOURS: {fault}.") from None


def _carrier(settings: Settings) -> TwilioRest | None:
    """None without an account; calls are then refused."""
    username, password = settings.rest_credentials
    if settings.twilio_account_sid is None:
        return None
    return TwilioRest(
        account_sid=settings.twilio_account_sid,
        username=username,
        password=password,
        base_url=settings.twilio_api_url,
    )


def _list_of_unwanted(address: str, *more: sa.Table) -> Callable[[str], Awaitable[bool]]:
    """Whether a number is on the do-not-call list, or in one ``more``."""
    # Not opened before the engine's own loop asks.
    engine = open_engine(address)

    async def unwanted(number: str) -> bool:
        asked = (sa.select(x.c.number).where(x.c.number == number) for x in (do_not_call, *more))
        async with engine.connect() as connection:
            return (await connection.execute(sa.union_all(*asked))).first() is not None

    return unwanted


def _poster(settings: Settings) -> Callable[[str, Deliver], Awaitable[dict[str, Any]]]:
    posting = WebhookPost(loopback=settings.webhook_loopback)
    secrets = [one.get_secret_value() for one in settings.webhook_secrets]

    async def post(message_id: str, job: Deliver) -> dict[str, Any]:
        headers = signed(message_id, int(time.time()), job.body, secrets)
        posted = await posting.post(job.url, job.body, headers)
        return {"status": posted.status, "reason": posted.reason}

    return post


async def _live(work: _Work) -> bool:
    """Work until told to end (True), or until others may have taken over (False)."""
    over = asyncio.Event()
    with contextlib.ExitStack() as ends:
        await _listen_for_the_end(over.set, ends)
        launching = asyncio.create_task(asyncio.to_thread(_launch, work), name="launch")
        await _beat_during(launching, work.lease)
        engine = await launching
        log.info("jobs_running")
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_look(work.aftermath(), over), name="aftermath")
            kept = await _keep(engine, work.lease, over)
            looking.cancel()
        await work.dialler.leave(_LAST_REQUEST_S)
        await asyncio.to_thread(engine.end)
    return kept


def _launch(work: _Work) -> Any:
    """The engine, at work; blocks for seconds. Raises what the database raises."""
    from app.jobs.engine import Engine, Pace  # noqa: PLC0415 - a second of importing
    from app.jobs.workflows import Steps  # noqa: PLC0415

    settings = work.settings
    engine = Engine(
        settings.database_url.get_secret_value(),
        Pace(settings.calls_per_second, settings.max_outbound_calls),
        work.lease,
        me=work.me,
        keep_days=settings.retention_days,
    )
    engine.launch(Steps(work.dialler, work.post, work.aftermath()))
    return engine


async def _beat_during(launching: asyncio.Task[Any], lease: Lease) -> None:
    """Say that we live until the engine does: on a busy machine, or behind somebody's lock on
    its tables, that takes longer than others wait for us."""
    while not (await asyncio.wait({launching}, timeout=BEAT_S))[0]:
        with contextlib.suppress(SQLAlchemyError):
            await asyncio.to_thread(lease.beat)


async def _keep(engine: Any, lease: Lease, over: asyncio.Event) -> bool:
    """Say that we live, take over from who does not, forget what is old."""
    forget_at_s = time.monotonic()
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), BEAT_S)
        if lease.lost():
            log.error("jobs_lease_lost")
            return False
        try:
            await asyncio.to_thread(lease.beat)
            if taken := await asyncio.to_thread(engine.take_over):
                log.warning("jobs_taken_over", runs=taken)
            if time.monotonic() >= forget_at_s:
                # In portions, with a beat between two: others take us for dead otherwise.
                more = await asyncio.to_thread(engine.forget)
                forget_at_s = time.monotonic() + (0 if more else FORGET_EVERY_S)
        except SQLAlchemyError as exc:
            log.warning("jobs_database", reason=type(exc).__name__)
    return True


async def _look(aftermath: Aftermath, over: asyncio.Event) -> None:
    """Follow up the calls that end, for as long as we work."""
    while not over.is_set():
        try:
            await aftermath.look()
        except (SQLAlchemyError, OSError, OurFault) as exc:
            log.warning("aftermath_database", reason=type(exc).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_EVERY_S)


async def _listen_for_the_end(gone: Callable[[], None], ends: contextlib.ExitStack) -> None:
    """Hear of signals, and of the closing of an input that is a pipe."""
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, gone)
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    transport, _ = await loop.connect_read_pipe(lambda: _UntilClosed(gone), sys.stdin)
    ends.callback(transport.close)


class _UntilClosed(asyncio.Protocol):
    """Reads and forgets until there is nothing more."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end was closed."""
        del exc
        self._gone()
