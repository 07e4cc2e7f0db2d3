"""The ways to say an intent, read into trees.

A phrase is words with ``(a|b)`` for a choice and ``[a]`` for what may be left out. Whoever
writes an agent's document sees the mistakes told here.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_TOKEN = re.compile(r"\s*([()\[\]|]|[^\s()\[\]|]+)")
_WORD = re.compile(r"[a-z']*[a-z][a-z']*")
_PUNCTUATION = str.maketrans({"\u2019": "'", "-": " ", ",": " ", ".": " ", "?": " ", "!": " "})
_DEEPEST = 20
"""Brackets within brackets; nobody writes more, and a stack is finite."""


class PhraseMistake(ValueError):
    """A phrase that cannot be listened for; the sentence names phrase, place and fix."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word, in lower case, of the letters a to z and apostrophes."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: tuple["Part", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them, or also none."""

    rows: tuple[Row, ...]
    optional: bool


Part: TypeAlias = Word | Row | Choice


def spelled(text: str) -> str:
    """``text`` as phrases are written: lower case, no accents, no punctuation, single spaces."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_PUNCTUATION))
    return " ".join("".join(one for one in plain if not unicodedata.combining(one)).split())


def read(phrase: str) -> Row:
    """The tree of a phrase; raises ``PhraseMistake``."""
    tokens = [match[1] for match in _TOKEN.finditer(spelled(phrase))]
    choice, rest = _choice(tokens, phrase, 0)
    if rest:
        raise PhraseMistake(f'In "{phrase}" there is a "{rest[0]}" too many.')
    if _may_be_silent(choice):
        raise PhraseMistake(f'"{phrase}" may be left out as a whole: say at least one word.')
    return choice.rows[0] if len(choice.rows) == 1 else Row((choice,))


def _choice(tokens: list[str], phrase: str, depth: int) -> tuple[Choice, list[str]]:
    """Rows between bars, up to a closing bracket or the end; and the tokens after them."""
    if depth > _DEEPEST:
        raise PhraseMistake(f'In "{phrase[:60]}" the brackets are nested too deeply.')
    rows = []
    while True:
        parts, tokens = _row(tokens, phrase, depth)
        rows.append(Row(tuple(parts)))
        if not tokens or tokens[0] != "|":
            return Choice(tuple(rows), optional=False), tokens
        tokens = tokens[1:]


def _row(tokens: list[str], phrase: str, depth: int) -> tuple[list[Part], list[str]]:
    parts: list[Part] = []
    while tokens and tokens[0] not in {"|", ")", "]"}:
        head, *tokens = tokens
        if head in {"(", "["}:
            inner, tokens = _choice(tokens, phrase, depth + 1)
            closing = ")" if head == "(" else "]"
            if not tokens or tokens[0] != closing:
                raise PhraseMistake(f'In "{phrase}" a "{closing}" is missing.')
            parts.append(Choice(inner.rows, optional=head == "["))
            tokens = tokens[1:]
        else:
            parts.append(_word(head, phrase))
    if not parts:
        raise PhraseMistake(f'In "{phrase}" there is nothing between two brackets or bars.')
    return parts, tokens


def _word(text: str, phrase: str) -> Word:
    if _WORD.fullmatch(text) is None:
        raise PhraseMistake(
            f'"{text}" in "{phrase}" cannot be listened for: write it in letters, as it is spoken.'
        )
    return Word(text)


def _may_be_silent(part: Part) -> bool:
    match part:
        case Word():
            return False
        case Row(parts):
            return all(map(_may_be_silent, parts))
        case Choice(rows, optional):
            return optional or any(map(_may_be_silent, rows))


def words_of(part: Part) -> Iterator[str]:
    """Every word of the tree, repeated as often as it stands there."""
    match part:
        case Word(text):
            yield text
        case Row(parts) | Choice(parts):
            for one in parts:
                yield from words_of(one)
