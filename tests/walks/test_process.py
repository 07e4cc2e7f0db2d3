"""The program as it is started: signals, ports and exit codes, in a process of its own."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Ask, Brain, Plan, Reply, ToolUse
from app.emulators.twilio import DialOutcome, TwilioEmulator
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.walks.stage import ACCOUNT, API_KEY, PUBLIC_URL, QUICK, TOKEN, VOICE

ROOT = Path(__file__).parents[2]
NUMBER = "+14155550123"
SORRY = "We have a problem."
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 200}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
failure: {{say: "{SORRY}", then: end_call}}
"""
TRANSFER = ToolUse("transfer_call", {"target": "billing"})


class Talkative(Brain):
    """Says the same to everything; puts the caller through at their first turn, if told to."""

    def __init__(self, *, transfers: bool = False) -> None:
        self._transfers = transfers

    def answer(self, ask: Ask) -> Plan:
        """A third of a second."""
        tools = [TRANSFER] if self._transfers and ask.origin == "turn" else []
        return Reply("Certainly.", 330, 440, tools=tools).plan()


@dataclass
class Program:
    """``python -m app serve`` between the emulators."""

    process: asyncio.subprocess.Process
    twilio: Any
    """None where calls come from the local line."""
    openai: RealtimeEmulator
    port: int

    async def ready(self) -> int:
        """Status of ``/ready``; 0 where nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{self.port}/ready") as answer,
            ):
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def turns(self, status: int) -> None:
        """Wait until ``/ready`` answers so; raises TimeoutError."""
        async with asyncio.timeout(60):
            while await self.ready() != status:  # noqa: ASYNC110 - another process's fact
                await asyncio.sleep(0.05)

    async def left(self) -> int:
        """The exit code, once it has ended; raises TimeoutError."""
        async with asyncio.timeout(60):
            return await self.process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def started(folder: Path, **settings: Any) -> asyncio.subprocess.Process:
    """Start the program in ``folder`` with exactly these settings."""
    names = {name.upper(): str(value) for name, value in settings.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "serve",
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **names},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@asynccontextmanager
async def program(
    folder: Path, brain: Callable[[], Brain] = Talkative, **settings: Any
) -> AsyncIterator[Program]:
    """The program, ready for calls; killed at the end if it is still there."""
    port = free_port()
    (folder / "agent.yaml").write_text(AGENT)
    async with AsyncExitStack() as stack:
        openai = await stack.enter_async_context(RealtimeEmulator(brain))
        twilio = await stack.enter_async_context(
            TwilioEmulator(
                account_sid=ACCOUNT,
                auth_token=TOKEN,
                public_url=PUBLIC_URL,
                server_url=f"http://127.0.0.1:{port}",
                pace=QUICK,
            )
        )
        process = await started(
            folder,
            openai_api_key="sk-local",
            openai_base_url=openai.base_url,
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
            twilio_api_url=twilio.api_url,
            public_url=PUBLIC_URL,
            host="127.0.0.1",
            port=port,
            api_key=API_KEY,
            agent_file="agent.yaml",
            **settings,
        )
        running = Program(process, twilio, openai, port)
        try:
            await running.turns(200)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            output, _ = await process.communicate()
            text = output.decode()
            assert "Traceback" not in text, text


async def test_the_first_signal_lets_live_calls_finish(tmp_path: Path) -> None:
    """D-PT-5: a deployment must not cut a caller off; new calls hear a sentence meanwhile."""
    async with program(tmp_path) as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)

        p.process.send_signal(signal.SIGTERM)
        await p.turns(503)
        refused = await p.twilio.call()
        assert await refused.ended() == "hangup"
        assert refused.said == ["All lines are busy. Please call again later."]
        await call.speak(VOICE)
        await call.heard_at_least(call.heard_ms + 300)
        assert p.process.returncode is None

        await call.hang_up()
        assert await p.left() == 0
        call.assert_clean()
        assert not p.openai.open_connections


async def test_a_draining_process_lives_and_lets_go_of_kept_connections(tmp_path: Path) -> None:
    """Killed for being unwell it would cut its calls; a proxy that keeps its connection would
    send the next call here."""
    async with program(tmp_path) as p, aiohttp.ClientSession() as client:
        call = await p.twilio.call()
        await call.heard_at_least(300)
        async with client.get(f"http://127.0.0.1:{p.port}/health") as before:
            await before.read()

        p.process.send_signal(signal.SIGTERM)
        await p.turns(503)
        async with client.get(f"http://127.0.0.1:{p.port}/health") as after:
            await after.read()

        assert (before.status, before.headers.get("Connection")) == (200, None)
        assert (after.status, after.headers.get("Connection")) == (200, "close")
        await call.hang_up()
        assert await p.left() == 0


async def test_new_calls_go_to_the_processes_that_share_the_address(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """Another one takes them; where none does, they must not go in a circle."""
    async with program(tmp_path, database_url=postgres_url, jobs="none") as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)

        p.process.send_signal(signal.SIGTERM)
        await p.turns(503)
        sent_away = await p.twilio.call()

        assert await sent_away.ended() == "hangup"
        answers = [one.body for one in sent_away.requests if one.path == "/incoming-call"]
        assert [re.findall(r"elsewhere=\d", one) for one in answers] == [
            ["elsewhere=1"],
            ["elsewhere=2"],
            ["elsewhere=3"],
            [],
        ]
        assert sent_away.said == ["All lines are busy. Please call again later."]
        sent_away.assert_clean()
        await call.hang_up()
        assert await p.left() == 0


async def test_a_caller_who_is_being_put_through_is_waited_for(tmp_path: Path) -> None:
    """Nobody else knows where the call came from when the person does not answer."""
    async with program(tmp_path, lambda: Talkative(transfers=True)) as p:
        call = await p.twilio.call(answers={NUMBER: DialOutcome("busy", ring_ms=1_200)})
        await call.heard_at_least(300)
        await call.speak(VOICE)
        await call.until(lambda: call.dialled == [NUMBER])

        p.process.send_signal(signal.SIGTERM)
        second = await call.stream_started(2)
        await call.until(lambda: second.line.heard_ms >= 300)
        await call.hang_up()

        assert await p.left() == 0
        call.assert_clean()


async def test_the_drain_has_an_end(tmp_path: Path) -> None:
    """A call of hours must not stop a deployment: it gets the failure treatment instead."""
    async with program(tmp_path, drain_seconds=1) as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)

        p.process.send_signal(signal.SIGTERM)

        assert await p.left() == 0
        assert await call.ended() == "hangup"
        assert call.said == [SORRY]
        call.assert_clean()
        assert "/twilio/stream-status" in [one.path for one in call.requests]


async def test_the_drain_ends_with_a_sentence_although_rest_is_down(tmp_path: Path) -> None:
    """The socket is closed then, and Twilio's question has to find somebody who answers it."""
    async with program(tmp_path, drain_seconds=1) as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)
        p.twilio.fail_next("/Calls/", 503, times=9)

        p.process.send_signal(signal.SIGTERM)

        assert await p.left() == 0
        assert await call.ended() == "hangup"
        assert call.said == [SORRY]
        call.assert_clean(allow=(31921,))


async def test_the_drain_does_not_wait_for_callers_with_the_carrier_for_ever(
    tmp_path: Path,
) -> None:
    """Two people may talk for hours; their call goes on without us."""
    async with program(tmp_path, lambda: Talkative(transfers=True), drain_seconds=1) as p:
        call = await p.twilio.call(answers={NUMBER: DialOutcome("bridged", talk_ms=None)})
        await call.heard_at_least(300)
        await call.speak(VOICE)
        await call.until(lambda: call.dialled == [NUMBER])

        p.process.send_signal(signal.SIGTERM)

        assert await p.left() == 0
        assert call.said == []
        assert not call.over


@pytest.mark.parametrize("number", [signal.SIGTERM])
async def test_a_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever presses the keys twice means it; the callers still hear a sentence."""
    async with program(tmp_path) as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)

        p.process.send_signal(number)
        await p.turns(503)
        p.process.send_signal(number)

        await p.left()
        assert await call.ended() == "hangup"
        assert call.said == [SORRY]


async def test_an_idle_server_ends_at_the_first_signal(tmp_path: Path) -> None:
    """Nobody is on the line, so nobody is waited for."""
    async with program(tmp_path) as p:
        p.process.send_signal(signal.SIGTERM)

        assert await p.left() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_signal_ends_a_start_that_waits(tmp_path: Path) -> None:
    """For a database that somebody else migrates, or that hangs: there is no call to wait for."""
    (tmp_path / "data").mkdir()
    (tmp_path / "agent.yaml").write_text(AGENT)
    with closing(sqlite3.connect(tmp_path / "data" / "patchline.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        process = await started(
            tmp_path,
            openai_api_key="sk-local",
            openai_base_url="http://127.0.0.1:9/v1",
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
            public_url=PUBLIC_URL,
            host="127.0.0.1",
            port=free_port(),
            agent_file="agent.yaml",
            jobs="none",
        )
        try:
            async with asyncio.timeout(60):
                while not _catches(process.pid, signal.SIGTERM):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    assert process.returncode == -signal.SIGTERM


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


async def test_an_open_page_does_not_hold_the_end(tmp_path: Path) -> None:
    """A page that reads a call along is let go at the first signal; the call goes on."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (tmp_path / "agent.yaml").write_text(AGENT)
    async with RealtimeEmulator(Talkative) as openai, aiohttp.ClientSession() as client:
        process = await started(
            tmp_path,
            openai_api_key="sk-local",
            openai_base_url=openai.base_url,
            local_line_port=0,
            host="127.0.0.1",
            port=port,
            agent_file="agent.yaml",
        )
        running = Program(process, None, openai, port)
        try:
            await running.turns(200)
            async with client.get(f"{url}/phone/setup.json") as answer:
                line = await answer.json()
            asked = {"ticket": line["ticket"], "line": "caller"}
            async with client.ws_connect(line["line"], params=asked) as telephone:
                await telephone.send_json({"event": "dial"})
                while (told := await telephone.receive_json(timeout=60))["event"] != "calling":
                    pass
                read = {"callSid": told["callSid"]}
                while (await telephone.receive_json(timeout=60))["event"] != "media":
                    pass

                async with client.get(f"{url}/phone/events", params=read) as page:
                    await page.content.readline()
                    process.send_signal(signal.SIGTERM)
                    async with asyncio.timeout(60):
                        rest = await page.content.read()

                assert b'"end"' not in rest
                assert await running.ready() == 503
                while (await telephone.receive_json(timeout=60))["event"] != "mark":
                    pass
                await telephone.send_json({"event": "hangup"})
            assert await running.left() == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_a_port_that_is_taken_is_an_exit_code(tmp_path: Path) -> None:
    """A supervisor must notice; a server that runs without a port answers no calls."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await started(tmp_path, host="127.0.0.1", port=port, local_line_port=0)

        async with asyncio.timeout(60):
            output, _ = await process.communicate()

    assert process.returncode == 1
    assert "Address already in use" in output.decode()


async def test_a_wrong_setting_is_a_sentence(tmp_path: Path) -> None:
    """The first thing a newcomer meets must not be a traceback."""
    process = await started(tmp_path, twilio_account_sid=ACCOUNT)

    async with asyncio.timeout(60):
        output, _ = await process.communicate()

    assert process.returncode == 1
    assert output.decode().startswith("TWILIO_AUTH_TOKEN is missing")
    assert len(output.decode().splitlines()) == 1


async def test_a_database_that_refuses_is_a_sentence(tmp_path: Path) -> None:
    """What is wrong is known; where in our code it was found out helps nobody."""
    (tmp_path / "agent.yaml").write_text(AGENT)
    process = await started(
        tmp_path,
        openai_api_key="sk-local",
        openai_base_url="http://127.0.0.1:9/v1",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        public_url=PUBLIC_URL,
        host="127.0.0.1",
        port=free_port(),
        agent_file="agent.yaml",
        jobs="none",
        database_url=f"postgresql://user:geheim@127.0.0.1:{free_port()}/x",
    )

    async with asyncio.timeout(60):
        output, _ = await process.communicate()

    assert process.returncode == 1
    assert "which cannot be used (OperationalError): see that it runs" in output.decode()
    assert "Traceback" not in output.decode()
    assert "geheim" not in output.decode()
