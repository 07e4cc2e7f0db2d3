"""OpenAI Realtime (GA), what we tell the server: each command as the JSON text of one message.

Nothing of the beta's flat shape is ever written. Source: the GA API reference and the types
of openai 3.x (2026-11). Servers that deviate are written to by the function that ``writer``
chooses for their dialect.
"""

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import orjson

from app.protocol import commands as c
from app.protocol.dialect import OPENAI, Dialect, Truncate
from app.protocol.units import MULAW_SILENCE, bytes_of_ms

APPEND_HEAD = '{"type":"input_audio_buffer.append","audio":"'
APPEND_TAIL = '"}'
"""What stands around caller audio; fifty times a second and call, so it is not built anew."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a model line is configured with, once, before it carries audio.

    The dictionaries are Realtime's own objects (``turn_detection``, ``transcription`` …),
    None switches the feature off.
    """

    model: str
    instructions: str
    voice: str | dict[str, str] = "marin"
    speed: float = 1.0
    turn_detection: Mapping[str, Any] = field(default_factory=dict)
    noise_reduction: Mapping[str, Any] | None = None
    transcription: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    reasoning: Mapping[str, Any] | None = None


def session_update(config: SessionConfig, dialect: Dialect = OPENAI) -> str:
    """What a line is set up with, once in its life, in the shape and format of ``dialect``."""
    detection = _detection(config, dialect)
    heard: dict[str, Any] = {
        "format": dialect.audio_in.wire(),
        "noise_reduction": config.noise_reduction,
        "transcription": _transcription(config, dialect),
        "turn_detection": detection,
    }
    said: dict[str, Any] = {
        "format": dialect.audio_out.wire(),
        "voice": config.voice,
        "speed": config.speed,
    }
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": config.instructions,
        "audio": {"input": heard, "output": said},
        "tools": [dict(tool) for tool in config.tools],
        "tool_choice": "auto",
    }
    if dialect.top_level:
        del heard["noise_reduction"]
        session["turn_detection"] = heard.pop("turn_detection")
        session["voice"] = said.pop("voice")
    if config.reasoning:
        session["reasoning"] = dict(config.reasoning)
    return _dump({"type": "session.update", "event_id": "setup", "session": session})


def _detection(config: SessionConfig, dialect: Dialect) -> dict[str, Any]:
    detection = dict(config.turn_detection)
    if detection.get("type") == "semantic_vad" and not dialect.semantic_vad:
        detection.pop("eagerness", None)
        detection["type"] = "server_vad"
    return detection


def _transcription(config: SessionConfig, dialect: Dialect) -> Mapping[str, Any] | None:
    wanted, keys = config.transcription, dialect.transcription_keys
    if wanted is None or keys is None:
        return wanted
    return {name: value for name, value in wanted.items() if name in keys}


def write(command: c.ToModel) -> str:
    """A command as the text of one client event."""
    return _WRITERS[type(command)](command)


def writer(dialect: Dialect, config: SessionConfig | None = None) -> Callable[[c.ToModel], str]:
    """``write``, or what stands in its place; empty text is what that server is not told.

    ``config`` is what the line was set up with: without it nobody can say how turns are found.
    """
    writers = dict(_WRITERS)
    if config is not None:
        writers[c.SetTurnTaking] = partial(_turn_taking, config, dialect)
    if not dialect.tool_choice:
        writers[c.CreateResponse] = partial(_create_response, can_choose=False)
    if not dialect.cancel:
        writers[c.CancelResponse] = _nothing
    if dialect.truncate is Truncate.NONE:
        writers[c.TruncateItem] = _nothing
    return write if writers == _WRITERS else lambda command: writers[type(command)](command)


def _nothing(_command: c.ToModel) -> str:
    return ""


def append(command: c.AppendAudio) -> str:
    """Caller audio; the payload was checked when it came from Twilio, so it is pasted."""
    return f"{APPEND_HEAD}{command.payload_b64}{APPEND_TAIL}"


def _silence(command: c.AppendSilence) -> str:
    return _silence_of(command.length_ms)


@lru_cache(maxsize=64)
def _silence_of(length_ms: int) -> str:
    """Fifty times a second while a caller is on hold, and always as long."""
    audio = bytes([MULAW_SILENCE]) * bytes_of_ms(length_ms)
    return append(c.AppendAudio(b2a_base64(audio, newline=False).decode()))


def _create_response(command: c.CreateResponse, *, can_choose: bool = True) -> str:
    response: dict[str, Any] = {"metadata": {"purpose": command.purpose}}
    if can_choose:
        # Seeded with texts some models answer in text (openai_realtime 3.10), so once more.
        response["output_modalities"] = ["audio"]
    if command.instructions is not None:
        response["instructions"] = command.instructions
    if not command.tools and can_choose:
        response["tool_choice"] = "none"
    return _dump(
        {"type": "response.create", "event_id": f"create:{command.purpose}", "response": response}
    )


def _truncate(command: c.TruncateItem) -> str:
    return _dump(
        {
            "type": "conversation.item.truncate",
            "item_id": command.item_id,
            "content_index": command.content_index,
            "audio_end_ms": command.audio_end_ms,
        }
    )


def _delete(command: c.DeleteItem) -> str:
    return _dump({"type": "conversation.item.delete", "item_id": command.item_id})


def _turn_taking(config: SessionConfig, dialect: Dialect, command: c.SetTurnTaking) -> str:
    """The whole object once more: of what is left out nobody says that it stays."""
    taken = {"create_response": command.by_server, "interrupt_response": command.by_server}
    detection = {"turn_detection": _detection(config, dialect) | taken}
    session: dict[str, Any] = {"type": "realtime"}
    session |= detection if dialect.top_level else {"audio": {"input": detection}}
    return _dump({"type": "session.update", "event_id": "turns", "session": session})


def session_changed(
    before: SessionConfig, after: SessionConfig, dialect: Dialect, *, by_server: bool
) -> str:
    """What a line is told in mid-call that is to be ``after``: only what differs, and what differs
    whole; empty where nothing does."""
    session: dict[str, Any] = {}
    heard: dict[str, Any] = {}
    if after.instructions != before.instructions:
        session["instructions"] = after.instructions
    if after.tools != before.tools:
        session["tools"] = [dict(tool) for tool in after.tools]
    if after.transcription != before.transcription:
        heard["transcription"] = _transcription(after, dialect)
    if after.noise_reduction != before.noise_reduction and not dialect.top_level:
        heard["noise_reduction"] = after.noise_reduction
    if after.turn_detection != before.turn_detection:
        taken = {"create_response": by_server, "interrupt_response": by_server}
        where = session if dialect.top_level else heard
        where["turn_detection"] = _detection(after, dialect) | taken
    said = {"output": {"speed": after.speed}} if after.speed != before.speed else {}
    audio = ({"input": heard} if heard else {}) | said
    if audio:
        session["audio"] = audio
    if not session:
        return ""
    session["type"] = "realtime"
    return _dump({"type": "session.update", "event_id": "changed", "session": session})


def _message(command: c.AddMessage) -> str:
    part = "output_text" if command.role == "assistant" else "input_text"
    return _item(
        {
            "type": "message",
            "role": command.role,
            "content": [{"type": part, "text": command.text}],
        }
    )


def _tool_call(command: c.AddToolCall) -> str:
    return _item(
        {
            "type": "function_call",
            "call_id": command.tool_call_id,
            "name": command.name,
            "arguments": command.arguments,
        }
    )


def _tool_output(command: c.AddToolOutput) -> str:
    return _item(
        {
            "type": "function_call_output",
            "call_id": command.tool_call_id,
            "output": command.output,
        }
    )


def _item(item: dict[str, Any]) -> str:
    return _dump({"type": "conversation.item.create", "item": item})


def _cancel(command: c.CancelResponse) -> str:
    return _dump({"type": "response.cancel", "response_id": command.response_id})


def _ask_alive(_command: c.AskAlive) -> str:
    """An update that names no field changes none, and is answered like any other."""
    session = {"type": "realtime"}
    return _dump({"type": "session.update", "event_id": "alive", "session": session})


def _dump(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


_WRITERS: dict[type, Callable[[Any], str]] = {
    c.AppendAudio: append,
    c.AppendSilence: _silence,
    c.CreateResponse: _create_response,
    c.CancelResponse: _cancel,
    c.TruncateItem: _truncate,
    c.DeleteItem: _delete,
    c.SetTurnTaking: _nothing,
    c.ChangeSession: _nothing,
    c.AddMessage: _message,
    c.AddToolCall: _tool_call,
    c.AddToolOutput: _tool_output,
    c.AskAlive: _ask_alive,
}
