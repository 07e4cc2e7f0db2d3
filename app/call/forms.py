"""What a call is to find out: the fields of a form, and which values fit them. Pure.

Rule: a value that does not fit its type is not corrected but refused; what fits is kept in one
way of writing it, whoever said it how.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import phonenumbers

TYPES = ("text", "datetime", "email", "phone_number", "number", "boolean", "enum")
MOST_CHARS = 1_000
"""Of a value."""
_LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^\s@<>\",;]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ]([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?P<zone>Z|[+-][01]\d:[0-5]\d)?)?"
)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class FormField:
    """One thing to find out."""

    name: str
    type: str = "text"
    """One of ``TYPES``."""
    description: str | None = None
    required: bool = False
    values: Sequence[str] = ()
    """What an enum may be."""
    pattern: str | None = None
    """What a text must be like, whole; a regular expression."""
    confirm: bool = False
    """It is read back to the caller, and holds once they have said yes."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a call is to find out."""

    name: str
    fields: Sequence[FormField]


@dataclass(frozen=True, slots=True)
class Where:
    """By whose clock, and in which country, what leaves that open is meant."""

    zoned: Callable[[str], str] = str
    """A moment, ISO 8601 without a zone, with the one that is meant; left out: as it is."""
    country: str = ""
    """ISO 3166; empty: a number must have its country code."""


_ANYWHERE = Where()


def fitting(field: FormField, said: str, where: Where = _ANYWHERE) -> Value | None:
    """``said`` as a value of the field; None where it is none."""
    said = " ".join(said.split())
    if not 0 < len(said) <= MOST_CHARS:
        return None
    if field.type in {"text", "enum"}:
        return _text(field, said)
    return _READERS[field.type](said, where)


def described(field: FormField) -> str:
    """A field as a model is told of it."""
    what = f"one of {', '.join(field.values)}" if field.values else field.type
    more = (", required" if field.required else "") + (", to be confirmed" if field.confirm else "")
    return f"{field.name} ({what}{more}){f': {field.description}' if field.description else ''}"


def _text(field: FormField, said: str) -> Value | None:
    if field.type == "enum":
        known = {one.casefold(): one for one in field.values}
        return known.get(said.casefold())
    return said if field.pattern is None or re.fullmatch(field.pattern, said) else None


def _moment(said: str, where: Where) -> Value | None:
    found = _MOMENT.fullmatch(said)
    if found is None:
        return None
    year, month, day = (int(one) for one in found.group(1, 2, 3))
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (year > 0 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + leap):
        return None
    said = said.replace(" ", "T")
    return said if found["zone"] or "T" not in said else where.zoned(said)


def _email(said: str, _where: Where) -> Value | None:
    if len(said) > _LONGEST_EMAIL or not _EMAIL.fullmatch(said):
        return None
    name, _, domain = said.rpartition("@")
    return f"{name}@{domain.lower()}"


def _phone_number(said: str, where: Where) -> Value | None:
    try:
        number = phonenumbers.parse(said, where.country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _number(said: str, _where: Where) -> Value | None:
    if not _NUMBER.fullmatch(said):
        return None
    return float(said) if "." in said else int(said)


def _boolean(said: str, _where: Where) -> Value | None:
    return {"true": True, "false": False}.get(said.casefold())


_READERS: dict[str, Callable[[str, Where], Value | None]] = {
    "datetime": _moment,
    "email": _email,
    "phone_number": _phone_number,
    "number": _number,
    "boolean": _boolean,
}
