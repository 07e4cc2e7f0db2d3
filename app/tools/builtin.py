"""The tools every agent may have: ending the call, putting the caller through, having something
keyed in, calling back.

Only what the model sees of them is here; what they do is decided by the call's machine. The
one rule: the model chooses a target by the name the operator gave it. Nothing it writes is
ever a number, an address or a piece of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
SCHEDULE_CALLBACK = "schedule_callback"
SET_REMINDER = "set_reminder"
COLLECT_DTMF = "collect_dtmf"
HOLD = "hold"
SEND_SMS = "send_sms"
VERIFY_CODE = "verify_code"
CODE_PRESET = "verification_code"
RESERVED_NAMES = frozenset(
    {END_CALL, TRANSFER_CALL, SET_REMINDER, SCHEDULE_CALLBACK, COLLECT_DTMF, HOLD, SEND_SMS}
    | {VERIFY_CODE}
)

_REASON = {"type": "string", "description": "Why, in a few words; the caller does not hear it."}

_SUMMARY = {
    "type": "string",
    "description": (
        "One sentence for the person: who is calling and what about. They hear it before they "
        "take the call."
    ),
}


@dataclass(frozen=True, slots=True)
class Texting:
    """What the model has to know of text messages."""

    to: tuple[str, ...] = ("caller",)
    media: Mapping[str, str] = field(default_factory=dict)
    """What may be attached, by name, with a description that may be empty."""
    segments: int = 3


def builtin_schemas(
    targets: Mapping[str, str],
    presets: Mapping[str, str] | None = None,
    *,
    summarised: bool = False,
    calls_back: bool = False,
    holds: bool = False,
    reminds: bool = False,
    texts: Texting | None = None,
    verifies: bool = False,
) -> list[dict[str, Any]]:
    """The built-ins in Realtime's shape: transfer_call only if there is somebody to call.

    ``targets`` maps names to descriptions, which tell the model when to choose them and may
    be empty. ``presets`` are what the caller can be asked to key in, by name, with what the model
    has to know of them: without any there is no collect_dtmf. ``summarised``: somebody is asked
    before the caller is put through, and told what it is about. ``calls_back``: the operator
    allows call-backs. ``texts``: it allows text messages. ``verifies``: and codes.
    """
    offered = [_end_call()]
    if targets:
        offered.append(_transfer_call(targets, summarised=summarised))
    if presets:
        offered.append(_collect_dtmf(presets))
    if calls_back:
        offered.append(_schedule_callback())
    if reminds:
        offered.append(_set_reminder())
    if holds:
        offered.append(_hold())
    if texts is not None:
        offered.append(_send_sms(texts))
    if verifies:
        offered.append(_verify_code())
    return offered


def _hold() -> dict[str, Any]:
    return {
        "type": "function",
        "name": HOLD,
        "description": (
            "Let the caller hear music until you speak again. Use it together with a tool that "
            "takes long, after you have told the caller that it will."
        ),
        "parameters": {
            "type": "object",
            "properties": {"reason": _REASON},
            "additionalProperties": False,
        },
    }


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


def _collect_dtmf(presets: Mapping[str, str]) -> dict[str, Any]:
    known = [f"{name}: {text}" if text else name for name, text in presets.items()]
    return {
        "type": "function",
        "name": COLLECT_DTMF,
        "description": (
            "Have the caller key something in on their telephone. First ask them for it in one "
            "short sentence that says what to press, then call this in the same response, and say "
            "nothing until it has answered. Digits that are secret come as a name in double "
            "braces: pass that name to a tool as it is, and never say it."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "preset": {
                    "type": "string",
                    "enum": list(presets),
                    "description": "\n".join(known),
                }
            },
            "required": ["preset"],
            "additionalProperties": False,
        },
    }


_MOMENT: dict[str, Any] = {
    "in_minutes": {"type": "integer", "minimum": 1},
    "day": {
        "type": "string",
        "description": "today, tomorrow, a weekday such as monday, or 2026-11-24",
    },
    "time": {"type": "string", "description": "By the 24-hour clock: 14:30"},
    "timezone": {
        "type": "string",
        "description": "Such as Europe/Paris; only if you are asked for it.",
    },
}


def _set_reminder() -> dict[str, Any]:
    return {
        "type": "function",
        "name": SET_REMINDER,
        "description": (
            "Note something that your colleagues must do after the call. You will not do it "
            "yourself. Give in_minutes, or day and time by the caller's clock, where it is due at "
            "some moment. The same title again changes the note."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "description": "What is to be done, in a few words."},
                "description": {"type": "string", "description": "What they must know for it."},
                **_MOMENT,
            },
            "required": ["title"],
            "additionalProperties": False,
        },
    }


def _schedule_callback() -> dict[str, Any]:
    return {
        "type": "function",
        "name": SCHEDULE_CALLBACK,
        "description": (
            "Arrange to call the caller back, on the number they are calling from. Use it when "
            "they ask for it or agree to it, and ask them when. Give in_minutes, or day and time "
            "by their clock. Nothing is arranged before you are told so: then confirm the time "
            "that you were told. Another call of the tool moves the call-back."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                **_MOMENT,
                "reason": {
                    "type": "string",
                    "description": "What the call-back is to be about, in a sentence.",
                },
            },
            "required": ["reason"],
            "additionalProperties": False,
        },
    }


def _verify_code() -> dict[str, Any]:
    return {
        "type": "function",
        "name": VERIFY_CODE,
        "description": (
            "Find out whether the caller has the telephone whose number they show. First send: a"
            f" code goes to it as a text message. Then have it keyed in by {COLLECT_DTMF} with the"
            f" preset {CODE_PRESET}, and then check. You never learn the code: do not ask for it"
            " to be said, and take nobody for verified before you are told so."
        ),
        "parameters": {
            "type": "object",
            "properties": {"step": {"type": "string", "enum": ["send", "check"]}},
            "required": ["step"],
            "additionalProperties": False,
        },
    }


def _send_sms(texts: Texting) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "text": {
            "type": "string",
            "description": f"What it says: at most {texts.segments * 153} characters, fewer with"
            " letters beyond the Latin ones or emoji.",
        }
    }
    if texts.to != ("caller",):
        properties["to"] = {"type": "string", "enum": list(texts.to), "description": "Who gets it."}
    if texts.media:
        known = [f"{name}: {text}" if text else name for name, text in texts.media.items()]
        properties["media"] = {
            "type": "string",
            "enum": list(texts.media),
            "description": "What is attached.\n" + "\n".join(known),
        }
    who = "to the caller's own number" if texts.to == ("caller",) else ""
    return {
        "type": "function",
        "name": SEND_SMS,
        "description": (
            f"Send a text message {who}, such as an address or a number they want to keep."
            " Ask them first whether they want it. Say that it is on its way only when you are"
            " told so; you are told later if it does not arrive."
        ),
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": ["text"],
            "additionalProperties": False,
        },
    }


def _transfer_call(targets: Mapping[str, str], *, summarised: bool) -> dict[str, Any]:
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
                **({"summary": _SUMMARY} if summarised else {}),
            },
            "required": ["target"],
            "additionalProperties": False,
        },
    }
