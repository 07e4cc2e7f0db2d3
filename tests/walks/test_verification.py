"""A caller proves that they have the telephone whose number they show."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.stage import AGENT, VOICE, Stage, stage
from tests.walks.test_keypad import kept

CALLER = "+12125551234"
VERIFIES = (
    AGENT
    + """
sms: {per_call: 1}
verification: {digits: 9, text: "Contoso: {{code}} is your code.", attempts: 2}
"""
)
GREETING = Reply("Hello, this is the test line.", 200, 440)
SAID = Reply("All right.", 100, 880)


def does(name: str, **given: object) -> Reply:
    """The model uses a tool."""
    return Reply("One moment.", 100, 550, tools=[ToolUse(name, given)])


SENDS = does("verify_code", step="send")
ASKS = does("collect_dtmf", preset="verification_code")
CHECKS = does("verify_code", step="check")
ROUND = (SENDS, ASKS, CHECKS, SAID)
"""Each of them answers what came of the one before."""


def verifying(folder: Path, *replies: Reply) -> Any:
    """A stage whose agent can verify callers."""
    openai = RealtimeEmulator(Scenario([GREETING, *replies]), pace=0)
    return stage(openai, folder, agent=VERIFIES)


def outputs(s: Stage) -> list[dict[str, Any]]:
    """What the model was told of its tool calls."""
    made = [x for x in s.session.client_events if x["type"] == "conversation.item.create"]
    items = [x["item"] for x in made]
    return [orjson.loads(x["output"]) for x in items if x["type"] == "function_call_output"]


async def told(s: Stage, times: int) -> dict[str, Any]:
    """What the model was told at last, of so many tool calls."""
    await until(lambda: len(outputs(s)) >= times, 60)
    return outputs(s)[times - 1]


async def asked(s: Stage, call: EmulatedCall, times: int) -> None:
    """The model has had its caller asked to key something in, so often."""
    live = s.board.book.call(call.call_sid)
    assert live is not None
    used = live.report.passages
    await until(lambda: sum(x.name == "collect_dtmf" for x in used.values()) >= times, 60)


def code(s: Stage) -> str:
    """What stands in the newest message."""
    found = re.fullmatch(r"Contoso: (\d{9}) is your code\.", s.twilio.messages[-1]["body"])
    assert found is not None
    return found[1]


async def keys(call: EmulatedCall, digits: str) -> None:
    """The caller keys them in."""
    for digit in digits:
        await call.press(digit)


def wrong(right: str) -> str:
    """Another code."""
    return right[:-1] + str((int(right[-1]) + 1) % 10)


async def test_a_caller_is_verified_and_nobody_learns_the_code(tmp_path: Path) -> None:
    """W2: one message to the caller's number; the model is told ok or failed; neither model,
    record, log nor flight log has the digits."""
    with capture_logs() as logged:
        async with verifying(tmp_path, *ROUND) as s:
            call = await s.twilio.call(from_=CALLER)
            await call.heard_at_least(200)
            await call.speak(VOICE)
            sent = await told(s, 1)
            await asked(s, call, 1)
            await keys(call, code(s))
            verdict = await told(s, 3)
            secret, heard = code(s), str(s.session.client_events)
            await call.hang_up()
            record = await s.record(call)
            s.assert_conforms()
            [message] = s.twilio.messages

    assert sent["ok"] is True
    assert verdict == {"verified": True}
    assert message["to"] == CALLER
    for place in (heard, str(record), str(logged), kept(tmp_path)):
        assert secret not in place


async def test_attempts_are_bounded_and_what_was_keyed_in_is_used_up(tmp_path: Path) -> None:
    """W2: two wrong ones end the code, and the right one does not revive it."""
    replies = (SENDS, ASKS, CHECKS, ASKS, CHECKS, ASKS, CHECKS, CHECKS, SAID)
    async with verifying(tmp_path, *replies) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        await told(s, 1)
        for attempt, guess in enumerate((wrong, wrong, str), 1):
            await asked(s, call, attempt)
            await keys(call, guess(code(s)))
            await told(s, 2 * attempt + 1)
        await told(s, 8)
        verdicts = [x for x in outputs(s) if "verified" in x]
        await call.hang_up()
        await s.record(call)

    assert not any(x["verified"] for x in verdicts)
    assert [x.get("attempts_left") for x in verdicts] == [1, 0, None, None]
    assert "send first" in verdicts[2]["reason"]


async def test_no_more_than_three_codes_are_sent_in_a_call(tmp_path: Path) -> None:
    """W2: whoever calls with somebody else's number must not fill their telephone."""
    async with verifying(tmp_path, *(SENDS for _ in range(4)), SAID) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        refused = await told(s, 4)
        bodies = {x["body"] for x in s.twilio.messages}
        await call.hang_up()
        await s.record(call)

    assert refused["ok"] is False
    assert len(bodies) == 3


async def test_a_code_that_could_not_be_sent_is_none(tmp_path: Path) -> None:
    """W2: the agent is told why, and nothing can be checked."""
    async with verifying(tmp_path, SENDS, CHECKS, SAID) as s:
        s.twilio.desk.opted_out.add(CALLER)
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        sent, checked = await told(s, 1), await told(s, 2)
        await call.hang_up()
        await s.record(call)

    assert sent["ok"] is False
    assert "opted out" in sent["reason"]
    assert checked["verified"] is False


@pytest.mark.parametrize("step", ["", "verify"])
async def test_another_step_does_nothing(tmp_path: Path, step: str) -> None:
    """Models make up words."""
    async with verifying(tmp_path, does("verify_code", step=step), SAID) as s:
        call = await s.twilio.call(from_=CALLER)
        await call.heard_at_least(200)
        await call.speak(VOICE)
        output = await told(s, 1)
        await call.hang_up()
        await s.record(call)

    assert output["ok"] is False
    assert not s.twilio.messages
