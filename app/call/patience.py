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
"""To the first sound of an answer, asking again and one more line included; unless the operator
says otherwise. Only a response that has begun, and made no sound, is then cancelled and asked for
once more, for as long as another line would have."""
WAITING_EVERY_MS = 2_000
"""Between two tones that tell a caller, who has waited for long, that the line lives."""


class Patience:
    """The one wait of a caller who is there."""

    def __init__(
        self,
        alarms: Alarms,
        playout: Playout,
        *,
        answer_ms: int = ANSWER_MS,
        filler_after_ms: int | None = None,
    ) -> None:
        """``filler_after_ms``: so long a caller waits for an answer before they are told, by a
        tone, that the line lives; None: they are not."""
        self._alarms = alarms
        self._playout = playout
        self._answer_ms = answer_ms
        self._filler_after_ms = filler_after_ms
        self._once_more = self._told = False
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
            self._wait(now_ms, self._answer_ms if self._playout.ever_sent else PATIENCE_MS)
        if self._waiting and not self._alarms.is_set(Alarm.THINKING):
            self._tell_in(now_ms, self._filler_after_ms)

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
            self._once_more = self._told = False
            self._alarms.clear(Alarm.THINKING)
            self.lasts(now_ms + self._playout.unheard_ms(now_ms) + budget_ms)

    def lasts(self, until_ms: int) -> None:
        """There is a reason to wait until then."""
        self._until_ms = until_ms
        self._alarms.set(Alarm.MODEL, until_ms)

    def _tell_in(self, now_ms: int, after_ms: int | None) -> None:
        if after_ms is not None:
            unheard_ms = self._playout.unheard_ms(now_ms)
            self._alarms.set(Alarm.THINKING, now_ms + unheard_ms + after_ms)

    def long(self, now_ms: int) -> bool | None:
        """The alarm rang: whether the caller is still waiting, and for the first time so long;
        None: they are not. Where they are, it rings again."""
        if not self._waiting:
            return None
        first, self._told = not self._told, True
        self._tell_in(now_ms, WAITING_EVERY_MS)
        return first

    def once_more(self, now_ms: int) -> bool:
        """Whether a response that made no sound is worth asking for again: once in a wait for an
        answer, and never for the first words of a stream."""
        if self._once_more or not self._sent_before:
            return False
        self._once_more = True
        self.lasts(now_ms + PATIENCE_MS)
        return True

    def ends(self) -> None:
        """The caller speaks, is owed nothing, or is somebody else's."""
        self._until_ms = None
        self._alarms.clear(Alarm.MODEL)
        self._alarms.clear(Alarm.THINKING)

    def over(self) -> bool:
        """The alarm rang: whether the caller really heard nothing."""
        waited = self._waiting
        self._until_ms = None
        self._alarms.clear(Alarm.MODEL)
        return waited
