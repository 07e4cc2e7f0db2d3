"""A small language for saying what JSON may look like, with the refusals of the real service.

A shape is a function that looks at a value and its path and raises a ``Refusal``, or returns.
Unlike the typed models of the official client, which let any unknown field through, a shape
refuses whatever it was not told about: one misspelt or retired field and the event is lost.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from app.emulators.realtime_errors import Refusal

Shape: TypeAlias = Callable[[object, str], None]

_WORDS = {
    dict: "an object",
    list: "an array of objects",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    type(None): "null",
}


def _wrong_type(path: str, wanted: str, value: object) -> Refusal:
    got = _WORDS[type(value)]
    return Refusal(
        f"Invalid type for '{path}': expected {wanted}, but got {got} instead.",
        "invalid_type",
        path,
    )


def anything(value: object, path: str) -> None:
    """Accepts every JSON value."""


def flag(value: object, path: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)


def text(*, at_most: int | None = None, pattern: str | None = None) -> Shape:
    """A string of at most ``at_most`` characters that matches ``pattern`` as a whole."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if at_most is not None and len(value) > at_most:
            raise Refusal(
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{at_most}, but got a string with length {len(value)} instead.",
                "string_above_max_length",
                path,
            )
        if pattern is not None and not re.fullmatch(pattern, value):
            raise Refusal(
                f"Invalid '{path}': string does not match pattern. Expected a string that "
                f"matches the pattern '^{pattern}$'.",
                "invalid_value",
                path,
            )

    return check


def whole(lowest: int, highest: int | None = None) -> Shape:
    """An integer of the range; a decimal number is refused even when it is whole."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(path, "an integer", value)
        _within(value, lowest, highest, path)

    return check


def number(lowest: float, highest: float) -> Shape:
    """An integer or decimal number of the range."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong_type(path, "a decimal number", value)
        _within(value, lowest, highest, path)

    return check


def _within(value: float, lowest: float, highest: float | None, path: str) -> None:
    if value < lowest:
        raise Refusal(f"Invalid '{path}': expected a value >= {lowest}, got {value}.", param=path)
    if highest is not None and value > highest:
        raise Refusal(f"Invalid '{path}': expected a value <= {highest}, got {value}.", param=path)


def choice(*allowed: object) -> Shape:
    """One of the given strings, or null when None is among them."""

    def check(value: object, path: str) -> None:
        if isinstance(value, dict | list) or value not in allowed:
            raise _not_supported(path, value, allowed)

    return check


def _not_supported(path: str, value: object, allowed: object) -> Refusal:
    names = [repr(name) for name in allowed] if isinstance(allowed, tuple) else []
    return Refusal(
        f"Invalid value: {value!r}. Supported values are: {', '.join(names)}.", param=path
    )


def or_null(shape: Shape) -> Shape:
    """What ``shape`` accepts, and null."""

    def check(value: object, path: str) -> None:
        if value is not None:
            shape(value, path)

    return check


def either(**shapes: Shape) -> Shape:
    """A shape for each JSON type: ``string``, ``whole``, ``object`` or ``array``."""
    types = {"string": str, "whole": int, "object": dict, "array": list}

    def check(value: object, path: str) -> None:
        for name, shape in shapes.items():
            if isinstance(value, types[name]) and not isinstance(value, bool):
                return shape(value, path)
        raise _wrong_type(path, " or ".join(_WORDS[types[name]] for name in shapes), value)

    return check


def array(element: Shape, *, at_most: int | None = None) -> Shape:
    """A list whose elements all have the shape ``element``."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array of objects", value)
        if at_most is not None and len(value) > at_most:
            raise Refusal(f"Invalid '{path}': array too long.", "array_above_max_length", path)
        for index, one in enumerate(value):
            element(one, f"{path}[{index}]")

    return check


def fields(
    required: Mapping[str, Shape] | None = None, optional: Mapping[str, Shape] | None = None
) -> Shape:
    """An object with all of ``required``, any of ``optional`` and nothing else."""
    needed = dict(required or {})
    known = needed | dict(optional or {})

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in known:
                param = f"{prefix}{name}"
                raise Refusal(f"Unknown parameter: '{param}'.", "unknown_parameter", param)
        for name in needed:
            if name not in value:
                raise missing(f"{prefix}{name}")
        for name, one in value.items():
            known[name](one, f"{prefix}{name}")

    return check


def missing(param: str) -> Refusal:
    """A required field is not there."""
    return Refusal(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)


def tagged(tag: str, shapes: Mapping[str, Shape]) -> Shape:
    """An object whose field ``tag`` decides which of ``shapes`` it must have."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        where = f"{path}.{tag}" if path else tag
        if tag not in value:
            raise missing(where)
        name = value[tag]
        if not isinstance(name, str) or name not in shapes:
            raise _not_supported(where, name, tuple(shapes))
        shapes[name](value, path)

    return check


def texts(*, pairs: int, key_length: int, value_length: int) -> Shape:
    """An object of strings, as ``metadata`` and ``headers`` are."""
    one = text(at_most=value_length)

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        if len(value) > pairs:
            raise Refusal(f"Invalid '{path}': too many properties.", param=path)
        for name, content in value.items():
            text(at_most=key_length)(name, path)
            one(content, f"{path}.{name}")

    return check


def decoded(value: object, path: str) -> bytes:
    """The bytes of standard, padded base64; raises a ``Refusal`` for anything else."""
    if not isinstance(value, str):
        raise _wrong_type(path, "a base64-encoded string", value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            f"Invalid '{path}'. Expected base64-encoded audio bytes "
            "(mono PCM16 at 24kHz or G.711), but got an invalid value.",
            "invalid_value",
            path,
        ) from error
