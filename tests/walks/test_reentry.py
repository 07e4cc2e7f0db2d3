"""A process dies or leaves under a call: the call goes on in another one, and remembers."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from app.call.facts import Fact
from app.call.report import Report
from app.call.transcript import Voice
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Brain, Heard, Reply, Scenario
from app.emulators.twilio import DialOutcome, TwilioEmulator
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_signing import signature
from tests.nursery import Born, Errors, born
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.waiting import until
from tests.walks.front import Front
from tests.walks.stage import ACCOUNT, API_KEY, PUBLIC_URL, QUICK, TOKEN, VOICE
from tests.walks.test_process import AGENT, NUMBER, Talkative, free_port


@dataclass
class Pair:
    """Processes behind one address, between the emulators."""

    folder: Path
    front: Front
    twilio: TwilioEmulator
    openai: RealtimeEmulator
    settings: dict[str, Any]
    processes: dict[int, Born] = field(default_factory=dict)

    async def start(self, port: int = 0) -> int:
        """One more process; its port, once it is ready."""
        port = port or free_port()
        settings = {
            "openai_api_key": "sk-local",
            "openai_base_url": self.openai.base_url,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": TOKEN,
            "twilio_api_url": self.twilio.api_url,
            "public_url": PUBLIC_URL,
            "host": "127.0.0.1",
            "port": port,
            "api_key": API_KEY,
            "agent_file": "agent.yaml",
            "jobs": "none",
        } | self.settings
        self.processes[port] = await born(
            *("app", "serve"),
            loaded=("app.main", "app.server", "app.jobs_child", "app.standins"),
            folder=self.folder,
            environment={name.upper(): str(value) for name, value in settings.items()},
            errors=Errors.WITH_OUTPUT,
        )
        async with asyncio.timeout(60):
            while await self.get(port, "/ready") is None:  # noqa: ASYNC110 - another process's fact
                await asyncio.sleep(0.05)
        return port

    async def get(self, port: int, path: str) -> Any | None:
        """An answer of the operator's API; None where there is none, or no process."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as client,
                client.get(f"http://127.0.0.1:{port}{path}") as answer,
            ):
                return await answer.json() if answer.status == 200 else None
        except aiohttp.ClientConnectionError:
            return None

    async def ended(self, port: int, call: EmulatedCall) -> dict[str, Any]:
        """The record of a call that has ended."""
        async with asyncio.timeout(60):
            while True:
                record = await self.get(port, f"/v1/calls/{call.call_sid}")
                if record is not None and record["status"] == "completed":
                    return dict(record)
                await asyncio.sleep(0.05)

    async def kill(self, port: int) -> None:
        """As the kernel does it when memory is short."""
        await self.front.drop_kept()
        self.processes[port].kill()
        await self.processes[port].wait()


@asynccontextmanager
async def pair(
    folder: Path, brain: Callable[[], Brain] = Talkative, **settings: Any
) -> AsyncIterator[Pair]:
    """No process yet; all of them are gone at the end, and none has said a traceback."""
    (folder / "agent.yaml").write_text(AGENT)
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Front().up())
        openai = await stack.enter_async_context(RealtimeEmulator(brain))
        twilio = await stack.enter_async_context(
            TwilioEmulator(
                account_sid=ACCOUNT,
                auth_token=TOKEN,
                public_url=PUBLIC_URL,
                server_url=f"http://127.0.0.1:{front.port}",
                pace=QUICK,
            )
        )
        processes = Pair(folder, front, twilio, openai, settings)
        try:
            yield processes
        finally:
            for process in processes.processes.values():
                if process.returncode is None:
                    process.kill()
                output, _ = await process.communicate()
                assert "Traceback" not in output.decode(), output.decode()


async def talked(p: Pair, **how: Any) -> EmulatedCall:
    """A call in which the caller has had a turn and an answer, which is written down."""
    call = await p.twilio.call(**how)
    await call.heard_at_least(300)
    await call.speak(VOICE)
    await call.heard_at_least(600)
    await until(lambda: is_written(p, call), 60)
    return call


def is_written(p: Pair, call: EmulatedCall) -> bool:
    """Whether whoever takes the call over would know what both have said."""
    report = Report()
    for kind, at_ms, data in facts_of(p, call.call_sid):
        report.learn(Fact(kind, at_ms, data))
    heard = [x for x in report.passages.values() if x.voice is Voice.AGENT and x.heard_ms]
    return len(heard) > 1 and any("Certainly." in x.heard_text for x in heard)


def facts_of(p: Pair, call_sid: str) -> list[tuple[str, int, Any]]:
    """What the database of these processes knows of a call."""
    asked = (
        "SELECT type, at_ms, data FROM call_facts JOIN calls USING (call_id)"
        " WHERE call_sid = {} ORDER BY seq"
    )
    url = p.settings.get("database_url")
    if url is not None:
        with psycopg.connect(url.replace("+psycopg", "")) as database:
            return database.execute(asked.format("%s"), (call_sid,)).fetchall()
    with closing(sqlite3.connect(p.folder / "data" / "patchline.db")) as database:
        rows = database.execute(asked.format("?"), (call_sid,)).fetchall()
    return [(kind, at_ms, json.loads(data)) for kind, at_ms, data in rows]


async def goes_on(p: Pair, call: EmulatedCall) -> None:
    """On another stream, with a model that was told what was said."""
    stream = await call.stream_started(2, timeout=60)
    await call.until(lambda: stream.line.heard_ms >= 300)
    told = p.openai.connections[-1].client_events.of("conversation.item.create")
    assert any("Certainly." in str(event) for event in told), "nothing was remembered"


class Listening(Talkative):
    """Has words for what the caller says."""

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """Always the same."""
        del audio, format_name
        return Heard("My boiler is broken.")


async def test_a_call_survives_the_death_of_its_process(tmp_path: Path) -> None:
    """One process, killed and started again: Twilio asks, and the caller is answered, who had
    phoned before: what was said then is not forgotten either."""
    async with pair(tmp_path, Listening) as p:
        (tmp_path / "agent.yaml").write_text(f"{AGENT}\ntimeouts: {{resume: 3h}}\n")
        first = await p.start()
        p.front.to = [first]
        earlier = await talked(p, from_=NUMBER)
        await earlier.hang_up()
        await p.ended(first, earlier)
        call = await talked(p, from_=NUMBER)
        p.front.to = [again := free_port()]
        restarting = asyncio.ensure_future(p.start(again))
        await restarting
        await p.kill(first)

        await goes_on(p, call)
        told = p.openai.connections[-1].client_events.of("conversation.item.create")
        await call.hang_up()

        record = await p.ended(again, call)
        assert [event["item"].get("role") for event in told].count("user") == 2
        assert record["end_reason"] == "caller_hangup"
        assert len(record["carrier"]["stream_sids"]) == 2
        assert [turn["type"] for turn in record["turns"]].count("speech") == 1
        call.assert_clean(allow=(31903,))


async def test_a_dead_process_leaves_every_fact_of_a_moment_ago(tmp_path: Path) -> None:
    """What was heard of a sentence that nobody finished is written down while it goes on."""
    async with pair(tmp_path, lambda: Scenario([Reply("On and on.", 60_000, 440)])) as p:
        first = await p.start()
        p.front.to = [first]
        call = await p.twilio.call()
        await call.heard_at_least(600)
        await until(lambda: heard_by(tmp_path) >= 580)
        await p.kill(first)

        assert heard_by(tmp_path) <= call.heard_ms + 20


def heard_by(folder: Path) -> int:
    """Milliseconds that the caller heard, as far as the facts in the store tell."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        rows = database.execute(
            "SELECT data FROM call_facts WHERE type = 'transcript.heard' ORDER BY seq"
        ).fetchall()
    latest: dict[tuple[int, int], int] = {}
    for (text,) in rows:
        told = json.loads(text)
        latest[told["stream"], told["entry"]] = told["heard_ms"]
    return sum(latest.values())


async def test_another_process_goes_on_with_the_call(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The lease of the dead one still runs: Twilio's word that its stream is gone counts."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p)
        p.front.to = [second]
        await p.kill(first)

        await goes_on(p, call)
        await call.hang_up()

        record = await p.ended(second, call)
        assert record["end_reason"] == "caller_hangup"
        assert len(record["carrier"]["stream_sids"]) == 2
        call.assert_clean(allow=(31903,))


async def test_every_request_and_socket_may_reach_another_process(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """No stickiness: the webhook here, the stream there, the questions anywhere."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        ports = [await p.start(), await p.start()]
        p.front.to = ports
        calls = [await p.twilio.call() for _ in range(4)]
        for call in calls:
            await call.heard_at_least(300)
            await call.speak(VOICE)
            await call.heard_at_least(600)
            await call.hang_up()

        for call in calls:
            records = [await p.ended(port, call) for port in ports]
            assert records[0] == records[1]
            assert records[0]["end_reason"] == "caller_hangup"
            call.assert_clean()


async def test_a_transfer_that_fails_comes_back_to_whoever_is_there(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The process that put the caller through is gone when nobody answers."""
    async with pair(tmp_path, lambda: Talkative(transfers=True), database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await p.twilio.call(answers={NUMBER: DialOutcome("busy", ring_ms=2_500)})
        await call.heard_at_least(300)
        await call.speak(VOICE)
        await call.until(lambda: call.dialled == [NUMBER])
        await until(lambda: knows_of_a_transfer(postgres_url))
        p.front.to = [second]
        await p.kill(first)

        stream = await call.stream_started(2, timeout=60)
        await call.until(lambda: stream.line.heard_ms >= 300)
        await call.hang_up()

        record = await p.ended(second, call)
        assert [one["outcome"] for one in record["transfers"]] == ["busy"]


async def test_a_call_that_outlasts_the_drain_goes_on_elsewhere(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """A deployment does not end a call, however long it takes."""
    async with pair(tmp_path, database_url=postgres_url, drain_seconds=1) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p)
        p.front.to = [second]

        p.processes[first].send_signal(signal.SIGTERM)

        await goes_on(p, call)
        assert await asyncio.wait_for(p.processes[first].wait(), 60) == 0
        await call.hang_up()
        assert (await p.ended(second, call))["end_reason"] == "caller_hangup"
        call.assert_clean(allow=(31921,))


async def test_a_call_that_nobody_asks_for_is_closed(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The process died, the caller left, and no word of it came: Twilio is asked."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p)
        p.front.to = [free_port()]
        await p.kill(first)
        await call.ended()
        p.front.to = [second]
        expire_leases(postgres_url)

        assert (await p.ended(second, call))["end_reason"] == "stream_lost"


async def test_a_frozen_process_loses_its_calls_and_lets_them_be(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The socket is open, Twilio sees nothing wrong, and the caller hears nothing: they are
    fetched. When the process thaws it must not end what is another's now."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p)
        p.front.to = [second]
        p.processes[first].send_signal(signal.SIGSTOP)
        expire_leases(postgres_url)

        await goes_on(p, call)
        p.processes[first].send_signal(signal.SIGCONT)
        await call.speak(VOICE)
        await call.heard_at_least(call.heard_ms + 300)
        await call.hang_up()

        record = await p.ended(second, call)
        assert record["end_reason"] == "caller_hangup"
        assert record == await p.ended(first, call)


def knows_of_a_transfer(url: str) -> bool:
    """Whether it is written down."""
    with psycopg.connect(url.replace("+psycopg", "")) as database:
        asked = "SELECT count(*) FROM call_facts WHERE type = 'transfer.dialling'"
        return database.execute(asked).fetchone() != (0,)


def expire_leases(url: str) -> None:
    """As if the owners had been silent for a minute."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as database:
        database.execute("UPDATE calls SET lease_until = now() - interval '1 minute'")


async def test_a_stream_that_goes_astray_is_invited_again(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """With the invitations out of reach the other process knows no token: the caller, whom it
    turns away, is answered all the same."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        url = postgres_url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(url) as database:
            await database.execute("LOCK TABLE invitations IN ACCESS EXCLUSIVE MODE")
            # Connections take turns: webhook, stream, question; the rest as they come.
            p.front.to = [first, second, first, first, first, first]
            call = await p.twilio.call()
            await call.until(lambda: call.heard_ms >= 300, timeout=60)
        await call.hang_up()

        assert (await p.ended(first, call))["end_reason"] == "caller_hangup"


async def test_who_cannot_look_a_call_up_has_twilio_ask_again(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The database is away, and Twilio asks the process that does not have the call: the caller
    is not told goodbye for that, but not kept for ever either."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call = await talked(p)
        url = postgres_url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(url) as database:
            await database.execute("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")

            asked = [await stream_ended(second, call, path) for path in ("", "?again=3")]

        assert "/twilio/stream-ended?again=1</Redirect>" in asked[0]
        assert "<Redirect" not in asked[1]
        await call.hang_up()


async def stream_ended(port: int, call: EmulatedCall, more: str) -> str:
    """What a process answers to Twilio's question after a stream."""
    path = f"/twilio/stream-ended{more}"
    form = {"AccountSid": ACCOUNT, "CallSid": call.call_sid, "CallStatus": "in-progress"}
    seal = signature(TOKEN, PUBLIC_URL + path, form.items())
    async with (
        aiohttp.ClientSession(headers={"X-Twilio-Signature": seal}) as client,
        client.post(f"http://127.0.0.1:{port}{path}", data=form) as answer,
    ):
        assert answer.status == 200
        return await answer.text()
