"""Calls from a telephone on this machine: the real server, with nothing switched off."""

from pathlib import Path
from typing import Any

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from tests.walks.stage import VOICE, Stage, stage
from tests.walks.telephone import TICKET, telephone

NUMBER = "+14155550123"
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
dtmf: {{mode: single}}
"""
TRANSFER = ToolUse("transfer_call", {"target": "billing"})
THROUGH = Reply("I put you through.", 300, 660, tools=[TRANSFER])
LOCAL = {"ticket": TICKET, "unattended_ms": 300}


def brain(*script: Any) -> RealtimeEmulator:
    """A model that follows a script, as fast as it can."""
    return RealtimeEmulator(Scenario(list(script)), pace=0)


async def record(s: Stage, call_sid: str) -> dict[str, Any]:
    """The record of a call that is over."""
    return await s.record(s.twilio.calls[call_sid])


async def test_a_telephone_calls_hears_talks_and_hangs_up(tmp_path: Path) -> None:
    """The first thing anybody tries."""
    openai = brain(Reply("Hello.", 300, 440), Reply("Yes.", 300, 880))
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        sid = await phone.dial()
        await phone.hears(440, 240)
        phone.speak(VOICE)
        await phone.hears(880, 240)
        await phone.send("hangup")
        over = await phone.got("hungup")
        found = await record(s, sid)

        assert phone.events[:3] == ["ready", "calling", "start"]
        assert (over["by"], over["reason"]) == ("caller", "caller")
        assert phone.marks_returned
        assert found["end_reason"] == "caller_hangup"
        assert len(found["turns"]) >= 2
        s.twilio.assert_clean()
