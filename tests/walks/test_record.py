"""What remains of a call: the record, its figures, and a flight log that can be flown again."""

import asyncio
import base64
import re
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Parallel, Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.stage import ACCOUNT, VOICE, Stage, heard_tone, stage

ROOT = Path(__file__).parents[2]
NUMBER = "+14155550123"
TOOLS = '''
import time


def weather(city: str) -> str:
    """Tell the weather."""
    time.sleep(0.05)
    return f"sunny in {city}"
'''
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
tools:
  weather: {{type: python, handler: "MODULE:weather"}}
"""
GREETING = Reply("Hello.", 200, 440)
ANSWER = Reply("What else?", 200, 880)
LONG = Reply("Let me tell you a long story.", 3000, 660)
TOOL = Parallel(ToolUse("weather", {"city": "Lyon"}))
THROUGH = Reply(
    "I put you through.", 200, 660, tools=[ToolUse("transfer_call", {"target": "billing"})]
)
VOICE_B64 = base64.b64encode(VOICE[160:280]).decode()
WHOLE_MS = 160
"""What ``heard_tone`` counts at least of 200 ms."""
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def says(call: EmulatedCall, then_hz: float, least_ms: int = WHOLE_MS) -> None:
    """The caller speaks and hears the answer, by its tone."""
    before = heard_tone(call.stream, then_hz)
    await call.speak(VOICE)
    await call.until(lambda: heard_tone(call.stream, then_hz) >= before + least_ms)
    if least_ms == WHOLE_MS:
        await until(lambda: not call.stream.line.playing)


async def whole(s: Stage, call: EmulatedCall) -> dict[str, Any]:
    """Hang up, and the record."""
    await call.hang_up()
    record = await s.record(call)
    await s.all_closed()
    s.openai.assert_clean()
    return record


def beside(folder: Path) -> dict[str, Any]:
    """What ``stage`` needs for an agent with tools, whose module has a name of its own."""
    module = f"weather_{secrets.token_hex(8)}"
    (folder / f"{module}.py").write_text(TOOLS)
    return {"folder": folder, "agent": AGENT.replace("MODULE", module)}


async def test_the_record_tells_the_whole_call(tmp_path: Path) -> None:
    """Every figure an operator asks for, from one call with everything in it."""
    script = Scenario(
        [GREETING, LONG, ANSWER, TOOL, ANSWER],
        heard=["Tell me a story", "Stop", "And the weather?"],
    )
    async with stage(RealtimeEmulator(script, pace=0), **beside(tmp_path)) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await says(call, 660, 400)
        await says(call, 880)
        await says(call, 880)

        record = await whole(s, call)

    assert record["schema"] == "cdr/1"
    assert record["status"] == "completed"
    assert record["ending"] == {"result": "success", "reason": "caller_hangup"}
    assert record["from"] == {"number": "+14155550100"}
    assert record["to"] == {"number": "+15005550006"}
    assert record["carrier"] == {
        "provider": "twilio",
        "account_sid": ACCOUNT,
        "call_sid": call.call_sid,
        "parent_call_sid": None,
        "sip": None,
        "price": None,
        "stream_sids": [call.stream.stream_sid],
    }
    assert record["timestamps"].pop("ringing_at") is None
    assert all(UTC.fullmatch(value) for value in record["timestamps"].values())
    assert record["timestamps"]["created_at"] == min(record["timestamps"].values())
    durations = record["durations_ms"]
    assert 0 < durations["assistant_speech"] < durations["ai"] <= durations["total"]
    assert (durations["human"], durations["hold"]) == (0, 0)
    assert (record["failure"], record["disposition"]) == (None, None)
    assert record["durations_ms"]["total"] > 1000
    assert record["model"]["losses"] == 0
    assert record["model"]["usage"]["output_audio"] > 0
    assert record["audio"]["clears"] == 1
    assert record["warnings"] == []
    assert [turn["text"] for turn in record["turns"]] == [
        None,
        "Tell me a story",
        "Stop",
        "And the weather?",
    ]
    story = record["turns"][1]["responses"][0]
    assert story["interrupted"]
    assert 0 < story["heard_ms"] < story["audio_ms"] == 3000
    assert [r["type"] for r in record["turns"][3]["responses"]] == ["tool", "speech"]


async def test_every_turn_has_its_latencies(tmp_path: Path) -> None:
    """Caller stopped, first audio sent, first audio played: the last is what a caller feels."""
    script = Scenario([GREETING, ANSWER, Reply("Certainly.", 200, 660, first_audio_ms=300)])
    async with stage(RealtimeEmulator(script), **beside(tmp_path)) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await says(call, 880)
        await says(call, 660)

        record = await whole(s, call)

    latency = record["latency_ms"]
    assert [sorted(turn) for turn in latency["turns"]] == [["played_ms", "sent_ms"]] * 2
    first, second = latency["turns"]
    for turn in (first, second):
        assert 0 <= turn["sent_ms"] <= turn["played_ms"] < 3000
    assert second["sent_ms"] >= 290
    assert second["sent_ms"] > first["sent_ms"]
    assert latency["turn_sent"]["count"] == latency["turn_played"]["count"] == 2
    assert latency["answer_to_first_audio"] is not None


async def test_a_live_call_has_a_record_too(tmp_path: Path) -> None:
    """An operator looks at calls while they go on."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), **beside(tmp_path)) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        record = await s.get(f"/v1/calls/{await s.call_id(call)}")

        assert record["status"] == "in_progress"
        assert record["end_reason"] is None
        assert record["timestamps"]["ended_at"] is None


async def interrupted(s: Stage) -> EmulatedCall:
    """A call with an interruption."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    await says(call, 660, 300)
    await says(call, 880)
    return call


async def with_a_tool(s: Stage) -> EmulatedCall:
    """A call with a tool."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    await says(call, 880)
    return call


async def put_through_and_back(s: Stage) -> EmulatedCall:
    """A call that comes back from a transfer: two streams, two logs."""
    call = await s.twilio.call(answers={NUMBER: DialOutcome("busy")})
    await call.heard_at_least(200)
    await call.speak(VOICE)
    second = await call.stream_started(2)
    await call.until(lambda: heard_tone(second, 770) >= 160)
    await says(call, 880)
    return call


BACK = Reply("Nobody is there.", 200, 770)
FLIGHTS: dict[str, tuple[Any, list[Any]]] = {
    "barge_in": (interrupted, [GREETING, LONG, ANSWER]),
    "tool": (with_a_tool, [GREETING, TOOL, ANSWER]),
    "transfer": (put_through_and_back, [GREETING, THROUGH, BACK, ANSWER]),
}


@pytest.mark.parametrize("name", FLIGHTS)
async def test_a_recorded_call_is_decided_the_same_way_again(tmp_path: Path, name: str) -> None:
    """A bug arrives as a flight log: the log must lead to the very same commands."""
    play, script = FLIGHTS[name]
    openai = RealtimeEmulator(Scenario(script))
    async with stage(openai, **beside(tmp_path)) as s:
        await whole(s, await play(s))

    logs = sorted((tmp_path / "data" / "flights").iterdir())
    assert len(logs) == (2 if name == "transfer" else 1)
    for log in logs:
        assert log.stat().st_mode & 0o777 == 0o600
        assert VOICE_B64 not in log.read_text(), "no audio in a log"
        code, output = await replayed(log)
        assert code == 0, output
        assert "the same commands" in output


async def test_a_log_that_was_changed_is_noticed(tmp_path: Path) -> None:
    """A replay that never fails proves nothing."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), **beside(tmp_path)) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await whole(s, call)
        (log,) = (tmp_path / "data" / "flights").iterdir()
    changed = tmp_path / "changed.jsonl"
    changed.write_text(log.read_text().replace('["OpenModel",2500]', '["OpenModel",2501]'))

    code, output = await replayed(changed)

    assert code == 1
    assert "2501" in output


async def replayed(log: Path) -> tuple[int | None, str]:
    """``python -m app replay``: its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "replay",
        str(log),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
