"""OpenAI Realtime (GA) messages, both ways: JSON text to events, commands to JSON text.

Dispatch is on the ``type`` string; types and fields we do not know are ignored, as the
protocol asks of its readers. Nothing of the beta's flat shape is ever written. Source: the
GA API reference and the types of openai 3.x (2026-11). Servers that deviate are read and
written by the functions that ``reader`` and ``writer`` choose for their dialect.
"""

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.base64_text import checked_length
from app.protocol.dialect import OPENAI, Dialect, Truncate
from app.protocol.errors import Malformed
from app.protocol.units import MULAW_SILENCE, bytes_of_ms

APPEND_HEAD = '{"type":"input_audio_buffer.append","audio":"'
APPEND_TAIL = '"}'
"""What stands around caller audio; fifty times a second and call, so it is not built anew."""
_Fields = dict[str, Any]
_Readers = Mapping[str, Callable[[_Fields], "Message"]]


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


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """The server admitted us; its defaults are not ours yet."""

    session_id: str
    expires_at_s: int | None
    """Unix time of the session's end; the length is the server's to choose."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The effective session, echoed: the whole of it, or what was changed."""

    input_format: str
    """Empty where it is not told, as the other one."""
    output_format: str
    input_rate_hz: int | None = None
    output_rate_hz: int | None = None

    @property
    def names_formats(self) -> bool:
        """Whether it says anything about audio at all."""
        return bool(self.input_format or self.output_format)

    def confirms(self, dialect: Dialect) -> bool:
        """Both directions are what was asked for; anything else would be loud static."""
        if not (self.names_formats or dialect.echoes_format):
            return True
        heard = dialect.audio_in.confirmed_by(self.input_format, self.input_rate_hz)
        return heard and dialect.audio_out.confirmed_by(self.output_format, self.output_rate_hz)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A server event we do not need: counted and ignored."""

    kind: str


Message = e.Event | SessionCreated | SessionUpdated | Unknown


def _str(value: object) -> str:
    if value.__class__ is not str:
        raise Malformed("not_text")
    return value


def _maybe(value: object) -> str | None:
    return None if value is None else _str(value)


def _whole(value: object) -> int:
    if value.__class__ is not int:
        raise Malformed("not_a_number")
    return value


def _part(fields: _Fields) -> tuple[str, str, int]:
    """(response_id, item_id, content_index), checked without a call for each: every delta's."""
    response_id, item_id = fields["response_id"], fields["item_id"]
    index = fields["content_index"]
    if response_id.__class__ is not str or item_id.__class__ is not str:
        raise Malformed("not_text")
    if index.__class__ is not int:
        raise Malformed("not_a_number")
    return response_id, item_id, index


def _audio(fields: _Fields) -> e.SpeechAudio:
    response_id, item_id, index = _part(fields)
    payload = fields["delta"]
    return e.SpeechAudio(response_id, item_id, index, payload, checked_length(payload))


def _audio_done(fields: _Fields) -> e.SpeechAudioDone:
    return e.SpeechAudioDone(*_part(fields))


def _text(fields: _Fields) -> e.SpeechText:
    return e.SpeechText(*_part(fields), _str(fields["delta"]))


def _at_work(fields: _Fields) -> e.SpeechText:
    """Something is being written that is not said; what it is comes whole, when it is done."""
    return e.SpeechText(_str(fields["response_id"]), _str(fields["item_id"]), 0, "")


def _item_added(fields: _Fields) -> e.SpeechText:
    item_id = _maybe(fields["item"].get("id")) or ""
    return e.SpeechText(_str(fields["response_id"]), item_id, 0, "")


def _session_created(fields: _Fields) -> SessionCreated:
    session = fields.get("session") or fields["conversation"]
    expires = session.get("expires_at")
    return SessionCreated(
        _maybe(session.get("id")) or "", expires if expires.__class__ is int else None
    )


def _session_updated(fields: _Fields) -> SessionUpdated:
    audio = fields["session"].get("audio") or {}
    heard, said = _format(audio.get("input") or {}), _format(audio.get("output") or {})
    return SessionUpdated(heard[0], said[0], heard[1], said[1])


def _format(side: _Fields) -> tuple[str, int | None]:
    described = side.get("format")
    if not isinstance(described, dict):
        return _maybe(described) or "", None
    rate = described.get("rate")
    return _maybe(described.get("type")) or "", None if rate is None else _whole(rate)


def _response_created(fields: _Fields) -> e.ResponseStarted | Unknown:
    response = fields["response"]
    if "conversation_id" in response and response["conversation_id"] is None:
        return Unknown("response.created:out_of_band")
    metadata = response.get("metadata") or {}
    return e.ResponseStarted(_str(response["id"]), _maybe(metadata.get("purpose")))


def _response_done(fields: _Fields) -> e.ResponseDone | Unknown:
    response = fields["response"]
    if "conversation_id" in response and response["conversation_id"] is None:
        return Unknown("response.done:out_of_band")
    details = response.get("status_details") or {}
    fault = details.get("error") or {}
    reason = fault.get("code") or fault.get("type") or details.get("reason")
    return e.ResponseDone(
        _str(response["id"]),
        _str(response["status"]),
        _maybe(reason),
        _usage(response.get("usage")),
    )


def _usage(usage: _Fields | None) -> e.Usage | None:
    if not usage:
        return None
    into = usage.get("input_token_details") or {}
    out = usage.get("output_token_details") or {}
    return e.Usage(
        input_text=_whole(into.get("text_tokens") or 0),
        input_audio=_whole(into.get("audio_tokens") or 0),
        input_cached=_whole(into.get("cached_tokens") or 0),
        output_text=_whole(out.get("text_tokens") or 0),
        output_audio=_whole(out.get("audio_tokens") or 0),
    )


def _item_done(fields: _Fields) -> e.ToolCalled | Unknown:
    item = fields["item"]
    if item.get("type") != "function_call":
        return Unknown("response.output_item.done")
    if item.get("status") not in (None, "completed"):
        # Cancelled in mid-sentence: the arguments may be half a JSON document.
        return Unknown("function_call_incomplete")
    return e.ToolCalled(
        _str(fields["response_id"]),
        _maybe(item.get("id")) or "",
        _str(item["call_id"]),
        _str(item["name"]),
        _maybe(item.get("arguments")) or "{}",
    )


def _transcribed(fields: _Fields) -> e.CallerTranscribed | Unknown:
    if fields.get("status") == "in_progress":
        # xAI tells the beginnings of a transcript by the same event.
        return Unknown("transcription_in_progress")
    return e.CallerTranscribed(_str(fields["item_id"]), _maybe(fields["transcript"]) or "")


def _error(fields: _Fields) -> e.ModelError:
    error = fields["error"]
    code = error.get("code") or error.get("type") or "unknown"
    return e.ModelError(_str(code)[:64], _maybe(error.get("event_id")), _maybe(error.get("param")))


def _counted_audio(fields: _Fields) -> e.SpeechAudio:
    return _audio(fields | {"content_index": 0})


class _Words:
    """The words of a line's items, told in deltas, or in sentences that are each ``done``."""

    def __init__(self) -> None:
        self._told_by: dict[str, str] = {}

    def delta(self, fields: _Fields) -> e.SpeechText:
        """A piece, as in GA, but for its ``content_index``."""
        text = _text(fields | {"content_index": 0})
        self._told_by[text.item_id] = "deltas"
        return text

    def done(self, fields: _Fields) -> e.SpeechText | Unknown:
        """A sentence, or what the deltas have told already."""
        item_id, words = _str(fields["item_id"]), _str(fields["transcript"])
        before = self._told_by.get(item_id)
        if before == "deltas":
            return Unknown("response.output_audio_transcript.done")
        self._told_by[item_id] = "sentences"
        text = f" {words}" if before else words
        return e.SpeechText(_str(fields["response_id"]), item_id, 0, text)


def _call_done(fields: _Fields) -> e.ToolCalled:
    return e.ToolCalled(
        _str(fields["response_id"]),
        _maybe(fields.get("item_id")) or "",
        _str(fields["call_id"]),
        _str(fields["name"]),
        _maybe(fields.get("arguments")) or "{}",
    )


_READERS: dict[str, Callable[[_Fields], Message]] = {
    "response.output_audio.delta": _audio,
    "response.output_audio.done": _audio_done,
    "response.output_audio_transcript.delta": _text,
    "response.function_call_arguments.delta": _at_work,
    "response.output_item.added": _item_added,
    "response.created": _response_created,
    "response.done": _response_done,
    "response.output_item.done": _item_done,
    "input_audio_buffer.speech_started": lambda f: e.SpeechStarted(_str(f["item_id"])),
    "input_audio_buffer.speech_stopped": lambda f: e.SpeechStopped(_str(f["item_id"])),
    "input_audio_buffer.committed": lambda f: e.CallerTurnCommitted(_str(f["item_id"])),
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "session.created": _session_created,
    "session.updated": _session_updated,
    "error": _error,
}
_TERMINAL: dict[str, Callable[[_Fields], Message]] = {
    "response.output_audio.delta": _counted_audio,
    "response.output_audio.done": lambda f: _audio_done(f | {"content_index": 0}),
    "response.output_item.done": lambda f: Unknown(f["type"]),
    "response.function_call_arguments.done": _call_done,
}
"""Where only the last event about a call is to be relied on."""


def parse(
    message: bytes | memoryview | str,
    readers: Mapping[str, Callable[[_Fields], Message]] = _READERS,
) -> Message:
    """One server event. Raises ``Malformed`` when a type we know lacks what it must have."""
    try:
        fields = orjson.loads(message)
        kind = fields["type"]
        reader = readers.get(kind)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Malformed("not_a_message") from None
    if reader is None:
        return Unknown(kind[:64] if isinstance(kind, str) else "not_a_name")
    try:
        return reader(fields)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise Malformed(f"missing_field:{kind}") from None


def reader(dialect: Dialect) -> Callable[[bytes | memoryview | str], Message]:
    """``parse``, or what stands in its place on one line to a server of that dialect."""
    readers = dict(_READERS)
    if dialect.opens_with != "session.created":
        readers[dialect.opens_with] = readers.pop("session.created")
    if dialect.terminal_only:
        words = _Words()
        readers |= _TERMINAL
        readers["response.output_audio_transcript.delta"] = words.delta
        readers["response.output_audio_transcript.done"] = words.done
    return parse if readers == _READERS else partial(parse, readers=readers)


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
        del detection["eagerness"]
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


def writer(dialect: Dialect) -> Callable[[c.ToModel], str]:
    """``write``, or what stands in its place; empty text is what that server is not told."""
    writers = dict(_WRITERS)
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
    audio = bytes([MULAW_SILENCE]) * bytes_of_ms(command.length_ms)
    return append(c.AppendAudio(b2a_base64(audio, newline=False).decode()))


def _create_response(command: c.CreateResponse, *, can_choose: bool = True) -> str:
    response: dict[str, Any] = {"metadata": {"purpose": command.purpose}}
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
    c.AddMessage: _message,
    c.AddToolCall: _tool_call,
    c.AddToolOutput: _tool_output,
    c.AskAlive: _ask_alive,
}
