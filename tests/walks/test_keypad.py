"""Something is keyed in during a call: asked for, kept from whom it does not concern, unheard."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.audio import mulaw
from app.audio.tones import tone
from app.call.key_tones import HELD_FRAMES
from app.emulators.phone_sounds import keys
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Ask, Brain, Expect, Plan, Reply, Scenario, ToolUse
from app.emulators.twilio_call import EmulatedCall
from app.protocol.units import FRAME_BYTES
from tests.http.test_commands import ended
from tests.http.test_records import ask, following
from tests.waiting import until
from tests.walks.raw_stream import RawStream, invited, raw_stream
from tests.walks.stage import VOICE, Stage, heard_tone, stage

NUMBER = "918273645"
TOOLS = f'''
"""Tools of a test; written beside its agent document."""


def check_pin(pin: str) -> str:
    """Check a PIN."""
    return "the PIN is right" if pin == "{NUMBER}" else "the PIN is wrong"
'''


def agent(module: str) -> str:
    """An agent with one secret, and a tool that is given it."""
    return f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
tools:
  check_pin: {{type: python, handler: "{module}:check_pin"}}
dtmf:
  presets:
    pin: {{num_digits: 9, finish_on_key: "#", sensitive: true, ignore_speech: true, retries: 1}}
    menu: {{num_digits: 1, choices: {{"1": a new claim, "0": a person}}, stop_after: true}}
    account: {{max_digits: 9, finish_on_key: "#"}}
"""


Keyed = Callable[[], dict[str, Any]]


@pytest.fixture
def keyed(tmp_path: Path, request: pytest.FixtureRequest) -> Keyed:
    """What ``stage`` needs; modules are remembered by name, so each test has its own."""

    def given() -> dict[str, Any]:
        module = f"keyed_{abs(hash(request.node.nodeid))}"
        (tmp_path / f"{module}.py").write_text(TOOLS)
        return {"folder": tmp_path, "agent": agent(module)}

    return given


class Listener(Brain):
    """Says a fifth of a second to everything."""

    def answer(self, ask: Ask) -> Plan:
        return Reply("Certainly.", 200, 440).plan()


def used(s: Stage, call: EmulatedCall) -> set[str]:
    """The tools that the model is known to have called."""
    live = s.board.book.call(call.call_sid)
    return {one.name for one in live.report.passages.values()} if live else set()


def kept(folder: Path) -> str:
    """All that the server has written down: facts, records, flight logs."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        written = "\n".join(database.iterdump())
    flights = (folder / "data" / "flights").glob("*.jsonl")
    return written + "".join(path.read_text() for path in flights)


async def test_a_secret_reaches_the_tool_and_nobody_else(keyed: Keyed, tmp_path: Path) -> None:
    """W49, W50: the model is told a name; no record, event, log or flight log has the digits."""
    script = Scenario(
        [
            Reply("Hello.", 200, 440),
            Reply(
                "Your PIN, please.", 200, 550, tools=[ToolUse("collect_dtmf", {"preset": "pin"})]
            ),
            Expect(instructions_contain="Ask them once more", metadata={"purpose": "keypad"}),
            Reply("Once more, please.", 200, 660),
            Expect(tool_outputs=1, tool_output_contains='"digits":"{{dtmf.pin}}"'),
            Reply("Let me see.", 100, 770, tools=[ToolUse("check_pin", {"pin": "{{dtmf.pin}}"})]),
            Expect(tool_output_contains="the PIN is right"),
            Reply("Thank you.", 200, 880),
        ]
    )
    with capture_logs() as logged:
        async with stage(RealtimeEmulator(script), **keyed()) as s:
            call = await s.twilio.call()
            await call.heard_at_least(200)
            await call.speak(VOICE)
            await until(lambda: "collect_dtmf" in used(s, call), 20)
            await call.until(lambda: heard_tone(call.stream, 550) >= 100)
            for digit in f"{NUMBER[:3]}#":
                await call.press(digit)
            await call.until(lambda: heard_tone(call.stream, 660) >= 100)
            for digit in NUMBER:
                await call.press(digit)
            await call.until(lambda: heard_tone(call.stream, 880) >= 100)
            await call.hang_up()
            record = await s.record(call)
            call_id = await s.call_id(call)
            _, timeline = await ask(s, "GET", f"/v1/calls/{call_id}/timeline")
            await s.all_closed()
            s.openai.assert_clean()
            sent = [one for one in s.session.client_events if "audio" not in one]

        told = json.dumps([list(sent), record, timeline, logged], default=str) + kept(tmp_path)

    assert NUMBER not in told
    assert f'"{NUMBER[:3]}' not in told  # As a text: three digits are in many an id.
    assert " ".join(NUMBER[:3]) not in told
    turns = [turn for turn in record["turns"] if turn["type"] == "dtmf"]
    assert [(one["preset"], one["digits"], one["ok"]) for one in turns] == [
        ("pin", f"[redacted:{len(NUMBER)}]", True)
    ]


async def commanded(s: Stage, call_sid: str, preset: str | None = None) -> tuple[int, Any]:
    """``dtmf.start``: the status and the command, or the refusal."""
    order = {"type": "dtmf.start"} | ({"preset": preset} if preset else {})
    status, body = await ask(s, "POST", f"/v1/calls/{call_sid}/commands", json=order)
    return status, body["commands"][0] if status < 300 else body


async def say(stream: RawStream, frames: list[bytes], begin: int) -> None:
    """Frames of the caller's, numbered from ``begin``, as fast as they go."""
    for n, frame in enumerate(frames, begin):
        await stream.media(base64.b64encode(frame).decode(), str(20 * n))


async def press(stream: RawStream, digit: str) -> None:
    """A key, as Twilio tells of it."""
    dtmf = {"track": "inbound_track", "digit": digit}
    more = {"streamSid": stream.stream_sid, "sequenceNumber": "9"}
    await stream.send({"event": "dtmf", "dtmf": dtmf, **more})


async def test_the_model_hears_silence_from_the_first_key_to_the_last(keyed: Keyed) -> None:
    """W54: no word said over a PIN is a turn, and no tone of a key is in the audio."""
    silence, talk = mulaw.silence(20), [tone(300, 20)] * 25
    sound = keys("9", 200)
    tones = [sound[at : at + FRAME_BYTES] for at in range(0, len(sound), FRAME_BYTES)]
    async with stage(RealtimeEmulator(Listener), **keyed()) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.read("mark")
            status, command = await commanded(s, call_sid, "pin")
            assert (status, command["state"]) == (202, "accepted")

            await say(stream, [silence] * 10 + tones[:3], 0)
            await press(stream, "9")
            await say(stream, [*tones[3:], *talk], 13)

            events, length = s.session.client_events, 10 + len(tones) + len(talk)
            await events.until("input_audio_buffer.append", length - HELD_FRAMES)
            heard = [one["audio"] for one in events.of("input_audio_buffer.append")]
            assert {base64.b64decode(one) for one in heard} == {silence}
            assert not s.session.server_events.of("input_audio_buffer.speech_started")


async def test_a_command_has_something_keyed_in_and_opens_what_is_ignored(keyed: Keyed) -> None:
    """W55, W1: later digits are ignored, then counted; the events tell what came of it."""
    async with stage(RealtimeEmulator(Listener), **keyed()) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        assert (await commanded(s, call.call_sid, "menus"))[0] == 422

        _, menu = await commanded(s, call.call_sid, "menu")
        await call.press("1")
        assert (await ended(s, call, menu["command_id"]))["state"] == "completed"
        created = s.session.client_events
        async with asyncio.timeout(20), following(s, call.call_sid) as told_of:
            for digit in "7#":
                await told_of.read("dtmf.received")
                await call.press(digit)
            await told_of.read("dtmf.received")
        status, again = await commanded(s, call.call_sid)
        assert (status, again["state"]) == (200, "completed")
        await call.press("5")
        await call.press("#")
        await until(lambda: "pressed: 5 #" in json.dumps(list(created)), 20)

        told = json.dumps(list(created))
        assert '\\"choice\\":\\"a new claim\\"' in told
        assert "7" not in "".join(turn_texts(created))
        await call.hang_up()
        turns = [turn for turn in (await s.record(call))["turns"] if turn["type"] == "dtmf"]
        assert [(one["preset"], one["digits"]) for one in turns] == [("menu", "1"), (None, "5#")]


def turn_texts(created: Any) -> list[str]:
    """What the model was told of keys."""
    items = [one["item"] for one in created.of("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item["type"] == "message"]


async def test_a_browsers_line_is_asked_for_no_keys(keyed: Keyed) -> None:
    """W57: a command to the keypad does nothing there, and the record has a warning."""
    async with stage(RealtimeEmulator(Listener), **keyed()) as s:
        call = await s.twilio.call(from_="client:alice")
        await call.heard_at_least(200)

        status, command = await commanded(s, call.call_sid, "account")

        assert (status, command["state"]) == (200, "completed")
        await call.hang_up()
        assert {"id": "no_keypad", "count": 1} in (await s.record(call))["warnings"]


async def test_the_tones_of_keys_are_no_speech_and_not_in_the_audio(keyed: Keyed) -> None:
    """W54: Twilio leaves them in; without a collection, too, but for the first key's beginning."""
    async with stage(RealtimeEmulator(Listener), **keyed()) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)
        _, command = await commanded(s, call.call_sid, "account")

        call.sound("47#1#")
        assert (await ended(s, call, command["command_id"]))["state"] == "completed"
        await call.until(lambda: call.voice.silent)
        await until(lambda: "pressed: 1 #" in json.dumps(turn_texts(s.session.client_events)), 20)

        heard = [one["audio"] for one in s.session.client_events.of("input_audio_buffer.append")]
        assert {base64.b64decode(one) for one in heard} == {mulaw.silence(20)}
        assert not s.session.server_events.of("input_audio_buffer.speech_started")
        await call.hang_up()
        turns = [turn for turn in (await s.record(call))["turns"] if turn["type"] == "dtmf"]
        assert [one["digits"] for one in turns] == ["47", "1#"]
