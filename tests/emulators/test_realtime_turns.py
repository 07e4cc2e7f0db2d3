"""The caller's turns: voice detection, transcripts, idle callers, manual commits."""

import audioop
import base64
from typing import Any

import pytest

from app.audio import mulaw, tones
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Heard, Reply, Scenario
from tests.emulators.realtime_peer import PHONE, Peer, dialled, ready


def hearing(**fields: Any) -> dict[str, Any]:
    """Mu-law both ways and the given turn detection."""
    whole = {"type": "server_vad"} | fields
    return {"type": "realtime", "audio": {"input": {"turn_detection": whole}}}


async def transcribing(peer: Peer) -> None:
    """Have the caller's turns written down."""
    transcription = {"transcription": {"model": "gpt-transcribe"}}
    await peer.configure({"type": "realtime", "audio": {"input": transcription}})


async def test_a_turn_is_heard_committed_and_answered_in_the_documented_order() -> None:
    """The order was captured on the live service; the item's id is known from the start."""
    async with RealtimeEmulator(Scenario([Reply("yes", 200)]), pace=0) as emulator:
        async with ready(emulator) as peer:
            await peer.pause(1000)
            await peer.speak(400)
            await peer.pause(400)
            await peer.until("response.done")
        emulator.assert_clean()

    start = peer.types().index("input_audio_buffer.speech_started")
    assert peer.types()[start:] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    turn = peer.events[peer.types().index("input_audio_buffer.speech_started")]
    named = [peer.of("input_audio_buffer." + n)[0]["item_id"] for n in ("committed",)]
    assert named == [turn["item_id"]]
    assert turn["audio_start_ms"] == 700, "the padding of 300 ms is part of the turn"
    assert peer.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 1600
    assert len(emulator.connections[0].items[0].audio) == 900 * 8


@pytest.mark.parametrize("frame_ms", [1, 20, 33, 500])
async def test_the_ear_does_not_care_how_the_audio_was_cut(frame_ms: int) -> None:
    """Clients batch as they like."""
    audio = mulaw.silence(200) + tones.tone(300, 300) + mulaw.silence(300)
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator:
        async with ready(emulator) as peer:
            for start in range(0, len(audio), frame_ms * 8):
                piece = base64.b64encode(audio[start : start + frame_ms * 8]).decode()
                await peer.send("input_audio_buffer.append", audio=piece)
            await peer.until("response.done")
        session = emulator.connections[0]

    assert bytes(session.caller_audio) == audio
    assert session.heard_ms == 800
    assert peer.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 700


@pytest.mark.parametrize("name", ["audio/pcm", "audio/pcma"])
async def test_speech_is_heard_in_every_format(name: str) -> None:
    """The level is that of the sound, not of its code."""
    linear = mulaw.decode(tones.tone(300, 300) + mulaw.silence(300))
    audio = audioop.lin2alaw(linear, 2)
    if name == "audio/pcm":
        audio = audioop.ratecv(linear, 2, 1, 8000, 24000, None)[0]
    update = {"type": "realtime", "audio": {"input": {"format": {"type": name}}}}
    async with (
        RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator,
        dialled(emulator) as peer,
    ):
        await peer.configure(update)
        await peer.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
        await peer.until("response.done")


async def test_silence_and_noise_below_the_threshold_are_not_speech() -> None:
    """A line has hiss; a higher threshold hears less."""
    quiet = tones.tone(300, 300, amplitude=300)
    loud = tones.tone(300, 300, amplitude=1200)
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.append(quiet + mulaw.silence(300))
        await peer.configure(hearing(threshold=1.0))
        await peer.append(loud + mulaw.silence(300))
        await peer.configure()

    assert peer.of("input_audio_buffer.speech_started") == []


async def test_silence_must_last_as_long_as_configured() -> None:
    """A pause for breath is not the end of a turn."""
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator, ready(emulator) as peer:
        await peer.configure(hearing(silence_duration_ms=500))
        await peer.speak(200)
        await peer.pause(400)
        await peer.speak(200)
        await peer.pause(500)
        await peer.until("response.done")

    assert len(peer.of("input_audio_buffer.speech_started")) == 1
    assert peer.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 1300


async def test_without_create_response_the_client_asks() -> None:
    """Voice detection tells, and nothing more."""
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator:
        async with ready(emulator) as peer:
            await peer.configure(hearing(create_response=False))
            await peer.speak()
            await peer.pause()
            await peer.until("input_audio_buffer.committed")
            assert emulator.connections[0].server_events.of("response.created") == []
            await peer.send("response.create")
            await peer.until("response.done")
        emulator.assert_clean()


async def test_a_turn_is_written_down_early_late_not_at_all_or_with_an_error() -> None:
    """No client may wait for a transcript, nor be surprised by one."""
    heard = [Heard("one two", "early"), Heard("late", "late"), Heard("", "failed")]
    script = Scenario([Reply("a", 100)] * 4, heard=[*heard, Heard("x", "never")])
    async with RealtimeEmulator(script, pace=0) as emulator, ready(emulator) as peer:
        await transcribing(peer)
        for _ in range(4):
            await peer.speak()
            await peer.pause()
            await peer.until("response.done")
        await peer.configure()
        emulator.assert_clean()

    told = "conversation.item.input_audio_transcription"
    marks = [f"{told}.completed", f"{told}.failed", "response.created", "response.done"]
    assert [event["type"] for event in peer.events if event["type"] in marks] == [
        f"{told}.completed",
        *("response.created", "response.done"),
        *("response.created", "response.done", f"{told}.completed"),
        *(f"{told}.failed", "response.created", "response.done"),
        *("response.created", "response.done"),
    ]
    assert [event["delta"] for event in peer.of(f"{told}.delta")] == ["one", " two", "late"]
    completed = peer.of(f"{told}.completed")[0]
    assert completed["transcript"] == "one two"
    assert completed["usage"]["type"] == "tokens"


async def test_nothing_is_written_down_unless_asked_for() -> None:
    """Transcription is off by default, and billed when it is on."""
    async with RealtimeEmulator(Scenario([Reply("a", 100)])) as emulator, ready(emulator) as peer:
        await peer.speak()
        await peer.pause()
        await peer.until("response.done")

    assert not [e for e in peer.events if "transcription" in e["type"]]


async def test_an_idle_caller_is_asked_again_after_the_speech_and_the_timeout() -> None:
    """The timer starts when the speech has been heard, not when it was made."""
    script = Scenario([Reply("hello", 1000), Reply("are you there?", 100)])
    async with RealtimeEmulator(script, pace=0, idle_rate=50) as emulator, ready(emulator) as peer:
        await peer.configure(hearing(idle_timeout_ms=5000))
        await peer.pause(100)
        await peer.send("response.create")
        await peer.until("input_audio_buffer.timeout_triggered")
        await peer.until("response.done")
        await peer.configure(hearing(idle_timeout_ms=None))

    assert peer.types().count("input_audio_buffer.timeout_triggered") == 1
    committed = peer.of("input_audio_buffer.committed")[0]
    assert committed["item_id"] == peer.of("input_audio_buffer.timeout_triggered")[0]["item_id"]
    assert [ask.origin for ask in script.asked] == ["client", "idle"]


async def test_a_caller_who_speaks_is_not_idle() -> None:
    """Speech stops the timer for good."""
    script = Scenario([Reply("hello", 100)])
    async with (
        RealtimeEmulator(script, pace=0, idle_rate=1000) as emulator,
        ready(emulator) as peer,
    ):
        await peer.configure(hearing(idle_timeout_ms=30000))
        await peer.send("response.create")
        await peer.until("response.done")
        await peer.speak()
        await peer.until("input_audio_buffer.speech_started")
        with pytest.raises(TimeoutError):
            await emulator.connections[0].server_events.until(
                "input_audio_buffer.timeout_triggered", timeout_s=0.1
            )


async def test_a_client_may_commit_by_itself() -> None:
    """Push to talk: no detection, a commit of at least 100 ms, no response of its own accord."""
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator:
        async with ready(emulator) as peer:
            off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await peer.configure(off)
            await peer.speak(200)
            await peer.send("input_audio_buffer.commit")
            committed = await peer.until("input_audio_buffer.committed")
            await peer.until("conversation.item.done")
            await peer.speak(200)
            await peer.send("input_audio_buffer.clear")
            await peer.until("input_audio_buffer.cleared")
            await peer.send("response.create")
            await peer.until("response.done")
        emulator.assert_clean()
        turn = emulator.connections[0].items[0]

    assert turn.id == committed["item_id"]
    assert turn.audio == tones.tone(300, 200)


async def test_a_commit_of_nothing_is_refused_with_the_services_words() -> None:
    """Both numbers are part of the message."""
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.pause(60)
        error = await peer.refused("input_audio_buffer.commit")

    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["message"].endswith("100ms of audio, but buffer only has 60.00ms of audio.")
    assert emulator.connections[0].violations


async def test_a_commit_that_the_ear_forestalled_is_a_race() -> None:
    """The client could not know that the turn had been committed a moment before."""
    async with RealtimeEmulator(Scenario([Reply("yes", 100)])) as emulator:
        async with ready(emulator) as peer:
            await peer.configure(PHONE)
            await peer.speak()
            await peer.pause(200)
            error = await peer.refused("input_audio_buffer.commit")
            await peer.until("response.done")
        emulator.assert_clean()

    assert error["code"] == "input_audio_buffer_commit_empty"
    assert len(emulator.connections[0].races) == 1
