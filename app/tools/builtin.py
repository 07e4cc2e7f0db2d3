"""The two tools every agent may have: ending the call, and putting the caller through.

Only what the model sees of them is here; what they do is decided by the call's machine. The
one rule: the model chooses a target by the name the operator gave it. Nothing it writes is
ever a number, an address or a piece of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
RESERVED_NAMES = frozenset({END_CALL, TRANSFER_CALL})

_MAX_REASON_CHARS = 500
_REASON = {"type": "string", "description": "Why, in a few words; the caller does not hear it."}


@dataclass(frozen=True, slots=True)
class TransferWish:
    """A target of the operator's document, and why the model chose it."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class WishRefused:
    """The model named no target; ``text`` tells it what there is."""

    text: str


def builtin_schemas(targets: Mapping[str, str]) -> list[dict[str, Any]]:
    """The built-ins in Realtime's shape: transfer_call only if there is somebody to call.

    ``targets`` maps names to descriptions, which tell the model when to choose them and may
    be empty.
    """
    return [_end_call(), *([_transfer_call(targets)] if targets else [])]


def parse_transfer(arguments: str, targets: Mapping[str, str]) -> TransferWish | WishRefused:
    """Read the arguments of transfer_call, JSON text as the model wrote it. Never raises.

    A name counts whatever its case; the answer holds it as the operator wrote it.
    """
    wish = _object(arguments)
    named = wish.get("target")
    found = {target.casefold(): target for target in targets}
    target = found.get(named.strip().casefold()) if isinstance(named, str) else None
    if target is None:
        known = ", ".join(targets) or "none"
        return WishRefused(f"There is no such target. There are: {known}. Choose one by its name.")
    return TransferWish(target, _reason(wish))


def parse_end_call(arguments: str) -> str:
    """The reason the model gives for hanging up; empty if it gives none. Never raises.

    Malformed arguments are no reason to keep a caller who said goodbye.
    """
    return _reason(_object(arguments))


def _end_call() -> dict[str, Any]:
    return {
        "type": "function",
        "name": END_CALL,
        "description": (
            "Hang up. Use it once the caller's wish is settled or they want to end the call. "
            "Say goodbye first; the call ends when they have heard it."
        ),
        "parameters": {
            "type": "object",
            "properties": {"reason": _REASON},
            "additionalProperties": False,
        },
    }


def _transfer_call(targets: Mapping[str, str]) -> dict[str, Any]:
    known = [f"{name}: {text}" if text else name for name, text in targets.items()]
    return {
        "type": "function",
        "name": TRANSFER_CALL,
        "description": (
            "Put the caller through to a person. Use it when they ask for one or when you "
            "cannot help. You will be told if nobody could be reached."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "target": {
                    "type": "string",
                    "enum": list(targets),
                    "description": "\n".join(known),
                },
                "reason": _REASON,
            },
            "required": ["target"],
            "additionalProperties": False,
        },
    }


def _object(arguments: str) -> dict[str, Any]:
    try:
        read = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _reason(wish: Mapping[str, Any]) -> str:
    reason = wish.get("reason")
    return reason[:_MAX_REASON_CHARS] if isinstance(reason, str) else ""
