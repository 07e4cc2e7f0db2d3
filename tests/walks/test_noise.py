"""A line that is never quiet: the caller hears what is wrong with it instead of nothing."""

from pathlib import Path

import pytest

from app.audio.tones import tone
from app.call import noise
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from tests.walks.stage import heard_tone, stage
from tests.walks.steps import finish

GREETING = Reply("Hello, this is the test line.", 2_000, 440)
NOISY = Reply("I cannot hear you well.", 300, 770)
HISS = tone(300, 60_000)
"""To a voice detection that judges by level, somebody who speaks for a minute."""


async def test_a_caller_in_steady_noise_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The greeting is cut by a turn that never ends: nobody would ever say a word again."""
    monkeypatch.setattr(noise, "AT_FIRST_MS", 800)
    script = Scenario(
        [GREETING, Expect(instructions_contain="this is the test line", origin="client"), NOISY]
    )
    async with stage(RealtimeEmulator(script), tmp_path) as s:
        call = await s.twilio.call()
        await call.speak(HISS)
        stream = await call.stream_started(1)

        await call.until(lambda: heard_tone(stream, 770) >= 260)

        assert heard_tone(stream, 440) < 1_000
        assert call.said == []
        await call.hang_up()
        record = await finish(s, call)

    assert record["end_reason"] == "caller_hangup"
