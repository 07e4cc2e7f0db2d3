"""What is written when nobody is on the line: a pure fold for the record.

A caller who has hung up may go on in writing, by text message or on the page of the call; a model
answers them. Rule: what was written once is there once, and has one answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

RECEIVED, ANSWERED = "text.received", "text.answered"
KINDS = (RECEIVED, ANSWERED)
CALLER, AGENT = "caller", "agent"
_FIELDS = ("id", "via", "text", "at")


def told(known: Sequence[Mapping[str, Any]], kind: str, fact: Mapping[str, Any]) -> list[Any]:
    """``known`` with what a fact of ``KINDS`` adds. An answer has the id of what it answers."""
    by = CALLER if kind == RECEIVED else AGENT
    if any((one["by"], one["id"]) == (by, fact["id"]) for one in known):
        return list(known)
    return [*known, {"by": by, **{name: fact[name] for name in _FIELDS}}]


def unanswered(known: Sequence[Mapping[str, Any]], text_id: str) -> bool:
    """Whether this text of the caller's is the newest one and has no answer: an answer to it then
    answers those before it, too."""
    ours = [one["id"] for one in known if one["by"] == AGENT]
    theirs = [one["id"] for one in known if one["by"] == CALLER]
    return text_id not in ours and theirs[-1:] == [text_id]


def count(known: Sequence[Mapping[str, Any]], by: str) -> int:
    """How many texts there are of ``CALLER``'s or ``AGENT``'s."""
    return sum(one["by"] == by for one in known)
