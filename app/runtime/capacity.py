"""Capacity: how many calls may be talked to at once, and whether new ones may come at all.

A call holds a place from the moment its line is opened until nobody talks to it any more; a
caller who was put through to a person holds none. Whoever opens a line has asked here first,
when the TwiML is answered, so that a caller too many hears a sentence and not a dead socket.
"""

from app.runtime.metrics import CALLS_ACTIVE
from app.runtime.readers import Readers


class Capacity:
    """The places of this process, by the ids of the calls that hold them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: set[str] = set()
        self.draining = False
        """No call is taken any more; those that are there go on."""
        self.shared = False
        """Other processes answer under the same address, and may take what this one does not."""
        self.watchers = Readers()
        """Who must know that ``draining`` has changed."""

    def __len__(self) -> int:
        return len(self._held)

    def refusal(self) -> str | None:
        """Why no call can be taken now, ``draining`` or ``capacity``; None where one can."""
        if self.draining:
            return "draining"
        return "capacity" if len(self._held) >= self._most else None

    def hold(self, call_id: str) -> None:
        """The call has a place. Never refused: it may have been promised before. Idempotent."""
        self._held.add(call_id)
        CALLS_ACTIVE.set(len(self._held))

    def release(self, call_id: str) -> None:
        """The call needs its place no longer. Idempotent."""
        self._held.discard(call_id)
        CALLS_ACTIVE.set(len(self._held))
