"""A call is recorded: what is on it, what is not, who may hear it, and what is left of it."""

import io
import wave
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.audio import mulaw
from app.audio.tones import strength, tone
from app.emulators.realtime import Faults, RealtimeEmulator
from app.emulators.scenario import Reply, Scenario, ToolUse
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_tape import Tape
from tests.waiting import until
from tests.walks.stage import API_KEY, FULL, VOICE, Stage, stage

AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {type: server_vad, silence_duration_ms: 120}
dtmf: {presets: {pin: {num_digits: 2, sensitive: true}}}
recording: {announcement: You are recorded.}
"""
NOTICE = Reply("You are recorded.", 200, 550)
GREETING = Reply("Hello.", 200, 440)
ASKS = Reply("Your PIN?", 100, 660, tools=[ToolUse("collect_dtmf", {"preset": "pin"})])
THANKS = Reply("Thank you.", 200, 880)
FINAL = {"completed", "absent"}


def recorded(folder: Path, *replies: Reply, agent: str = AGENT) -> Any:
    """A stage whose agent has its calls recorded."""
    openai = RealtimeEmulator(Scenario([NOTICE, GREETING, *replies]), pace=0)
    return stage(openai, folder, agent=agent)


async def fetched(s: Stage, sid: str, **headers: str) -> tuple[int, bytes]:
    """What the operator gets."""
    headers = {"Authorization": f"Bearer {API_KEY}"} | headers
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{s.url}/v1/recordings/{sid}") as answer,
    ):
        return answer.status, await answer.read()


async def tape(call: EmulatedCall) -> Tape:
    """The recording, once Twilio was asked for it."""
    await until(lambda: bool(call.tapes))
    return call.tapes[0]


async def kept(s: Stage, call: EmulatedCall) -> dict[str, Any]:
    """The record, once it has the last word about its recording."""
    await call.ended()
    record = await s.record(call)
    while not any(one["status"] in FINAL for one in record["recording"]):
        record = await s.record(call)
    return record


def channels(sound: bytes) -> tuple[bytes, bytes]:
    """The caller's and the agent's, as mu-law."""
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        samples = file.readframes(file.getnframes())
    pairs = memoryview(samples).cast("h")
    left = b"".join(x.to_bytes(2, "little", signed=True) for x in pairs[::2].tolist())
    right = b"".join(x.to_bytes(2, "little", signed=True) for x in pairs[1::2].tolist())
    return mulaw.encode(left), mulaw.encode(right)


def lasts_ms(track: bytes, frequency_hz: float) -> int:
    """How long this tone is on it, in steps of 20 ms."""
    pieces = [track[at : at + 160] for at in range(0, len(track) - 159, 160)]
    return 20 * sum(
        mulaw.rms(piece) > FULL and strength(piece, frequency_hz) > 0.8 for piece in pieces
    )


async def test_both_are_heard_each_in_its_channel_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C24: the recording begins behind the announcement, and rests while the PIN is keyed in."""
    monkeypatch.setattr("app.call.recording.TAIL_MS", 100)
    async with recorded(tmp_path, ASKS, THANKS) as s:
        call = await s.twilio.call()
        running = await tape(call)
        await call.heard_at_least(400)
        await call.speak(VOICE, wait=True)
        await until(lambda: running.status == "paused")
        await call.speak(tone(1000, 200), wait=True)  # Whoever speaks their PIN is not recorded.
        for digit in "42":
            await call.press(digit)
        await until(lambda: running.status == "in-progress", 60)
        await call.speak(tone(1400, 200), wait=True)
        await call.hang_up()
        record = await kept(s, call)
        status, sound = await fetched(s, running.sid)
        part = await fetched(s, running.sid, Range="bytes=0-3")

    caller, agent = channels(sound)
    assert status == 200
    assert part == (206, b"RIFF")
    assert lasts_ms(agent, 440) >= 100
    assert lasts_ms(agent, 550) == 0
    assert lasts_ms(caller, 300) >= 100
    assert lasts_ms(caller, 1400) >= 100
    assert lasts_ms(caller, 1000) == 0
    [told] = record["recording"]
    assert told["status"] == "completed"
    assert told["channels"] == 2
    assert told["paused_ms"] >= 200
    assert told["url"] == f"/v1/recordings/{running.sid}"
    assert "api.twilio.com" not in str(record)


async def test_a_pause_that_twilio_refuses_ends_the_recording(tmp_path: Path) -> None:
    """Better half a recording than a PIN on it; the call goes on."""
    async with recorded(tmp_path, ASKS, THANKS) as s:
        call = await s.twilio.call()
        running = await tape(call)
        s.twilio.fail_next(f"/Recordings/{running.sid}", 400, 20001)
        await call.heard_at_least(400)
        await call.speak(VOICE, wait=True)
        await until(lambda: running.over)
        for digit in "42":
            await call.press(digit)
        await call.heard_at_least(550)
        await call.hang_up()
        record = await kept(s, call)

    warnings = {one["id"] for one in record["warnings"]}
    assert "recording_pause:refused_20001" in warnings
    assert record["end_reason"] == "caller_hangup"


async def test_a_call_that_cannot_be_recorded_goes_on(tmp_path: Path) -> None:
    """The record says why there is nothing."""
    async with recorded(tmp_path) as s:
        s.twilio.fail_next("/Recordings", 400, 21220)
        call = await s.twilio.call()
        await call.heard_at_least(400)
        await call.hang_up()
        record = await s.record(call)
        missing = await fetched(s, "RE" + "0" * 32)

    assert record["recording"] == []
    assert {"id": "recording_start:call_over", "count": 1} in record["warnings"]
    assert missing[0] == 404


async def test_erasing_a_call_erases_its_recording(tmp_path: Path) -> None:
    """And where Twilio cannot be reached nothing is erased, so that it can be tried again."""
    async with recorded(tmp_path) as s:
        call = await s.twilio.call()
        running = await tape(call)
        await call.heard_at_least(400)
        await call.hang_up()
        record = await kept(s, call)
        headers = {"Authorization": f"Bearer {API_KEY}"}
        s.twilio.fail_next(f"/Recordings/{running.sid}", 400, 20001)
        async with aiohttp.ClientSession(headers=headers) as client:
            statuses = []
            for _ in range(2):
                path = f"{s.url}/v1/calls/{record['call_id']}"
                async with client.delete(path) as answer:
                    statuses.append(answer.status)
        left, sound = list(call.tapes), await fetched(s, running.sid)

    assert statuses == [503, 204]
    assert left == []
    assert sound[0] == 404


CLOSED = """
instructions: You answer the phone for the tests.
hours: {never: {timezone: UTC, open: "Mo 00:00-00:01", closed: []}}
numbers:
  "*": {hours: never, when_closed: {say: Say it after the tone., then: take_message}}
"""


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_caller_at_a_closed_line_leaves_a_message(
    tmp_path: Path, *, hangs_up: bool
) -> None:
    """It is kept also of who hangs up while they speak; no model is asked for anything."""
    async with recorded(tmp_path, agent=CLOSED) as s:
        call = await s.twilio.call()
        await until(lambda: call.dictation is not None)
        await call.speak(tone(300, 400), wait=True)
        await (call.hang_up() if hangs_up else call.press("#"))
        record = await kept(s, call)
        status, sound = await fetched(s, record["recording"][0]["sid"])
        sessions = len(s.openai.connections)

    with wave.open(io.BytesIO(sound)) as file:
        left = mulaw.encode(file.readframes(file.getnframes()))
    assert status == 200
    assert lasts_ms(left, 300) >= 300
    assert (record["end_reason"], sessions) == ("closed_hours", 0)
    assert record["recording"][0]["kind"] == "message"
    assert call.said == ["Say it after the tone."]
    assert call.executed[-1] == ("Record" if hangs_up else "Hangup")


async def test_a_message_without_a_word_is_none(tmp_path: Path) -> None:
    """Whoever hangs up at the tone has said nothing."""
    async with recorded(tmp_path, agent=CLOSED) as s:
        call = await s.twilio.call()
        await until(lambda: call.dictation is not None)
        await call.hang_up()
        await call.ended()
        record = await s.record(call)

    assert record["recording"] == []


async def test_a_failing_agent_leaves_the_caller_a_tone(tmp_path: Path) -> None:
    """Where nobody could be rung: what they say is not lost."""
    agent = "instructions: You fail.\nfailure: {then: take_message}\n"
    openai = RealtimeEmulator(Scenario([]), faults=Faults(refuse_status=401))
    async with stage(openai, tmp_path, agent=agent) as s:
        call = await s.twilio.call()
        await until(lambda: call.dictation is not None)
        await call.speak(tone(300, 200), wait=True)
        await call.press("#")
        record = await kept(s, call)

    assert call.said[-1].endswith("Please leave a message after the tone.")
    assert [one["kind"] for one in record["recording"]] == ["message"]
    assert record["end_reason"] == "model_failed"
