"""Session updates: how they merge, and everything for which a whole update is refused."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_errors import Refusal
from app.emulators.realtime_grammar import check_shape
from app.emulators.scenario import Receptionist, Reply, Scenario
from tests.emulators.realtime_peer import PHONE, dialled, ready

TOOL = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}


def inside(side: str, **fields: Any) -> dict[str, Any]:
    """An update of one side of the audio."""
    return {"type": "realtime", "audio": {side: fields}}


async def test_an_update_changes_only_what_it_names() -> None:
    """A server that replaced the config made a client believe the output was PCM."""
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        await peer.configure(PHONE)
        await peer.configure({"type": "realtime", "instructions": "Be kind.", "tools": [TOOL]})
        session = await peer.configure(
            inside("input", turn_detection={"type": "server_vad", "silence_duration_ms": 500})
        )

    assert session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["voice"] == "marin"
    assert session["instructions"] == "Be kind."
    assert session["tools"] == [TOOL]
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


async def test_empty_values_clear_and_null_turns_off() -> None:
    """Empty text, empty list and null mean three different things."""
    off = {"turn_detection": None, "transcription": None, "noise_reduction": None}
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        await peer.configure({"type": "realtime", "instructions": "x", "tools": [TOOL]})
        await peer.configure(inside("input", transcription={"model": "gpt-transcribe"}))
        await peer.configure(inside("input", noise_reduction={"type": "near_field"}))
        await peer.configure({"type": "realtime", "instructions": "", "tools": []})
        session = await peer.configure(inside("input", **off))

    assert (session["instructions"], session["tools"]) == ("", [])
    assert {name: session["audio"]["input"][name] for name in off} == off


async def test_a_semantic_turn_detector_has_no_thresholds() -> None:
    """Its kind decides which fields it has."""
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        session = await peer.configure(inside("input", turn_detection={"type": "semantic_vad"}))
        wrong = {"type": "semantic_vad", "threshold": 0.5}
        error = await peer.refused("session.update", session=inside("input", turn_detection=wrong))

    assert session["audio"]["input"]["turn_detection"]["eagerness"] == "auto"
    assert error["param"] == "session.audio.input.turn_detection.threshold"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modalities", ["audio", "text"]),
        ("voice", "marin"),
        ("input_audio_format", "g711_ulaw"),
        ("output_audio_format", "g711_ulaw"),
        ("input_audio_transcription", {"model": "whisper-1"}),
        ("turn_detection", {"type": "server_vad"}),
        ("temperature", 0.8),
        ("max_response_output_tokens", 100),
    ],
)
async def test_the_flat_fields_of_the_beta_are_unknown(name: str, value: object) -> None:
    """`D-PT-12`: the typed client lets them through, the service does not know them."""
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        update = PHONE | {name: value}
        error = await peer.refused("session.update", session=update, event_id="cfg_1")
        session = emulator.connections[0].config

    assert error["code"] == "unknown_parameter"
    assert error["param"] == f"session.{name}"
    assert error["event_id"] == "cfg_1"
    assert session["audio"]["input"]["format"]["type"] == "audio/pcm", "the whole update is lost"
    assert emulator.connections[0].violations


@pytest.mark.parametrize(
    ("update", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        (inside("input", format="g711_ulaw"), "invalid_type", "session.audio.input.format"),
        (
            inside("input", format={"type": "audio/pcmu", "rate": 8000}),
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            inside("output", format={"type": "audio/pcm", "rate": 8000}),
            "invalid_value",
            "session.audio.output.format.rate",
        ),
        (
            inside("output", format={"type": "g711"}),
            "invalid_value",
            "session.audio.output.format.type",
        ),
        (inside("output", voice="nobody"), "invalid_value", "session.audio.output.voice"),
        (inside("output", speed=2), "invalid_value", "session.audio.output.speed"),
        (
            inside("input", turn_detection={"type": "server_vad", "idle_timeout_ms": 100}),
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            inside("input", turn_detection={"type": "server_vad", "silence_duration_ms": 1.5}),
            "invalid_type",
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        (
            inside("input", turn_detection={"threshold": 0.5}),
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
        (
            inside("input", transcription={"model": "m", "language": "en", "languages": ["en"]}),
            "invalid_value",
            "session.audio.input.transcription",
        ),
        (
            {"type": "realtime", "output_modalities": ["audio", "text"]},
            "invalid_value",
            "session.output_modalities",
        ),
        ({"type": "realtime", "model": "gpt-other"}, "invalid_value", "session.model"),
        (
            {"type": "realtime", "max_output_tokens": 99999},
            "invalid_value",
            "session.max_output_tokens",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "unknown_parameter",
            "session.tools[0].function",
        ),
        (
            {"type": "realtime", "tools": [TOOL | {"name": "no good"}]},
            "invalid_value",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "tools": [TOOL | {"description": "x" * 1025}]},
            "string_above_max_length",
            "session.tools[0].description",
        ),
        ({"type": "realtime", "tools": [TOOL, TOOL]}, "invalid_value", "session.tools"),
        (
            {"type": "realtime", "tools": [TOOL | {"parameters": {"type": "string"}}]},
            "invalid_value",
            "session.tools[0].parameters",
        ),
        ({"type": "realtime", "tool_choice": "always"}, "invalid_value", "session.tool_choice"),
    ],
)
async def test_one_bad_field_loses_the_whole_update(
    update: dict[str, Any], code: str, param: str
) -> None:
    """Half a configuration is worse than none."""
    async with RealtimeEmulator(Receptionist()) as emulator, dialled(emulator) as peer:
        await peer.until("session.created")
        before = emulator.connections[0].config
        error = await peer.refused("session.update", session=update)

    assert (error["code"], error["param"]) == (code, param)
    assert emulator.connections[0].config == before


async def test_the_voice_is_locked_once_the_model_has_spoken() -> None:
    """The same voice may be named again, another one loses the update, tools included."""
    async with (
        RealtimeEmulator(Scenario([Reply("hello", 100)])) as emulator,
        ready(emulator) as peer,
    ):
        await peer.configure(inside("output", voice="cedar"))
        await peer.send("response.create")
        await peer.until("response.done")
        await peer.configure(inside("output", voice="cedar"))
        update = inside("output", voice="marin") | {"tools": [TOOL]}
        error = await peer.refused("session.update", session=update)
        session = emulator.connections[0].config

    assert error["code"] == "cannot_update_voice"
    assert (session["audio"]["output"]["voice"], session["tools"]) == ("cedar", [])


async def test_speed_changes_only_between_turns() -> None:
    """It is a rule of the service that a client meets only in the middle of speech."""
    async with (
        RealtimeEmulator(Scenario([Reply("hello", 3000)])) as emulator,
        ready(emulator) as peer,
    ):
        await peer.send("response.create")
        await peer.until("response.output_audio.delta")
        error = await peer.refused("session.update", session=inside("output", speed=1.2))
        await peer.send("response.cancel")
        await peer.until("response.done")
        session = await peer.configure(inside("output", speed=1.2))

    assert error["param"] == "session.audio.output.speed"
    assert session["audio"]["output"]["speed"] == 1.2


async def test_reasoning_fields_need_a_reasoning_model() -> None:
    """Older models refuse them."""
    async with RealtimeEmulator(Receptionist()) as emulator, ready(emulator) as peer:
        session = await peer.configure({"type": "realtime", "reasoning": {"effort": "low"}})

    assert session["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("event_type", "fields", "code", "param"),
    [
        ("session.start", {}, "invalid_value", "type"),
        ("session.update", {}, "missing_required_parameter", "session"),
        ("input_audio_buffer.append", {}, "missing_required_parameter", "audio"),
        ("input_audio_buffer.append", {"audio": "%%%"}, "invalid_value", "audio"),
        ("input_audio_buffer.append", {"audio": "AAA"}, "invalid_value", "audio"),
        ("input_audio_buffer.append", {"audio": 7}, "invalid_type", "audio"),
        ("input_audio_buffer.append", {"audio": "", "x": 1}, "unknown_parameter", "x"),
        ("input_audio_buffer.commit", {"final": True}, "unknown_parameter", "final"),
        ("output_audio_buffer.clear", {}, "invalid_value", "type"),
        ("conversation.item.truncate", {"item_id": "i"}, "missing_required_parameter", None),
        (
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 0, "audio_end_ms": 1.5},
            "invalid_type",
            "audio_end_ms",
        ),
        ("response.create", {"response": {"modalities": []}}, "unknown_parameter", None),
        (
            "response.create",
            {"response": {"metadata": {"turn": 1}}},
            "invalid_type",
            "response.metadata.turn",
        ),
        ("response.cancel", {"event_id": "e" * 513}, "string_above_max_length", "event_id"),
    ],
)
async def test_every_client_event_is_read_field_by_field(
    event_type: str, fields: dict[str, Any], code: str, param: str | None
) -> None:
    """The shape is judged before the meaning, and nothing unknown is let through."""
    async with RealtimeEmulator(Receptionist()) as emulator, ready(emulator) as peer:
        error = await peer.refused(event_type, **fields)
        await peer.configure()

    assert error["code"] == code
    assert param is None or error["param"] == param
    with pytest.raises(AssertionError, match=event_type):
        emulator.assert_clean()


EVENTS: list[dict[str, Any]] = [
    {"type": "session.update", "session": PHONE | {"tools": [TOOL], "tool_choice": "auto"}},
    {"type": "input_audio_buffer.append", "audio": "//8="},
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
        },
    },
    {"type": "response.create", "response": {"metadata": {"a": "b"}, "input": []}},
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = []
    for key in keys:
        found.append((*path, key))
        if isinstance(value[key], dict | list):
            found += places(value[key], (*path, key))
    return found


@given(st.data(), st.sampled_from(EVENTS), VALUES)
def test_a_hostile_value_anywhere_is_accepted_or_refused_and_never_an_accident(
    data: st.DataObject, event: dict[str, Any], value: object
) -> None:
    """A judge that stumbles over bad input judges nothing."""
    check_shape(event)
    broken = copy.deepcopy(event)
    *path, last = data.draw(st.sampled_from(places(event)))
    inside_of: Any = broken
    for key in path:
        inside_of = inside_of[key]
    inside_of[last] = value

    try:
        check_shape(broken)
    except Refusal as refusal:
        json.dumps(refusal.body(None))
