"""A caller asks, and the agent looks it up in a file."""

from pathlib import Path

from structlog.testing import capture_logs

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from tests.waiting import until
from tests.walks.stage import AGENT, VOICE, stage
from tests.walks.test_verification import told

GREETING = Reply("Hello, this is the test line.", 200, 440)
LOOKS_UP = Reply("One moment.", 100, 550, tools=[ToolUse("search_knowledge", {"query": "hail"})])
SAID = Reply("We cover hail.", 200, 880)


async def test_c16_a_question_a_tool_call_a_cited_snippet(tmp_path: Path) -> None:
    """C16, and C23: without embeddings."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cover.md").write_text("# Cover\n\nDamage by hail is covered.")
    openai = RealtimeEmulator(Scenario([GREETING, LOOKS_UP, SAID]))
    agent = AGENT + "knowledge: docs\n"
    with capture_logs() as logs:
        async with stage(openai, tmp_path, agent=agent) as s:
            call = await s.twilio.call()
            await call.heard_at_least(200)
            await until(lambda: any(x["event"] == "documents_read" for x in logs))
            await call.speak(VOICE)
            output = await told(s, 1)
            await call.hang_up()
            await s.record(call)

    assert output["quotes"] == [
        {"file": "docs/cover.md", "place": "Cover", "quote": "Damage by hail is covered."}
    ]
