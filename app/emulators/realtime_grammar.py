"""The eleven client events of Realtime (GA), field by field, as a strict server reads them.

Everything here is literal on purpose: the application's codec must not be able to agree with
its own mistakes. A field that is not listed is refused, which is how the flat fields of the
retired beta (``voice``, ``modalities``, ``input_audio_format`` ...) are found out.
"""

from app.emulators.realtime_errors import Json, Refusal
from app.emulators.realtime_shapes import (
    Shape,
    anything,
    array,
    choice,
    either,
    fields,
    flag,
    missing,
    number,
    or_null,
    tagged,
    text,
    texts,
    whole,
)

_ID = text(at_most=64)
_TYPE = text()
_STRING = text()
_TOOL_NAME = text(pattern="[A-Za-z0-9_-]{1,64}")
_STRINGS = array(_STRING)
_MAX_TOKENS = either(string=choice("inf"), whole=whole(1, 4096))

_FORMAT = tagged(
    "type",
    {
        "audio/pcm": fields({"type": _TYPE}, {"rate": whole(24000, 24000)}),
        "audio/pcmu": fields({"type": _TYPE}),
        "audio/pcma": fields({"type": _TYPE}),
    },
)
VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
_VOICE = either(string=choice(*VOICES), object=fields({"id": _STRING}))

_TURN_DETECTION = tagged(
    "type",
    {
        "server_vad": fields(
            {"type": _TYPE},
            {
                "threshold": number(0, 1),
                "prefix_padding_ms": whole(0),
                "silence_duration_ms": whole(0),
                "create_response": flag,
                "interrupt_response": flag,
                "idle_timeout_ms": or_null(whole(5000, 30000)),
            },
        ),
        "semantic_vad": fields(
            {"type": _TYPE},
            {
                "eagerness": choice("low", "medium", "high", "auto"),
                "create_response": flag,
                "interrupt_response": flag,
            },
        ),
    },
)
_TRANSCRIPTION = fields(
    {"model": _STRING},
    {
        "language": _STRING,
        "languages": _STRINGS,
        "prompt": _STRING,
        "keywords": _STRINGS,
        "delay": choice("minimal", "low", "medium", "high", "xhigh"),
    },
)
_NOISE_REDUCTION = fields({"type": choice("near_field", "far_field")}, {"strength": number(0, 1)})
_AUDIO_INPUT = fields(
    optional={
        "format": _FORMAT,
        "noise_reduction": or_null(_NOISE_REDUCTION),
        "transcription": or_null(_TRANSCRIPTION),
        "turn_detection": or_null(_TURN_DETECTION),
    }
)
_AUDIO_OUTPUT = fields(optional={"format": _FORMAT, "voice": _VOICE, "speed": number(0.25, 1.5)})


def _schema(value: object, path: str) -> None:
    fields_of = value if isinstance(value, dict) else None
    if fields_of is None or fields_of.get("type") != "object":
        raise Refusal(f"Invalid schema for '{path}': schema must be of type object.", param=path)
    if not isinstance(fields_of.get("properties", {}), dict):
        raise Refusal(f"Invalid schema for '{path}': properties must be an object.", param=path)


_FILTER = fields(optional={"tool_names": _STRINGS, "read_only": flag})
_TOOL = tagged(
    "type",
    {
        "function": fields(
            {"type": _TYPE, "name": _TOOL_NAME},
            {"description": text(at_most=1024), "parameters": _schema},
        ),
        "mcp": fields(
            {"type": _TYPE, "server_label": _STRING},
            {
                "server_url": _STRING,
                "connector_id": _STRING,
                "tunnel_id": _STRING,
                "server_description": _STRING,
                "authorization": _STRING,
                "headers": or_null(texts(pairs=64, key_length=256, value_length=8192)),
                "allowed_tools": or_null(either(array=_STRINGS, object=_FILTER)),
                "allowed_callers": or_null(array(choice("direct", "programmatic"))),
                "require_approval": or_null(
                    either(
                        string=choice("always", "never"),
                        object=fields(optional={"always": _FILTER, "never": _FILTER}),
                    )
                ),
                "defer_loading": flag,
            },
        ),
    },
)


def _tools(value: object, path: str) -> None:
    array(_TOOL)(value, path)
    names = [tool["name"] for tool in value if "name" in tool] if isinstance(value, list) else []
    for name in names:
        if names.count(name) > 1:
            raise Refusal(f"Duplicate tool name '{name}'.", param=path)


_TOOL_CHOICE = either(
    string=choice("auto", "none", "required"),
    object=tagged(
        "type",
        {
            "function": fields({"type": _TYPE, "name": _TOOL_NAME}),
            "mcp": fields({"type": _TYPE, "server_label": _STRING}, {"name": _STRING}),
        },
    ),
)


def _modalities(value: object, path: str) -> None:
    array(choice("audio", "text"))(value, path)
    if value not in (["audio"], ["text"]):
        raise Refusal(
            f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].",
            param=path,
        )


_METADATA = texts(pairs=16, key_length=64, value_length=512)
_REASONING = fields({"effort": choice("minimal", "low", "medium", "high", "xhigh")})
_TRUNCATION = either(
    string=choice("auto", "disabled"),
    object=fields(
        {"type": choice("retention_ratio"), "retention_ratio": number(0, 1)},
        {"token_limits": fields(optional={"post_instructions": whole(0)})},
    ),
)
_TRACING = either(
    string=choice("auto"),
    object=fields(optional={"workflow_name": _STRING, "group_id": _STRING, "metadata": anything}),
)
SESSION = fields(
    {"type": choice("realtime")},
    {
        "model": _STRING,
        "output_modalities": _modalities,
        "instructions": _STRING,
        "audio": fields(optional={"input": _AUDIO_INPUT, "output": _AUDIO_OUTPUT}),
        "tools": _tools,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "reasoning": or_null(_REASONING),
        "max_output_tokens": _MAX_TOKENS,
        "truncation": _TRUNCATION,
        "tracing": or_null(_TRACING),
        "include": or_null(array(choice("item.input_audio_transcription.logprobs"))),
    },
)

_BASE = {
    "id": text(at_most=32, pattern="[A-Za-z0-9_-]+"),
    "object": choice("realtime.item"),
    "status": choice("completed", "incomplete", "in_progress"),
}
_INPUT_TEXT = fields({"type": _TYPE, "text": _STRING})
_PARTS: dict[str, Shape] = {
    "user": tagged(
        "type",
        {
            "input_text": _INPUT_TEXT,
            "input_audio": fields({"type": _TYPE, "audio": _STRING}, {"transcript": _STRING}),
            "input_image": fields(
                {"type": _TYPE, "image_url": _STRING}, {"detail": choice("auto", "low", "high")}
            ),
        },
    ),
    "system": tagged("type", {"input_text": _INPUT_TEXT}),
    "assistant": tagged("type", {"output_text": _INPUT_TEXT}),
}
_MESSAGE = tagged(
    "role",
    {
        role: fields({"type": _TYPE, "role": _TYPE, "content": array(part)}, _BASE)
        for role, part in _PARTS.items()
    },
)
_ITEMS: dict[str, Shape] = {
    "message": _MESSAGE,
    "function_call": fields(
        {"type": _TYPE, "name": _TOOL_NAME, "arguments": _STRING}, {"call_id": _ID} | _BASE
    ),
    "function_call_output": fields({"type": _TYPE, "call_id": _ID, "output": _STRING}, _BASE),
    "mcp_approval_response": fields(
        {"type": _TYPE, "approval_request_id": _ID, "approve": flag},
        {"reason": or_null(_STRING)} | _BASE,
    ),
}
ITEM = tagged("type", _ITEMS)
_INPUT = tagged("type", _ITEMS | {"item_reference": fields({"type": _TYPE, "id": _ID})})

RESPONSE = fields(
    optional={
        "instructions": _STRING,
        "output_modalities": _modalities,
        "audio": fields(optional={"output": fields(optional={"format": _FORMAT, "voice": _VOICE})}),
        "tools": _tools,
        "tool_choice": _TOOL_CHOICE,
        "max_output_tokens": _MAX_TOKENS,
        "conversation": choice("auto", "none"),
        "metadata": or_null(_METADATA),
        "reasoning": or_null(_REASONING),
        "parallel_tool_calls": flag,
        "input": array(_INPUT),
    }
)


def _event(required: dict[str, Shape], optional: dict[str, Shape] | None = None) -> Shape:
    envelope = {"event_id": text(at_most=512)}
    return fields({"type": _TYPE} | required, (optional or {}) | envelope)


EVENTS: dict[str, Shape] = {
    "session.update": _event({"session": SESSION}),
    "input_audio_buffer.append": _event({"audio": _STRING}),
    "input_audio_buffer.commit": _event({}),
    "input_audio_buffer.clear": _event({}),
    "output_audio_buffer.clear": _event({}),
    "conversation.item.create": _event({"item": ITEM}, {"previous_item_id": or_null(_ID)}),
    "conversation.item.retrieve": _event({"item_id": _ID}),
    "conversation.item.truncate": _event(
        {"item_id": _ID, "content_index": whole(0), "audio_end_ms": whole(0)}
    ),
    "conversation.item.delete": _event({"item_id": _ID}),
    "response.create": _event({}, {"response": RESPONSE}),
    "response.cancel": _event({}, {"response_id": _ID}),
}
_CLIENT_EVENT = tagged("type", EVENTS)


def check_shape(event: Json) -> None:
    """Raise the ``Refusal`` a strict server would answer ``event`` with, if any."""
    if "type" not in event:
        raise Refusal("Missing required parameter: 'type'.", "invalid_event", "type")
    session = event.get("session")
    if event["type"] == "session.update" and isinstance(session, dict):
        if "type" not in session:
            raise missing("session.type")
        if session["type"] == "transcription":
            raise Refusal(
                "Passing a transcription session update to a realtime session is not allowed.",
                "invalid_value",
                "session.type",
            )
    _CLIENT_EVENT(event, "")
