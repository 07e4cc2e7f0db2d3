"""Asking the operator's program who calls, and what its answer means. Pure.

The question is ``call.incoming``, in the envelope of the other notices; the answer a JSON object.
Rule: an answer with anything in it that is not understood is no answer, and a caller goes nowhere
but to a target of the operator's document.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.call.plan import Memory
from app.call.reception import Instead, Refusal

INCOMING = "call.incoming"
MOST_ANSWER_BYTES = 32_768
_MOST_VARIABLES = 64
_LONGEST_VALUE_CHARS = 1000
_NAME = re.compile(r"\w{1,64}")
_KNOWN = {"variables", "metadata", "reject", "transfer", "say"}
_REASONS = {"rejected": False, "busy": True}


class Misunderstood(ValueError):
    """The answer is not what was asked for; the message says in which field."""


@dataclass(frozen=True, slots=True)
class Guest:
    """What is known of who calls."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """For the model."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """For the record, as its custom data."""
    fault: str = ""
    """Why nothing is known, where the operator's program was to tell."""

    def memories(self) -> tuple[Memory, ...]:
        """What the model is told before anybody speaks."""
        return known_of(self.variables)


NOTHING_KNOWN = Guest()


def known_of(variables: Mapping[str, str]) -> tuple[Memory, ...]:
    """Variables as what a model line is told; nothing where there are none."""
    if not variables:
        return ()
    lines = ["What is known of the caller:", *(f"{name}: {variables[name]}" for name in variables)]
    return (Memory("system", "\n".join(lines)),)


def question(
    *, call_sid: str, from_number: str, to_number: str, timestamp: str
) -> dict[str, object]:
    """The body of the request."""
    data = {
        "call_sid": call_sid,
        "from": {"number": from_number},
        "to": {"number": to_number},
    }
    return {"type": INCOMING, "timestamp": timestamp, "data": data}


def answer(body: bytes, targets: Collection[str]) -> Guest | Refusal:
    """What the operator's program decided. Raises ``Misunderstood``.

    ``targets`` are those of the document.
    """
    given = _object(body)
    if strange := sorted(given.keys() - _KNOWN):
        raise Misunderstood(strange[0])
    if given.get("reject") not in (None, False):
        return Refusal("rejected", busy=_busy(given["reject"]))
    say = given.get("say")
    if say is not None and not (isinstance(say, str) and 0 < len(say) <= _LONGEST_VALUE_CHARS):
        raise Misunderstood("say")
    if given.get("transfer") is not None:
        return Refusal("put_through", Instead(say, _target(given["transfer"], targets)))
    if say is not None:
        return Refusal("told", Instead(say))
    return Guest(_variables(given.get("variables") or {}), _metadata(given.get("metadata") or {}))


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        given = orjson.loads(body)
    except ValueError:
        raise Misunderstood("json") from None
    if not isinstance(given, dict):
        raise Misunderstood("json")
    return given


def _busy(reject: object) -> bool:
    reason = reject.get("reason", "rejected") if isinstance(reject, dict) else "rejected"
    known = isinstance(reason, str) and reason in _REASONS
    if not (isinstance(reject, dict) or reject is True) or not known:
        raise Misunderstood("reject")
    return _REASONS[reason]


def _target(transfer: object, targets: Collection[str]) -> str:
    to = transfer.get("to") if isinstance(transfer, dict) else None
    if not isinstance(to, str) or to not in targets:
        raise Misunderstood("transfer")
    return to


def _metadata(given: object) -> dict[str, Any]:
    try:
        orjson.dumps(given)  # What is nested too deeply can be read and not written.
    except TypeError:
        raise Misunderstood("metadata") from None
    if not isinstance(given, dict):
        raise Misunderstood("metadata")
    return given


def _variables(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > _MOST_VARIABLES:
        raise Misunderstood("variables")
    variables = {name: _text(value) for name, value in given.items() if value is not None}
    if not all(map(_NAME.fullmatch, variables)):
        raise Misunderstood("variables")
    return variables


def _text(value: object) -> str:
    text = orjson.dumps(value).decode() if isinstance(value, bool | int | float) else value
    if not isinstance(text, str) or len(text) > _LONGEST_VALUE_CHARS:
        raise Misunderstood("variables")
    return " ".join(text.split())
