"""Twilio dies in every way a socket can: the call ends once, and the model is not left talking."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.audio.tones import tone
from app.call import hearing
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Items, Reply, Scenario, Speech
from app.emulators.twilio_call import EmulatedCall
from app.runtime import book
from app.transports import takeover
from tests.waiting import until
from tests.walks.stage import VOICE, Stage, heard_tone, stage

SORRY = "We have a problem."
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
failure: {{say: "{SORRY}", then: end_call}}
"""
GREETING = Reply("Hello.", 200, 440)
ANSWER = Reply("What else?", 200, 880)
BACK = Reply("We were cut off.", 200, 660)


async def greeted(s: Stage) -> EmulatedCall:
    """A call in the middle of its conversation."""
    call = await s.twilio.call()
    await call.heard_at_least(200)
    return call


async def over(s: Stage, call: EmulatedCall) -> dict[str, Any]:
    """The record, once the model line is closed and no runner is left."""
    record = await s.record(call)
    await s.all_closed()
    return record


async def back_again(s: Stage, call: EmulatedCall) -> None:
    """On another stream, with an agent who remembers and says what happened."""
    await call.stream_started(2)
    await call.until(lambda: heard_tone(call.stream, 660) >= 160)
    created = s.session.client_events.of("conversation.item.create")
    assert any("Hello." in str(event) for event in created), "it is told what was heard"


async def test_a_half_open_socket_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Death without a word, which Twilio does not notice either: it is asked, and told."""
    monkeypatch.setattr(takeover, "PING_AFTER_S", 0.3)
    monkeypatch.setattr(takeover, "PONG_WITHIN_S", 0.3)
    monkeypatch.setattr(book, "RETURN_S", 0.2)
    async with stage(RealtimeEmulator(Scenario([GREETING, BACK])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        call.stream.die_half_open()

        await back_again(s, call)
        await call.hang_up()

        assert (await over(s, call))["end_reason"] == "caller_hangup"


async def test_a_stream_that_is_gone_with_its_call_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody told us how the call ended; Twilio is asked, and says that it did."""
    monkeypatch.setattr(takeover, "PING_AFTER_S", 0.3)
    monkeypatch.setattr(takeover, "PONG_WITHIN_S", 0.3)
    monkeypatch.setattr(book, "RETURN_S", 0.2)
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        s.twilio.fail_next("/Calls/", 404, 20404)
        call.stream.die_half_open()

        assert (await over(s, call))["end_reason"] == "stream_lost"


async def test_a_stop_without_a_close_is_the_end(tmp_path: Path) -> None:
    """Twilio says stop and leaves the socket open: the socket is ours to close."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        await call.stream.stop_without_close("hang_up")

        record = await over(s, call)

        assert record["end_reason"] == "caller_hangup"
        assert await call.ended() == "stream"


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_close_without_a_stop_is_the_end_as_well(tmp_path: Path, code: int) -> None:
    """D-TS-5, D-VC-1: however the socket goes, the model session goes with it."""
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        await call.stream.close_without_stop(code, "hang_up")

        record = await over(s, call)

        assert record["end_reason"] == "caller_hangup"


async def test_a_reset_connection_brings_the_caller_back(tmp_path: Path) -> None:
    """The caller is still there: Twilio asks, and the conversation goes on."""
    async with stage(RealtimeEmulator(Scenario([GREETING, BACK])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        call.stream.reset("next_verb")

        await back_again(s, call)
        await call.hang_up()

        assert (await over(s, call))["end_reason"] == "caller_hangup"
        assert call.said == []


async def test_a_stream_that_is_lost_again_and_again_gets_the_failure_treatment(
    tmp_path: Path,
) -> None:
    """Three times back; a fourth loss is no accident, and the caller hears a sentence."""
    script = Scenario([GREETING, *[BACK] * book.MOST_RESUMES])
    async with stage(RealtimeEmulator(script), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        for number in range(book.MOST_RESUMES):
            call.stream.reset("next_verb")
            stream = await call.stream_started(2 + number)
            await call.until(lambda stream=stream: heard_tone(stream, 660) >= 160)
        call.stream.reset("next_verb")

        record = await over(s, call)

        assert await call.ended() == "hangup"
        assert call.said == [SORRY]
        assert record["end_reason"] == "stream_lost"


async def test_a_silent_line_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frame for a while: REST is asked, and a call that is up goes on."""
    monkeypatch.setattr(hearing, "MEDIA_MS", 300)
    async with stage(RealtimeEmulator(Scenario([GREETING, ANSWER])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        s.twilio.faults.silent_media = True
        await until(lambda: len(s.twilio.desk.requests) >= 2)
        assert {method for method, _, _ in s.twilio.desk.requests} == {"GET"}

        s.twilio.faults.silent_media = False
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        await call.hang_up()
        record = await over(s, call)
        assert record["end_reason"] == "caller_hangup"
        assert record["audio"]["silence_appended_ms"] > 0, "one timeline for caller and model"


async def test_a_silent_line_without_a_call_behind_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that answers pings may carry nothing for hours; the model would be billed."""
    monkeypatch.setattr(hearing, "MEDIA_MS", 300)
    async with stage(RealtimeEmulator(Scenario([GREETING])), tmp_path, agent=AGENT) as s:
        call = await greeted(s)
        s.twilio.fail_next("/Calls/", 404, 20404)
        s.twilio.faults.silent_media = True

        record = await over(s, call)

        assert record["end_reason"] == "caller_hangup"


async def test_a_clear_overtakes_speech_that_was_not_read(tmp_path: Path) -> None:
    """Back-pressure: what waits behind a peer that does not read must not be heard later."""
    long = Speech("And so on, for a minute and more.", audio=tone(440, 990) * 80)
    script = Scenario([Items([long]), ANSWER])
    openai = RealtimeEmulator(script, pace=40, delta_ms=198)
    async with stage(openai, tmp_path, agent=AGENT, send_buffer_bytes=4096) as s:
        call = await greeted(s)
        call.stream.stall_reads()
        await s.session.server_events.until("response.done", timeout_s=60)

        await call.speak(VOICE)
        await s.session.client_events.until("conversation.item.truncate")
        call.stream.resume_reads()
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.stream.received["clear"] == 1
        arrived_ms = sum(chunk.length_bytes for chunk in call.stream.line.chunks) // 8
        assert arrived_ms < 60_000, "of 79 seconds, many were never sent"
        assert len(openai.connections) == 1
        await call.hang_up()
        await over(s, call)
        call.assert_clean()
        openai.assert_clean()


async def test_a_peer_that_never_reads_is_given_up(tmp_path: Path) -> None:
    """Memory is bounded: a megabyte unsent means that nobody is listening."""
    long = Speech("And so on, for minutes.", audio=tone(440, 1000) * 180)
    openai = RealtimeEmulator(Scenario([Items([long])]), pace=0, delta_ms=1000)
    async with stage(openai, tmp_path, agent=AGENT, send_buffer_bytes=4096) as s:
        call = await s.twilio.call()
        stream = await call.stream_started()
        stream.stall_reads()

        record = await over(s, call)

        stream.resume_reads()
        assert record["end_reason"] == "model_failed"
        assert await call.ended() == "hangup"


async def test_frames_lost_late_and_in_bunches_are_one_timeline(tmp_path: Path) -> None:
    """O4: what the model hears is as long as what the caller lived through."""
    async with stage(RealtimeEmulator(Scenario([GREETING, ANSWER])), tmp_path, agent=AGENT) as s:
        call = await s.twilio.call()
        await call.stream_started()
        s.twilio.faults.bunch = 4
        s.twilio.faults.jitter_ms = 30
        s.twilio.faults.drop_every = 7
        await call.heard_at_least(200)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        lived_ms = len(call.stream.spoken) // 8

        await call.hang_up()
        record = await over(s, call)

        heard_ms = s.openai.connections[0].heard_ms
        assert abs(heard_ms - lived_ms) <= 400
        assert record["audio"]["silence_appended_ms"] >= 60
        s.openai.assert_clean()


async def test_the_first_word_waits_for_the_model(tmp_path: Path) -> None:
    """O4: what a caller says before the model is ready arrives, byte by byte."""
    script = Scenario([GREETING, ANSWER])
    openai = RealtimeEmulator(script, session_delay_ms=800)
    async with stage(openai, tmp_path, agent=AGENT) as s:
        call = await s.twilio.call()
        await call.stream_started()
        word = tone(500, 400)
        await call.speak(word, wait=True)
        await s.openai.connected(1)
        await s.session.until_heard(1000)

        assert word in bytes(s.session.caller_audio)
        await call.hang_up()
        await over(s, call)


async def test_deaths_leave_no_task_behind(tmp_path: Path) -> None:
    """A leak per bad connection is the end of a server that lives for months."""
    before = len(asyncio.all_tasks())
    openai = RealtimeEmulator(lambda: Scenario([GREETING]))
    async with stage(openai, tmp_path, agent=AGENT) as s:
        idle = {task.get_name() for task in asyncio.all_tasks()}
        calls = [await greeted(s) for _ in range(3)]
        calls[0].stream.reset("hang_up")
        await calls[1].stream.close_without_stop(1011, "hang_up")
        await calls[2].stream.stop_without_close("hang_up")
        for call in calls:
            await over(s, call)
            await call.ended()

        names = {task.get_name() for task in asyncio.all_tasks()} - idle
        assert not {name for name in names if name.startswith(("call-", "model-", "effect-"))}
    assert len(asyncio.all_tasks()) == before
