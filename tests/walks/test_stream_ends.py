"""How streams end when Twilio says it in another place than the socket, or twice, or late."""

from pathlib import Path

import pytest

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist, Reply, Scenario
from app.emulators.twilio import DialOutcome, Pace
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import new_sid
from tests.waiting import until
from tests.walks.raw_stream import action_of, incoming, invited, raw_stream, token_of
from tests.walks.stage import DESK, GREETING, NUMBER, PROBLEM, THROUGH, Stage, heard_tone, stage
from tests.walks.steps import ask, finish

BACK = Reply("We were cut off.", 200, 660)
NO_STATUS = {"status_path": None}
"""A number without a status callback: nobody else tells that the call is over."""


async def greeted(s: Stage) -> EmulatedCall:
    """A call in the middle of its conversation."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    return call


async def reported(s: Stage, call: EmulatedCall) -> None:
    """The stream's status callback, whatever the socket says."""
    form = {
        "CallSid": call.call_sid,
        "AccountSid": call.account_sid,
        "StreamSid": call.stream.stream_sid,
        "StreamEvent": "stream-stopped",
    }
    assert (await s.post("/twilio/stream-status", form))[0] == 204


async def test_a_stream_that_died_in_a_call_that_goes_on_is_followed_by_another(
    tmp_path: Path,
) -> None:
    """Twilio goes on with the document while our socket still looks alive."""
    async with stage(RealtimeEmulator(Scenario([GREETING, BACK])), tmp_path, agent=DESK) as s:
        call = await greeted(s)
        call.stream.die_half_open("next_verb")

        stream = await call.stream_started(2)
        await call.until(lambda: heard_tone(stream, 660) >= 160)
        await call.hang_up()

        assert (await s.record(call))["end_reason"] == "caller_hangup"
        assert call.said == []


async def test_a_stream_that_is_only_reported_over_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody said that the caller hung up."""
    monkeypatch.setattr(leaving, "STOP_MS", 200)
    async with stage(RealtimeEmulator(Scenario([GREETING, BACK])), tmp_path, agent=DESK) as s:
        call = await greeted(s)

        await reported(s, call)
        await call.stream_started(2)
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)
        await call.hang_up()

        assert (await s.record(call))["end_reason"] == "caller_hangup"


async def test_a_report_that_overtakes_the_stop_changes_nothing(tmp_path: Path) -> None:
    """Callback and socket are two connections; the caller hung up all the same."""
    async with stage(
        RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=DESK, twilio=NO_STATUS
    ) as s:
        call = await greeted(s)
        await reported(s, call)
        await call.hang_up()
        await call.ended()

        assert (await s.record(call))["end_reason"] == "caller_hangup"


async def test_a_call_that_is_over_is_no_lost_stream(tmp_path: Path) -> None:
    """Twilio's question after the stream says that the call is completed."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.read("media")

            over = {**incoming(call_sid), "CallStatus": "completed"}
            await s.post("/twilio/stream-ended", over)

            assert await stream.closed() == 1000
        await s.all_closed()
        record = await s.get(f"/v1/calls/{s.board.book.call_id(call_sid)}")
        assert record["end_reason"] == "caller_hangup"


async def test_a_caller_who_is_still_there_is_not_hung_up_on(tmp_path: Path) -> None:
    """A ``stop`` looked like a hang-up, but Twilio asks what to do with a call in progress."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=DESK) as s:
        call = await greeted(s)
        await call.stream.stop_without_close("next_verb")

        await call.ended()

        assert call.said == [PROBLEM]
        question = next(one for one in call.requests if one.path.startswith("/twilio/stream-ended"))
        assert question.form["CallStatus"] == "in-progress"


async def test_a_late_repeat_of_the_question_leaves_the_new_stream_alone(tmp_path: Path) -> None:
    """Twilio repeats: what it asks about a stream that was lost says nothing about the next one,
    and one loss is one return."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        form = incoming(new_sid("CA"))
        _, first = await s.post("/incoming-call", form)
        async with raw_stream(s) as stream:
            await stream.start(form["CallSid"], token_of(first))
            await stream.read("media")
            await stream.socket.close(1001)
        _, second = await s.post(action_of(first), form)
        _, awaited = await s.post(action_of(first), form)
        async with raw_stream(s) as stream:
            await stream.start(form["CallSid"], token_of(second))
            await stream.read("media")
            call = s.board.book.call(form["CallSid"])

            repeated = [await s.post(action_of(first), form) for _ in range(3)]

            assert awaited == second
            assert all("<Connect" in twiml for _, twiml in repeated)
            assert call is not None
            assert call.runner is not None
            assert call.runner.has_stream
            assert call.report.resumes == 1
            await s.post("/twilio/stream-ended", {**form, "CallStatus": "completed"})
        await s.all_closed()


async def test_a_caller_who_has_left_is_not_talked_to(tmp_path: Path) -> None:
    """The same question about a call that is over is answered with the end."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=DESK) as s:
        call = await greeted(s)
        await call.hang_up()
        await s.record(call)

        status, twiml = await s.post(
            "/twilio/stream-ended", {**call.form(), "CallStatus": "completed"}
        )

        assert status == 200
        assert "<Say>" not in twiml
        assert "<Hangup" in twiml


@pytest.mark.parametrize("settling", [True, False])
async def test_a_repeated_webhook_leaves_a_caller_with_the_carrier_alone(
    tmp_path: Path, settling: bool
) -> None:
    """No model is opened, no stream replaced, and the dial result still counts."""
    script = Scenario([GREETING, THROUGH])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=DESK) as s:
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", ring_ms=600, talk_ms=100)})
        await call.until(lambda: call.dialled == [NUMBER])
        if not settling:
            await until(lambda: not s.board.book.live)

        first = await s.post("/incoming-call", call.form())
        second = await s.post("/incoming-call", call.form())

        assert first == second
        assert "<Dial" in first[1]
        assert "<Connect" not in first[1]
        record = await finish(s, call)
        assert len(openai.connections) == 1
        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"
        assert record["transfers"][0]["outcome"] == "connected"


async def test_the_record_of_a_hang_up_in_mid_sentence_tells_what_was_heard(
    tmp_path: Path,
) -> None:
    """Ten seconds were sent at once; the caller heard half of one."""
    words = "This is a very long sentence that goes on and on and never comes to its end."
    script = Scenario([Reply(words, 10_000, 440)])
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK) as s:
        call = await s.twilio.call()
        await call.heard_at_least(500)
        heard_ms = heard_tone(call.stream, 440)
        await call.hang_up()

        record = await finish(s, call)

        (response,) = record["turns"][0]["responses"]
        assert response["interrupted"] is True
        assert heard_ms - 40 <= response["heard_ms"] < 5_000
        assert response["audio_ms"] == 10_000
        assert words.startswith(response["text"])
        assert len(response["text"]) < len(words) // 2


async def test_a_lost_stream_under_a_redirect_is_put_through_by_the_next_question(
    tmp_path: Path,
) -> None:
    """The socket dies while REST is being asked: Twilio asks us, and the answer is the person."""
    script = Scenario([GREETING, THROUGH])
    twilio = {"pace": Pace(redirect_delay_ms=60_000)}
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, agent=DESK, twilio=twilio) as s:
        s.twilio.fail_next("/Calls/", 503)
        call = await ask(s, answers={NUMBER: DialOutcome("bridged", talk_ms=100)})
        await until(lambda: any(method == "POST" for method, _, _ in s.twilio.desk.requests))

        call.stream.die_half_open("next_verb")
        await call.until(lambda: call.dialled == [NUMBER])
        call.stream.abort()
        record = await finish(s, call)

        assert call.dialled == [NUMBER]
        assert record["end_reason"] == "transferred"
