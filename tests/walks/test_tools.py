"""Tools during a call: beside the audio, answered once, and never the end of anything."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Parallel, Reply, Scenario, ToolUse
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.stage import VOICE, Stage, heard_tone, measured, stage

OUTPUT = "conversation.item.create"

TOOLS = '''
"""Tools of a test; written beside its agent document."""

import asyncio
import time
from pathlib import Path

from app.tools import Background

HERE = Path(__file__).parent


def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def blocks(seconds: float) -> str:
    """Block a thread for a while."""
    time.sleep(seconds)
    return "blocked and done"


def raises() -> str:
    """Fail."""
    raise RuntimeError("secret details of the database")


async def hangs() -> str:
    """Never end."""
    (HERE / "began").touch()
    try:
        await asyncio.Event().wait()
    finally:
        (HERE / "abandoned").touch()
    return ""


def notes(text: str) -> Background:
    """Note something down."""
    return Background(f"noted {text}")
'''


def agent(module: str) -> str:
    """An agent with the tools above. Modules are remembered by name, so each test has its own."""
    return f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
tools:
  weather: {{type: python, handler: "{module}:weather"}}
  blocks: {{type: python, handler: "{module}:blocks"}}
  raises: {{type: python, handler: "{module}:raises"}}
  hangs: {{type: python, handler: "{module}:hangs", timeout: 500ms}}
  waits: {{type: python, handler: "{module}:hangs", timeout: 60s, say_while_running: "One moment."}}
  notes: {{type: python, handler: "{module}:notes"}}
"""


@pytest.fixture
def tooled(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], dict[str, Any]]:
    """What ``stage`` needs for an agent with tools, in a folder of the test's own."""

    def given() -> dict[str, Any]:
        module = f"tools_{abs(hash(request.node.nodeid))}"
        (tmp_path / f"{module}.py").write_text(TOOLS)
        return {"folder": tmp_path, "agent": agent(module)}

    return given


Tooled = Callable[[], dict[str, Any]]
GREETING = Reply("Hello.", 200, 440)
ANSWER = Reply("There you are.", 200, 880)


async def ask(s: Stage) -> EmulatedCall:
    """A caller who listens to the greeting and then says something."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    await call.speak(VOICE)
    return call


def outputs(s: Stage) -> list[str]:
    """What the model was given as outputs of its tool calls."""
    items = [event["item"] for event in s.session.client_events.of(OUTPUT)]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


async def finish(s: Stage, call: EmulatedCall) -> dict[str, Any]:
    """Hang up; nothing is left and nobody broke a rule."""
    await call.hang_up()
    record = await s.record(call)
    await s.all_closed()
    call.assert_clean()
    s.openai.assert_clean()
    s.assert_conforms()
    return record


async def test_a_tool_answers_the_model_and_the_caller(tooled: Tooled) -> None:
    """O11, S8: arguments reach a typed function, its result reaches the model's next words."""
    script = Scenario(
        [
            GREETING,
            Reply("Let me see.", 200, 660, tools=[ToolUse("weather", {"city": "Lyon"})]),
            Expect(tool_outputs=1, tool_output_contains="sunny in Lyon", origin="client"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        record = await finish(s, call)

        tools = [r for t in record["turns"] for r in t["responses"] if r["type"] == "tool"]
        assert [tool["name"] for tool in tools] == ["weather"]
        assert record["latency_ms"]["tool"]["count"] == 1


async def test_a_slow_tool_delays_neither_audio_nor_interruption(tooled: Tooled) -> None:
    """D-TAC-4, D-PT-2, S8: the caller is heard, and obeyed, while a tool takes its time."""
    script = Scenario(
        [
            GREETING,
            Reply("Let me look.", 1500, 660, tools=[ToolUse("blocks", {"seconds": 1.5})]),
            Expect(absent=["response.cancel"], origin="turn"),
            Reply("Yes?", 200, 770),
            Expect(tool_outputs=1, origin="client"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), **tooled()) as s:
        call = await ask(s)
        await call.heard_at_least(700)
        assert outputs(s) == []

        await call.speak(VOICE)
        await call.until(lambda: call.stream.received["clear"] == 1)
        cleared_before_the_tool_ended = outputs(s) == []
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await finish(s, call)

        assert cleared_before_the_tool_ended
        assert heard_tone(call.stream, 660) < 1400
        assert heard_tone(call.stream, 770) >= 160
        gaps = _gaps(s.session.caller_audio, bytes(call.stream.spoken))
        assert gaps == 0, "every frame reached the model, in order"


def _gaps(heard: bytes | bytearray, spoken: bytes) -> int:
    """Bytes of what the model heard that are not the caller's, in their order."""
    start = spoken.find(bytes(heard[:160]))
    return sum(a != b for a, b in zip(heard, spoken[start:], strict=False))


async def test_parallel_tools_are_all_answered_before_the_model_speaks_once(
    tooled: Tooled,
) -> None:
    """O13, D-TAC-5, D-PT-3: a response per output would collide, and talk twice."""
    script = Scenario(
        [
            GREETING,
            Parallel(
                ToolUse("weather", {"city": "Lyon"}),
                ToolUse("blocks", {"seconds": 0.3}),
                ToolUse("weather", {"city": "Oslo"}),
            ),
            Expect(tool_outputs=3, tool_output_contains="Oslo", origin="client"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await finish(s, call)

        assert len(s.session.client_events.of("response.create")) == 2


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (ToolUse("raises"), "The tool failed: RuntimeError."),
        (ToolUse("hangs"), "did not finish within 0.5 seconds"),
        (ToolUse("weather", {"town": "Lyon"}), "city"),
        (ToolUse("weather", '{"city": "Ly'), "JSON"),
        (ToolUse("teleport", unoffered=True), "no tool"),
    ],
    ids=["raises", "hangs", "wrong_arguments", "no_json", "unknown"],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(
    tooled: Tooled, use: ToolUse, told: str
) -> None:
    """D-TAC-6, D-JB-2, L28: the model can say so, and the call goes on."""
    script = Scenario(
        [
            GREETING,
            Parallel(use),
            Expect(tool_outputs=1, tool_output_contains=told, origin="client"),
            ANSWER,
            Reply("What else?", 200, 990),
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 990) >= 160)

        assert "secret" not in "".join(outputs(s))
        await finish(s, call)


async def test_a_call_that_is_announced_twice_is_run_once(tooled: Tooled) -> None:
    """The service has been seen to repeat the end of a tool call; a booking must not double."""
    script = Scenario(
        [
            GREETING,
            Parallel(ToolUse("weather", {"city": "Lyon"}, announced=3)),
            Expect(tool_outputs=1, origin="client"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await finish(s, call)


async def test_a_background_result_does_not_make_the_model_speak(tooled: Tooled) -> None:
    """O12: the output is handed over, and no response is asked for."""
    script = Scenario(
        [
            GREETING,
            Reply("I noted it.", 200, 660, tools=[ToolUse("notes", {"text": "milk"})]),
            Expect(tool_outputs=1, absent=["response.create"], origin="turn"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await until(lambda: outputs(s) == ["noted milk"])
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)

        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await finish(s, call)


async def test_a_slow_tool_is_bridged_by_a_phrase(tooled: Tooled) -> None:
    """O19: silence of a second and more makes callers say "hello?"."""
    script = Scenario(
        [
            GREETING,
            Parallel(ToolUse("waits")),
            Expect(instructions_contain="One moment.", tool_outputs=0, origin="client"),
            Reply("One moment.", 200, 770),
        ]
    )
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await s.session.server_events.until("response.function_call_arguments.done")
        called_at_s = asyncio.get_running_loop().time()
        await call.until(lambda: heard_tone(call.stream, 770) >= 20)
        measured("tool called to filler heard", called_at_s)
        await call.until(lambda: heard_tone(call.stream, 770) >= 160)
        await finish(s, call)


async def test_hanging_up_abandons_a_running_tool(tooled: Tooled, tmp_path: Path) -> None:
    """S4, D-VC-1: nobody waits for the answer, so nothing is kept alive for it."""
    script = Scenario([GREETING, Parallel(ToolUse("waits"))])
    async with stage(RealtimeEmulator(script), **tooled()) as s:
        call = await ask(s)
        await until((tmp_path / "began").exists)

        record = await finish(s, call)

        assert (tmp_path / "abandoned").exists()
        assert record["end_reason"] == "caller_hangup"
