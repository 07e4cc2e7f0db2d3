"""Messages gone wrong: every truncation, every wrong type, at every place."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import orjson

from app.protocol.errors import Malformed

WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**53,
    "",
    "x",
    '"},{"',
    "9" * 400,
    [],
    [[]],
    {},
    {"a": {}},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    yield path
    children = value.items() if isinstance(value, dict) else []
    if isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        yield from places(child, (*path, key))


def with_value(message: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The message with another value at that place."""
    if not path:
        return value
    copy = deepcopy(message)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def without(message: Any, path: tuple[Any, ...]) -> Any:
    """The message with nothing at that place."""
    copy = deepcopy(message)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


def variants(message: Any) -> Iterator[bytes]:
    """The message with each value replaced by each wrong one, or left out."""
    for path in places(message):
        for value in WRONG:
            yield orjson.dumps(with_value(message, path, value))
        if path:
            yield orjson.dumps(without(message, path))


def survives(parse: Callable[[bytes], object], text: bytes) -> bool:
    """Whether it was read; anything but ``Malformed`` is a defect and goes through."""
    try:
        parse(text)
    except Malformed:
        return False
    return True
