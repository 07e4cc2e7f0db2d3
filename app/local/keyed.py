"""Having something keyed in, by the tool that is there for it, without a language model.

What can be asked for stands in the tool's own schema: names, and a line about each. Rule: the
question is asked in the response that calls the tool, as the tool wants it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.emulators.realtime_turns import Output, Speech, ToolUse
from app.local import stock
from app.local.intents import spoken

COLLECT_DTMF = "collect_dtmf"
_CHOICE = re.compile(r"([0-9A-D*#]+) for ([^;,]+)")
_ENDS = re.compile(r"to be finished with the key (\S)")
_KEYS = {"#": "hash", "*": "star"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A preset of the session's."""

    name: str
    about: str
    """What the schema says of it."""

    @property
    def question(self) -> str:
        """What the caller is asked."""
        words = " ".join(spoken(self.name)) or self.name
        if choices := _CHOICE.findall(self.about):
            return f"{' '.join(f'Press {key} for {what.strip()}.' for key, what in choices)}"
        ends = _ENDS.search(self.about)
        then = f", and then press the {_KEYS.get(ends[1], ends[1])} key" if ends else ""
        return f"Please key in the {words}{then}."

    @property
    def asked(self) -> list[Output]:
        """The question, and the tool that waits for the answer."""
        return [Speech(self.question), ToolUse(COLLECT_DTMF, {"preset": self.name})]


@dataclass(frozen=True, slots=True)
class Keyed:
    """What the tool answered."""

    digits: str
    """Empty where nothing that was wanted was keyed in; a name in double braces for a secret."""
    choice: str = ""
    length: int = 0

    @property
    def said(self) -> str:
        """What is said of it where nothing else is done with it."""
        if not self.digits:
            return stock.NOT_KEYED
        if self.choice:
            return f"You chose {self.choice}. {stock.WHAT_ELSE}"
        known = f"{self.length} digits" if self.length else ", ".join(self.digits)
        return f"Thank you. I have {known}. {stock.WHAT_ELSE}"


def presets(parameters: Mapping[str, Any]) -> dict[str, Wanted]:
    """What the session's tool can ask for, by name."""
    schema = (parameters.get("properties") or {}).get("preset") or {}
    lines = str(schema.get("description") or "").splitlines()
    told = {name: about.strip() for name, _, about in (line.partition(":") for line in lines)}
    names = [str(name) for name in schema.get("enum") or ()]
    return {name: Wanted(name, told.get(name, "")) for name in names}


def keyed(output: str) -> Keyed:
    """The tool's output, read."""
    try:
        told = json.loads(output)
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("ok") is not True:
        return Keyed("")
    return Keyed(str(told.get("digits", "")), str(told.get("choice", "")), told.get("length") or 0)
