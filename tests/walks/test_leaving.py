"""Goodbyes: heard first, then done, and taken back if the caller has more to say."""

from pathlib import Path

import pytest

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Parallel, Reply, Scenario, ToolUse
from tests.walks.stage import VOICE, heard_tone, stage
from tests.walks.steps import ask, finish, orders

AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {type: server_vad, silence_duration_ms: 120}
"""
GREETING = Reply("Hello.", 200, 440)
ANSWER = Reply("What else?", 200, 880)
END = ToolUse("end_call")
GOODBYE = Reply("Goodbye, and thank you for calling.", 500, 660, tools=[END])


async def test_the_call_ends_when_the_goodbye_was_heard(tmp_path: Path) -> None:
    """L23, L24, W66, D-PT-7: generation ends seconds before the ear; hanging up then cuts it."""
    script = Scenario([GREETING, GOODBYE])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)

        record = await finish(s, call)

        assert call.ended_by == "rest"
        assert orders(s) == [{"Status": "completed"}]
        assert heard_tone(call.stream, 660) > 440
        assert call.executed == ["Connect"]
        assert record["end_reason"] == "assistant_hangup"


async def test_a_goodbye_that_the_model_forgot_is_asked_for(tmp_path: Path) -> None:
    """A tool call without a word before it would end the call in mid-air."""
    script = Scenario(
        [
            GREETING,
            Parallel(END),
            Expect(tool_outputs=1, instructions_contain="goodbye", origin="client"),
            Reply("Goodbye.", 400, 660),
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)

        await finish(s, call)

        assert call.ended_by == "rest"
        assert heard_tone(call.stream, 660) >= 340


async def test_a_caller_who_interrupts_the_goodbye_is_answered(tmp_path: Path) -> None:
    """D-TRA-5: "wait, one more thing" must not be the last word of a call."""
    script = Scenario(
        [
            GREETING,
            Reply("Goodbye, and thank you for calling.", 1500, 660, tools=[END]),
            Expect(message_contains="during the goodbye", origin="turn"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 660) >= 300)

        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert orders(s) == []
        assert heard_tone(call.stream, 660) < 1400
        await call.hang_up()
        record = await finish(s, call)
        assert record["end_reason"] == "caller_hangup"


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)])
async def test_hanging_up_a_call_that_is_over_is_no_error(
    tmp_path: Path, status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L25: Twilio may know of the end before we do; the record still closes once, and well."""
    monkeypatch.setattr(leaving, "STOP_MS", 400)
    script = Scenario([GREETING, GOODBYE])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        s.twilio.fail_next("/Calls/", status, code)
        call = await ask(s)

        record = await finish(s, call, allow=(31921,))

        assert len(orders(s)) == 1
        assert call.ended_by == "hangup", "the socket was closed and the action said so"
        assert record["end_reason"] == "assistant_hangup"


async def test_a_hang_up_that_rest_refuses_ends_by_the_document(tmp_path: Path) -> None:
    """D-DG-1: closing the socket lets Twilio ask, and the answer hangs up: no silent verb."""
    script = Scenario([GREETING, GOODBYE])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        s.twilio.fail_next("/Calls/", 500, 20500, times=100)
        call = await ask(s)

        record = await finish(s, call, allow=(31921,))

        assert call.ended_by == "hangup"
        assert call.said == []
        assert record["end_reason"] == "assistant_hangup"


async def test_a_hang_up_that_rest_never_answers_is_no_failure_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goodbye was said: nobody apologises and rings a person because REST is still thinking."""
    monkeypatch.setattr(leaving, "REST_MS", 400)
    script = Scenario([GREETING, GOODBYE])
    agent = f'{AGENT}transfer_to: "+14155550123"\nfailure: {{say: "A problem.", then: human}}\n'
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=agent) as s:
        s.twilio.desk.delay_ms = 2_000
        call = await ask(s)

        record = await finish(s, call, allow=(31921,))

        assert call.said == []
        assert call.dialled == []
        assert record["end_reason"] == "assistant_hangup"
