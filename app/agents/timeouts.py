"""How long something may take, as the operator writes it. A plain 0 is off, everywhere."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, NoReturn

from pydantic import BeforeValidator, Field

from app.agents.part import Part
from app.agents.values import (
    DURATION_SCHEMA,
    Text,
    Texts,
    between,
    duration_ms,
    or_just,
    or_zero,
    refuse,
)

GOODBYE = "end_call"


def _or_off(low: str, high: str) -> BeforeValidator:
    """A duration of ``low`` to ``high``, or 0, which is off."""

    def check(value: object) -> int:
        length_ms = duration_ms(value)
        if length_ms and not duration_ms(low) <= length_ms <= duration_ms(high):
            refuse(f"must be from {low} to {high}, or 0, which is off")
        return length_ms

    return BeforeValidator(check)


class Silence(Part):
    """What becomes of a caller who says nothing although it is their turn."""

    after_ms: Annotated[int, _or_off("3s", "10m"), DURATION_SCHEMA, or_zero] = Field(
        default=20_000, alias="after", json_schema_extra={"default": "20s"}
    )
    """So long before each reminder, and before the end. 0: nobody minds."""
    say: Texts = ()
    """The reminders, one after the other. Left out: in the agent's own words."""
    times: int = Field(default=3, ge=1, le=10)
    """So often in a row."""
    then: Text = GOODBYE
    """What follows: end_call, or the name of a target."""


def _no_words(value: object) -> object:
    if isinstance(value, dict) and "say" in value:
        refuse(
            "cannot be had: who would say it is who is waited for; the caller hears a soft tone",
            at="say",
        )
    return value


class Thinking(Part):
    """What becomes of a caller who waits for the model's answer."""

    filler_after_ms: Annotated[int, _or_off("1s", "30s"), DURATION_SCHEMA, or_zero] = Field(
        default=4_000, alias="filler_after", json_schema_extra={"default": "4s"}
    )
    """So long before they hear a soft tone, and again every two seconds. 0: they do not."""
    give_up_after_ms: Annotated[int, between("4s", "1m"), DURATION_SCHEMA] = Field(
        default=8_000, alias="give_up_after", json_schema_extra={"default": "8s"}
    )
    """So long until a response that has made no sound is cancelled and asked for once more; four
    seconds later the agent cannot go on."""


_zero_is_off = BeforeValidator(
    lambda value: "0s" if value == 0 and value is not False else value,
    json_schema_input_type=Silence | str | int,
)


class Timeouts(Part):
    """How long something may take, or be ago."""

    thinking: Annotated[Thinking, BeforeValidator(_no_words)] = Thinking()
    silence: Annotated[Silence, or_just("after", Silence), _zero_is_off] = Silence()
    max_call_ms: Annotated[int, _or_off("1m", "24h"), DURATION_SCHEMA, or_zero] = Field(
        default=1_800_000, alias="max_call", json_schema_extra={"default": "30m"}
    )
    """How long a call may last, all its streams together. 0: as long as it does."""
    tool_ms: Annotated[int, between("100ms", "10m"), DURATION_SCHEMA] = Field(
        default=10_000, alias="tool", json_schema_extra={"default": "10s"}
    )
    """How long a tool may take that says nothing about it itself."""
    resume: Annotated[int, between("0s", "7d"), or_zero] = 0
    """Who phones again within this time, after a call that was broken off, goes on with the
    same conversation. 0: never."""


def check(timeouts: Timeouts, targets: Collection[str]) -> None:
    """Refuse names that stand for nobody."""
    then = timeouts.silence.then
    if then != GOODBYE and then not in targets:
        _unknown(then, [*targets, GOODBYE])


def _unknown(then: str, known: Collection[str]) -> NoReturn:
    meant = next(iter(get_close_matches(then, known, n=1)), "")
    refuse(f'unknown target "{then}"', at="silence.then", meant=meant)
