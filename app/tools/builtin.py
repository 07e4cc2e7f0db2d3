"""The two tools every agent may have: ending the call, and putting the caller through.

Only what the model sees of them is here; what they do is decided by the call's machine. The
one rule: the model chooses a target by the name the operator gave it. Nothing it writes is
ever a number, an address or a piece of one.
"""

from collections.abc import Mapping
from typing import Any

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
RESERVED_NAMES = frozenset({END_CALL, TRANSFER_CALL})

_REASON = {"type": "string", "description": "Why, in a few words; the caller does not hear it."}


def builtin_schemas(targets: Mapping[str, str]) -> list[dict[str, Any]]:
    """The built-ins in Realtime's shape: transfer_call only if there is somebody to call.

    ``targets`` maps names to descriptions, which tell the model when to choose them and may
    be empty.
    """
    return [_end_call(), *([_transfer_call(targets)] if targets else [])]


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
