"""What a tool returned, as words that can be said.

JSON is for programs. Rule: no bracket and no name of a programming language's value is read out,
and what is too long ends with a sentence, or at least with a word.
"""

import json
from typing import Any

from app.local import stock
from app.local.intents import spoken

_LONGEST_CHARS = 400
_DEEPEST = 5
"""Nobody follows what is nested deeper than that."""
_ENDS = (".", "!", "?")


def readable(output: str) -> str:
    """A tool's output as words to be said."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        value = output
    if isinstance(value, dict):
        if value.get("ok") is False or value.get("error"):
            return f"{stock.DID_NOT_WORK} {stock.WHAT_ELSE}"
        value = {name: one for name, one in value.items() if name not in ("ok", "error")}
    text = shortened(" ".join(_words(value).split()), _LONGEST_CHARS)
    if not text:
        return stock.NOTED
    return f"{text}{'' if text.endswith(_ENDS) else '.'} {stock.WHAT_ELSE}"


def shortened(text: str, most_chars: int) -> str:
    """``text``, or as many of its sentences as fit; of one that is too long, its first words."""
    if len(text) <= most_chars:
        return text
    begin = text[: most_chars + 1]
    sentence = max(begin.rfind(f"{end} ") for end in _ENDS)
    if sentence > most_chars // 2:
        return begin[: sentence + 1]
    word = begin.rfind(" ")
    return begin[:word].rstrip(",;: ") if word > 0 else text[:most_chars]


def _words(value: Any, depth: int = 0) -> str:
    if value is None or depth > _DEEPEST:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(filter(None, (_named(*one, depth) for one in value.items())))
    if isinstance(value, list):
        nested = any(isinstance(one, dict | list) for one in value)
        return ("; " if nested else ", ").join(
            filter(None, (_words(one, depth + 1) for one in value))
        )
    return str(value)


def _named(name: str, value: Any, depth: int) -> str:
    """A value with its name only where it says nothing without one."""
    words = _words(value, depth + 1)
    return f"{' '.join(spoken(name)) or name}: {words}" if isinstance(value, bool) else words
