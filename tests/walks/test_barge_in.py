"""Interruptions: the model remembers what the ear heard, and the caller hears nothing stale."""

from pathlib import Path
from typing import Any

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Items, Reply, Scenario, Speech
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.stage import VOICE, Stage, heard_tone, stage

NEAR_MS = 60
TRUNCATE = "conversation.item.truncate"


async def interrupt(s: Stage, call: EmulatedCall) -> list[dict[str, Any]]:
    """The caller speaks up; the truncations that came of it, once playback was cleared."""
    cleared = call.stream.received["clear"]
    before = len(s.session.client_events.of(TRUNCATE))
    await call.speak(VOICE)
    await call.until(lambda: call.stream.received["clear"] > cleared)
    await s.session.client_events.until(TRUNCATE, before + 1)
    return s.session.client_events.of(TRUNCATE)[before:]


@pytest.mark.parametrize(("delta_ms", "pace"), [(20, 2), (100, 0), (100, 2), (400, 2), (3000, 0)])
async def test_the_model_remembers_what_the_ear_heard(
    tmp_path: Path, delta_ms: int, pace: float
) -> None:
    """O2, D-TAC-1, D-OAP-1, D-OAJ-2, D-PT-1: neither bytes sent nor marks alone tell the truth."""
    script = Scenario(
        [
            Reply("Hello, this is the test line, and it talks on and on.", 3000, 440),
            Expect(sent=[TRUNCATE], absent=["response.cancel"], origin="turn"),
            Reply("Yes?", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=pace, delta_ms=delta_ms)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(700)

        (cut,) = await interrupt(s, call)
        truth_ms = call.heard_ms
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        record = await s.record(call)

        assert abs(cut["audio_end_ms"] - truth_ms) <= NEAR_MS
        assert abs(heard_tone(call.stream, 440) - truth_ms) <= NEAR_MS + 40
        greeting = record["turns"][0]["responses"][0]
        assert greeting["interrupted"]
        assert greeting["heard_ms"] == cut["audio_end_ms"]
        call.assert_clean()
        openai.assert_clean()
        s.assert_conforms()


async def test_the_audible_item_is_cut_and_every_queued_one_forgotten(tmp_path: Path) -> None:
    """D-TS-1, D-OAP-3, D-PC-1, D-TRA-1, D-TAC-2: items are cut one by one, the last one not."""
    said = Items([Speech("The first.", 2000, 440), Speech("The second.", 1000, 660)])
    script = Scenario([said, Reply("Yes?", 200, 880)])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(600)

        await interrupt(s, call)
        cuts = await _truncations(s, 2)
        truth_ms = call.heard_ms
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        first, second = s.session.items[0], s.session.items[1]
        assert [cut["item_id"] for cut in cuts] == [first.id, second.id]
        assert abs(cuts[0]["audio_end_ms"] - truth_ms) <= NEAR_MS
        assert cuts[1]["audio_end_ms"] == 0
        assert heard_tone(call.stream, 660) == 0
        openai.assert_clean()


async def test_an_item_heard_whole_stays_as_it_is(tmp_path: Path) -> None:
    """D-TS-4, D-OAP-5: the second item's time begins where the first one's ended."""
    said = Items([Speech("The first.", 500, 440), Speech("The second.", 2500, 660)])
    script = Scenario([said, Reply("Yes?", 200, 880)])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(1200)

        (cut,) = await interrupt(s, call)
        truth_ms = call.heard_ms - 500
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert cut["item_id"] == s.session.items[1].id
        assert abs(cut["audio_end_ms"] - truth_ms) <= NEAR_MS
        openai.assert_clean()


async def test_a_second_interruption_is_as_good_as_the_first(tmp_path: Path) -> None:
    """D-TS-2, D-OAP-2, S3: echoes of cleared marks say nothing about the next reply."""
    script = Scenario(
        [
            Reply("Hello, this is the test line.", 3000, 440),
            Reply("Then let me tell you something else.", 3000, 660),
            Reply("Yes?", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(500)
        (first,) = await interrupt(s, call)
        heard_first_ms = call.heard_ms
        await call.heard_at_least(heard_first_ms + 700)

        (second,) = await interrupt(s, call)
        truth_ms = call.heard_ms - heard_first_ms
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)
        await call.hang_up()
        record = await s.record(call)

        assert first["item_id"] != second["item_id"]
        assert abs(second["audio_end_ms"] - truth_ms) <= NEAR_MS
        assert record["audio"]["clears"] == 2
        openai.assert_clean()


async def test_what_was_still_on_its_way_stays_silent(tmp_path: Path) -> None:
    """D-TS-3, D-TAC-2, D-BL-1: deltas of an interrupted response are heard by nobody."""
    script = Scenario([Reply("Hello, this is the test line.", 2000, 440), Reply("Yes?", 200, 880)])
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        (cut,) = await interrupt(s, call)
        heard_ms = call.heard_ms
        late = s.session.server_events.of("response.output_audio.delta")[0]

        for number in range(5):
            s.session.emit(late | {"event_id": f"late{number}", "item_id": f"item_late{number}"})
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert abs(cut["audio_end_ms"] - heard_ms) <= NEAR_MS
        assert abs(heard_tone(call.stream, 440) - heard_ms) <= NEAR_MS + 40
        openai.assert_clean()


async def test_an_interruption_before_the_first_sound_mutes_what_follows(tmp_path: Path) -> None:
    """D-TAC-3: talking between response.created and the first delta counts, too."""
    script = Scenario(
        [
            Reply("Hello, this is the test line.", 800, 440, first_audio_ms=1500),
            Reply("Yes?", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.stream_started()
        await s.session.server_events.until("response.created")

        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert s.session.client_events.of(TRUNCATE) == []
        assert heard_tone(call.stream, 440) == 0
        openai.assert_clean()


async def test_nothing_is_cut_when_everything_was_heard(tmp_path: Path) -> None:
    """A truncation of a finished answer would only be an error, or a hole in the memory."""
    script = Scenario(
        [
            Reply("Hello.", 200, 440),
            Expect(absent=[TRUNCATE, "response.cancel"], origin="turn"),
            Reply("Yes?", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await until(lambda: len(call.stream.marks_returned) == call.stream.received["mark"])

        await call.speak(VOICE)
        await call.heard_at_least(400)

        assert call.stream.received["clear"] == 0
        openai.assert_clean()


async def test_a_shielded_greeting_is_heard_to_its_end(tmp_path: Path) -> None:
    """W23: an early "hello?" costs the caller no greeting, and is answered after it."""
    agent = """
instructions: You answer the phone for the tests.
greeting: {text: "Hello, this is the test line.", interruptible: none}
turn_detection: {type: server_vad, silence_duration_ms: 120}
"""
    script = Scenario(
        [
            Reply("Hello, this is the test line.", 1000, 440),
            Expect(origin="client", sent=["response.create"]),
            Reply("Yes?", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=0)
    async with stage(openai, tmp_path, agent=agent) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await call.speak(VOICE, wait=True)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert call.stream.received["clear"] == 0
        assert heard_tone(call.stream, 440) >= 960
        openai.assert_clean()


async def test_pressed_keys_interrupt_and_are_one_turn(tmp_path: Path) -> None:
    """D-PT-10, D-BL-3: ten keys are one thing to say, and need no hash at their end."""
    script = Scenario(
        [
            Reply("Enter your number.", 4000, 440),
            Expect(message_contains="4 1 5", sent=[TRUNCATE, "response.cancel"], origin="client"),
            Reply("Thank you.", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, pace=1)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        for digit in "415":
            await call.press(digit)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert len(s.session.client_events.of("response.create")) == 2
        openai.assert_clean()


async def _truncations(s: Stage, count: int) -> list[dict[str, Any]]:
    await s.session.client_events.until(TRUNCATE, count)
    return s.session.client_events.of(TRUNCATE)
