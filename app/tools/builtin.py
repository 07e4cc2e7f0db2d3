"""The tools every agent may have, in Realtime's shape.

Only what the model sees of them is here; which agent has them, and who carries them out, is
said in ``app.built_ins``. The one rule: the model chooses a target by the name the operator gave
it. Nothing it writes is ever a number, an address or a piece of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.call.built_in import (
    COLLECT_DTMF,
    END_CALL,
    HANDOFF,
    HOLD,
    SCHEDULE_CALLBACK,
    SEARCH_KNOWLEDGE,
    SEND_DTMF,
    SEND_LINK,
    SEND_SMS,
    SET_REMINDER,
    TRANSFER_CALL,
    UPDATE_FORM,
    VERIFY_CODE,
)
from app.call.forms import Form, FormField, described

CODE_PRESET = "verification_code"

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


def hold() -> dict[str, Any]:
    """Letting the caller hear music."""
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


def send_dtmf() -> dict[str, Any]:
    """Pressing keys."""
    return {
        "type": "function",
        "name": SEND_DTMF,
        "description": (
            "Press keys of your telephone, such as the choice in a menu that you listen to. Call "
            "it without saying anything, and then listen."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "digits": {
                    "type": "string",
                    "description": "0-9, *, #, A-D; w waits half a second, W a second: 1w2#",
                }
            },
            "required": ["digits"],
            "additionalProperties": False,
        },
    }


def end_call() -> dict[str, Any]:
    """Hanging up."""
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


def collect_dtmf(presets: Mapping[str, str]) -> dict[str, Any]:
    """Having something keyed in: ``presets`` by name, with what the model has to know of each."""
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


def set_reminder() -> dict[str, Any]:
    """Noting something for the operator's people."""
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


def schedule_callback() -> dict[str, Any]:
    """Promising to call back."""
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


def send_link() -> dict[str, Any]:
    """send_link: a page of the call, for who is on the line."""
    return {
        "type": "function",
        "name": SEND_LINK,
        "description": (
            "Send the caller, as a text message, the address of a page on which they read this call"
            " and can write to you, also after they have hung up. Ask them first whether they want"
            " it. Say that it is on its way only when you are told so."
        ),
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def verify_code() -> dict[str, Any]:
    """Sending a code, and checking what was keyed in."""
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


def send_sms(texts: Texting) -> dict[str, Any]:
    """Sending a text message."""
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


def search_knowledge() -> dict[str, Any]:
    """Looking something up in the operator's documents."""
    return {
        "type": "function",
        "name": SEARCH_KNOWLEDGE,
        "description": (
            "Look something up in the documents of the business, before you answer a question of"
            " fact that your instructions do not answer. It finds passages by their words."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "query": {
                    "type": "string",
                    "description": (
                        "The few words that the answer would hold, in the language of the"
                        " documents: return damaged goods"
                    ),
                }
            },
            "required": ["query"],
            "additionalProperties": False,
        },
    }


_FIELD_TYPES = {"number": "number", "boolean": "boolean"}


def update_form(form: Form) -> dict[str, Any]:
    """Noting what the caller says, in the fields of a form."""
    names = [one.name for one in form.fields if one.confirm]
    confirmed = {
        "type": "array",
        "items": {"type": "string", "enum": names},
        "description": (
            "Fields that you have noted before and read back, and to which the caller said yes."
        ),
    }
    fields = {
        "type": "object",
        "properties": {one.name: _field(one) for one in form.fields},
        "additionalProperties": False,
        "description": "Only what the caller has said; leave out what you do not know.",
    }
    return {
        "type": "function",
        "name": UPDATE_FORM,
        "description": (
            "Note what the caller has told you, as soon as they have, also when it is only one"
            " thing or replaces another. You are told what did not fit and what is missing."
        ),
        "parameters": {
            "type": "object",
            "properties": {"fields": fields, **({"confirmed": confirmed} if names else {})},
            "additionalProperties": False,
        },
    }


def _field(field: FormField) -> dict[str, Any]:
    choices = {"enum": list(field.values)} if field.values else {}
    kind = _FIELD_TYPES.get(field.type, "string")
    return {"type": kind, **choices, "description": described(field)}


def handoff(agents: Mapping[str, str]) -> dict[str, Any]:
    """Handing the conversation to another agent: ``agents`` with what each is for."""
    return {
        "type": "function",
        "name": HANDOFF,
        "description": (
            "Hand the conversation to a colleague who is made for what the caller wants. First say"
            " in one short sentence that you do; they know everything that was said."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "agent": {
                    "type": "string",
                    "enum": list(agents),
                    "description": "\n".join(f"{name}: {text}" for name, text in agents.items()),
                },
                "reason": _REASON,
            },
            "required": ["agent"],
            "additionalProperties": False,
        },
    }


def transfer_call(targets: Mapping[str, str], *, summarised: bool = False) -> dict[str, Any]:
    """Putting the caller through: ``targets`` with descriptions, which tell the model when to
    choose them and may be empty. ``summarised``: somebody is asked before the caller is put
    through, and told what it is about."""
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
