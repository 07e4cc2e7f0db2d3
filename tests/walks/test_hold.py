"""Music, ambience and typing, as they reach the caller's ear; and speech, unharmed by them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.audio import mulaw
from app.audio.tones import strength
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Ask, Brain, Plan, Reply, Scenario, ToolUse
from app.emulators.twilio import EmulatedStream, Pace
from app.emulators.twilio_call import EmulatedCall
from tests.audio.sound_files import sine_file
from tests.http.test_records import ask
from tests.walks.stage import DESK, GREETING, NUMBER, THROUGH, VOICE, Stage, heard_tone, stage

MUSIC_HZ, ROOM_HZ = 1_000, 1_500
HELD = """
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {type: server_vad, silence_duration_ms: 120}
hold_audio: hold.wav
"""
ROOM = f"{HELD}ambience: {{source: room.wav, volume: 0.2}}\n"
MUSIC = sine_file(MUSIC_HZ, 0.3, amplitude=0.4)
FILE = mulaw.encode(MUSIC[44:])
"""What a telephone gets of the file: 300 ms."""


class Busy(Brain):
    """Looks something up at once, and then says what it found, however often it is asked."""

    def __init__(self) -> None:
        self._asked = False

    def answer(self, ask: Ask) -> Plan:
        first, self._asked = not self._asked, True
        if first:
            return Reply("Hello.", 200, 440, tools=[ToolUse("look_up", {})]).plan()
        if ask.metadata.get("purpose") == "filler":
            return Reply("One moment.", 200, 550).plan()
        return Reply("It is settled.", 400, 660).plan()


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """The folder of a document, with its sounds."""
    (tmp_path / "hold.wav").write_bytes(MUSIC)
    (tmp_path / "room.wav").write_bytes(sine_file(ROOM_HZ, 1, rate_hz=44_100, amplitude=0.8))
    return tmp_path


def script(*replies: Reply) -> RealtimeEmulator:
    """A model that greets, and says these."""
    return RealtimeEmulator(Scenario([GREETING, *replies]), pace=0)


async def order(s: Stage, call: EmulatedCall, **command: str) -> None:
    """A command of the operator's, carried out."""
    status, body = await ask(s, "POST", f"/v1/calls/{call.call_sid}/commands", json=command)
    assert (status, body["commands"][0]["state"]) == (200, "completed")


async def refused(s: Stage, call: EmulatedCall, **command: str) -> tuple[int, str]:
    """The refusal of a command: its status, and why."""
    status, body = await ask(s, "POST", f"/v1/calls/{call.call_sid}/commands", json=command)
    return status, body["detail"]


def heard(stream: EmulatedStream, sounds: Callable[[bytes], bool]) -> int:
    """So many ms the caller heard of what ``sounds`` like it, in pieces of 20 ms."""
    whole = stream.line.heard
    return 20 * sum(sounds(whole[at : at + 160]) for at in range(0, len(whole) - 159, 160))


def both(piece: bytes) -> bool:
    """Speech at 660 Hz over the room."""
    return strength(piece, 660) > 0.4 and strength(piece, ROOM_HZ) > 0.1


async def greeted(s: Stage) -> EmulatedCall:
    call = await s.twilio.call()
    await call.heard_at_least(200)
    return call


async def test_a_caller_on_hold_hears_the_music_until_they_are_taken_back(sounds: Path) -> None:
    """W45, W46: the file's own bytes, again and again; then the agent, as clear as ever."""
    openai = script(Reply("Thank you for waiting.", 400, 660))
    async with stage(openai, sounds, agent=HELD) as s:
        call = await greeted(s)

        await order(s, call, type="hold")
        await call.until(lambda: heard_tone(call.stream, MUSIC_HZ) >= 660)
        asked = len(s.session.client_events.of("response.create"))
        assert await refused(s, call, type="hold") == (409, "the caller is on hold already")
        await order(s, call, type="unhold")
        assert await refused(s, call, type="unhold") == (409, "the caller is not on hold")
        assert (await refused(s, call, type="hold", turn=""))[0] == 422
        await call.until(lambda: heard_tone(call.stream, 660) >= 360)
        music_ms = heard_tone(call.stream, MUSIC_HZ)
        await call.hang_up()
        record = await s.record(call)

        assert FILE * 2 in call.stream.line.heard
        assert len(s.session.client_events.of("response.create")) == asked + 1
        assert heard_tone(call.stream, MUSIC_HZ) == music_ms, "music under the agent's words"
        assert record["durations_ms"]["hold"] >= 660
        speech = [one for turn in record["turns"] for one in turn["responses"]]
        assert [one["type"] for one in speech if one["type"] != "note"] == ["speech", "speech"]
        assert record["audio"]["played_ms"] == 600, "music is nothing the agent said"
        call.assert_clean()
        openai.assert_clean()
        s.assert_conforms()


async def test_a_forced_turn_ends_the_music_with_its_first_sound(sounds: Path) -> None:
    """W48: asked for at once, with nothing of the caller's; the loop stops when speech begins."""
    openai = script(Reply("Your claim is settled.", 400, 660, first_audio_ms=700))
    async with stage(openai, sounds, agent=HELD) as s:
        call = await greeted(s)

        await order(s, call, type="hold", turn="Look up their claim, and tell them.")
        await call.until(lambda: heard_tone(call.stream, 660) >= 360)
        events = s.session.client_events
        await call.hang_up()
        record = await s.record(call)

        assert heard_tone(call.stream, MUSIC_HZ) >= 300
        start, forced = record["turns"]
        assert (start["type"], forced["type"], forced["text"]) == ("start", "no_input", None)
        assert [one["type"] for one in forced["responses"]] == ["note", "speech"]
        whole = call.stream.line.heard
        begins = next(
            at for at in range(0, len(whole), 160) if strength(whole[at : at + 160], 660) > 0.8
        )
        after = [whole[at : at + 160] for at in range(begins, len(whole) - 159, 160)]
        assert not [x for x in after if mulaw.rms(x) > 1_000 and strength(x, MUSIC_HZ) > 0.5]
        assert len(events.of("response.create")) == 2
        assert not [x for x in s.session.items if x.role == "user"]
        call.assert_clean()
        openai.assert_clean()


async def test_the_room_is_heard_under_the_words_and_between(sounds: Path) -> None:
    """W45: ambience in every frame; and what was heard of words that were cut stays exact."""
    openai = script(Reply("Let me tell you a long story.", 3_000, 660), Reply("Yes?", 200, 880))
    async with stage(openai, sounds, agent=ROOM) as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.until(lambda: heard(call.stream, lambda x: strength(x, ROOM_HZ) > 0.8) >= 200)
        await call.speak(VOICE)
        await call.until(lambda: heard(call.stream, both) >= 600)

        before = heard(call.stream, both)
        await call.speak(VOICE)
        cut = await s.session.client_events.until("conversation.item.truncate")
        await call.until(lambda: heard(call.stream, lambda x: strength(x, 880) > 0.3) >= 140)
        spoken_ms = heard(call.stream, both)
        await call.hang_up()
        await s.record(call)

        assert before <= spoken_ms
        assert abs(cut["audio_end_ms"] - spoken_ms) <= 100
        call.assert_clean()
        openai.assert_clean()


async def test_music_is_heard_on_the_way_to_a_person(sounds: Path) -> None:
    """W47, S17: while Twilio takes its time with the redirect; watsonx has silence there."""
    target = f'{NUMBER}"'
    agent = DESK.replace(target, f"{target}, hold_audio: hold.wav")
    openai = RealtimeEmulator(Scenario([GREETING, THROUGH]), pace=0)
    slow = {"pace": Pace(redirect_delay_ms=700)}
    async with stage(openai, sounds, agent=agent, twilio=slow) as s:
        call = await greeted(s)
        await call.speak(VOICE)
        await call.until(lambda: call.dialled == [NUMBER])
        await call.ended()
        record = await s.record(call)

        stream = call.streams[0]
        assert heard_tone(stream, 660) >= 340, "the announcement, unharmed"
        assert heard_tone(stream, MUSIC_HZ) >= 300
        assert record["transfers"][0]["outcome"] == "connected"
        assert record["durations_ms"]["hold"] > 0
        call.assert_clean()


async def test_work_is_heard_until_its_result_is_told(sounds: Path) -> None:
    """W45: typing, or music, while a tool takes its time; none under the answer."""
    (sounds / "slow_tools_of_hold.py").write_text(
        "import asyncio\n\nDONE = asyncio.Event()\n\n\nasync def look_up() -> str:\n"
        '    """Look it up."""\n    await DONE.wait()\n    return "settled"\n'
    )
    tool = '{type: python, handler: "slow_tools_of_hold:look_up", hold_audio: hold.wav}'
    openai = RealtimeEmulator(Busy, pace=0)
    async with stage(openai, sounds, agent=f"{HELD}tools: {{look_up: {tool}}}\n") as s:
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.until(lambda: heard_tone(call.stream, MUSIC_HZ) >= 200)
        sys.modules["slow_tools_of_hold"].DONE.set()
        await call.until(lambda: heard_tone(call.stream, 660) >= 360)
        await call.hang_up()
        await s.record(call)

        whole = call.stream.line.heard
        assert mulaw.rms(whole[-800:]) < 5_000 or strength(whole[-800:], MUSIC_HZ) < 0.2
        call.assert_clean()
