"""Wishes: what an operator may have done with a live call, and what became of it.

The words of both, as they cross from process to process. Rule: a wish becomes an event of the
machine here and nowhere else; where the caller goes it says by the name of a target.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from app.call.presses import without_keys
from app.protocol.events import (
    ConfigureOrdered,
    DigitsOrdered,
    Event,
    HangUpOrdered,
    HoldOrdered,
    KeysOrdered,
    MessageOrdered,
    MuteOrdered,
    RespondOrdered,
    SayOrdered,
    TransferOrdered,
    UnholdOrdered,
    UnmuteOrdered,
)
from app.runtime.routing import OPERATOR_ENDED

TO_A_TARGET = frozenset({"transfer", "takeover"})
"""They name a person."""
BY_CARRIER = frozenset({"end_call", *TO_A_TARGET})
"""Twilio can do them where nobody else can."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One command, as the operator wrote it."""

    type: str
    """One of ``_EVENTS``."""
    fields: Mapping[str, str] = field(default_factory=dict)
    command_id: str = field(default_factory=lambda: f"cmd_{secrets.token_hex(12)}")


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a command by now."""

    command_id: str
    type: str
    state: str
    """accepted, completed, failed, refused or dropped."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What became of all commands of a request."""

    call_id: str
    commands: tuple[Became, ...]


def event_of(wish: Wish, after: str) -> Event:
    """What the machine is told; ``after`` is the id of the wish it stands behind."""
    return _EVENTS[wish.type](command_id=wish.command_id, after=after, **wish.fields)


def _end_call(**fields: str) -> Event:
    return HangUpOrdered(OPERATOR_ENDED, **fields)


def _takeover(command_id: str, target: str, after: str) -> Event:
    return TransferOrdered(command_id, target, after=after, at_once=True)


def _send_dtmf(command_id: str, after: str, digits: str, sensitive: str = "") -> Event:
    if sensitive:
        return KeysOrdered(command_id, without_keys(digits), after, digits)
    return KeysOrdered(command_id, digits, after)


def _configure(command_id: str, after: str, **fields: str) -> Event:
    least = fields.get("min_interruption_ms")
    return ConfigureOrdered(
        command_id,
        after,
        fields.get("interruptible", ""),
        None if least is None else int(least),
        fields.get("strategy", ""),
        orjson.loads(fields.get("session", "{}")),
    )


_EVENTS: dict[str, Callable[..., Event]] = {
    "end_call": _end_call,
    "transfer": TransferOrdered,
    "takeover": _takeover,
    "say": SayOrdered,
    "respond": RespondOrdered,
    "add_message": MessageOrdered,
    "dtmf.start": DigitsOrdered,
    "send_dtmf": _send_dtmf,
    "hold": HoldOrdered,
    "unhold": UnholdOrdered,
    "mute": MuteOrdered,
    "unmute": UnmuteOrdered,
    "configure": _configure,
}
