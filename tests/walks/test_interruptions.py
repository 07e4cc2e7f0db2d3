"""What may cut the agent, on a real line: rows S7 and W23 to W26."""

import asyncio
from pathlib import Path

from app.audio.tones import tone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from tests.http.test_records import ask
from tests.waiting import until
from tests.walks.stage import VOICE, heard_tone, measured, stage

TRUNCATE, DELETE = "conversation.item.truncate", "conversation.item.delete"
LINE = """
instructions: You answer the phone for the tests.
greeting: Hello, this is the test line.
turn_detection: {type: server_vad, silence_duration_ms: 120}
"""
HELLO = Reply("Hello, this is the test line.", 1_400, 440)
YES = Reply("Yes?", 200, 880)
COUGH = tone(300, 120)
ECHO = tone(440, 300, amplitude=800)
"""The greeting's own tone, 20 dB down."""


async def test_a_cough_is_heard_over_and_a_voice_is_not(tmp_path: Path) -> None:
    """S7: 120 ms do not clear and truncate nothing; a voice clears, once it is long enough."""
    script = Scenario(
        [HELLO, Expect(sent=[DELETE, TRUNCATE, "response.create"], origin="client"), YES],
        heard=["", "Wait."],
    )
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=f"{LINE}min_interruption: 200ms\n") as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.speak(COUGH, wait=True)
        await s.session.client_events.until(DELETE)
        assert call.stream.received["clear"] == 0
        assert s.session.client_events.of(TRUNCATE) == []

        since_s = asyncio.get_running_loop().time()
        await call.speak(tone(300, 500))
        await call.until(lambda: call.stream.received["clear"] == 1)
        measured("from a voice to the clear, 200 ms of it wanted", since_s)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        record = await s.record(call)

        assert [turn["text"] for turn in record["turns"] if turn["text"]] == ["Wait."]
        openai.assert_clean()
        s.assert_conforms()


async def test_an_echo_is_heard_over_and_a_voice_is_not(tmp_path: Path) -> None:
    """S7: the agent's own voice at -20 dB is no caller, and no turn to be answered."""
    script = Scenario([HELLO, Expect(sent=[DELETE, TRUNCATE, "response.create"]), YES])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=f"{LINE}echo_guard: true\n") as s:
        call = await s.twilio.call()
        await call.heard_at_least(300)
        await call.speak(ECHO, wait=True)
        await s.session.client_events.until(DELETE)
        assert call.stream.received["clear"] == 0
        assert s.session.client_events.of(TRUNCATE) == []

        await call.speak(tone(300, 400))
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.stream.received["clear"] == 1
        openai.assert_clean()
        s.assert_conforms()


async def test_speech_that_cuts_nothing_is_answered_after_the_end(tmp_path: Path) -> None:
    """W23: no clear; the reply is heard when the sentence has been."""
    openai = RealtimeEmulator(Scenario([HELLO, YES]), pace=0)
    async with stage(openai, tmp_path, agent=f"{LINE}interruptible: dtmf\n") as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.stream.received["clear"] == 0
        assert heard_tone(call.stream, 440) >= 1_360
        openai.assert_clean()
        s.assert_conforms()


async def test_a_message_and_the_rest_of_a_call_by_command(tmp_path: Path) -> None:
    """W23, W24: a message that nothing cuts; afterwards a voice cuts again, or a key alone."""
    words = Reply("We close in a minute.", 700, 660)
    script = Scenario([Reply("Hello.", 100, 440), words, YES, Reply("Goodbye.", 2_000, 550), YES])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=LINE) as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        path = f"/v1/calls/{call.call_sid}/commands"
        say = {"type": "say", "text": "We close in a minute.", "interruptible": "none"}
        status, _ = await ask(s, "POST", path, json=say)
        assert status == 202
        await call.until(lambda: heard_tone(call.stream, 660) >= 100)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        assert call.stream.received["clear"] == 0
        assert heard_tone(call.stream, 660) >= 660

        await until(lambda: len(call.stream.marks_returned) == call.stream.received["mark"])
        configure = {"type": "configure", "interruptible": "dtmf", "min_interruption": "200ms"}
        status, body = await ask(s, "POST", path, json=configure)
        assert (status, body["commands"][0]["state"]) == (200, "completed")
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 550) >= 100)
        await call.press("1")
        await call.until(lambda: call.stream.received["clear"] == 1)
        await call.until(lambda: heard_tone(call.stream, 880) >= 320)
        openai.assert_clean()
        s.assert_conforms()


async def test_a_configuration_that_is_none_is_refused(tmp_path: Path) -> None:
    """W23-W26: before anything is done."""
    openai = RealtimeEmulator(Scenario([Reply("Hello.", 100, 440)]), pace=0)
    async with stage(openai, tmp_path, agent=LINE) as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        path = f"/v1/calls/{call.call_sid}/commands"
        for wrong in ({}, {"interruptible": "maybe"}, {"min_interruption": "3s"}):
            status, _ = await ask(s, "POST", path, json={"type": "configure", **wrong})
            assert status == 422, wrong
