"""A model that hears nothing any more while its socket lives and answers every ping."""

from pathlib import Path

import pytest

from app.call import pulse
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from tests.walks.stage import VOICE, heard_tone, stage
from tests.walks.steps import PERSON

GREETING = Reply("Hello.", 400, 440)
AGAIN = Reply("Say that again?", 200, 660)
ANSWER = Reply("Yes.", 200, 880)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait twenty seconds for a question."""
    monkeypatch.setattr(pulse, "PROBE_AFTER_MS", 400)
    monkeypatch.setattr(pulse, "PROBE_ANSWER_MS", 600)


@pytest.mark.parametrize("speaks", [True, False], ids=["speaking", "silent"])
async def test_a_model_that_hears_nothing_any_more_is_replaced(
    tmp_path: Path, speaks: bool
) -> None:
    """Whoever spoke into such a line was never answered; whoever waited, neither."""
    unheard = [AGAIN] if speaks else []
    openai = RealtimeEmulator(Scenario([GREETING, *unheard, AGAIN]))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        if speaks:
            await call.speak(VOICE)
            await s.session.server_events.until("input_audio_buffer.speech_started")
        s.session.stall()

        await call.until(lambda: heard_tone(call.stream, 660) >= 160)

        assert openai.attempts == 2
        assert call.said == []
        await call.hang_up()
        openai.assert_clean()


async def test_a_model_that_has_nothing_to_say_is_only_asked(tmp_path: Path) -> None:
    """The question changes neither the session nor the conversation."""
    openai = RealtimeEmulator(Scenario([GREETING, ANSWER]))
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await s.session.server_events.until("session.updated", 4)
        configured = s.session.config
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert openai.attempts == 1
        assert configured["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        assert configured["instructions"].startswith("You")
        await call.hang_up()
        record = await s.record(call)
        assert record["warnings"] == []
        openai.assert_clean()
