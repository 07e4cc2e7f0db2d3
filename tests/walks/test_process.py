"""The program as it is started: signals, ports and exit codes, in a process of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Ask, Brain, Plan, Reply, ToolUse
from app.emulators.twilio import DialOutcome, TwilioEmulator
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
    twilio: TwilioEmulator
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
        async with asyncio.timeout(20):
            while await self.ready() != status:  # noqa: ASYNC110 - another process's fact
                await asyncio.sleep(0.05)

    async def left(self) -> int:
        """The exit code, once it has ended; raises TimeoutError."""
        async with asyncio.timeout(20):
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


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Whoever presses the keys twice means it; the callers still hear a sentence."""
    async with program(tmp_path) as p:
        call = await p.twilio.call()
        await call.heard_at_least(300)

        p.process.send_signal(signal.SIGINT)
        await p.turns(503)
        p.process.send_signal(signal.SIGINT)

        await p.left()
        assert await call.ended() == "hangup"
        assert call.said == [SORRY]


async def test_an_idle_server_ends_at_the_first_signal(tmp_path: Path) -> None:
    """Nobody is on the line, so nobody is waited for."""
    async with program(tmp_path) as p:
        p.process.send_signal(signal.SIGTERM)

        assert await p.left() == 0


async def test_a_port_that_is_taken_is_an_exit_code(tmp_path: Path) -> None:
    """A supervisor must notice; a server that runs without a port answers no calls."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await started(tmp_path, host="127.0.0.1", port=port)

        async with asyncio.timeout(20):
            output, _ = await process.communicate()

    assert process.returncode == 1
    assert "Address already in use" in output.decode()


async def test_a_wrong_setting_is_a_sentence(tmp_path: Path) -> None:
    """The first thing a newcomer meets must not be a traceback."""
    process = await started(tmp_path, twilio_account_sid=ACCOUNT)

    async with asyncio.timeout(20):
        output, _ = await process.communicate()

    assert process.returncode == 1
    assert output.decode().startswith("TWILIO_AUTH_TOKEN is missing")
    assert len(output.decode().splitlines()) == 1
