"""What is wrong with an agent document, in sentences for the person who wrote it.

``file:line path: sentence (did you mean "x"?)``: enough to go there and mend it, without
knowing what a validator is.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from app.agents.layers import Written
from app.agents.schema import fields_at
from app.agents.source import Source, Where

_LATER = re.compile(
    r"""
    analysis | approval | callbacks | connect_message | drain_grace | form | forms |
    headers | history | hooks | hours | knowledge | languages | max_tool_rounds |
    min_interruption | model_fallback | outbound | parameters | privacy | recording |
    result_limit | resume_grace | retries | save | session | timeouts | webhooks
    """,
    re.VERBOSE,
)
"""Fields of the language that a coming release understands."""

_SENTENCES = {
    "missing": "is missing",
    "union_tag_not_found": "is missing",
    "string_too_short": "must not be empty",
    "string_unicode": "contains a character that is none",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "tuple_type": "must be a text or a list of texts",
    "dict_type": "must be a table of fields",
    "mapping_type": "must be a table of fields",
    "model_type": "must be a table of fields",
    "model_attributes_type": "must be a table of fields",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend."""

    file: str
    line: int
    """From 1."""
    path: str
    """``transfer_targets.desk.to``; empty for the document as a whole."""
    sentence: str
    meant: str = ""
    """What was probably meant."""

    def __str__(self) -> str:
        where = (
            f"{self.file}:{self.line} {self.path}:" if self.path else f"{self.file}:{self.line}:"
        )
        hint = f' (did you mean "{self.meant}"?)' if self.meant else ""
        return _printable(f"{where} {self.sentence}{hint}")


class AgentFault(Exception):
    """The agent document cannot be used; ``problems`` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def problems_of(
    fault: ValidationError,
    file: str,
    source: Source,
    one: Written,
    *,
    known: Callable[[Where], list[str]] = fields_at,
) -> list[Problem]:
    """A validator's complaints about an agent as problems, where they were written.

    ``known``: the fields of a table there, where it is another kind of document.
    """
    return [_problem(error, file, source, one, known) for error in fault.errors(include_url=False)]


def written(path: Where) -> str:
    """A path as people write it: ``tools.find[2]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def _printable(text: str) -> str:
    """One line that any terminal can show, whatever the document contains."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def _problem(
    error: Mapping[str, Any],
    file: str,
    source: Source,
    one: Written,
    known: Callable[[Where], list[str]],
) -> Problem:
    facts = error.get("ctx", {})
    path = _own_path(error["loc"], one.table)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, "type")
    if facts.get("at"):
        below = facts["at"].split(".")
        path = (*path, *(int(step) if step.isdecimal() else step for step in below))
    path = one.place(path, source)
    sentence, meant = _worded(error, facts, path, known)
    return Problem(file, source.line_of(path), written(path), sentence, meant)


def _own_path(loc: Sequence[str | int], value: object) -> Where:
    """``loc`` without what only the validator knows: alternatives' names, short forms' fields."""
    path: list[str | int] = []
    for left, step in zip(range(len(loc) - 1, -1, -1), loc, strict=True):
        below = _children(value)
        if below is None or step == "[key]":
            break
        if step in below or not left:
            path.append(step)
            value = below.get(step)
    return tuple(path)


def _children(value: object) -> dict[str | int, object] | None:
    """What is written inside ``value``; None where it is no table and no list."""
    if isinstance(value, dict):
        return value
    return dict(enumerate(value)) if isinstance(value, list) else None


def _worded(
    error: Mapping[str, Any],
    facts: Mapping[str, Any],
    path: Where,
    known: Callable[[Where], list[str]],
) -> tuple[str, str]:
    """The sentence and what was probably meant."""
    kind, given = error["type"], error.get("input")
    if kind == "refused":
        return facts["sentence"], facts["meant"]
    if kind == "extra_forbidden":
        return _unknown(path, known(path[:-1]))
    if kind in ("literal_error", "union_tag_invalid"):
        words = re.findall(r"'([^']*)'", facts.get("expected") or facts["expected_tags"])
        given = facts.get("tag", given)
        return f"must be {_either(words)}", _closest(given, words)
    if kind == "string_type":
        quotes = isinstance(given, int | float) and not isinstance(given, bool)
        return "must be text: write it in quotes" if quotes else "must be text", ""
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"least {facts['ge']:g}" if "ge" in facts else f"most {facts['le']:g}"
        return f"must be at {bound}", ""
    if kind == "tuple_type" and isinstance(given, dict):
        return 'must be a list: write "- " before each entry', ""
    return _SENTENCES.get(kind, str(error["msg"])), ""


def _unknown(path: Where, known: Sequence[str]) -> tuple[str, str]:
    if path[-1] in known:
        return "does not belong to this type", ""
    if _LATER.fullmatch(str(path[-1])):
        return "is not available yet", ""
    return "unknown field", _closest(path[-1], known)


def _closest(word: object, words: Iterable[str]) -> str:
    if not isinstance(word, str):
        return ""
    return next(iter(get_close_matches(word, list(words), n=1)), "")


def _either(words: Sequence[str]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
