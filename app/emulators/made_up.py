"""Arguments for a tool that nobody scripted: the plainest value its JSON Schema allows.

A model would choose with sense; this one chooses always the same, so that a call can be placed
twice and compared. Rule: what an enumeration, a default or an example offers is taken before
anything is made up.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_TEXTS = {
    "date": "2027-01-12",
    "time": "10:00:00",
    "date-time": "2027-01-12T10:00:00Z",
    "email": "caller@example.com",
    "uri": "https://example.com/",
}
_DEEPEST = 8
"""A schema that contains itself ends here."""


def arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The required properties of an object schema, each with a value."""
    return _object(schema, schema, 0)


def _value(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    schema = _resolved(schema, root)
    for offer in (schema.get("enum"), schema.get("examples")):
        if isinstance(offer, Sequence) and offer:
            return offer[0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return _value(schema[name][0], root, depth + 1)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    make = _MAKERS.get(kind) if isinstance(kind, str) else None
    return make(schema, root, depth + 1) if make else None


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a local ``$ref`` leads to; the schema itself where it has none or leads nowhere."""
    found: Any = root
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    for step in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else schema


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    wanted = schema.get("required") or ()
    return {name: _value(properties.get(name, {}), root, depth) for name in wanted}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    one = _value(schema.get("items", {}), root, depth)
    return [one] * int(schema.get("minItems", 0))


def _text(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> str:
    made = _TEXTS.get(schema.get("format", ""), "something")
    made = made.ljust(int(schema.get("minLength", 0)), "x")
    return made[: int(schema.get("maxLength", len(made)))]


def _number(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> Any:
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return min(lowest, schema["maximum"]) if "maximum" in schema else lowest


_MAKERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _schema, _root, _depth: False,
}
