"""Capacity: how many calls may be talked to at once, and whether new ones may come at all.

A call holds a place from the moment its line is opened until nobody talks to it any more; a
caller who was put through to a person holds none. Whoever opens a line has asked here first,
when the TwiML is answered, so that a caller too many hears a sentence and not a dead socket.

Of the other processes it is known what they said last (``Fleet``), which custody looks up every
few seconds: no webhook waits for a database. So their figures may be that old, and a limit over
all processes may be passed by what comes in between; where they are older, because the database
is away, this process counts alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.runtime.metrics import CALLS_ACTIVE
from app.runtime.readers import Readers

FRESH_S = 15.0
"""So long what others said counts; custody may miss two of its rounds."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the other processes under the same address said last."""

    calls: int
    """Live calls that they hold a lease of, also of callers who are with a person."""
    room: int
    """How many more they would take, together."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """How many of those calls came in on which number of ours."""
    at_s: float = field(default_factory=time.monotonic)
    """When that was read."""


class Capacity:
    """The places of this process, by the ids of the calls that hold them."""

    def __init__(
        self, most: int, together: int | None = None, leased: Callable[[], int] | None = None
    ) -> None:
        """``most`` calls here; ``together`` in all processes, if that is bounded, of which
        ``leased`` says how many are this one's."""
        self._most = most
        self._together = together
        self._leased = leased or self.__len__
        self._held: set[str] = set()
        self.fleet: Fleet | None = None
        """The others; None while nothing was heard of them."""
        self.draining = False
        """No call is taken any more; those that are there go on."""
        self.shared = False
        """Other processes answer under the same address, and may take what this one does not."""
        self.exhausted: Callable[[], bool] = lambda: False
        """Whether all processes have spent what they may today."""
        self.watchers = Readers()
        """Who must know that ``draining`` has changed."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def room(self) -> int:
        """How many more calls this process would take."""
        return 0 if self.draining else max(0, self._most - len(self._held))

    def refusal(self) -> str | None:
        """Why no call can be taken now, ``draining``, ``cost`` or ``capacity``; None where one
        can."""
        if self.draining:
            return "draining"
        if self.exhausted():
            return "cost"
        return "capacity" if self._all_full or not self.room else None

    @property
    def sends_on(self) -> bool:
        """Whether another process may take a call that this one does not.

        One that drains need not know of any: whatever is in front of us finds one soon, if there
        is one. One that is full has to have heard that there is room.
        """
        if not self.shared:
            return False
        others = self._others
        roomy = others is not None and others.room > 0 and not self._all_full
        roomy = roomy and not self.exhausted()
        return self.draining or roomy

    @property
    def _others(self) -> Fleet | None:
        fleet = self.fleet
        fresh = fleet is not None and time.monotonic() - fleet.at_s <= FRESH_S
        return fleet if fresh else None

    def others_on(self, number: str) -> int:
        """How many calls to this number the other processes have, as far as is known."""
        return self._others.lines.get(number, 0) if self._others is not None else 0

    @property
    def _all_full(self) -> bool:
        """All processes together have as many calls as they may."""
        theirs = self._others.calls if self._others is not None else 0
        return self._together is not None and theirs + self._leased() >= self._together

    def hold(self, call_id: str) -> None:
        """The call has a place. Never refused: it may have been promised before. Idempotent."""
        self._held.add(call_id)
        CALLS_ACTIVE.set(len(self._held))

    def holds(self, call_id: str) -> bool:
        """Whether the call has a place."""
        return call_id in self._held

    def release(self, call_id: str) -> None:
        """The call needs its place no longer. Idempotent."""
        self._held.discard(call_id)
        CALLS_ACTIVE.set(len(self._held))
