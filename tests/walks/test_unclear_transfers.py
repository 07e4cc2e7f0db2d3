"""Redirects whose answer went astray: what Twilio then does tells what became of them."""

from pathlib import Path

import pytest

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from app.emulators.twilio import DialOutcome, Pace
from app.services import twilio_rest
from tests.waiting import until
from tests.walks.stage import (
    DESK,
    GREETING,
    NUMBER,
    THROUGH,
    VOICE,
    heard_tone,
    kept_records,
    stage,
)
from tests.walks.steps import ask, finish, orders

SORRY = Reply("I cannot put you through.", 200, 770)
ANSWER = Reply("What else?", 200, 880)
LATE = {"pace": Pace(redirect_delay_ms=300)}
"""Twilio obeys after its answer got lost, so that the stream is still there by then."""


@pytest.mark.parametrize("status", [0, 500, 503])
async def test_a_redirect_that_took_effect_is_a_transfer(tmp_path: Path, status: int) -> None:
    """The caller reaches the person, once, and the record says so."""
    script = Scenario([GREETING, THROUGH])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK, twilio=LATE) as s:
        s.twilio.fail_next("/Calls/", status, after=True)
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", talk_ms=100)})

        record = await finish(s, call)

        assert call.dialled == [NUMBER]
        assert len(orders(s)) == 1
        assert record["end_reason"] == "transferred"
        assert record["transfers"][0]["outcome"] == "connected"


async def test_a_redirect_that_took_effect_comes_back_as_one(tmp_path: Path) -> None:
    """The dial result of a busy person finds the conversation it belongs to."""
    script = Scenario([GREETING, THROUGH, Expect(instructions_contain="busy"), SORRY])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK, twilio=LATE) as s:
        s.twilio.fail_next("/Calls/", 503, after=True)
        call = await ask(s, answers={NUMBER: DialOutcome("busy")})
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 160)
        await call.hang_up()

        record = await finish(s, call)

        assert record["transfers"][0]["outcome"] == "busy"
        assert record["end_reason"] == "caller_hangup"


async def test_a_redirect_that_takes_longer_than_our_patience_is_a_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio answers when nobody listens any more, and obeys all the same."""
    monkeypatch.setattr(
        twilio_rest.TwilioRest.__init__, "__kwdefaults__", _impatient(), raising=True
    )
    script = Scenario([GREETING, THROUGH])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK) as s:
        s.twilio.desk.delay_ms = 500
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", talk_ms=100)})

        record = await finish(s, call)

        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"
        assert record["transfers"][0]["outcome"] == "connected"


def _impatient() -> dict[str, object]:
    given = dict(twilio_rest.TwilioRest.__init__.__kwdefaults__ or {})
    return given | {"patience": twilio_rest.Patience(read_s=0.2)}


@pytest.mark.parametrize(("status", "reason"), [(0, "connection_lost"), (500, "server_error")])
async def test_a_redirect_without_effect_is_told_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    """L28, D-TRA-4, D-PT-8: the stream goes on, so the caller is still here."""
    monkeypatch.setattr(leaving, "STOP_MS", 500)
    script = Scenario(
        [
            GREETING,
            THROUGH,
            Expect(tool_outputs=1, tool_output_contains=reason, origin="client"),
            SORRY,
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK) as s:
        s.twilio.fail_next("/Calls/", status)
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 770) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()

        record = await finish(s, call)

        assert len(orders(s)) == 1
        assert call.dialled == []
        assert record["transfers"][0]["outcome"] == f"unclear:{reason}"
        assert record["end_reason"] == "caller_hangup"


async def test_a_dial_result_retires_what_still_waits_for_the_redirect(tmp_path: Path) -> None:
    """The person has been talked to: no model line has to be paid for any longer."""
    script = Scenario([GREETING, THROUGH])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK) as s:
        s.twilio.fail_next("/Calls/", 503)
        call = await ask(s)
        await until(lambda: bool(orders(s)))
        live = s.board.book.call(call.call_sid)
        assert live is not None
        assert live.dial is not None
        await until(lambda: live.report.transfers[-1].outcome == "unclear:server_error")
        talked = {"DialCallStatus": "completed", "DialBridged": "true", "CallSid": call.call_sid}

        path = f"/twilio/dial-result/{live.dial.token}"
        await s.post(path, talked | {"CallStatus": "completed"})

        assert s.board.book.live == 0
        await s.session.until_closed(timeout_s=60)
        assert (await s.record(call))["end_reason"] == "transferred"


async def test_a_redirect_that_takes_effect_after_it_was_given_up_corrects_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream that ended looked like a hang-up; the dial result knows better."""
    monkeypatch.setattr(leaving, "STOP_MS", 100)
    script = Scenario([GREETING, THROUGH, SORRY])
    slow = {"pace": Pace(redirect_delay_ms=1_000)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK, twilio=slow) as s:
        s.twilio.fail_next("/Calls/", 503, after=True)
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", talk_ms=500)})
        early = await s.record(call)
        await call.ended()

        await until(lambda: kept_records(tmp_path)[-1]["end_reason"] == "transferred")
        (late,) = kept_records(tmp_path)

        assert early["end_reason"] == "caller_hangup"
        assert early["transfers"][0]["outcome"] == "unclear:server_error"
        assert late["transfers"][0]["outcome"] == "connected"
        assert late["timestamps"]["ended_at"] > early["timestamps"]["ended_at"]
