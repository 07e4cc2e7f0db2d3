"""Many calls at once: nobody hears a neighbour, and nothing is left when they are gone."""

import asyncio
import gc
import os
from pathlib import Path

from app.audio.tones import strength, tone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Heard, Reply, Scenario
from app.emulators.twilio_call import EmulatedCall
from tests.waiting import until
from tests.walks.stage import QUICK, heard_tone, stage

CALLS = 20
AGENT = """
instructions: You answer the phone for the tests.
turn_detection: {type: server_vad, silence_duration_ms: 200}
"""
CALLERS_HZ = [float(300 + 75 * index) for index in range(CALLS)]
"""What each caller says; the model answers each with a tone of their own."""
ABOVE_HZ = 1700
SAID_MS = 400


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def says(voice: bytes, hz: float) -> bool:
    """Whether a tenth of a second of that tone and nothing else is in ``voice``."""
    pieces = [voice[at : at + 800] for at in range(0, len(voice) - 800, 800)]
    return sum(strength(piece, hz) > 0.8 for piece in pieces) >= 2


class Echo(Scenario):
    """Answers with a tone that tells which caller it heard."""

    def __init__(self) -> None:
        super().__init__([])

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """Recognise the caller by frequency."""
        (heard_hz,) = [hz for hz in CALLERS_HZ if says(audio, hz)]
        self._script.append(Reply(f"You are {heard_hz}", 600, heard_hz + ABOVE_HZ))
        return super().hear(audio, format_name)


async def talk(call: EmulatedCall, hz: float) -> None:
    """Say one tone, and wait for the answer that belongs to it."""
    await call.stream_started()
    await call.speak(tone(hz, SAID_MS), wait=True)
    await call.until(lambda: heard_tone(call.stream, hz + ABOVE_HZ) >= 500, timeout=60)
    await call.hang_up()
    await call.ended()


async def test_twenty_callers_hear_themselves_and_nobody_else(tmp_path: Path) -> None:
    """L7, D-DEMO-2, D-PT-4: one global anything, and two callers share a conversation."""
    files, tasks = open_files(), len(asyncio.all_tasks())
    openai = RealtimeEmulator(Echo, pace=4)
    async with stage(openai, tmp_path, agent=AGENT, twilio={"pace": QUICK}) as s:
        calls = [await s.twilio.call(from_=f"+141555501{index:02}") for index in range(CALLS)]

        await asyncio.gather(*(talk(call, hz) for call, hz in zip(calls, CALLERS_HZ, strict=True)))
        await s.all_closed()

        for call, hz in zip(calls, CALLERS_HZ, strict=True):
            answers = [other + ABOVE_HZ for other in CALLERS_HZ]
            heard = {tone_hz for tone_hz in answers if heard_tone(call.stream, tone_hz)}
            assert heard == {hz + ABOVE_HZ}
            record = await s.record(call)
            assert record["from"]["number"] == call.from_
            call.assert_clean()
        spoken = {bytes(call.stream.spoken[:80_000]) for call in calls}
        assert len(spoken) == CALLS
        for session in openai.connections:
            voice = bytes(session.caller_audio)
            heard_hz = [hz for hz in CALLERS_HZ if says(voice, hz)]
            assert len(heard_hz) == 1
        assert all(not session.violations for session in openai.connections)
        assert {
            task.get_name() for task in asyncio.all_tasks() if "call_" in task.get_name()
        } == set()

    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    gc.collect()
    assert open_files() <= files + 2
