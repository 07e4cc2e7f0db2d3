"""The model is lost in mid-call, or falls silent: it is replaced, or a person takes over."""

from pathlib import Path
from typing import Any

import pytest

from app.call import responses
from app.emulators.realtime import ABRUPT, Faults, RealtimeEmulator
from app.emulators.scenario import (
    Expect,
    Fail,
    Hang,
    Receptionist,
    Reply,
    Scenario,
    Speech,
    TextOnly,
)
from tests.walks.stage import VOICE, heard_tone, measured, stage
from tests.walks.steps import GENEROUS_MS, PERSON, now_s, treated

GREETING = Reply("Hello, this is the test line.", 400, 440)
ANSWER = Reply("What else?", 200, 880)


LOSSES = {
    "dies_in_mid_sentence": Faults(close_code=ABRUPT, close_after=3),
    "closes_1000": Faults(close_code=1000, close_after=3),
    "closes_1001": Faults(close_code=1001, close_after=3, close_reason="Your session hit the cap"),
    "closes_1011": Faults(close_code=1011, close_after=3),
}


@pytest.mark.parametrize("loss", ["dies_in_mid_sentence", "closes_1000"])
async def test_a_line_that_is_lost_is_replaced_and_asked_to_go_on(
    tmp_path: Path, loss: str
) -> None:
    """D-TS-6, D-PC-4, D-TAC-8, D-TRA-2, D-BL-2: an end, however polite, is a loss.

    The new session knows what was said and is asked to speak; the caller is heard again.
    """
    script = Scenario(
        [
            GREETING,
            Expect(message_contains="Hello", origin="client"),
            Reply("Where were we?", 200, 660),
            Expect(origin="turn"),
            ANSWER,
        ]
    )
    faults = Faults(**{**_fields(LOSSES[loss]), "fail_first": 1})
    openai = RealtimeEmulator(script, faults=faults, pace=1)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await openai.connected(2)
        lost_s = now_s()
        await call.until(lambda: heard_tone(call.stream, 660) >= 20)
        assert measured(f"{loss}: loss to voice", lost_s) < GENEROUS_MS
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        record = await s.record(call)
        await s.all_closed()

        assert record["model"]["losses"] == 1
        assert len(record["model"]["sessions"]) == 2
        assert call.said == []
        call.assert_clean()
        openai.assert_clean()
        s.assert_conforms()


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_line_that_is_lost_again_and_again_is_given_up(tmp_path: Path, loss: str) -> None:
    """A reconnection loop would bill for ever, and the caller would hear one word at a time."""
    openai = RealtimeEmulator(Receptionist, faults=LOSSES[loss], pace=0)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        began_s = now_s()
        call = await s.twilio.call()

        record = await treated(s, call, began_s, loss)

        assert 2 <= openai.attempts <= 5
        assert record["model"]["losses"] >= 2
        call.assert_clean()


async def test_sixty_minutes_are_not_the_end_of_a_call(tmp_path: Path) -> None:
    """D-PC-4, D-TS-6: the session's cap closes with 1001 after an error that says so."""
    script = Scenario([GREETING, Reply("Where were we?", 200, 660), ANSWER])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        s.session.expire()
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.said == []
        assert openai.connections[0].close_code == 1001
        await call.hang_up()
        await s.record(call)
        await s.all_closed()


async def test_a_model_that_falls_silent_after_a_turn_is_replaced(tmp_path: Path) -> None:
    """The line is open and nothing comes: nobody closes, so only a watchdog can tell."""
    script = Scenario([GREETING, Reply("Sorry, say that again?", 200, 660)])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        s.session.stall()
        await call.speak(VOICE, wait=True)

        # A stalled model does not even say that it heard the caller: not to be noticed yet.
        s.session.end(1006)
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)

        assert call.said == []
        openai.assert_clean()


@pytest.mark.parametrize("before", [0, 400], ids=["before_a_sound", "in_mid_sentence"])
async def test_a_response_that_never_ends_is_given_up(
    tmp_path: Path, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response that hangs would keep the gate shut for ever, and the caller in silence."""
    monkeypatch.setattr(responses, "QUIET_MS", 800)
    monkeypatch.setattr(responses, "STALLED_MS", 800)
    hung = Hang(Speech("Well, let me", before, 550) if before else None)
    script = Scenario([GREETING, hung, Reply("Where were we?", 200, 660), ANSWER])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await s.session.server_events.until("response.created", 2)
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.said == []
        openai.assert_clean()


@pytest.mark.parametrize(
    "turn",
    [
        Fail(after=Speech("Well", 200, 550)),
        Fail(),
        Fail(code="rate_limit_exceeded"),
        TextOnly("I write instead."),
    ],
    ids=["in_mid_sentence", "server_error", "rate_limit", "text_only"],
)
async def test_a_response_that_fails_is_asked_for_again(tmp_path: Path, turn: Any) -> None:
    """A failed or silent response is an answer the caller is still owed."""
    script = Scenario([GREETING, turn, Expect(origin="client"), ANSWER])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert openai.attempts == 1
        openai.assert_clean()


def _fields(faults: Faults) -> dict[str, Any]:
    return {name: getattr(faults, name) for name in faults.__slots__}
