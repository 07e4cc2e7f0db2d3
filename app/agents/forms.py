"""Forms in the agent document: what a call is to find out, field by field."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from app.agents.part import Part
from app.agents.values import Text, Texts, name, refuse, several

FieldName = Annotated[str, BeforeValidator(name)]


class FormField(Part):
    """One thing to find out."""

    name: FieldName
    type: Literal["text", "datetime", "email", "phone_number", "number", "boolean", "enum"]
    description: Text | None = None
    """What it is; the model reads it."""
    required: bool = False
    values: Annotated[Texts, Field(validate_default=True)] = ()
    """What an enum may be."""
    pattern: Text | None = None
    """What a text must be like, whole: a regular expression."""
    confirm: bool = False
    """Whether the agent reads it back; it holds once the caller has said yes."""

    @field_validator("values")
    @classmethod
    def _of_an_enum(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "type" in info.data and (info.data["type"] == "enum") != bool(value):
            refuse("belong to type: enum, which needs them")
        return value

    @field_validator("pattern")
    @classmethod
    def _expression(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.data.get("type", "text") != "text":
            refuse("belongs to type: text")
        try:
            re.compile(value)
        except re.error as exc:
            refuse(f"is not a regular expression: {exc}")
        return value


class Form(Part):
    """What a call is to find out."""

    fields: Annotated[
        tuple[FormField, ...], BeforeValidator(several), Field(min_length=1, max_length=50)
    ]

    @field_validator("fields")
    @classmethod
    def _names(cls, value: tuple[FormField, ...]) -> tuple[FormField, ...]:
        known: set[str] = set()
        for one in value:
            if one.name in known:
                refuse(f'has two fields named "{one.name}": rename one')
            known.add(one.name)
        return value
