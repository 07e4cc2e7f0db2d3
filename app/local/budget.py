"""How long one turn may wait for the operator's servers, for all of them together.

The call gives its model up four seconds after the beginning and eight after a turn
(``app/call/patience.py``); three servers that hang, each within its own time, take longer.
Rule: one moment ends all waiting for a turn, early enough that the rungs below can speak.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

FIRST_S = 2.8
"""To the first sound of a session, of four."""
TURN_S = 6.5
"""To the sound of an answer, of eight."""
LEAST_S = 0.5
"""Who could be given less is not asked: it would be blamed for what others took."""
HEARS_SHARE = 0.6
THINKS_SHARE = 0.7
"""Of the time that is left; the voice, which comes last, may have all of it."""

# A context variable: tasks inherit it, and what lies between a turn and a request need not know.
_until_s: ContextVar[float] = ContextVar("until_s", default=math.inf)


@contextmanager
def until(moment_s: float) -> Iterator[None]:
    """Servers asked in the block, and in tasks begun in it, answer by then (``monotonic``)."""
    token = _until_s.set(moment_s)
    try:
        yield
    finally:
        _until_s.reset(token)


def left_s() -> float:
    """What is left of the present turn's time; infinite outside of a turn."""
    return _until_s.get() - monotonic()
