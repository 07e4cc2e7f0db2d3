"""Arguments that a JSON Schema describes: of tools that are written in no Python.

The schema is told to the model as it stands. The one rule: what the model is told of a mistake
names the argument and what was expected, and never the value, which may be what the caller
keyed in for tools alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from app.tools.parameters import MAX_ARGUMENTS_CHARS, BadArguments

MOST_SCHEMA_BYTES = 16_384
MOST_DEPTH = 32
_MOST_PROBLEMS = 5
_AGAIN = "Call the tool again with corrected arguments."


class BadSchema(ValueError):
    """The schema cannot describe arguments; the message is the end of a sentence about it."""


def checked_schema(schema: object) -> dict[str, Any]:
    """``schema`` as the model may be told it. Raises BadSchema; nothing is fetched for it."""
    if not isinstance(schema, dict):
        raise BadSchema("must be a JSON Schema")
    _measure(schema)
    if schema.get("type", "object") != "object":
        raise BadSchema("must be the schema of an object: write type: object and properties")
    told = {"type": "object", "properties": {}, **schema}
    try:
        Draft202012Validator.check_schema(told)
    except SchemaError as fault:
        where = ".".join(map(str, fault.absolute_path)) or "it"
        raise BadSchema(f"is no JSON Schema: look at {where[:100]}") from None
    return told


def _measure(schema: Mapping[str, Any]) -> None:
    """A schema is read by everybody who meets it, and goes to the model with every call."""
    for depth, value in _values(schema, 1):
        if depth > MOST_DEPTH:
            raise BadSchema(f"is nested more than {MOST_DEPTH} deep")
        reference = value.get("$ref", "#") if isinstance(value, dict) else "#"
        if not (isinstance(reference, str) and reference.startswith("#")):
            raise BadSchema('refers to another document: write it out, or under "$defs"')
    try:
        size = len(orjson.dumps(schema))
    except TypeError:
        raise BadSchema("holds what JSON cannot say") from None
    if size > MOST_SCHEMA_BYTES:
        raise BadSchema(f"is larger than {MOST_SCHEMA_BYTES >> 10} KiB")


def _values(value: object, depth: int) -> Iterator[tuple[int, object]]:
    """Every value in ``value`` with its depth; not below what is too deep."""
    waiting: list[tuple[int, object]] = [(depth, value)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        if isinstance(value, dict):
            waiting += [(depth + 1, inner) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(depth + 1, inner) for inner in value]


@dataclass(frozen=True, slots=True)
class SchemaArguments:
    """Arguments by their schema; the tool's function is given them all as ``arguments``."""

    schema: dict[str, Any]
    facts_name: str | None = "facts"
    judged: bool = True
    """False: whoever wrote the schema judges them, and nobody here tries its patterns."""

    def read(self, arguments: str) -> dict[str, object]:
        """The arguments, judged. Raises BadArguments."""
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            raise BadArguments("The arguments are too long. Call the tool again with less.")
        try:
            given = orjson.loads(arguments.strip() or "{}")
        except orjson.JSONDecodeError:
            raise BadArguments(
                "The arguments are not complete JSON. Call the tool again with all of them."
            ) from None
        if not isinstance(given, dict):
            raise BadArguments(f"The arguments must be a JSON object. {_AGAIN}")
        if self.judged and (said := self._problems(given)):
            raise BadArguments(f"{'; '.join(said[:_MOST_PROBLEMS])}. {_AGAIN}")
        return {"arguments": given}

    def _problems(self, given: Mapping[str, Any]) -> list[str]:
        # Its own registry: the library's would fetch what a reference names.
        validator = Draft202012Validator(self.schema, registry=Registry())
        try:
            faults = sorted(validator.iter_errors(given), key=lambda one: [*map(str, one.path)])
        except Unresolvable:
            return ["the arguments cannot be checked"]
        # One fault for each missing argument, and each of them knows all that are required.
        return list(dict.fromkeys(said for fault in faults for said in _sentences(fault)))


def _sentences(fault: ValidationError) -> list[str]:
    path = ".".join(map(str, fault.absolute_path))
    expected: Any = fault.validator_value
    match fault.validator:
        case "required":
            missing = [one for one in expected if one not in fault.instance]
            return [f"{_at(path, one)}: is required" for one in missing]
        case "additionalProperties" if expected is False:
            known = fault.schema.get("properties", {}) if isinstance(fault.schema, dict) else {}
            there = ", ".join(known) or "none"
            more = [one for one in fault.instance if one not in known]
            return [
                f"{_at(path, str(one))}: there is no such argument (there are: {there})"
                for one in more
            ]
        case "type":
            kinds = [expected] if isinstance(expected, str) else expected
            return [f"{path or 'the arguments'}: must be of type {' or '.join(kinds)}"]
        case "enum":
            return [f"{path}: must be one of {_listed(expected)}"]
        case "pattern":
            return [f"{path}: must match {expected}"]
        case _:
            return [f"{path or 'the arguments'}: must fulfil {fault.validator}: {_short(expected)}"]


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(_short, values))[:300]


def _short(value: object) -> str:
    return orjson.dumps(value).decode()[:100]
