"""A tool that a person must approve of, while the caller talks on."""

from pathlib import Path

import aiohttp

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from tests.walks.stage import API_KEY, VOICE, Stage, heard_tone, stage
from tests.walks.test_tools import GREETING, ask, finish, outputs

MODULE = """
from pathlib import Path

def refund(amount: int) -> str:
    "Pay back."
    (Path(__file__).parent / "refunded").touch()
    return f"{amount} paid back"
"""
AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
tools:
  refund: {{type: python, handler: "{module}:refund", approval: always}}
"""
ASKS = Reply("I ask.", 200, 660, tools=[ToolUse("refund", {"amount": 20})])


async def decide(s: Stage, approval_id: str, verdict: dict[str, object]) -> int:
    """A person's word, by the API."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"{s.url}/v1/approvals/{approval_id}"
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(url, json=verdict) as answer,
    ):
        return answer.status


async def test_a_caller_talks_on_while_a_person_is_asked(tmp_path: Path) -> None:
    """O14: not before it was approved; meanwhile the agent answers something else."""
    (tmp_path / "refunds_a.py").write_text(MODULE)
    script = Scenario(
        [
            GREETING,
            ASKS,
            Reply("One moment.", 200, 550),
            Expect(origin="turn"),
            Reply("Yes?", 200, 770),
            Expect(tool_outputs=1, tool_output_contains="20 paid back", origin="client"),
            Reply("It is done.", 200, 880),
        ]
    )
    async with stage(
        RealtimeEmulator(script), tmp_path, agent=AGENT.format(module="refunds_a")
    ) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 550) >= 120)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 770) >= 120)
        waiting = (await s.get("/v1/approvals"))["approvals"]
        assert [(one["name"], one["arguments"]) for one in waiting] == [
            ("refund", '{"amount": 20}')
        ]
        assert not (tmp_path / "refunded").exists()

        assert await decide(s, waiting[0]["approval_id"], {"approve": True}) == 204
        await call.until(lambda: heard_tone(call.stream, 880) >= 120)

        await finish(s, call)
        assert await decide(s, waiting[0]["approval_id"], {"approve": False}) == 409
    assert (tmp_path / "refunded").exists()


async def test_a_hang_up_is_no_approval(tmp_path: Path) -> None:
    """O14: a question about somebody who is gone is withdrawn, and nothing is done."""
    (tmp_path / "refunds_b.py").write_text(MODULE)
    script = Scenario([GREETING, ASKS, Reply("One moment.", 200, 550)])
    async with stage(
        RealtimeEmulator(script), tmp_path, agent=AGENT.format(module="refunds_b")
    ) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 550) >= 120)
        waiting = (await s.get("/v1/approvals"))["approvals"]

        await finish(s, call)

        assert outputs(s) == []
        assert (await s.get("/v1/approvals"))["approvals"] == []
        assert await decide(s, waiting[0]["approval_id"], {"approve": True}) == 409
    assert not (tmp_path / "refunded").exists()
