"""A full house: callers wait with the carrier, and enter in their order."""

from pathlib import Path

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.emulators.twilio import Pace
from tests.walks.stage import NUMBER, stage
from tests.walks.test_numbers import numbers

FULL = numbers(
    '  "*": {max_concurrent: 1, when_full: {say: All busy., then: queue, most_waiting: 2,\n'
    "    otherwise: {say: Try later., then: billing}}}\n"
)
PACE = Pace(pause_factor=0.02, say_ms_per_character=0)


async def test_o23_who_finds_it_full_waits_and_enters_when_a_place_is_free(
    tmp_path: Path,
) -> None:
    """The oldest first; no model line is opened before; one too many gets what is written."""
    openai = RealtimeEmulator(Receptionist(), pace=0)
    async with stage(openai, tmp_path, agent=FULL, twilio={"pace": PACE, "answers": {}}) as s:
        talking = await s.twilio.call()
        await talking.heard_at_least(200)
        first = await s.twilio.call()
        await first.until(lambda: "You are next. Please stay on the line." in first.said)
        second = await s.twilio.call()
        await second.until(lambda: any("number 2" in one for one in second.said))
        too_many = await s.twilio.call()
        await too_many.ended()
        lines = s.openai.attempts

        await talking.hang_up()
        await first.heard_at_least(200)
        await second.hang_up()
        gone = await s.record(second)
        await first.hang_up()

        assert lines == 1
        assert first.said[0] == "All busy."
        assert (too_many.said[:2], too_many.dialled) == (["All busy.", "Try later."], [NUMBER])
        assert (await s.record(too_many))["end_reason"] == "capacity"
        assert gone["end_reason"] == "left_queue"
        assert (await s.record(first))["end_reason"] == "caller_hangup"
        assert len(second.streams) == 0
        for call in (first, second, too_many):
            call.assert_clean()
