"""Transfers: announced and heard first, and back to the same conversation if nobody answers."""

from pathlib import Path
from typing import Any

import pytest

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Parallel, Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome, Pace
from tests.waiting import until
from tests.walks.stage import VOICE, heard_tone, stage
from tests.walks.steps import ask, finish, orders

NUMBER = "+14155550123"
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
  nobody:
    description: Somebody who is never there.
    to: "+14155550199"
    on_failure: {{say: "They are out. Goodbye.", then: end_call}}
failure: {{say: "We have a problem.", then: end_call}}
"""
GREETING = Reply("Hello.", 200, 440)
ANSWER = Reply("What else?", 200, 880)
TRANSFER = ToolUse("transfer_call", {"target": "billing"})
THROUGH = Reply("I put you through.", 400, 660, tools=[TRANSFER])


async def test_a_transfer_is_announced_heard_and_bridged(tmp_path: Path) -> None:
    """L26, S12-S14: the redirect comes after the announcement, with the operator's number."""
    script = Scenario([GREETING, THROUGH])
    answers = {NUMBER: DialOutcome("bridged", talk_ms=200)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=answers)
        await call.until(lambda: call.dialled == [NUMBER])
        await s.session.until_closed(timeout_s=60)
        assert heard_tone(call.streams[0], 660) > 340

        record = await finish(s, call)

        (order,) = orders(s)
        assert "<Dial" in order["Twiml"]
        assert NUMBER in order["Twiml"]
        assert call.ended_by == "hangup"
        assert call.lost_redirects == []
        assert record["end_reason"] == "transferred"
        (transfer,) = record["transfers"]
        assert (transfer["target"], transfer["outcome"]) == ("billing", "connected")


async def test_an_announcement_that_the_model_forgot_is_asked_for(tmp_path: Path) -> None:
    """A caller who suddenly hears ringing thinks the line broke."""
    script = Scenario(
        [
            GREETING,
            Parallel(TRANSFER),
            Expect(instructions_contain="putting them", origin="client"),
            Reply("I put you through.", 400, 660),
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)

        record = await finish(s, call)

        assert heard_tone(call.stream, 660) >= 340
        assert record["end_reason"] == "transferred"


async def test_the_caller_does_not_cut_the_announcement(tmp_path: Path) -> None:
    """A "thank you" over "I put you through" must not stop the transfer."""
    script = Scenario(
        [
            GREETING,
            Reply("I put you through.", 800, 660, tools=[TRANSFER]),
            Expect(absent=["conversation.item.truncate"], origin="turn"),
            Reply("You are welcome.", 200, 770),
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 660) >= 300)
        await call.speak(VOICE[:2400])

        record = await s.record(call)

        assert heard_tone(call.stream, 660) > 740
        assert record["end_reason"] == "transferred"


async def test_a_model_that_fails_during_the_announcement_keeps_nobody_from_a_person(
    tmp_path: Path,
) -> None:
    """The caller was told who comes next, and the failure treatment would be somebody else."""
    script = Scenario([GREETING, Reply("I put you through.", 1500, 660, tools=[TRANSFER])])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", talk_ms=100)})
        await call.until(lambda: heard_tone(call.stream, 660) >= 100)

        # Nothing is scripted for another turn, so every response from now on fails.
        await call.speak(VOICE[:1600])
        record = await s.record(call)

        assert call.said == []
        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"


@pytest.mark.parametrize("kind", ["busy", "no-answer", "failed", "unbridged"])
async def test_a_failed_transfer_comes_back_to_the_same_conversation(
    tmp_path: Path, kind: Any
) -> None:
    """S20, D-PT-8, D-PT-9, D-TRA-4: nobody took the call, and the agent knows why."""
    script = Scenario(
        [
            GREETING,
            THROUGH,
            Expect(
                message_contains="I put you through.",
                instructions_contain="billing",
                tool_outputs=1,
                origin="client",
            ),
            Reply("Nobody is there.", 200, 770),
            Expect(origin="turn"),
            ANSWER,
        ],
        heard=["My invoice is wrong"],
    )
    answers = {NUMBER: DialOutcome(kind)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=answers)
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(second, 880) >= 160)
        await call.hang_up()

        record = await finish(s, call)

        texts = [
            part.get("text") for item in s.session.items for part in item.wire.get("content", [])
        ]
        assert "My invoice is wrong" in texts
        assert any(text and "billing failed" in text for text in texts), "not only for one response"
        assert len(record["carrier"]["stream_sids"]) == 2
        assert record["end_reason"] == "caller_hangup"
        (transfer,) = record["transfers"]
        assert transfer["outcome"] == {"unbridged": "not-connected"}.get(kind, kind)


async def test_a_target_may_end_the_call_instead(tmp_path: Path) -> None:
    """The operator's sentence is said, and the call ends as one that failed to get through."""
    leave = ToolUse("transfer_call", {"target": "nobody"})
    script = Scenario([GREETING, Reply("I try.", 200, 660, tools=[leave])])
    answers = {"+14155550199": DialOutcome("no-answer")}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=answers)

        record = await finish(s, call)

        assert call.said == ["They are out. Goodbye."]
        assert record["end_reason"] == "transfer_failed"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, 21220, "call_over"),
        (401, 20003, "credentials"),
    ],
)
async def test_a_transfer_that_rest_refuses_is_told_to_the_model(
    tmp_path: Path, status: int, code: int, reason: str
) -> None:
    """L28, D-TRA-3, D-TRA-4, D-PT-8: the caller is still here and somebody has to say so."""
    script = Scenario(
        [
            GREETING,
            THROUGH,
            Expect(tool_outputs=1, tool_output_contains=reason, origin="client"),
            Reply("I cannot put you through.", 200, 770),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        s.twilio.fail_next("/Calls/", status, code)
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 770) >= 160)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()

        record = await finish(s, call)

        assert record["transfers"][0]["outcome"] == f"refused:{reason}"
        assert record["end_reason"] == "caller_hangup"


async def test_a_stop_that_twilio_withholds_does_not_keep_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: after three seconds we close, and Twilio's question brings the transfer again."""
    monkeypatch.setattr(leaving, "STOP_MS", 600)
    script = Scenario([GREETING, THROUGH])
    twilio = {"pace": Pace(redirect_delay_ms=60_000)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        call = await ask(s)

        record = await finish(s, call, allow=(31921,))

        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"


async def test_the_socket_is_left_to_twilio_after_a_redirect(tmp_path: Path) -> None:
    """Twilio obeys a redirect late; closing first ends the call instead (twilio.md 1.6)."""
    script = Scenario([GREETING, THROUGH])
    twilio = {"pace": Pace(redirect_delay_ms=800)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        call = await ask(s)

        record = await finish(s, call)

        assert call.lost_redirects == []
        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"


async def test_a_dial_result_that_comes_twice_counts_once(tmp_path: Path) -> None:
    """Twilio repeats; the second answer is the first one, and no second model is opened."""
    script = Scenario([GREETING, THROUGH, Reply("Nobody is there.", 200, 770)])
    answers = {NUMBER: DialOutcome("busy")}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers=answers)
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 160)
        result = next(one for one in call.requests if "dial-result" in one.path)

        status, body = await s.post(result.path, result.form)

        assert (status, body) == (200, result.body)
        assert len(s.openai.connections) == 2
        await call.hang_up()
        record = await finish(s, call)
        assert len(record["transfers"]) == 1


async def test_a_caller_who_hangs_up_while_it_rings_has_hung_up(tmp_path: Path) -> None:
    """The dial result of a caller who is gone must not open a model line for nobody."""
    script = Scenario([GREETING, THROUGH])
    answers = {NUMBER: DialOutcome("bridged", ring_ms=30_000)}
    twilio = {"status_path": None}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        call = await ask(s, answers=answers)
        await call.until(lambda: call.dialled == [NUMBER])
        await until(lambda: not s.board.book.live)

        await call.hang_up()
        record = await finish(s, call)

        assert len(s.openai.connections) == 1
        assert record["end_reason"] == "caller_hangup"
        assert record["transfers"][0]["outcome"] == "canceled"


async def test_the_order_of_the_last_webhooks_does_not_matter(tmp_path: Path) -> None:
    """The end of the call may be reported before the end of the transfer."""
    script = Scenario([GREETING, THROUGH])
    answers = {NUMBER: DialOutcome("bridged", ring_ms=30_000)}
    twilio = {"status_path": None}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        call = await ask(s, answers=answers)
        await call.until(lambda: call.dialled == [NUMBER])
        await until(lambda: not s.board.book.live)
        over = {**call.form(), "CallStatus": "completed"}
        await s.post("/twilio/call-status", over)

        path = s.twilio.calls[call.call_sid].pending_action
        assert path is not None
        result = {
            **over,
            "DialCallStatus": "completed",
            "DialBridged": "true",
            "DialCallDuration": "7",
        }
        await s.post(path.url.removeprefix("https://phone.contoso.test"), result)
        record = await s.record(call)

        assert record["end_reason"] == "transferred"
        assert record["transfers"][0] | {"requested_at": ""} == {
            "target": "billing",
            "mode": "cold",
            "summary": None,
            "requested_at": "",
            "outcome": "connected",
            "leg_sid": None,
            "talk_s": 7,
        }


@pytest.mark.parametrize("target", ["+4915112345678", "the boss", ""])
async def test_the_model_cannot_name_a_number(tmp_path: Path, target: str) -> None:
    """The model chooses among the operator's names; toll fraud begins with anything else."""
    script = Scenario(
        [
            GREETING,
            Parallel(ToolUse("transfer_call", {"target": target})),
            Expect(tool_outputs=1, tool_output_contains="unknown target", origin="client"),
            ANSWER,
        ]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert orders(s) == []
        assert call.dialled == []
        await call.hang_up()
        await finish(s, call)


async def test_another_target_may_take_the_place_of_one_that_is_not_there(tmp_path: Path) -> None:
    """W41: the next telephone rings without a way back through the agent."""
    document = AGENT.replace(
        'on_failure: {say: "They are out. Goodbye.", then: end_call}',
        'on_failure: {say: "I try another.", then: billing}',
    )
    leave = ToolUse("transfer_call", {"target": "nobody"})
    script = Scenario([GREETING, Reply("I try.", 200, 660, tools=[leave])])
    answers = {"+14155550199": DialOutcome("busy"), NUMBER: DialOutcome(talk_ms=50)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=document) as s:
        call = await ask(s, answers=answers)

        record = await finish(s, call)

        assert call.said == ["I try another."]
        assert call.dialled == ["+14155550199", NUMBER]
        told = [(one["target"], one["outcome"]) for one in record["transfers"]]
        assert told == [("nobody", "busy"), ("billing", "connected")]
        assert record["end_reason"] == "transferred"
