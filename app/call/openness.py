"""Which targets a call can be put through to at a moment, and why not to the others. Pure.

Hours are those of the world, and a call knows its own time alone: before it begins, hours become
spans of that. So a call says the same when it is replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Spans = tuple[tuple[int, int], ...]
"""From and until (ms of the call's time), in order; the end is not part of it."""

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


def in_words(reason: str) -> str | None:
    """What a model can tell the caller; None where there is no more to say than ``reason``."""
    return _WHY.get(reason)
