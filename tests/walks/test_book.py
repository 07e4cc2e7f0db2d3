"""The book: what is kept of a call between its streams, and that it leaves by itself."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Receptionist, Reply, Scenario, ToolUse
from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import WebhookRequest
from app.runtime import dials, signalling
from tests.waiting import until
from tests.walks.raw_stream import incoming, invited, raw_stream, token_of
from tests.walks.stage import VOICE, Stage, heard_tone, kept_records, stage
from tests.walks.steps import ask, finish

NUMBER = "+14155550123"
GONE = "+14155550199"
GONE_SID = "CA" + "7" * 32
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
  nobody:
    description: Somebody who is never there.
    to: "{GONE}"
    on_failure: {{say: "They are out. Goodbye.", then: end_call}}
failure: {{say: "We have a problem.", then: end_call}}
"""
GREETING = Reply("Hello.", 200, 440)


def through(target: str = "billing") -> Reply:
    """The announcement of a transfer."""
    tool = ToolUse("transfer_call", {"target": target})
    return Reply("I put you through.", 300, 660, tools=[tool])


def results(call: EmulatedCall) -> list[WebhookRequest]:
    """The dial results that were posted, with their answers."""
    return [one for one in call.requests if "dial-result" in one.path]


async def ringing(s: Stage) -> EmulatedCall:
    """A caller who hears it ring, and nobody of ours is there."""
    call = await ask(s, answers={NUMBER: DialOutcome("bridged", ring_ms=30_000)})
    await call.until(lambda: call.dialled == [NUMBER])
    await until(lambda: not s.board.book.live)
    return call


async def test_a_late_repeat_of_a_dial_result_says_nothing_about_the_next_transfer(
    tmp_path: Path,
) -> None:
    """Twilio repeats: the first person was busy, which is no word about the second."""
    again = through()
    script = Scenario(
        [GREETING, through(), Reply("Busy. Once more?", 200, 770), Expect(origin="turn"), again]
    )
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        answers = {NUMBER: DialOutcome("busy")}
        call = await ask(s, answers=answers)
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 160)
        answers[NUMBER] = DialOutcome("bridged", ring_ms=800, talk_ms=100)
        await call.speak(VOICE)
        await call.until(lambda: call.dialled == [NUMBER, NUMBER])
        (first,) = results(call)

        status, body = await s.post(first.path, first.form)

        assert (status, body) == (200, first.body)
        record = await finish(s, call)
        assert [one["outcome"] for one in record["transfers"]] == ["busy", "connected"]
        assert record["end_reason"] == "transferred"
        assert len(s.openai.connections) == 2


async def test_every_transfer_has_a_url_of_its_own(tmp_path: Path) -> None:
    """A token that was used in one transfer must not open the next one."""
    script = Scenario([GREETING, through(), Reply("Busy.", 200, 770), through()])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={NUMBER: DialOutcome("busy")})
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 160)
        await call.speak(VOICE)
        await call.stream_started(3)
        await call.hang_up()
        await call.ended()

        assert len({one.path for one in results(call)}) == 2


async def test_a_repeated_result_of_a_call_that_is_over_says_the_sentence_again(
    tmp_path: Path,
) -> None:
    """Twilio uses the answer it gets, and that may be the second one."""
    script = Scenario([GREETING, through("nobody")])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={GONE: DialOutcome("no-answer")})
        await finish(s, call)
        (result,) = results(call)
        assert "They are out. Goodbye." in result.body

        assert await s.post(result.path, result.form) == (200, result.body)


async def test_a_dial_result_of_another_call_opens_nothing(tmp_path: Path) -> None:
    """A token belongs to one CallSid, answered or not."""
    script = Scenario([GREETING, through("nobody")])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={GONE: DialOutcome("no-answer")})
        await finish(s, call)
        (result,) = results(call)

        _, body = await s.post(result.path, {**result.form, "CallSid": "CA" + "f" * 32})

        assert "They are out" not in body
        assert "<Hangup" in body


@pytest.mark.parametrize(
    ("result", "verb"),
    [
        ({"DialCallStatus": "busy", "DialBridged": "false"}, "<Say>We have a problem.</Say>"),
        ({"DialCallStatus": "completed", "DialBridged": "true"}, "<Response><Hangup />"),
        ({"DialCallStatus": "no-answer", "CallStatus": "completed"}, "<Response><Hangup />"),
    ],
)
async def test_a_result_that_nobody_waits_for_strands_no_caller(
    tmp_path: Path, result: dict[str, str], verb: str
) -> None:
    """The server was restarted while it rang: whom nobody answered was hung up on in silence."""
    async with stage(RealtimeEmulator(Receptionist(), pace=0), tmp_path, agent=AGENT) as s:
        form = incoming(GONE_SID) | result

        status, twiml = await s.post("/twilio/dial-result/of-another-process", form)

    assert status == 200
    assert verb in twiml


async def test_a_caller_who_comes_back_late_is_not_greeted_as_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream came when the parked model line had gone; why the caller returns has not."""
    monkeypatch.setattr(leaving, "PARKED_MS", 300)
    busy_again = [Expect(instructions_contain="billing"), Reply("Busy.", 200, 770)]
    script = Scenario([GREETING, through(), *busy_again, *busy_again])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", ring_ms=30_000)})
        await call.until(lambda: call.dialled == [NUMBER])
        await until(lambda: not s.board.book.live)
        dial = call.pending_action
        assert dial is not None
        path = dial.url.removeprefix("https://phone.contoso.test")
        busy = {**call.form(), "DialCallStatus": "busy", "DialBridged": "false"}

        _, twiml = await s.post(path, busy)
        await s.openai.connected(2)
        await until(lambda: not s.board.book.live)
        async with raw_stream(s) as late:
            await late.start(call.call_sid, token_of(twiml))
            await late.read("media")

            texts = [
                part.get("text", "")
                for item in s.session.items
                for part in item.wire.get("content", [])
            ]
            assert any("billing failed (busy)" in text for text in texts)


async def test_a_caller_who_was_never_there_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that is repeated before the first stream came begins the call, not the second."""
    monkeypatch.setattr(leaving, "PARKED_MS", 100)
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, _ = await invited(s)
        await until(lambda: not s.board.book.live)

        _, twiml = await s.post("/incoming-call", incoming(call_sid))
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token_of(twiml))
            await stream.read("media")

            assert "interrupted" not in repr([item.wire for item in s.session.items])


async def test_a_transfer_whose_end_nobody_tells_is_closed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other call has to come for it, and it is not said that they talked to the person."""
    monkeypatch.setattr(dials, "AT_CARRIER_S", 0.5)
    script = Scenario([GREETING, through()])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ringing(s)

        record = await s.record(call)

        assert record["end_reason"] == "carrier_failed"
        assert record["transfers"][0]["outcome"] == "ringing"


async def test_a_caller_who_came_back_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day begins anew with every transfer."""
    monkeypatch.setattr(dials, "AT_CARRIER_S", 0.4)
    script = Scenario([GREETING, through(), Reply("Busy. And now?", 900, 770)])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
        call = await ask(s, answers={NUMBER: DialOutcome("busy", ring_ms=200)})
        second = await call.stream_started(2)
        await call.until(lambda: heard_tone(second, 770) >= 800)
        await call.hang_up()

        assert (await finish(s, call))["end_reason"] == "caller_hangup"


async def test_a_caller_who_hung_up_before_rest_answered_is_not_with_the_carrier(
    tmp_path: Path,
) -> None:
    """Twilio's stop looked like the redirect, and then the answer is that the call is over."""
    script = Scenario([GREETING, through()])
    twilio = {"status_path": None}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        s.twilio.desk.delay_ms = 400
        call = await ask(s)
        await until(lambda: bool(s.twilio.desk.requests))
        await call.hang_up()

        record = await s.record(call)

        assert record["end_reason"] == "caller_hangup"
        assert record["transfers"][0]["outcome"] == "refused:call_over"


async def test_a_caller_who_hung_up_under_an_unclear_redirect_is_not_with_the_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop looked like the redirect; Twilio's question says that the call is over."""
    monkeypatch.setattr(signalling, "DIAL_RESULT_S", 0.1)
    script = Scenario([GREETING, through()])
    twilio = {"status_path": None}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT, twilio=twilio) as s:
        s.twilio.fail_next("/Calls/", 503)
        call = await ask(s)
        await until(lambda: bool(s.twilio.desk.requests))
        await call.hang_up()

        record = await s.record(call)

        assert record["end_reason"] == "caller_hangup"
        assert record["transfers"][0]["outcome"] == "unclear:server_error"


async def test_a_server_that_ends_closes_the_records_of_callers_with_the_carrier(
    tmp_path: Path,
) -> None:
    """One record a call, always, and one that tells why it ends here."""
    script = Scenario([GREETING, through()])
    with capture_logs() as lines:
        async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=AGENT) as s:
            await ringing(s)
            board = s.board

    (record,) = kept_records(tmp_path)
    assert record["end_reason"] == "server_shutdown"
    assert not board.book.unfinished
    assert [line["reason"] for line in lines if line["event"] == "call_ended"] == [
        "server_shutdown"
    ]
