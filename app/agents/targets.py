"""Whom callers can be put through to, as the operator writes it, and what follows where nobody
takes the call."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from app.agents.part import Part
from app.agents.sounds import HoldAudio
from app.agents.values import (
    DURATION_SCHEMA,
    CallerId,
    Destination,
    Key,
    Text,
    between,
    or_just,
    refuse,
    soon,
)
from app.protocol import twiml

CALLER = "caller"
"""As a caller id: the caller's own number."""
RESUME, END_CALL, TAKE_MESSAGE = "resume", "end_call", "take_message"
WORDS = (RESUME, END_CALL, TAKE_MESSAGE)
"""What can follow, besides another target."""
SUMMARY = "{{summary.short}}"
_MOST_WHISPER_CHARS = 500
_WARM_ONLY = ("whisper", "accept_key", "reject_machines")


class OnFailure(Part):
    """What happens to the caller when nobody takes the call."""

    say: Text | None = None
    then: Text = RESUME
    """resume: back to the agent, who knows why. take_message: the same, and the agent offers to
    note a message. end_call, or the name of another target."""

    @field_validator("say")
    @classmethod
    def _fits(cls, value: str | None) -> str | None:
        refuse_overlong(value or "", None)
        return value


class Target(Part):
    """Somebody the caller can be put through to. The model knows its name, not its number."""

    description: Text
    """Who this is and when to transfer; the model reads it."""
    to: Destination
    """A phone number in E.164, tel:, sip: or client:."""
    mode: Annotated[Literal["cold", "warm"], soon("queue", "refer")] = "cold"
    """cold: the caller leaves the agent and hears it ring. warm: the person is called first, while
    the caller hears music, and takes the call with a key."""
    ring_timeout_ms: Annotated[int, between("1s", "10m"), DURATION_SCHEMA] = Field(
        default=20_000, alias="ring_timeout", json_schema_extra={"default": "20s"}
    )
    caller_id: CallerId = CALLER
    """Whose number the person sees: the caller's, or one of your account's. With mode: warm,
    caller is the number that was called: Twilio lets nobody else's be shown."""
    hold_audio: Annotated[HoldAudio, or_just("source", HoldAudio)] | None = None
    """What the caller hears from the announcement until the telephone rings; with mode: warm,
    until the person has taken the call."""
    whisper: Annotated[Text, Field(max_length=_MOST_WHISPER_CHARS)] = SUMMARY
    """With mode: warm, what the person is told first. {{summary.short}} is the agent's sentence
    about the call; a field of a form stands for what has been found out."""
    accept_key: Key = "1"
    """With mode: warm, the key that takes the call."""
    reject_machines: bool = True
    """With mode: warm, whether an answering machine is hung up on as soon as it is known to be
    one; it cannot take the call anyway."""
    on_failure: OnFailure = OnFailure()

    @field_validator(*_WARM_ONLY)
    @classmethod
    def _warm(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("mode", "warm") != "warm":
            refuse("has no effect: add mode: warm")
        return value

    @field_validator("accept_key")
    @classmethod
    def _pressable(cls, value: str) -> str:
        if value in "ABCD":
            refuse("is a key that most telephones lack: choose 0 to 9, * or #")
        return value


def check_chains(targets: Mapping[str, Target]) -> None:
    """Refuse a ``then`` that leads nowhere, in a circle, or to where nobody can go."""
    for name, target in targets.items():
        at, then = f"{name}.on_failure.then", target.on_failure.then
        if then in WORDS:
            continue
        if then not in targets:
            meant = next(iter(get_close_matches(then, [*targets, *WORDS], n=1)), "")
            refuse(f'unknown target "{then}"', at=at, meant=meant)
        if target.on_failure.say and target.mode == "warm":
            refuse("is not said: the caller hears music until the next one", at=_say(name))
        if target.mode == "cold" and targets[then].mode == "warm":
            refuse("must not be a warm target: the caller has left the agent by then", at=at)
        _refuse_circle(name, targets)


def _say(name: str) -> str:
    return f"{name}.on_failure.say"


def _refuse_circle(name: str, targets: Mapping[str, Target]) -> None:
    seen, then = [name], targets[name].on_failure.then
    while then in targets and then not in seen:
        seen.append(then)
        then = targets[then].on_failure.then
    if then in seen:
        refuse(f"goes in a circle: {' to '.join([*seen, then])}", at=f"{name}.on_failure.then")


def refuse_overlong(say: str, to: str | None, caller_id: str = CALLER, *, at: str = "") -> None:
    """A live call takes its last document by REST, where Twilio takes no more than so much."""
    shown = None if caller_id == CALLER else caller_id
    document = twiml.failure(twiml.Fallback(say, to, ring_timeout_s=600, caller_id=shown))
    if not twiml.fits_rest(document):
        excess = len(document) - twiml.REST_LIMIT_CHARS
        refuse(f"is {excess} characters too long for Twilio to say: shorten it", at=at)
