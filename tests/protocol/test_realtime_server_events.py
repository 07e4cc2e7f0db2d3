"""OpenAI Realtime (GA), read: recorded events, and everything that can be wrong with them."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import events as e
from app.protocol.dialect import OPENAI
from app.protocol.errors import Malformed
from app.protocol.realtime_server_events import (
    Message,
    SessionCreated,
    SessionUpdated,
    Unknown,
    parse,
)
from tests.protocol.hostile import survives, variants

AUDIO = b64encode(bytes(480)).decode()
PART = {"response_id": "resp_1", "item_id": "item_a1", "output_index": 0, "content_index": 0}
PCMU = {"type": "audio/pcmu"}
FUNCTION_CALL = {
    "id": "item_f1",
    "object": "realtime.item",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "look_up",
    "arguments": '{"a":1}',
}
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": "event_1", **more}


def response(status: str = "in_progress", **more: Any) -> dict[str, Any]:
    return {
        "object": "realtime.response",
        "id": "resp_1",
        "status": status,
        "status_details": None,
        "output": [],
        "conversation_id": "conv_1",
        "usage": None,
        "metadata": None,
        **more,
    }


def heard(kind: str, **more: Any) -> dict[str, Any]:
    return event(f"input_audio_buffer.{kind}", item_id="item_u1", **more)


def of(kind: str, **more: Any) -> dict[str, Any]:
    return event(f"response.{kind}", **PART, **more)


def error(**more: Any) -> dict[str, Any]:
    inner = {"type": "invalid_request_error", "code": None, "message": "…", "param": None}
    return event("error", error={**inner, "event_id": None, **more})


RECORDED: list[tuple[dict[str, Any], Message]] = [
    (
        event("session.created", session={"id": "sess_1", "expires_at": 1756324625}),
        SessionCreated("sess_1", 1756324625),
    ),
    (
        event(
            "session.updated",
            session={"audio": {"input": {"format": PCMU}, "output": {"format": PCMU}}},
        ),
        SessionUpdated("audio/pcmu", "audio/pcmu"),
    ),
    (heard("speech_started", audio_start_ms=1000), e.SpeechStarted("item_u1")),
    (heard("speech_stopped", audio_end_ms=2000), e.SpeechStopped("item_u1")),
    (heard("committed", previous_item_id=None), e.CallerTurnCommitted("item_u1")),
    (
        event(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_u1",
            content_index=0,
            transcript="Hello",
            usage={"type": "tokens", "total_tokens": 48},
        ),
        e.CallerTranscribed("item_u1", "Hello"),
    ),
    (event("response.created", response=response()), e.ResponseStarted("resp_1", None)),
    (
        event("response.created", response=response(metadata={"purpose": "greeting"})),
        e.ResponseStarted("resp_1", "greeting"),
    ),
    (of("output_audio.delta", delta=AUDIO), e.SpeechAudio("resp_1", "item_a1", 0, AUDIO, 480)),
    (of("output_audio.done"), e.SpeechAudioDone("resp_1", "item_a1", 0)),
    (
        of("output_audio_transcript.delta", delta="Hello"),
        e.SpeechText("resp_1", "item_a1", 0, "Hello"),
    ),
    (
        event("response.output_item.done", response_id="resp_1", item=FUNCTION_CALL),
        e.ToolCalled("resp_1", "item_f1", "call_1", "look_up", '{"a":1}'),
    ),
    (
        event(
            "response.function_call_arguments.delta",
            response_id="resp_1",
            item_id="item_f1",
            output_index=0,
            call_id="call_1",
            delta='{"a"',
        ),
        e.SpeechText("resp_1", "item_f1", 0, ""),
    ),
    (
        event(
            "response.output_item.added",
            response_id="resp_1",
            output_index=0,
            item={"id": "item_f1", "type": "function_call", "status": "in_progress"},
        ),
        e.SpeechText("resp_1", "item_f1", 0, ""),
    ),
    (
        event("response.done", response=response("completed", usage=USAGE)),
        e.ResponseDone("resp_1", "completed", None, e.Usage(119, 13, 64, 30, 91)),
    ),
    (
        event(
            "response.done",
            response=response(
                "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}
            ),
        ),
        e.ResponseDone("resp_1", "cancelled", "turn_detected"),
    ),
    (
        event(
            "response.done",
            response=response(
                "failed",
                status_details={
                    "type": "failed",
                    "error": {"type": "server_error", "code": None, "message": "…"},
                },
            ),
        ),
        e.ResponseDone("resp_1", "failed", "server_error"),
    ),
    (
        error(code="invalid_value", event_id="create:greeting", param="response.voice"),
        e.ModelError("invalid_value", "create:greeting", "response.voice"),
    ),
    (error(), e.ModelError("invalid_request_error")),
]
NAMES = [f"{n}-{message['type']}" for n, (message, _) in enumerate(RECORDED)]
MESSAGES = [message for message, _ in RECORDED]
UNKNOWN = [
    "conversation.created",
    "conversation.item.added",
    "conversation.item.truncated",
    "response.content_part.added",
    "response.function_call_arguments.done",
    "rate_limits.updated",
    "input_audio_buffer.timeout_triggered",
    "future.event",
]


@pytest.mark.parametrize(("message", "meaning"), RECORDED, ids=NAMES)
def test_every_recorded_event_is_understood(message: Any, meaning: Message) -> None:
    """Shapes of the GA reference and of live captures."""
    text = orjson.dumps(message)

    assert parse(text) == meaning
    assert parse(memoryview(text)) == meaning
    assert parse(orjson.dumps({**message, "obfuscation": "aX93"})) == meaning


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_no_truncation_is_taken_for_an_event(message: Any) -> None:
    """Half a message is no message."""
    text = orjson.dumps(message)

    assert not any(survives(parse, text[:end]) for end in range(len(text)))


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_no_wrong_value_makes_the_codec_stumble(message: Any) -> None:
    """Any compatible server may be at the other end, and any proxy in between."""
    for text in variants(message):
        survives(parse, text)


def _is(value: object, wanted: Any) -> bool:
    if isinstance(wanted, UnionType):
        return any(_is(value, one) for one in get_args(wanted))
    return isinstance(value, NoneType if wanted is None else wanted)


def _slips(message: Any) -> Iterator[str]:
    """Fields of events that are not what the event's class says."""
    for text in variants(message):
        try:
            read = parse(text)
        except Malformed:
            continue
        hints = get_type_hints(type(read))
        for field in fields(read):
            if not _is(getattr(read, field.name), hints[field.name]):
                yield f"{type(read).__name__}.{field.name}"


def test_an_event_is_what_its_class_says() -> None:
    """A list for an id or a reason is unhashable, and the machine would stumble over it."""
    assert sorted({slip for message in MESSAGES for slip in _slips(message)}) == []


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_malformed(text: bytes) -> None:
    """Binary, cut UTF-8, nothing at all."""
    survives(parse, text)


@pytest.mark.parametrize("depth", [500, 990, 1_030])
def test_deep_nesting_is_survived(depth: int) -> None:
    """Python's own recursion limit is lower than the parser's."""
    for place in ('{"type":%s}', '{"type":"error","error":{"code":%s}}'):
        if depth == 990 and "error" in place:
            continue  # see test_a_deep_code
        survives(parse, (place % ("[" * depth + "]" * depth)).encode())


def test_a_deep_code_is_survived() -> None:
    """As above, in the one place where it is not."""
    survives(parse, ('{"type":"error","error":{"code":%s}}' % ("[" * 990 + "]" * 990)).encode())


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_we_do_not_need_is_counted_and_ignored(kind: str) -> None:
    """`D-JB-4` on the wire: an unknown type is not an error; the protocol grows."""
    assert parse(orjson.dumps(event(kind, anything=[1]))) == Unknown(kind)


@pytest.mark.parametrize("kind", ["response.created", "response.done"])
def test_an_out_of_band_response_is_none_of_the_calls(kind: str) -> None:
    """It runs beside the conversation; taking it for the active one would free the gate."""
    message = event(kind, response=response("completed", conversation_id=None))

    assert parse(orjson.dumps(message)) == Unknown(f"{kind}:out_of_band")


@pytest.mark.parametrize("status", ["incomplete", "in_progress"])
def test_a_tool_call_that_was_cut_off_is_not_run(status: str) -> None:
    """`D-JB-2`: its arguments are half a document."""
    item = {**FUNCTION_CALL, "status": status, "arguments": '{"a":'}

    assert parse(
        orjson.dumps(event("response.output_item.done", response_id="resp_1", item=item))
    ) == Unknown("function_call_incomplete")


@pytest.mark.parametrize("arguments", [None, ""])
def test_a_tool_without_arguments_has_none(arguments: object) -> None:
    """Some servers leave them out."""
    item = {**FUNCTION_CALL, "arguments": arguments}
    read = parse(orjson.dumps(event("response.output_item.done", response_id="r", item=item)))

    assert isinstance(read, e.ToolCalled)
    assert read.arguments == "{}"


@pytest.mark.parametrize(
    "formats",
    [
        ("audio/pcm", "audio/pcm"),
        ("audio/pcmu", "audio/pcm"),
        ("audio/pcm", "audio/pcmu"),
        ("g711_ulaw", "g711_ulaw"),
        (None, None),
    ],
)
def test_a_session_that_speaks_anything_else_is_known(formats: tuple[str | None, ...]) -> None:
    """`D-OAJ-1`, `D-PT-12`: 24 kHz PCM on a telephone is loud static."""
    into, out = ({"format": {"type": name}} if name else {} for name in formats)
    read = parse(orjson.dumps(event("session.updated", session=_session(into, out))))

    assert isinstance(read, SessionUpdated)
    assert not read.confirms(OPENAI)


def _session(into: object, out: object) -> dict[str, Any]:
    return {"audio": {"input": into, "output": out}}


@pytest.mark.parametrize("delta", ['AA"},{"event":"clear"', "AAA", "", None, 7])
def test_speech_that_is_no_base64_is_refused(delta: object) -> None:
    """It is pasted into Twilio's JSON on the other side."""
    with pytest.raises(Malformed):
        parse(orjson.dumps(of("output_audio.delta", delta=delta)))
