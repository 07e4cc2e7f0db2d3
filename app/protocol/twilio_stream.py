"""Twilio Media Streams messages, both ways: JSON text to events, commands to JSON text.

The codec is bound to one stream once ``start`` named it, and refuses messages for another.
Incoming messages are parsed completely; outgoing ones are built from checked parts, because
Twilio answers a missing or extra field with warning 31951 and plays nothing.
Source: Twilio docs, voice/media-streams/websocket-messages (2026-11).
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.protocol.base64_text import checked_length
from app.protocol.commands import ClearPlayback, PlayAudio, SendMark
from app.protocol.errors import Malformed
from app.protocol.events import CallerAudio, CallerDigit, MarkReturned, StreamStopped

_STREAM_SID = re.compile(r"MZ[0-9a-fA-F]{32}")
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
_DIGIT = re.compile(r"[0-9*#A-D]")
_LONGEST_MARK = 256
_TOO_MANY_DIGITS = 10
"""Of a timestamp in ms: with nine, eleven days. No call lasts as long, so a larger one is
nonsense and not a gap to pad."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message on the socket; says nothing about the call."""


@dataclass(frozen=True, slots=True)
class Start:
    """``start``: which call this socket belongs to, and in which format it speaks."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str] = field(default_factory=dict)
    """The ``<Parameter>`` elements of our own TwiML."""
    encoding: str = ""
    sample_rate_hz: int = 0
    channels: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message type we do not know, or do not need: counted and ignored."""

    kind: str


Message = Connected | Start | CallerAudio | CallerDigit | MarkReturned | StreamStopped | Unknown


def parse(message: bytes | memoryview | str, stream_sid: str | None = None) -> Message:
    """One text message of Twilio's as an event or, before the machine's time, as itself.

    ``stream_sid`` is the stream this socket was started for, None before ``start``.
    Raises ``Malformed`` for anything that is not Media Streams JSON for that stream.
    """
    try:
        fields = orjson.loads(message)
        kind = fields["event"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Malformed("not_a_message") from None
    try:
        if kind == "media" and fields["streamSid"] == stream_sid:
            media = fields["media"]
            if media["track"] == "inbound":
                payload, digits = media["payload"], media["timestamp"]
                # int() alone takes " 1", "+1" and "1_0", and takes long over many digits.
                if digits.isdecimal() and digits.isascii() and len(digits) < _TOO_MANY_DIGITS:
                    return CallerAudio(payload, checked_length(payload), int(digits))
        return _rare(kind, fields, stream_sid)
    except (KeyError, TypeError, AttributeError):
        raise Malformed("missing_field") from None
    except Malformed:
        raise
    except ValueError:
        raise Malformed("bad_timestamp" if kind == "media" else "bad_number") from None


def _rare(kind: str, fields: dict[str, Any], stream_sid: str | None) -> Message:
    """Everything but the caller's audio, which comes fifty times a second."""
    if kind == "connected":
        return Connected()
    if kind == "start":
        return _start(fields)
    if fields["streamSid"] != stream_sid:
        raise Malformed("wrong_stream")
    if kind == "mark":
        return _mark(fields["mark"])
    if kind == "dtmf":
        return _digit(fields["dtmf"])
    if kind == "stop":
        return StreamStopped()
    if kind == "media":
        if fields["media"]["track"] == "inbound":
            raise Malformed("bad_timestamp")
        return Unknown("media_outbound")
    return Unknown(kind[:32] if isinstance(kind, str) else "not_a_name")


def _mark(mark: dict[str, str]) -> MarkReturned:
    name = mark["name"]
    if name.__class__ is not str or len(name) > _LONGEST_MARK:
        raise Malformed("bad_mark")
    return MarkReturned(name)


def _digit(dtmf: dict[str, str]) -> CallerDigit:
    digit = dtmf["digit"]
    if not _DIGIT.fullmatch(digit):
        raise Malformed("bad_digit")
    return CallerDigit(digit)


def _start(fields: dict[str, object]) -> Start:
    start = fields["start"]
    if not isinstance(start, dict):
        raise Malformed("missing_field")
    stream_sid, call_sid = start["streamSid"], start["callSid"]
    if not (_STREAM_SID.fullmatch(stream_sid) and _CALL_SID.fullmatch(call_sid)):
        raise Malformed("bad_sid")
    media_format = start["mediaFormat"]
    parameters = start.get("customParameters") or {}
    return Start(
        stream_sid=stream_sid,
        call_sid=call_sid,
        account_sid=str(start["accountSid"]),
        parameters={str(name): str(value) for name, value in parameters.items()},
        encoding=str(media_format["encoding"]),
        sample_rate_hz=int(media_format["sampleRate"]),
        channels=int(media_format["channels"]),
    )


class Writer:
    """Commands as messages of one stream; the parts that do not change are built once."""

    def __init__(self, stream_sid: str) -> None:
        head = f'","streamSid":"{stream_sid}"'
        self._media = '{"event":"media' + head + ',"media":{"payload":"'
        self._mark = '{"event":"mark' + head + ',"mark":{"name":"'
        self._clear = '{"event":"clear' + head + "}"

    def media(self, command: PlayAudio) -> str:
        """The payload was checked when it came from the model; see ``base64_text``."""
        return f'{self._media}{command.payload_b64}"}}}}'

    def mark(self, command: SendMark) -> str:
        """Mark names are ours (``playout``): letters, digits, colons."""
        return f'{self._mark}{command.name}"}}}}'

    def clear(self, _command: ClearPlayback) -> str:
        """Empties Twilio's buffer; every outstanding mark comes back at once."""
        return self._clear
