"""A number's menu: callers choose a language, and who answers, before the model is asked. Pure.

The carrier asks and tells which key it was, so that a choice costs nothing. Rule: who presses
nothing, or a key that is no choice, is answered as if there were no menu.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.call.plan import Memory

CHOSEN = "The caller has chosen the language {language} by a key. Speak it from your first word on."


@dataclass(frozen=True, slots=True)
class Choice:
    """What a key stands for."""

    say: str
    """How it is offered, in its language."""
    language: str
    """BCP 47."""
    agent: str = ""
    """Who answers, by name; empty: whoever answers the number."""


@dataclass(frozen=True, slots=True)
class LineMenu:
    """What the operator wrote about it."""

    choices: Mapping[str, Choice]
    """By key, in the order in which they are offered."""
    timeout_s: int = 5
    """So long a key is waited for after the last word."""


def chosen(menu: LineMenu | None, pressed: str | None) -> Choice | None:
    """What was chosen; None where nothing was. ``pressed``: None before anybody was asked."""
    return menu.choices.get(pressed) if menu is not None and pressed else None


def memories(language: str) -> tuple[Memory, ...]:
    """What the model is told of it; nothing where no language was chosen."""
    return (Memory("system", CHOSEN.format(language=language)),) if language else ()
