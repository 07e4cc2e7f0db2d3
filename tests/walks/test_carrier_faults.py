"""A carrier at its worst: streams given up without a word, news late, twice, reversed or lost."""

from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from app.emulators.twilio import DialOutcome, Faults
from app.emulators.twilio_words import TRIAL_NOTICE
from tests.walks.stage import DESK, GREETING, NUMBER, PROBLEM, THROUGH, stage
from tests.walks.steps import ask, finish

BRIDGED = {NUMBER: DialOutcome("bridged", talk_ms=None)}


async def test_a_stream_that_twilio_gives_up_ends_with_its_call(tmp_path: Path) -> None:
    """31924: no stop and no close; the news of the call's end must free the line and the model."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=DESK) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        call.stream.break_off()
        await call.ended()
        record = await s.record(call)
        await s.all_closed()

    assert record["status"] == "completed"
    assert call.said == []


WORST: dict[str, dict[str, Any]] = {
    "reversed": {"end_is_told_first": True},
    "late": {"slow_webhooks": {"/twilio": 300}},
    "stream_news_late": {"status_delay_ms": {"stream-started": 400, "stream-stopped": 300}},
    "repeated_late": {"duplicate_webhooks": frozenset({"/twilio"}), "repeat_after_ms": 200},
    "lost": {"lost_callbacks": frozenset({"/twilio/stream-status", "/twilio/call-status"})},
}


@pytest.mark.parametrize("how", WORST)
async def test_a_transfer_is_told_right_however_its_news_arrives(tmp_path: Path, how: str) -> None:
    """The record of a caller who was put through says so, once."""
    openai = RealtimeEmulator(Scenario([GREETING, THROUGH]), pace=0)
    twilio = {"faults": Faults(**WORST[how])}
    async with stage(openai, tmp_path, agent=DESK, twilio=twilio) as s:
        call = await ask(s, answers=BRIDGED)
        await call.until(lambda: bool(call.dial_results))
        await call.hang_up()

        record = await finish(s, call)

    assert record["end_reason"] == "transferred"
    assert [one["outcome"] for one in record["transfers"]] == ["connected"]
    assert call.dialled == [NUMBER]


async def test_a_trial_account_hears_the_fallback_sentence(tmp_path: Path) -> None:
    """As the README says: Twilio's notice, then a sentence of ours, and no silence."""
    twilio = {"faults": Faults(trial_account=True)}
    async with stage(RealtimeEmulator(Scenario([])), tmp_path, agent=DESK, twilio=twilio) as s:
        call = await s.twilio.call()
        await call.ended()

    assert call.said == [TRIAL_NOTICE, PROBLEM]
    call.assert_clean()
