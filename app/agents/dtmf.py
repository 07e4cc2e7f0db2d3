"""What callers can be asked to key in, and how keys are pressed for the agent, as an operator
writes it.

The words are those of Twilio's <Gather> and of VoiceXML. Rule: a preset that could never be
complete, or never be right, does not load.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.agents.part import Part
from app.agents.values import (
    DURATION_SCHEMA,
    Key,
    Keyed,
    PresetName,
    Text,
    between,
    empty_if_none,
    or_just,
    refuse,
)


class DtmfPreset(Part):
    """Something the caller can be asked to key in. One of num_digits, max_digits and
    finish_on_key says when it is complete."""

    description: Text | None = None
    """What it is and when to ask for it; the model reads it."""
    num_digits: Annotated[int, Field(ge=1, le=100)] | None = None
    """Exactly so many."""
    min_digits: Annotated[int, Field(ge=1, le=100)] | None = None
    max_digits: Annotated[int, Field(ge=1, le=100)] | None = None
    finish_on_key: Key | None = None
    """The key that ends it and is no part of it, such as "#"."""
    first_digit_timeout_ms: Annotated[int, between("1s", "100s"), DURATION_SCHEMA] = Field(
        default=8_000, alias="first_digit_timeout", json_schema_extra={"default": "8s"}
    )
    """From the end of the question to the first key."""
    inter_digit_timeout_ms: Annotated[int, between("200ms", "100s"), DURATION_SCHEMA] = Field(
        default=4_000, alias="inter_digit_timeout", json_schema_extra={"default": "4s"}
    )
    """From one key to the next."""
    ignore_speech: bool = False
    """true: from the first key to the end the model hears silence."""
    stop_after: bool = False
    """true: further keys are ignored, until something is to be keyed in again."""
    sensitive: bool = False
    """true: the digits are given to tools, and to nobody else: neither model, record, log nor
    webhook."""
    choices: Annotated[Mapping[Keyed, Text], empty_if_none] = {}
    """What may be keyed in, and what it means."""
    retries: int = Field(default=0, ge=0, le=10)
    """How often the caller is asked again when it did not fit."""

    @model_validator(mode="after")
    def _complete_one_day(self) -> Self:
        if not (self.num_digits or self.max_digits or self.finish_on_key):
            refuse("never ends: write num_digits, max_digits or finish_on_key")
        if self.num_digits and (self.min_digits or self.max_digits):
            refuse("cannot stand beside min_digits or max_digits", at="num_digits")
        if self.min_digits and self.max_digits and self.min_digits >= self.max_digits:
            refuse(
                "must be less than max_digits; for just so many write num_digits", at="min_digits"
            )
        if self.sensitive and self.choices:
            refuse("cannot stand beside sensitive: what was chosen is told", at="choices")
        self._check_choices()
        return self

    def _check_choices(self) -> None:
        least = self.num_digits or self.min_digits or 1
        most = self.num_digits or self.max_digits or 100
        for choice in self.choices:
            if not least <= len(choice) <= most:
                refuse(f'"{choice}" has not as many digits as are asked for', at="choices")
            if self.finish_on_key and self.finish_on_key in choice:
                refuse(f'"{choice}" has the key in it that ends it', at="choices")


class Menus(Part):
    """Menus that answer calls which you place."""

    pause_ms: Annotated[int, between("500ms", "10s"), DURATION_SCHEMA] = Field(
        default=2_000, alias="pause", json_schema_extra={"default": "2s"}
    )
    """How long one must be silent before the agent answers it."""
    then: Literal["end_call", "go_on"] = "end_call"
    """What becomes of one that goes round and round, after the agent was told."""


class DtmfSend(Part):
    """Keys that the agent presses, by the tool send_dtmf; and how they are pressed."""

    via: Literal["inband", "play"] = "inband"
    """inband: as tones in the audio. play: by Twilio, which takes the agent away from the line
    while it does; for lines on which tones in the audio are not recognised."""
    duration_ms: Annotated[int, between("40ms", "1s"), DURATION_SCHEMA] = Field(
        default=200, alias="duration", json_schema_extra={"default": "200ms"}
    )
    """How long each key is pressed; inband."""
    gap_ms: Annotated[int, between("40ms", "1s"), DURATION_SCHEMA] = Field(
        default=200, alias="gap", json_schema_extra={"default": "200ms"}
    )
    """From one key to the next; inband."""
    level: int = Field(default=-8, ge=-63, le=0)
    """How loud, in dBm0; inband."""
    menus: Menus | None = None
    """Of calls that you place: let the agent find its way through menus; null: whoever answers is
    taken for a person."""


class Dtmf(Part):
    """What is keyed in, by callers and by the agent."""

    send: Annotated[DtmfSend, or_just("via", DtmfSend)] | None = None
    """Left out: the agent presses no keys."""

    presets: Annotated[Mapping[PresetName, DtmfPreset], empty_if_none] = {}
    """What the model may ask for by the tool collect_dtmf, by name."""
