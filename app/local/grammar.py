"""What may be said in one turn: the network the recogniser follows, and what was meant.

Network and patterns are made of the same trees, so what is heard always has an intent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.local.automaton import Automaton, automaton_of
from app.local.phrases import Choice, Part, PhraseMistake, Row, Word, read, words_of
from app.local.ports import Intent

_PLEASE = Choice((Row((Word("please"),)),), optional=True)
_PLEASE_SPACED = "(?:please )?"


@dataclass(frozen=True, slots=True)
class Grammar:
    """The phrases of some intents, each perhaps with a "please"."""

    automaton: Automaton
    words: tuple[str, ...]
    """Every word of it once, in the order of the alphabet."""
    _patterns: tuple[tuple[str, "re.Pattern[str]"], ...]

    def intent_of(self, text: str) -> str | None:
        """The first intent one of whose phrases is exactly ``text``."""
        spaced = f"{text} "
        return next((name for name, pattern in self._patterns if pattern.fullmatch(spaced)), None)


def grammar_of(intents: Sequence[Intent]) -> Grammar:
    """Listen for all of ``intents``.

    Raises ``PhraseMistake``, also when there is nothing to listen for.
    """
    trees = [(intent.name, [read(phrase) for phrase in intent.say_like]) for intent in intents]
    rows = tuple(row for _, phrases in trees for row in phrases)
    if not rows:
        raise PhraseMistake("There is no phrase to listen for: give an intent ways to say it.")
    whole = Row((_PLEASE, Choice(rows, optional=False), _PLEASE))
    return Grammar(
        automaton_of(whole),
        tuple(sorted(set(words_of(whole)))),
        tuple((name, _pattern(phrases)) for name, phrases in trees if phrases),
    )


def _pattern(rows: Sequence[Row]) -> "re.Pattern[str]":
    """Matches the phrases with a space after every word."""
    return re.compile(f"{_PLEASE_SPACED}(?:{'|'.join(map(_regular, rows))}){_PLEASE_SPACED}")


def _regular(part: Part) -> str:
    match part:
        case Word(text):
            return f"{text} "
        case Row(parts):
            return "".join(map(_regular, parts))
        case Choice(rows, optional):
            return f"(?:{'|'.join(map(_regular, rows))}){'?' if optional else ''}"
