"""Which targets a call can be put through to at a moment, and why not to the others. Pure.

Hours are those of the world, and a call knows its own time alone: before it begins, hours become
spans of that. So a call says the same when it is replayed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Spans = tuple[tuple[int, int], ...]
"""From and until (ms of the call's time), in order; the end is not part of it."""

LONGEST_MS = 24 * 3_600_000
"""Twilio ends every call by then."""
_MINUTE_MS = 60_000
_STEP_MS = 15 * _MINUTE_MS

CLOSED = "closed"
NEEDS_SIP = "refer_needs_sip"
_WHY = {
    CLOSED: "nobody is there at this time of day",
    NEEDS_SIP: "the caller telephones over the ordinary network, from where nobody can be sent on"
    " to this target",
    "not_told": "the switchboard that was to take the call did not answer",
    "unanswered": "the switchboard did not say where the call should go",
    "misunderstood": "the switchboard did not say where the call should go",
}


@dataclass(frozen=True, slots=True)
class Openness:
    """What is known of a call's targets before it begins."""

    impossible: Mapping[str, str] = field(default_factory=dict)
    """Targets that this call cannot be put through to at all, and why."""
    closed: Mapping[str, Spans] = field(default_factory=dict)
    """When nobody is there."""

    def refusal(self, target: str, now_ms: int) -> str | None:
        """Why the caller cannot be put through to ``target`` now, as a stable word."""
        if (why := self.impossible.get(target)) is not None:
            return why
        spans = self.closed.get(target, ())
        return CLOSED if any(since <= now_ms < until for since, until in spans) else None


def closed_spans(open_at: Callable[[int], bool], began_ms: int) -> Spans:
    """When nobody is there, in ms from ``began_ms`` (epoch) on, as long as a call can last.

    Exact to the minute; somebody who is there for less than a quarter of an hour may be missed.
    """
    turns: list[int] = []
    open_before, before_ms = True, 0
    for at_ms in _moments(began_ms):
        open_now = open_at(began_ms + at_ms)
        if open_now != open_before:
            turns.append(_turn(open_at, began_ms, before_ms, at_ms) if at_ms else 0)
        open_before, before_ms = open_now, at_ms
    if not open_before:
        turns.append(LONGEST_MS)
    return tuple(zip(turns[::2], turns[1::2], strict=True))


def _moments(began_ms: int) -> Iterator[int]:
    """The beginning, and then every full quarter of an hour."""
    yield 0
    yield from range(_STEP_MS - began_ms % _STEP_MS, LONGEST_MS, _STEP_MS)


def _turn(open_at: Callable[[int], bool], began_ms: int, low_ms: int, high_ms: int) -> int:
    """The first full minute at which it is as it is at ``high_ms``, and not as at ``low_ms``."""
    wanted = open_at(began_ms + high_ms)
    while high_ms - low_ms > _MINUTE_MS:
        middle = (low_ms + high_ms) // 2
        middle -= (began_ms + middle) % _MINUTE_MS
        if middle <= low_ms:
            break
        if open_at(began_ms + middle) == wanted:
            high_ms = middle
        else:
            low_ms = middle
    return high_ms


def in_words(reason: str) -> str | None:
    """What a model can tell the caller; None where there is no more to say than ``reason``."""
    return _WHY.get(reason)
