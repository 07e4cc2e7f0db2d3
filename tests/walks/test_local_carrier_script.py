"""A script at the telephone: what it recorded is what was said and what was heard."""

from pathlib import Path

from app.audio.tones import strength, tone
from app.emulators.carrier_voice import StudioVoice
from app.emulators.demo_voice import CALLER, Studio
from app.emulators.phone_script import CallRecording, Play, Press, Say, ScriptedPhone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from app.protocol.units import FRAME_BYTES
from tests.walks.stage import VOICE, stage
from tests.walks.telephone import TICKET
from tests.walks.test_local_carrier import Tones

LOCAL = {"ticket": TICKET, "unattended_ms": 300}


def lasting(audio: bytes, frequency_hz: float) -> int:
    """Milliseconds of a tone on a track, in steps of 20."""
    pieces = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
    return 20 * sum(strength(piece, frequency_hz) > 0.8 for piece in pieces)


def at_ms(recording: CallRecording, event: str, number: int = 0) -> int:
    """When something happened, on the recording."""
    return [one.media_ms for one in recording.events if one.name == event][number]


async def test_a_script_says_its_lines_when_the_agent_is_silent(tmp_path: Path) -> None:
    """A call by script is a conversation and not a recording that is played over another."""
    script = Scenario([Reply("Hello.", 400, 440), Reply("A.", 400, 880), Reply("B.", 400, 1000)])
    phone = ScriptedPhone([Say("300"), Play(VOICE)], voice=Tones(), quiet_ms=200)
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, local=LOCAL) as s:
        assert s.local is not None
        recording = await phone.place(s.local)
        record = await s.record(s.twilio.calls[recording.call_sid])

        assert recording.ended_by == "caller"
        assert len(recording.caller) == len(recording.agent)
        assert abs(lasting(recording.caller, 300) - 460) <= 60
        for frequency_hz in (440, 880, 1000):
            assert lasting(recording.agent, frequency_hz) >= 340
        assert at_ms(recording, "agent-ends") + 200 <= at_ms(recording, "line") + 20
        assert at_ms(recording, "line", 1) > at_ms(recording, "agent-ends", 1)
        assert [one.name for one in recording.events][:2] == ["calling", "start"]
        assert recording.wav()[:4] == b"RIFF"
        assert record["end_reason"] == "caller_hangup"
        s.twilio.assert_clean()


async def test_what_was_cleared_is_not_on_the_recording(tmp_path: Path) -> None:
    """The right track is what the ear heard: cut where the caller cut in."""
    script = Scenario([Reply("Hello, on and on.", 3000, 440), Reply("Yes?", 300, 880)])
    steps = [Play(tone(300, 200), interrupts_after_ms=600)]
    phone = ScriptedPhone(steps, voice=Tones(), quiet_ms=200)
    async with stage(RealtimeEmulator(script, pace=0), tmp_path, local=LOCAL) as s:
        assert s.local is not None
        recording = await phone.place(s.local)
        await s.record(s.twilio.calls[recording.call_sid])

        begun, spoke = at_ms(recording, "agent-begins"), at_ms(recording, "line")
        (cut,) = s.session.client_events.of("conversation.item.truncate")
        assert 600 <= spoke - begun <= 700
        assert abs(lasting(recording.agent, 440) - cut["audio_end_ms"]) <= 80
        assert lasting(recording.agent, 440) < 1500
        assert lasting(recording.agent, 880) >= 240


async def test_a_script_presses_keys_and_goes_on_with_an_agent_that_says_nothing(
    tmp_path: Path,
) -> None:
    """A silent agent is a finding, and no reason to wait for ever."""
    phone = ScriptedPhone(
        [Press("5"), Press("#")],
        voice=StudioVoice(Studio(None), CALLER),
        quiet_ms=100,
        patience_ms=300,
    )
    silent = RealtimeEmulator(Scenario([]), pace=0)
    agent = "instructions: You answer the phone for the tests.\n"
    async with stage(silent, tmp_path, agent=agent, local=LOCAL) as s:
        assert s.local is not None
        recording = await phone.place(s.local)
        await s.record(s.twilio.calls[recording.call_sid])

        pressed = [one.fields for one in recording.events if one.name == "line"]
        assert pressed == [{"press": "5"}, {"press": "#"}]
        assert lasting(recording.agent, 440) == 0
