"""Asking a program of the operator's where a caller is to go, and what its answer means. Pure.

The question is ``transfer.requested``, in the envelope of the other notices. Rule: the answer is
judged like the document. An address that could not stand there leads nowhere, and an answer with
anything in it that is not understood is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.call.lookup import Misunderstood
from app.number_kinds import refusal
from app.protocol.sip_headers import header_name, one_line

REQUESTED = "transfer.requested"
WITHIN_S = 3.0
MOST_ANSWER_BYTES = 32_768
_KNOWN = {"to", "whisper", "headers"}
_MOST_HEADERS = 20
_LONGEST_CHARS = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the caller is to go."""

    to: str
    headers: Mapping[str, str] = field(default_factory=dict)
    whisper: str | None = None
    """What the person is told who is asked first; None: what the document says."""


def question(
    about: Mapping[str, Any], *, target: str, summary: str, timestamp: str
) -> dict[str, object]:
    """The body of the request. ``about`` is what every notice says of the call."""
    data = {**about, "target": target, "summary": summary}
    return {"type": REQUESTED, "timestamp": timestamp, "data": data}


def answer(body: bytes, reach: Callable[[str], object]) -> Answer:
    """What the program said. Raises ``Misunderstood`` with the field that is to blame.

    ``reach`` raises ``ValueError`` for an address that the carrier cannot dial.
    """
    try:
        given = orjson.loads(body)
    except ValueError:
        raise Misunderstood("json") from None
    if not isinstance(given, dict):
        raise Misunderstood("json")
    if strange := sorted(given.keys() - _KNOWN):
        raise Misunderstood(strange[0])
    whisper = given.get("whisper")
    if whisper is not None and not _short(whisper):
        raise Misunderstood("whisper")
    to = _destination(given.get("to"), reach)
    return Answer(to, _headers(given.get("headers") or {}), whisper)


def _destination(to: object, reach: Callable[[str], object]) -> str:
    if not isinstance(to, str) or refusal(to) is not None:
        raise Misunderstood("to")
    try:
        reach(to)
    except ValueError:
        raise Misunderstood("to") from None
    if set(to) & set('<>"'):
        raise Misunderstood("to")
    return to


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > _MOST_HEADERS:
        raise Misunderstood("headers")
    headers = {}
    for name, value in given.items():
        known = header_name(name)
        if known is None or not isinstance(value, str) or one_line(value) != value.strip():
            raise Misunderstood("headers")
        headers[known] = value
    return headers


def _short(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _LONGEST_CHARS
