"""What the agent notes while they talk, and where it is known afterwards."""

from pathlib import Path

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from tests.waiting import until
from tests.walks.stage import AGENT, VOICE, stage
from tests.walks.test_verification import told

CALLER = "+14155550123"
CLAIM = (
    AGENT
    + """
timeouts: {resume: 3h}
forms:
  claim:
    fields:
      - {name: policy, type: text, pattern: "[A-Z]{2}[0-9]{6}", required: true}
      - {name: email, type: email}
form: claim
"""
)
GREETING = Reply("Hello, this is the test line.", 200, 440)
NOTES = Reply(
    "One moment.",
    100,
    550,
    tools=[ToolUse("update_form", {"fields": {"policy": "AB123456", "email": "ada at home"}})],
)
SAID = Reply("Noted.", 200, 880)


async def test_c7_partial_saves_are_kept_and_known_to_who_phones_again(tmp_path: Path) -> None:
    """C7: half of an update is a fact that outlives the call; the next call begins with it."""
    scenarios = iter([Scenario([GREETING, NOTES, SAID]), Scenario([GREETING, SAID])])
    async with stage(RealtimeEmulator(lambda: next(scenarios)), tmp_path, agent=CLAIM) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        output = await told(s, 1)
        await call.heard_at_least(call.heard_ms + 100)
        await call.hang_up()
        record = await s.record(call)

        again = await s.twilio.call(from_=CALLER)
        await until(lambda: len(s.openai.connections) == 2)
        await until(lambda: bool(s.session.client_events.of("session.update")))
        told_again = s.session.client_events.of("session.update")[0]["session"]["instructions"]
        await again.heard_at_least(200)
        await again.hang_up()
        after = await s.record(again)

    assert output["ok"] is False
    assert "ada@example.com" in output["errors"]["email"]
    assert record["form"]["values"] == {"policy": "AB123456"}
    assert record["form"]["complete"] is True
    assert '{"policy":"AB123456"}' in told_again
    assert after["form"] == record["form"]
