"""Filling in what a call knows, wherever the operator's texts stand in plain values. Pure.

What has nothing to fill in is given back as it is, and is shared by all calls.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from app.call.templates import ROOTS, BadTemplate, Known, Values, parse

_ANY = Known(roots=ROOTS)

T = TypeVar("T")


def varies(value: object) -> bool:
    """Whether something is to be filled in."""
    if isinstance(value, str):
        return "{{" in value
    return any(map(varies, _inside(value)))


def filled(value: T, values: Values) -> T:
    """The same with every text filled. A text that is no template stays as it is."""
    return _filled(value, values) if varies(value) else value


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, str):
        return _text(value, values)
    if isinstance(value, Mapping):
        return {name: filled(inner, values) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(filled(inner, values) for inner in value)
    changed = {one.name: filled(getattr(value, one.name), values) for one in fields(value)}
    return replace(value, **changed)


def _text(text: str, values: Values) -> str:
    try:
        return parse(text, _ANY).text(values)
    except (BadTemplate, KeyError):
        return text


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, tuple):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return (getattr(value, one.name) for one in fields(value))
    return ()
