"""OpenAI Realtime (GA), what the server says: each JSON text is an event of ours, or nothing.

Dispatch is on the ``type`` string; types and fields we do not know are ignored, as the
protocol asks of its readers. Source: the GA API reference and the types of openai 3.x
(2026-11). Servers that deviate are read by the function that ``reader`` chooses for their
dialect.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from app.protocol import events as e
from app.protocol.base64_text import checked_length
from app.protocol.dialect import Dialect
from app.protocol.errors import Malformed

_Fields = dict[str, Any]
_Readers = Mapping[str, Callable[[_Fields], "Message"]]


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
        input_cached_audio=_whole(
            (into.get("cached_tokens_details") or {}).get("audio_tokens") or 0
        ),
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
