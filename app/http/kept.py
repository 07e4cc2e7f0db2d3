"""What a client sends to be kept with a call: plain JSON that every database and reader takes.

Rule: what cannot be kept is refused while somebody is there to be told. Python reads more JSON
than there is (half a surrogate pair, integers of any length, a thousand levels); in a fact of a
call it would take the place of everything else that the fact says.
"""

from typing import Any, TypeVar

import orjson

DEEPEST = 32
"""Levels; every reader and writer of JSON takes so many."""
MOST_BYTES = 65_536
"""Of one value, as JSON."""

T = TypeVar("T")


def kept(value: T) -> T:
    """``value`` itself. Raises ValueError where it cannot be kept, or is too much."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        raise ValueError("not JSON") from None
    if len(text) > MOST_BYTES or deeper(value, DEEPEST):
        raise ValueError("too large")
    return value


def deeper(value: Any, levels: int) -> bool:
    """Whether ``value`` has more levels than that."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(one, levels - 1) for one in inner)
