"""What calls cost: in the record, by the day, and where the day has cost enough."""

from pathlib import Path

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from tests.walks.stage import AGENT, GREETING, stage

PRICED = AGENT + (
    "limits: {prices: {text_in: 900, text_cached: 900, text_out: 900, audio_in: 900,"
    " audio_cached: 900, audio_out: 900}}\n"
)


async def test_a_day_that_has_cost_enough_takes_no_more_calls(tmp_path: Path) -> None:
    """C30, peers 6.11: the sum of the records, and the next caller hears a sentence."""
    emulator = RealtimeEmulator(Scenario([GREETING]), pace=0)
    async with stage(emulator, tmp_path, agent=PRICED, max_cost_per_day=0.01) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await call.hang_up()
        record = await s.record(call)
        costs = await s.get("/v1/costs")

        refused = await s.twilio.call()
        assert await refused.ended() == "hangup"
        second = await s.record(refused)

    spent = record["model"]["cost_estimate"]
    assert float(spent["amount"]) > 0.01
    assert (spent["currency"], spent["price_list"]) == ("USD", "own")
    assert (costs["amount"], costs["cost_per_day"]) == (spent["amount"], "0.0100")
    assert [one["amount"] for one in costs["days"]] == [spent["amount"]]
    assert second["end_reason"] == "cost_limit"
    assert second["model"]["cost_estimate"] is None
