"""The example with tools that a person must approve of, as the API decides."""

import shutil
from pathlib import Path
from typing import Any

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from tests.walks.stage import VOICE, Stage, heard_tone, stage
from tests.walks.test_approvals import decide
from tests.walks.test_tools import GREETING, ask, finish, outputs

EXAMPLES = Path(__file__).parents[2] / "examples"
ASKED = {"question": "everything"}


async def waiting(s: Stage) -> dict[str, Any]:
    """The one tool call that a person is asked about."""
    found: list[dict[str, Any]] = (await s.get("/v1/approvals"))["approvals"]
    (one,) = found
    return one


async def test_the_secret_is_told_only_where_a_person_approves(tmp_path: Path) -> None:
    """O11, O13, O14: refused with a reason first, then approved; the model hears both."""
    shutil.copy(EXAMPLES / "secret_tools.py", tmp_path)
    script = Scenario(
        [
            GREETING,
            Reply("I ask.", 200, 660, tools=[ToolUse("secret", ASKED)]),
            Reply("One moment.", 200, 550),
            Expect(tool_outputs=1, tool_output_contains="not today", origin="client"),
            Reply("I may not.", 200, 770),
            Expect(origin="turn"),
            Reply("I ask again.", 200, 500, tools=[ToolUse("secret", ASKED)]),
            Reply("One more moment.", 200, 600),
            Expect(tool_outputs=1, tool_output_contains="42", origin="client"),
            Reply("It is 42.", 200, 880),
        ]
    )
    text = (EXAMPLES / "secret.yaml").read_text(encoding="utf-8")
    text += "turn_detection: {type: server_vad, silence_duration_ms: 120}\n"
    async with stage(RealtimeEmulator(script), tmp_path, agent=text) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 550) >= 120)
        refused = await waiting(s)
        verdict = {"approve": False, "reason": "not today"}
        assert await decide(s, refused["approval_id"], verdict) == 204
        await call.until(lambda: heard_tone(call.stream, 770) >= 120)
        assert not any("42" in output for output in outputs(s))

        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 600) >= 120)
        approved = await waiting(s)
        assert await decide(s, approved["approval_id"], {"approve": True}) == 204
        await call.until(lambda: heard_tone(call.stream, 880) >= 120)

        offered = {one["name"]: one for one in s.session.config["tools"]}
        record = await finish(s, call)

    assert (refused["name"], approved["name"]) == ("secret", "secret")
    assert [("not today" in one, "42" in one) for one in outputs(s)][-1] == (False, True)
    assert offered["get_weather"] == {
        "type": "function",
        "name": "get_weather",
        "description": "Get the weather for a given location.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
    }
    assert record["end_reason"] == "caller_hangup"
