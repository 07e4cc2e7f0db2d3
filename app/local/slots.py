"""What a tool still has to be told, and how the caller is asked for it.

Choices and days are listened for, yes and no too; numbers come by keypad, because spoken
digits are not understood on a telephone line (0 to 58 % of four-digit strings, measured).
Anything else is taken as it was heard.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from app.local import stock
from app.local.intents import DAYS, VALUE, spoken, values
from app.local.ports import Intent

_NUMBERS = re.compile(r"number|phone|digits?|pin|code|account|zip|amount|count|_id$|^id$", re.I)
_LISTED = 6
"""More choices than this are not read out."""
_YES_NO = {"yes": True, "no": False}


class Kind(Enum):
    """How a value comes from the caller."""

    CHOICE = auto()
    YES_NO = auto()
    KEYPAD = auto()
    WORDS = auto()


@dataclass(frozen=True, slots=True)
class Slot:
    """One required parameter of a tool."""

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()
    whole_number: bool = False
    numeric: bool = False

    @property
    def question(self) -> str:
        """What the caller is asked."""
        about = " ".join(spoken(self.name)) or self.name
        if self.kind is Kind.KEYPAD:
            return f"Please key in the {about}, and then press the hash key."
        if self.kind is Kind.YES_NO:
            return f"{about.capitalize()}? {stock.YES_OR_NO}"
        if self.choices == DAYS:
            return stock.WHICH_DAY
        if 0 < len(self.choices) <= _LISTED:
            return f"Which {about}: {', or '.join(' '.join(spoken(c)) for c in self.choices)}?"
        return f"What is the {about}?"

    def expects(self) -> Sequence[Intent]:
        """The answers to listen for; empty where any words will do."""
        return values(self.choices) if self.kind is Kind.CHOICE else ()

    def from_intent(self, intent: str | None) -> Any:
        """The value an intent stands for, None if it is no answer to this question."""
        if self.kind is Kind.YES_NO:
            return _YES_NO.get(intent or "")
        prefix, _, value = (intent or "").partition(":")
        return value if prefix == VALUE and value in self.choices else None

    def from_words(self, text: str) -> Any:
        """The value that the words of a turn name, None if they name none."""
        words = set(re.findall(r"[a-z']+", text.lower()))
        named = {choice: len(said) for choice in self.choices if (said := spoken(choice))}
        fits = [choice for choice in named if words.issuperset(spoken(choice))]
        # "after sales" names "sales" too; the one that says more is meant.
        return max(fits, key=named.__getitem__, default=None)

    def from_keys(self, keys: str) -> Any:
        """The value that was keyed in, None where it is no number."""
        digits = "".join(key for key in keys if key.isdigit())
        if self.kind is not Kind.KEYPAD or not digits:
            return None
        if self.choices and digits not in self.choices:
            return None
        if self.whole_number:
            return int(digits)
        return float(digits) if self.numeric else digits


def missing(schema: Mapping[str, Any], given: Mapping[str, Any]) -> list[Slot]:
    """The required parameters that have no value yet, in the order of the schema."""
    properties = schema.get("properties") or {}
    wanted = schema.get("required") or ()
    return [_slot(name, properties.get(name) or {}) for name in wanted if name not in given]


def _slot(name: str, schema: Mapping[str, Any]) -> Slot:
    kind = schema.get("type")
    if kind == "boolean":
        return Slot(name, Kind.YES_NO)
    if isinstance(schema.get("enum"), list):
        choices = tuple(str(one) for one in schema["enum"])
        if not all(one.isdecimal() for one in choices):
            return Slot(name, Kind.CHOICE, choices)
        whole = kind == "integer"
        return Slot(name, Kind.KEYPAD, choices, whole_number=whole, numeric=whole)
    if kind in ("integer", "number"):
        return Slot(name, Kind.KEYPAD, whole_number=kind == "integer", numeric=True)
    if _NUMBERS.search(name):
        return Slot(name, Kind.KEYPAD)
    if "day" in spoken(name):
        return Slot(name, Kind.CHOICE, DAYS)
    return Slot(name, Kind.WORDS)
