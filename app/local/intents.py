"""What a caller may say to an agent of which only the tools are known.

A hosted model reads the instructions; the local one reads the names and parameters of the
tools and listens for ways to ask for them. A scenario file says it better. Phrases are for a
small grammar: plain words, a few ways each.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.local.ports import Intent

TRANSFER = "transfer"
TOOL = "tool"
VALUE = "value"
KEYPAD = "keypad"
END = "end"
SOMEBODY = "somebody"
"""Prefixes of intent names: ``transfer:billing``, ``tool:opening_hours``, ``value:monday``,
``keypad:policy_pin``;
``somebody`` where there is nobody to be put through to."""

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PLEASE = "[please]"
_PERSON = "(a|an|the) (human|person|agent|operator|real person)"
_WANT = "(i want|i would like|i need|can i|may i)"
_VERBS = frozenset(
    {
        *("book", "cancel", "change", "check", "confirm", "find", "get", "leave", "look", "make"),
        *("move", "order", "pay", "report", "request", "reschedule", "reserve", "send", "take"),
    }
)
_SMALL_WORDS = frozenset({"a", "an", "by", "for", "get", "id", "in", "of", "on", "the", "to"})

COMMON = (
    Intent("yes", ("(yes|yeah) [please]", "[yes] that is right", "of course", "okay", "sure")),
    Intent("no", ("no [thank you|thanks]", "[no] that is (wrong|not right)", "not really")),
    Intent(
        "repeat",
        (
            "(can|could) you (repeat|say) that [again] [please]",
            "say that again [please]",
            "pardon",
            "i did not understand [that]",
        ),
    ),
    Intent("hello", ("hello [is anybody there]", "hi", "good (morning|afternoon|evening)")),
    Intent("thanks", ("thank you [very much]", "thanks [a lot]")),
    Intent("help", ("help", "what can (you do|i say)", "who are you")),
)


def of_session(tools: Iterable[Mapping[str, Any]]) -> list[Intent]:
    """Intents for the tools of a ``session.update``, and the common ones."""
    found: list[Intent] = []
    for tool in tools:
        found += _of_tool(str(tool.get("name", "")), tool.get("parameters") or {})
    if not any(one.name.startswith(TRANSFER) for one in found):
        # Callers ask for one all the same, and must not be asked to say it again.
        found.append(Intent(SOMEBODY, _SOMEBODY))
    return [*found, *COMMON]


def _of_tool(name: str, parameters: Mapping[str, Any]) -> list[Intent]:
    properties = parameters.get("properties") or {}
    if name == "transfer_call":
        targets = (properties.get("target") or {}).get("enum") or ()
        return _transfers([str(target) for target in targets])
    if name == "collect_dtmf":
        names = (properties.get("preset") or {}).get("enum") or ()
        return [_keying(str(preset)) for preset in names]
    if name == "end_call":
        return [Intent(END, _GOODBYES)]
    words = spoken(name)
    return [Intent(f"{TOOL}:{name}", _wishes(words))] if words else []


_GOODBYES = (
    "[thank you] (goodbye|bye [bye])",
    "(that is|that's) all [for today] [thank you]",
    "nothing else [thank you]",
    "[please] hang up",
)


_SOMEBODY = (
    f"{_WANT} (to speak|speak|to talk|talk) to {_PERSON} {_PLEASE}",
    f"(speak|talk) to {_PERSON} {_PLEASE}",
    f"[please] (put|connect) me [through] to {_PERSON}",
    "operator [please]",
    "representative [please]",
)


def _transfers(targets: Sequence[str]) -> list[Intent]:
    """Whoever asks for a person gets the first one; the others have to be named."""
    out: list[Intent] = []
    for index, target in enumerate(targets):
        words = " ".join(spoken(target))
        phrases = [
            f"{_WANT} (speak|talk) to [the] {words} {_PLEASE}",
            f"(speak|talk) to [the] {words} {_PLEASE}",
            f"[please] (put|connect) me [through] to [the] {words}",
        ]
        if index == 0:
            phrases += _SOMEBODY
        out.append(Intent(f"{TRANSFER}:{target}", tuple(phrases)))
    return out


def _keying(preset: str) -> Intent:
    """Ways to say that one has something to key in."""
    about = " ".join(spoken(preset)) or preset
    return Intent(
        f"{KEYPAD}:{preset}",
        (
            f"[(the|my)] {about} {_PLEASE}",
            f"{_WANT} (enter|type|key in|give you) [(a|the|my)] {about}",
            f"(enter|type|key in) [(a|the|my)] {about}",
        ),
    )


def _wishes(words: Sequence[str]) -> tuple[str, ...]:
    """Ways to ask for a tool whose name says what it is about."""
    about = " ".join(words)
    if words[0] in _VERBS:
        thing = " ".join(words[1:])
        rest = f" [(a|an|my|the)] {thing}" if thing else ""
        return (
            f"{words[0]}{rest} {_PLEASE}",
            f"(i want to|i would like to|can i|can you) {words[0]}{rest} {_PLEASE}",
        )
    return (
        f"[the] {about} {_PLEASE}",
        f"what (is|are) [(your|the|my)] {about}",
        f"(tell me|i want to know|i have a question about) [(your|the|my)] {about}",
        *_hours(words),
    )


def _hours(words: Sequence[str]) -> tuple[str, ...]:
    """Nobody asks for opening hours by that name alone."""
    if "hours" not in words:
        return ()
    day = f"({'|'.join(DAYS)})"
    return (f"when are you open [on {day}]", f"are you open [on] {day}")


def spoken(name: str) -> list[str]:
    """A name of a tool or target as the words one would say for it."""
    parts = re.findall(r"[A-Z]?[a-z']+|[A-Z]+(?![a-z])", name)
    words = [part.lower() for part in parts]
    return [word for word in words if word not in _SMALL_WORDS] or words


def values(choices: Iterable[str]) -> list[Intent]:
    """One intent for each value that may be answered."""
    return [
        Intent(f"{VALUE}:{choice}", (f"[on] [the] {words}", f"[for] {words} {_PLEASE}"))
        for choice in choices
        if (words := " ".join(spoken(choice)))
    ]
