"""A model line is exchanged in mid-call: the caller is heard whole and notices little."""

from itertools import pairwise
from pathlib import Path

import pytest

from app.audio import mulaw
from app.audio.tones import strength, tone
from app.call import model_link
from app.emulators.realtime import ABRUPT, EmulatedSession, Faults, RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario
from app.protocol.units import FRAME_BYTES, FRAME_MS
from tests.waiting import until
from tests.walks.stage import VOICE, heard_tone, stage
from tests.walks.steps import PERSON

GREETING = Reply("Hello, this is the test line.", 400, 440)
QUIET = 0xF0
"""The mu-law codes from here to 0xFF are next to silence: nobody takes them for a voice."""
SILENT = 0xFFF
"""What the head of a silent frame comes to."""
LOUD = tone(300, FRAME_MS)


def numbered(count: int, *, loud: bool = False, first: int = 1) -> bytes:
    """So many frames, each with its number in its first three bytes."""
    rest = LOUD[3:] if loud else bytes([0xFF]) * (FRAME_BYTES - 3)
    frames = (
        bytes(QUIET + (n >> shift & 15) for shift in (8, 4, 0)) + rest
        for n in range(first, first + count)
    )
    return b"".join(frames)


def numbers(session: EmulatedSession) -> list[int]:
    """The numbers of the frames that a session was given, in order."""
    audio = bytes(session.caller_audio)
    heads = (audio[at : at + 3] for at in range(0, len(audio), FRAME_BYTES))
    quiet = [head for head in heads if min(head, default=0) >= QUIET]
    found = [sum((b - QUIET) << n for b, n in zip(h, (8, 4, 0), strict=True)) for h in quiet]
    return [n for n in found if 0 < n < SILENT]


def longest_silence_ms(heard: bytes) -> int:
    """Between the first sound and the last."""
    sounds = [
        at
        for at in range(0, len(heard) - FRAME_BYTES + 1, FRAME_BYTES)
        if mulaw.rms(heard[at : at + FRAME_BYTES]) > 100
    ]
    gaps = (after - before for before, after in pairwise(sounds))
    return (max(gaps) - FRAME_BYTES) * FRAME_MS // FRAME_BYTES


async def test_a_session_that_will_expire_is_exchanged_in_a_pause(tmp_path: Path) -> None:
    """Nothing is said, nothing is lost: the caller cannot tell that the hour is over."""
    script = Scenario(
        [
            GREETING,
            Expect(origin="turn"),
            Reply("One.", 200, 660),
            Expect(message_contains="Hello", origin="turn"),
            Reply("Two.", 200, 880),
        ]
    )
    openai = RealtimeEmulator(script, session_s=5)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 660) >= 160)
        await call.speak(numbered(200))
        await openai.connected(2)
        assert await openai.connections[0].until_closed() == 1000
        await until(lambda: numbers(s.session)[-1:] == [200], 60)
        await call.speak(VOICE)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        lines = openai.connections
        assert {n for line in lines for n in numbers(line)} == set(range(1, 201))
        assert call.stream.received["clear"] == 0
        assert call.said == []
        await call.hang_up()
        record = await s.record(call)
        assert record["model"]["losses"] == 0
        assert len(record["model"]["sessions"]) >= 2
        await s.all_closed()
        call.assert_clean()
        openai.assert_clean()


async def test_a_spare_that_is_refused_leaves_the_call_alone(tmp_path: Path) -> None:
    """The server has no room for a second session until the last moment."""
    script = Scenario([GREETING, Reply("Where were we?", 200, 660), Reply("Two.", 200, 880)])
    openai = RealtimeEmulator(script, session_s=4)
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        openai.faults = Faults(refuse_status=503)
        await openai.attempted(3)
        openai.faults = Faults()
        await openai.connected(2, timeout_s=60)
        await openai.connections[0].until_closed()

        assert call.said == []
        await call.hang_up()
        await s.all_closed()


@pytest.mark.parametrize("loss", [ABRUPT, 1011])
async def test_a_model_that_is_cut_in_mid_sentence_costs_no_word(tmp_path: Path, loss: int) -> None:
    """Silence of two seconds at most; every frame of the caller's is heard by one line or both."""
    script = Scenario(
        [
            Reply("Hello, this is the test line.", 3_000, 440),
            Expect(instructions_contain="repeat none", origin="client"),
            Reply("Where were we?", 400, 660),
        ]
    )
    faults = Faults(fail_first=1, close_code=loss, close_after=8)
    openai = RealtimeEmulator(script, faults=faults, pace=1)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.speak(numbered(150))
        await call.until(lambda: heard_tone(call.stream, 660) >= 360)
        first, second = openai.connections
        await until(lambda: numbers(second)[-1:] == [150], 60)

        assert longest_silence_ms(bytes(call.stream.line.heard)) <= 2_000
        assert 700 <= heard_tone(call.stream, 440) <= 800
        assert set(numbers(first) + numbers(second)) == set(range(1, 151))
        assert numbers(second) == sorted(numbers(second))
        assert call.said == []
        await call.hang_up()
        await s.all_closed()
        openai.assert_clean()


async def test_a_turn_that_is_cut_is_heard_whole_by_the_next_line(tmp_path: Path) -> None:
    """The first half of a sentence went with the old line, and was answered by nobody."""
    script = Scenario([GREETING, Expect(origin="turn"), Reply("Two.", 200, 880)])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.speak(numbered(60, loud=True))
        await s.session.server_events.until("input_audio_buffer.speech_started")
        await until(lambda: 20 in numbers(openai.connections[0]), 60)
        openai.connections[0].abort()
        second = await openai.connected(2)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert numbers(second) == list(range(1, 61))
        assert len(second.server_events.of("input_audio_buffer.committed")) == 1
        assert call.said == []
        await call.hang_up()
        await s.all_closed()
        openai.assert_clean()


async def test_a_turn_that_was_never_answered_is_heard_by_the_next_line(tmp_path: Path) -> None:
    """It was committed, and its words had not come: nobody could tell the next line of it."""
    script = Scenario([Expect(origin="turn"), Reply("Two.", 200, 880)])
    openai = RealtimeEmulator(script, faults=Faults(never="response", fail_first=1))
    async with stage(openai, tmp_path, agent=PERSON.replace("greeting: Hello.", "")) as s:
        call = await s.twilio.call()
        await openai.connected()
        await call.speak(numbered(20, loud=True))
        await s.session.server_events.until("input_audio_buffer.committed")
        openai.connections[0].abort()
        second = await openai.connected(2)
        await call.until(lambda: heard_tone(call.stream, 880) >= 160)

        assert numbers(second) == list(range(1, 21))
        await call.hang_up()
        await s.all_closed()


async def test_a_line_lost_as_soon_as_it_is_ready_is_not_hammered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that restarts takes connections and drops them; the second attempt may be late."""
    monkeypatch.setattr(model_link, "RETRY_AFTER_MS", (250, 500))
    openai = RealtimeEmulator(
        Scenario([GREETING]), faults=Faults(fail_first=2, close_code=1011, close_after="updated")
    )
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)

        assert openai.attempts == 3
        assert call.said == []
        await call.hang_up()
        await s.all_closed()


def tones(heard: bytes) -> int:
    """Pieces of 20 ms of the tone that is heard while nobody could speak."""
    pieces = (heard[at : at + FRAME_BYTES] for at in range(0, len(heard), FRAME_BYTES))
    return sum(100 < mulaw.rms(x) < 1_500 and strength(x, 425) > 0.7 for x in pieces)


async def test_a_caller_who_waits_for_the_next_line_hears_that_the_call_lives(
    tmp_path: Path,
) -> None:
    """The server is away for two seconds: at most one of them is dead air."""
    script = Scenario([GREETING, Reply("Where were we?", 400, 660)])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=PERSON) as s:
        call = await s.twilio.call()
        await call.heard_at_least(400)
        openai.faults = Faults(refuse_status=503)
        openai.connections[0].abort()
        await call.until(lambda: tones(bytes(call.stream.line.heard)) >= 4)
        openai.faults = Faults()
        await call.until(lambda: heard_tone(call.stream, 660) >= 360)

        assert longest_silence_ms(bytes(call.stream.line.heard)) <= 2_000
        assert call.said == []
        await call.hang_up()
        await s.all_closed()
