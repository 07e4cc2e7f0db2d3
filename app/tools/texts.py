"""A text message the model wants sent: read, measured, refused in words it can use. Pure.

Rule: what the model writes is the text alone. Whom it goes to and what is attached are names of
the operator's, and a name that is none of them sends nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.protocol.segments import GSM_JOINED, MOST_CHARS, UCS_JOINED, plain, segments
from app.tools.callback import Refused

CALLER = "caller"
_WHY = {
    "opted_out": "They have opted out of text messages from this number and get none, unless they"
    " send START to it. Do not try again; tell them, and say it aloud instead.",
    "no_number": "There is no number to send it to: theirs is hidden, or no telephone's.",
    "do_not_call": "This number is on the list of those that must not be sent anything.",
    "landline": "That number is a landline and gets no text messages. Say it aloud instead.",
    "country_not_allowed": "Numbers of that country are sent no messages from here.",
    "not_sent": "It could not be sent. Say so in one sentence, and say aloud what it was about.",
    "unclear": "Nobody knows whether it was sent. Do not send it again: ask them whether it has"
    " come, and say aloud what it was about if not.",
    "undelivered": "It was sent and did not arrive.",
    "too_many": "No more messages can be sent in this call. Say it aloud instead.",
    "in_progress": "It is being sent already.",
}
_CODES = {
    21610: "opted_out",
    30004: "opted_out",
    30006: "landline",
    21614: "landline",
    21211: "no_number",
    21217: "no_number",
    21408: "country_not_allowed",
    30003: "undelivered",
    30005: "no_number",
}
"""Twilio's codes for what whoever waits for a message can be told of."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the document says of messages, as plain values."""

    from_: str = "line"
    """line, a number, or a messaging service."""
    to: Mapping[str, str] = field(default_factory=dict)
    """Targets by name, with their numbers; the caller is ``""``."""
    media: Mapping[str, str] = field(default_factory=dict)
    """Addresses by name."""
    segments: int = 3
    per_call: int = 5
    as_caller_text: bool = False
    answer: bool = False
    """Whoever was on record once may write."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message to be sent."""

    body: str
    to: str = CALLER
    """``caller``, or a name of the operator's."""
    media: str | None = None


def asked(arguments: str, to: Collection[str], media: Collection[str], most_segments: int) -> Text:
    """What the model wants sent, with these arguments (JSON text). Raises ``Refused``."""
    try:
        given: Any = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, Mapping):
        raise Refused("The arguments were not complete JSON. Call the tool again with all of them.")
    named = given.get("to") or next(iter(to))
    if named not in to:
        raise Refused(f"Nobody is called that; to must be one of: {', '.join(to)}.")
    attached = given.get("media") or None
    if attached is not None and attached not in media:
        raise Refused(f"There is no such media; it must be one of: {', '.join(media) or 'none'}.")
    return Text(_body(given.get("text"), most_segments), str(named), attached)


def _body(text: object, most_segments: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Refused("Write in text what the message is to say, then call the tool again.")
    body = "".join(sign for sign in text.strip() if sign.isprintable() or sign == "\n")
    needed = segments(body)
    if needed > most_segments or len(body) > MOST_CHARS:
        room = min(most_segments * (GSM_JOINED if plain(body) else UCS_JOINED), MOST_CHARS)
        raise Refused(
            f"It is too long: {len(body)} characters, and at most {room} can be sent. Make it"
            " shorter, then call the tool again."
        )
    return body


def reason_of(code: int | None, otherwise: str) -> str:
    """Why it was not sent or did not arrive, as a stable word, by Twilio's code."""
    return _CODES.get(code or 0, otherwise)


def why(reason: str) -> str:
    """The same in words for the model."""
    return _WHY.get(reason, _WHY["not_sent"])


def told_of(reason: str | None) -> str:
    """What the model is told of a message: None, it is on its way."""
    if reason is None:
        note = "It is on its way. You are told if it does not arrive."
        return orjson.dumps({"ok": True, "status": "sent", "note": note}).decode()
    return orjson.dumps({"ok": False, "status": reason, "reason": why(reason)}).decode()
