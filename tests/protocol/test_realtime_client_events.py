"""OpenAI Realtime (GA), written: every command exactly, whatever words it carries."""

from base64 import b64decode, b64encode
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.call.faults import Severity, severity
from app.protocol import commands as c
from app.protocol.realtime_client_events import SessionConfig, append, session_update, write

AUDIO = b64encode(bytes(480)).decode()
PCMU = {"type": "audio/pcmu"}


def test_the_session_is_ga_and_mulaw_both_ways() -> None:
    """`D-OAJ-1`, `D-PT-12`: the beta's flat keys are ignored by GA, and then it is static."""
    config = SessionConfig(
        model="gpt-realtime-2.1",
        instructions="Be brief.",
        turn_detection={"type": "server_vad"},
        transcription={"model": "gpt-transcribe"},
        tools=({"type": "function", "name": "look_up"},),
    )

    assert orjson.loads(session_update(config)) == {
        "type": "session.update",
        "event_id": "setup",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "Be brief.",
            "audio": {
                "input": {
                    "format": PCMU,
                    "noise_reduction": None,
                    "transcription": {"model": "gpt-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"format": PCMU, "voice": "marin", "speed": 1.0},
            },
            "tools": [{"type": "function", "name": "look_up"}],
            "tool_choice": "auto",
        },
    }


WRITTEN: list[tuple[c.ToModel, dict[str, Any]]] = [
    (c.AppendAudio(AUDIO), {"type": "input_audio_buffer.append", "audio": AUDIO}),
    (
        c.CreateResponse("nudge"),
        {
            "type": "response.create",
            "event_id": "create:nudge",
            "response": {"output_modalities": ["audio"], "metadata": {"purpose": "nudge"}},
        },
    ),
    (
        c.CreateResponse("greeting", 'Say "Hi!"', tools=False),
        {
            "type": "response.create",
            "event_id": "create:greeting",
            "response": {
                "output_modalities": ["audio"],
                "metadata": {"purpose": "greeting"},
                "instructions": 'Say "Hi!"',
                "tool_choice": "none",
            },
        },
    ),
    (c.CancelResponse("resp_1"), {"type": "response.cancel", "response_id": "resp_1"}),
    (
        c.TruncateItem("item_a1", 0, 1_500),
        {
            "type": "conversation.item.truncate",
            "item_id": "item_a1",
            "content_index": 0,
            "audio_end_ms": 1_500,
        },
    ),
    (c.DeleteItem("item_u1"), {"type": "conversation.item.delete", "item_id": "item_u1"}),
    (
        c.AddMessage("user", "Hello."),
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello."}],
            },
        },
    ),
    (
        c.AddMessage("assistant", "Hi."),
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi."}],
            },
        },
    ),
    (
        c.AddToolCall("call_1", "look_up", '{"a":1}'),
        {
            "type": "conversation.item.create",
            "item": {
                "type": "function_call",
                "call_id": "call_1",
                "name": "look_up",
                "arguments": '{"a":1}',
            },
        },
    ),
    (
        c.AddToolOutput("call_1", "42"),
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        },
    ),
    (
        c.AskAlive(),
        {"type": "session.update", "event_id": "alive", "session": {"type": "realtime"}},
    ),
]


@pytest.mark.parametrize(("command", "message"), WRITTEN, ids=lambda x: str(x)[:30])
def test_every_command_is_one_message(command: c.ToModel, message: dict[str, Any]) -> None:
    """Field for field as the GA reference has it."""
    assert orjson.loads(write(command)) == message


def test_every_command_to_the_model_is_written() -> None:
    """A command without a writer would be an exception in the middle of a call."""
    written = {type(command) for command, _ in WRITTEN}
    written |= {c.AppendSilence, c.SetTurnTaking, c.ChangeSession}  # These need the line's setup.

    assert written == set(get_args(c.ToModel))


@pytest.mark.parametrize("length_ms", [20, 1_000, 10_000])
def test_silence_is_silent(length_ms: int) -> None:
    """0xFF is zero in mu-law; 0x00 would be the loudest sample there is."""
    message = orjson.loads(write(c.AppendSilence(length_ms)))

    assert b64decode(message["audio"]) == b"\xff" * (length_ms * 8)


@given(st.text(), st.text())
def test_no_words_of_anybodys_end_a_message(first: str, second: str) -> None:
    """The caller's, the tools', the operator's: whatever they hold, it stays text."""
    try:
        texts = [write(c.AddMessage("user", first)), write(c.AddToolOutput(second, first))]
    except TypeError:  # a lone surrogate is no text; nothing that parses brings one
        return
    said, output = (orjson.loads(text)["item"] for text in texts)

    assert said["content"][0]["text"] == first
    assert (output["call_id"], output["output"]) == (second, first)


@given(st.binary(min_size=1, max_size=1_600))
def test_audio_is_pasted_whole(audio: bytes) -> None:
    """String building must equal serialising."""
    payload = b64encode(audio).decode()

    assert orjson.loads(append(c.AppendAudio(payload))) == {
        "type": "input_audio_buffer.append",
        "audio": payload,
    }


def test_a_refusal_is_recognised_by_the_id_we_gave() -> None:
    """What ``write`` names and what ``faults`` looks for are the same."""
    event_id = orjson.loads(write(c.CreateResponse("greeting")))["event_id"]

    assert severity("invalid_value", event_id) is Severity.REFUSED
