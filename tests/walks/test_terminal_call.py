"""Calls typed into a terminal: the command as it is typed, the real server, what it leaves."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest

from app.audio import mulaw
from app.audio.tones import strength, tone
from app.emulators.realtime import ABRUPT, Faults, RealtimeEmulator
from app.emulators.scenario import Receptionist, Reply, Scenario, ToolUse
from app.protocol.units import FRAME_BYTES
from tests.needs import needs
from tests.waiting import until
from tests.walks.stage import ACCOUNT, API_KEY, Stage, stage
from tests.walks.telephone import telephone

ROOT = Path(__file__).parents[2]
LOCAL = {"ticket": "t", "unattended_ms": 300}
SORRY = "We have a problem."
NUMBER = "+14155550123"
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello, this is the test line.
turn_detection: {{type: server_vad, silence_duration_ms: 200}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
failure: {{say: "{SORRY}", then: end_call}}
"""
TRANSFER = ToolUse("transfer_call", {"target": "billing"})
STARTING = "No server answers yet: one is being started for this call …\n"
GREETING = Reply("Hello, this is the test line.", 400, 440)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that has ended."""

    status: int
    out: str
    err: str


def wav(file: Path, audio: bytes) -> Path:
    """A mono file with it."""
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(mulaw.decode(audio))
    return file


async def started(*words: str, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    """Type a command, without settings of the person who tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finished(process: asyncio.subprocess.Process, limit_s: float = 60) -> Typed:
    """Wait for the end of it; raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Typed(process.returncode or 0, out.decode(), err.decode())


async def called(s: Stage, folder: Path, *words: str, api_key: str = API_KEY) -> Typed:
    """Call the server on the stage, from ``folder``."""
    typed = ("app.emulators", "phone", "--server", s.url, *words)
    return await finished(await started(*typed, cwd=folder, API_KEY=api_key))


def told(done: Typed) -> list[str]:
    """The lines of the story, without the times."""
    return [line[8:] for line in done.out.splitlines() if re.match(r" +\d+\.\d\d  ", line)]


def tracks(file: Path) -> tuple[bytes, bytes]:
    """Caller and agent, as mu-law."""
    with wave.open(str(file)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 8000)
        frames = sound.readframes(sound.getnframes())
    sides = [b"".join(frames[at : at + 2] for at in range(side, len(frames), 4)) for side in (0, 2)]
    return mulaw.encode(sides[0]), mulaw.encode(sides[1])


def lasting(audio: bytes, frequency_hz: float) -> int:
    """Milliseconds of a tone on a track, in steps of 20."""
    pieces = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
    return 20 * sum(strength(piece, frequency_hz) > 0.8 for piece in pieces)


async def test_a_call_is_told_recorded_and_judged(tmp_path: Path) -> None:
    """The whole of it: the story, what was said and played, events, record, status 0."""
    script = Scenario([GREETING, Reply("Certainly.", 600, 880)], heard=["Is anybody there?"])
    caller = wav(tmp_path / "caller.wav", tone(300, 400))
    async with stage(RealtimeEmulator(script), tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(
            s, tmp_path, "--wav", str(caller), "--expect-text", "CERTAINLY", "--expect-heard",
            "anybody", "--max-latency-ms", "30000", "--out", "out",
        )  # fmt: skip
        s.twilio.assert_clean()

    report = json.loads((tmp_path / "out" / "call.json").read_text())
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    left, right = tracks(tmp_path / "out" / "call.wav")
    assert (done.status, done.err) == (0, "")
    assert told(done)[1:] == [
        "call      the agent is on the line",
        "agent     Hello, this is the test line.",
        "caller    plays caller.wav",
        "heard     Is anybody there?",
        f"agent     Certainly. ({report['latencies_ms'][0]:,} ms)",
        "call      the caller hung up",
        "call      The call ended: caller_hangup",
    ]
    assert abs(lasting(left, 300) - 400) <= 60
    assert lasting(right, 440) >= 340
    assert lasting(right, 880) >= 540
    assert report["met"]
    assert report["pauses_ms"][0] >= 180, "the model waits so long whether the caller goes on"
    assert [one["name"] for one in report["events"]][:3] == ["calling", "start", "agent-begins"]
    assert record["carrier"]["call_sid"] == report["call_sid"]
    assert record["end_reason"] == report["end_reason"] == "caller_hangup"


async def test_what_was_expected_and_did_not_come_is_a_line_each(tmp_path: Path) -> None:
    """A build that fails must say what failed; status 1 is not enough to mend it."""
    script = Scenario([GREETING])
    async with stage(RealtimeEmulator(script), tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(
            s, tmp_path, "--expect-tool", "book", "--expect-text", "goodbye",
            "--expect-heard", "hello", "--max-latency-ms", "900", "--expect-end", "transferred",
        )  # fmt: skip

    assert done.status == 1
    assert done.err.splitlines() == [
        "not met: the call ends with transferred; caller_hangup",
        "not met: the tool book is called; tools called: none",
        'not met: the caller hears "goodbye"; heard: Hello, this is the test line.',
        'not met: the agent understands "hello"; understood: nothing',
        "not met: every answer is heard within 900 ms; no answer was measured",
    ]


async def test_steps_are_done_in_the_order_they_were_typed(tmp_path: Path) -> None:
    """Keys before the words they belong to are another call than keys behind them."""
    script = Scenario([GREETING], aside=[])
    caller = wav(tmp_path / "a.wav", mulaw.silence(60))
    async with stage(RealtimeEmulator(script), tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(
            s, tmp_path, "--pause", "0.1", "--wav", str(caller), "--dtmf", "5", "--pause", "0.2",
            "--wav", str(caller), "--json", "--patience", "0.5",
        )  # fmt: skip

    report = json.loads(done.out)
    lines = [one["fields"] for one in report["events"] if one["name"] == "line"]
    assert lines == [{"play": "a.wav"}, {"press": "5"}, {"play": "a.wav"}]
    assert done.err.count("warning: a.wav is silent") == 2
    assert Path(tmp_path / report["folder"]) == tmp_path / "calls" / report["call_sid"]
    assert (tmp_path / "calls" / report["call_sid"] / "call.wav").exists()


async def test_an_interruption_is_heard_told_and_recorded_where_it_was(tmp_path: Path) -> None:
    """The right track ends where the agent was cut, as what the model was told does.

    The track says what was played, and the model was told it when the clear went out: a machine
    that is late plays on meanwhile. How close both are is measured by ``scripts/bench_local``.
    """
    long = Reply("Hello, this is the test line, and it goes on and on.", 4000, 440)
    script = Scenario([long, Reply("Yes?", 400, 880)])
    caller = wav(tmp_path / "stop.wav", tone(300, 300))
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(
            s, tmp_path, "--interrupt-after-ms", "900", "--wav", str(caller), "--out", "out"
        )
        (cut,) = s.session.client_events.of("conversation.item.truncate")

    _, right = tracks(tmp_path / "out" / "call.wav")
    assert done.status == 0
    assert 900 <= cut["audio_end_ms"] <= 2500
    assert abs(lasting(right, 440) - cut["audio_end_ms"]) <= 300
    assert lasting(right, 880) >= 340
    assert any(one.startswith("cut       ") and "ms heard: Hello" in one for one in told(done))


async def test_a_transfer_that_nobody_answers_is_told_with_its_tool(tmp_path: Path) -> None:
    """The tool, the ringing and the way back to the agent: what a caller would live through."""
    through = Reply("I put you through.", 300, 660, tools=[TRANSFER])
    script = Scenario([GREETING, through, Reply("Nobody is there.", 400, 880)])
    caller = wav(tmp_path / "a.wav", tone(300, 300))
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(
            s, tmp_path, "--wav", str(caller), "--expect-tool", "transfer_call", "--expect-text",
            "nobody is there",
        )  # fmt: skip

    assert (done.status, done.err) == (0, "")
    assert f"transfer  {NUMBER} rings" in told(done)
    assert "tool      transfer_call is called" in told(done)


DYING = Faults(close_code=ABRUPT, close_after=3)


@pytest.mark.parametrize(("expected", "status"), [([], 1), (["--expect-end", "model_failed"], 0)])
async def test_a_model_that_dies_in_mid_sentence_is_heard_and_told(
    tmp_path: Path, expected: list[str], status: int
) -> None:
    """The caller hears the sentence; the command says why, and fails unless it was the point."""
    dying = RealtimeEmulator(Receptionist, faults=DYING, pace=0)
    async with stage(dying, tmp_path, agent=AGENT, local=LOCAL) as s:
        done = await called(s, tmp_path, "--expect-text", SORRY, *expected)

    assert done.status == status
    assert f"carrier   {SORRY}" in told(done)
    assert "call      The call ended: model_failed" in told(done)
    assert (done.err == "not met: the call ends well; model_failed\n") is (not expected)


async def test_a_server_with_a_real_number_is_not_called(tmp_path: Path) -> None:
    """There is no line to call on; the sentence says what to do instead. Status 2."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path, agent=AGENT) as s:
        done = await called(s, tmp_path)

    assert done.status == 2
    assert done.err == (
        f"The server at {s.url} takes its calls from Twilio and has no local line: call its"
        " number, or leave --server out while it does not run.\n"
    )


async def test_a_call_that_nobody_has_room_for_is_not_one(tmp_path: Path) -> None:
    """Status 2, with what the caller was told: nothing about the agent was tried."""
    openai = RealtimeEmulator(Scenario([GREETING]))
    async with stage(openai, tmp_path, agent=AGENT, local=LOCAL, max_concurrent_calls=1) as s:
        first = await s.twilio.call()
        await first.heard_at_least(300)
        done = await called(s, tmp_path)
        await first.hang_up()
        await first.ended()

    assert done.status == 2
    assert done.err.startswith("The call did not reach the agent: ")
    assert done.err.strip().removeprefix("The call did not reach the agent: ") in done.out


async def test_a_record_that_needs_another_key_is_left_out(tmp_path: Path) -> None:
    """The call was made and is kept; whose key is missing knows it from the missing file."""
    async with stage(
        RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=AGENT, local=LOCAL
    ) as s:
        done = await called(s, tmp_path, "--out", "out", api_key="another key")

    assert done.status == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"call.wav", "call.json"}


async def test_a_phone_that_is_opened_elsewhere_ends_the_call_with_a_reason(tmp_path: Path) -> None:
    """A browser tab takes the line over: the newest phone is the one."""
    greeting = Reply("Hello, and so on.", 8000, 440)
    async with stage(
        RealtimeEmulator(Scenario([greeting])), tmp_path, agent=AGENT, local=LOCAL
    ) as s:
        typed = ("app.emulators", "phone", "--server", s.url)
        process = await started(*typed, cwd=tmp_path)
        await until(lambda: bool(s.openai.connections), 60)
        async with telephone(s.local, ticket="t"):
            done = await finished(process)

    assert "problem   This phone was opened somewhere else." in told(done)


def settings(folder: Path, openai: RealtimeEmulator) -> None:
    """What an operator with a real number has beside their agent."""
    (folder / "agent.yaml").write_text(AGENT)
    (folder / ".env").write_text(
        f"OPENAI_API_KEY=sk-local\nOPENAI_BASE_URL={openai.base_url}\nPUBLIC_URL=https://a.test\n"
        f"TWILIO_ACCOUNT_SID={ACCOUNT}\nTWILIO_AUTH_TOKEN={'1' * 32}\nAPI_KEY={API_KEY}\n"
    )


async def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/health"):
            return True
    except aiohttp.ClientConnectionError:
        return False


async def test_a_server_of_its_own_lives_as_long_as_the_call(tmp_path: Path) -> None:
    """One command tries an agent document, whatever number .env is for."""
    script = Scenario([GREETING, Reply("Certainly.", 300, 880)])
    caller = wav(tmp_path / "a.wav", tone(300, 300))
    async with RealtimeEmulator(script, pace=0) as openai:
        settings(tmp_path, openai)
        words = ("call", "--local", "--agent", "agent.yaml", "--wav", str(caller), "--json")
        done = await finished(
            await started("app", *words, "--expect-text", "certainly", "--out", "o", cwd=tmp_path)
        )
        openai.assert_clean()

    assert done.status == 0, done.err
    assert json.loads(done.out)["met"]
    assert {one.name for one in (tmp_path / "o").iterdir()} == {
        *("call.wav", "call.json", "record.json")
    }
    assert not (tmp_path / "data").exists(), "the server left something"
    assert not await answers(json.loads(done.out)["server"])


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP])
async def test_a_server_of_its_own_ends_with_a_call_that_is_given_up(
    tmp_path: Path, sign: signal.Signals
) -> None:
    """Ctrl-C, a closed terminal and a build that is cancelled leave no server behind."""
    async with RealtimeEmulator(Scenario([Reply("On and on.", 20_000, 440)])) as openai:
        settings(tmp_path, openai)
        process = await started("app", "call", "--local", "--agent", "agent.yaml", cwd=tmp_path)
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        await until(lambda: bool(openai.connections), 60)
        process.send_signal(sign)
        done = await finished(process)

    assert done.status == 130
    assert done.err.endswith("interrupted\n")
    assert not await answers(first.removeprefix("The agent is at ").strip())


async def test_an_agent_that_cannot_be_served_is_told_by_the_server(tmp_path: Path) -> None:
    """What is wrong with the document, and not that something did not appear."""
    async with RealtimeEmulator(Scenario([])) as openai:
        settings(tmp_path, openai)
        (tmp_path / "agent.yaml").write_text("instruction: Be kind.\n")
        words = ("call", "--local", "--agent", "agent.yaml")
        done = await finished(await started("app", *words, cwd=tmp_path))

    assert done.status == 2
    assert "agent.yaml:1" in done.err


@needs("pocketsphinx", there=find_spec("pocketsphinx") is not None)
@needs("flite", there=shutil.which("flite") is not None)
async def test_a_conversation_without_any_account(tmp_path: Path) -> None:
    """Nothing but this machine: words are said, understood, answered and heard."""
    (tmp_path / "agent.yaml").write_text(
        "instructions: You answer the phone for the tests.\n"
        "greeting: Hello, this is the test line. How can I help?\n"
    )
    words = ("call", "--local", "--agent", "agent.yaml", "--say", "Goodbye.", "--out", "o")
    done = await finished(
        await started(
            *("app", *words, "--expect-text", "test line", "--expect-heard", "goodbye"),
            cwd=tmp_path,
        ),
        120,
    )

    assert (done.status, done.err.replace(STARTING, "")) == (0, "")
