"""Twilio's strictness about what a server sends on the media socket.

Twilio warns once and goes on; a test wants to know every time. Rule: a message is exactly
one of three shapes, or it is nothing and has a code: 31950 for what cannot be decoded,
31951 for what is decoded and wrong.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from app.emulators.twilio_words import Violation


@dataclass(frozen=True, slots=True)
class MediaMessage:
    """Audio to play: mu-law, 8 kHz, mono, any length."""

    mulaw: bytes


@dataclass(frozen=True, slots=True)
class MarkMessage:
    """A mark to return."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearMessage:
    """Play nothing of what is queued."""


Judged = MediaMessage | MarkMessage | ClearMessage | Violation

_FIELDS = {
    "media": {"event", "streamSid", "media"},
    "mark": {"event", "streamSid", "mark"},
    "clear": {"event", "streamSid"},
}


def judge(message: str | bytes, stream_sid: str) -> Judged:
    """What a server's message is, or how it breaks the protocol; never raises."""
    if isinstance(message, bytes):
        return Violation(31950, "binary frame")
    try:
        fields = json.loads(message, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Violation(31951, f"not JSON: {message[:80]!r}")
    if not isinstance(fields, dict):
        return Violation(31951, "not a JSON object")
    event = fields.get("event")
    if not isinstance(event, str) or event not in _FIELDS:
        return Violation(31951, f"unknown event {event!r}")
    if wrong := _wrong_fields(fields, _FIELDS[event], event):
        return wrong
    if fields["streamSid"] != stream_sid:
        return Violation(31951, f"{event}: streamSid is not that of this stream")
    match event:
        case "media":
            return _media(fields["media"])
        case "mark":
            return _mark(fields["mark"])
        case _:
            return ClearMessage()


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _wrong_fields(fields: Any, expected: set[str], where: str) -> Violation | None:
    if not isinstance(fields, dict):
        return Violation(31951, f"{where} is not an object")
    missing = sorted(expected - fields.keys())
    extra = sorted(fields.keys() - expected)
    if missing or extra:
        return Violation(31951, f"{where}: missing {missing}, not known {extra}")
    return None


def _media(media: Any) -> Judged:
    if wrong := _wrong_fields(media, {"payload"}, "media.media"):
        return wrong
    payload = media["payload"]
    if not isinstance(payload, str):
        return Violation(31951, "media.payload is not a string")
    try:
        mulaw = base64.b64decode(payload.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return Violation(31951, "media.payload is not base64")
    if not mulaw:
        return Violation(31951, "media.payload is empty")
    return MediaMessage(mulaw)


def _mark(mark: Any) -> Judged:
    if wrong := _wrong_fields(mark, {"name"}, "mark.mark"):
        return wrong
    name = mark["name"]
    if not isinstance(name, str) or not name:
        return Violation(31951, "mark.name is not a name")
    return MarkMessage(name)
