"""How long the caller has listened to nothing, and when that has been long enough.

A wait begins when the caller is owed words, and only a sound or the caller's own voice ends
it. Asking again, another attempt and another line do not begin it anew: the caller hears no
difference between them. So there is one budget for all of them together.

The alarm is lazy: audio does not move it. When it rings, the ledger tells whether anything was
sent meanwhile.
"""

from app.call.alarms import Alarm, Alarms
from app.call.playout import Playout

PATIENCE_MS = 4_000
"""To the first sound of a stream, and from the loss of a line to a sound of the next one."""
ANSWER_MS = 8_000
"""To the first sound of an answer, asking again and one more line included."""


class Patience:
    """The one wait of a caller who is there."""

    def __init__(self, alarms: Alarms, playout: Playout) -> None:
        self._alarms = alarms
        self._playout = playout
        self._here = False
        self._until_ms: int | None = None
        self._sent_before = 0
        """What had been sent when the wait began."""

    def caller_came(self) -> None:
        """Somebody is listening from now on."""
        self._here = True

    def begins(self, now_ms: int) -> None:
        """Words are owed. Nothing changes for a caller who is waiting already."""
        if not self._waiting:
            self._wait(now_ms, ANSWER_MS if self._playout.ever_sent else PATIENCE_MS)

    def line_lost(self, now_ms: int) -> None:
        """Another line must be heard soon, and no later than an answer that is owed."""
        until_ms = self._until_ms if self._waiting else None
        self._wait(now_ms, PATIENCE_MS)
        if until_ms is not None and self._until_ms is not None and until_ms < self._until_ms:
            self.lasts(until_ms)

    @property
    def _waiting(self) -> bool:
        return self._until_ms is not None and not self._heard

    @property
    def _heard(self) -> bool:
        return self._playout.ever_sent != self._sent_before

    def _wait(self, now_ms: int, budget_ms: int) -> None:
        """What still plays is no silence yet."""
        if self._here:
            self._sent_before = self._playout.ever_sent
            self.lasts(now_ms + self._playout.unheard_ms(now_ms) + budget_ms)

    def lasts(self, until_ms: int) -> None:
        """There is a reason to wait until then."""
        self._until_ms = until_ms
        self._alarms.set(Alarm.MODEL, until_ms)

    def ends(self) -> None:
        """The caller speaks, is owed nothing, or is somebody else's."""
        self._until_ms = None
        self._alarms.clear(Alarm.MODEL)

    def over(self) -> bool:
        """The alarm rang: whether the caller really heard nothing."""
        waited = self._waiting
        self.ends()
        return waited
