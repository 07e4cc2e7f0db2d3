"""Opening the model line, opening it again, and when to stop trying.

Attempts are bounded in number and time, and so are lines; the caller's patience, which ends them
all, has a file of its own. A server that restarts refuses within milliseconds, so attempts keep
apart: the caller hears a moment of silence more. A call may last longer than several sessions:
only lines lost in quick succession are a failed model.

    OPENING ──ready──▶ READY ──lost──▶ OPENING … ──no attempt left──▶ GONE
"""

from collections import deque
from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.protocol.commands import OpenModel
from app.protocol.events import ModelRefused

ATTEMPT_MS = 2_500
RETRY_AFTER_MS = (250, 500, 750, 1_000)
"""From each refusal in a row to the attempt after it."""
RETRY_WITHIN_MS = 2_900
"""From the first attempt to the beginning of the last, so that one that timed out is repeated;
then somebody else speaks."""
STILLBORN_MS = 1_000
"""A line that is lost so soon after it was ready counts as an attempt that was refused."""
MOST_REOPENINGS = 3
REOPENINGS_WITHIN_MS = 300_000
"""So many lines may be lost within so long; with one more the model counts as failed."""


class Link(Enum):
    """What there is of a model line."""

    OPENING = auto()
    READY = auto()
    GONE = auto()


class ModelLink:
    """The life of a call's model lines."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._refusals = 0
        self._since_ms = 0
        """When the first attempt at this line was made."""
        self._lost_at_ms: deque[int] = deque(maxlen=MOST_REOPENINGS + 1)
        self._ready_at_ms = 0
        self.state = Link.OPENING

    def open(self, now_ms: int) -> OpenModel:
        """The first attempt at a line."""
        self._refusals = 0
        self._since_ms = now_ms
        self.state = Link.OPENING
        return OpenModel(ATTEMPT_MS)

    def ready(self, now_ms: int) -> bool:
        """The line may carry audio. False if that comes too late to matter."""
        if self.state is not Link.OPENING:
            return False
        self.state = Link.READY
        self._ready_at_ms = now_ms
        self._alarms.clear(Alarm.ATTEMPT)
        return True

    def goes_on(self, event: ModelRefused, now_ms: int) -> bool:
        """An attempt failed: another one is due soon. False if that was the last."""
        if self.state is not Link.OPENING:
            return True
        if not event.retryable:
            self.give_up()
            return False
        return self._again(now_ms)

    def _again(self, now_ms: int) -> bool:
        """Whether there is another attempt; it is due when the alarm rings."""
        again_at_ms = self._again_at_ms(now_ms)
        if again_at_ms is None:
            self.give_up()
            return False
        self._refusals += 1
        self._alarms.set(Alarm.ATTEMPT, again_at_ms)
        return True

    def _again_at_ms(self, now_ms: int) -> int | None:
        if self._refusals >= len(RETRY_AFTER_MS):
            return None
        at_ms = now_ms + RETRY_AFTER_MS[self._refusals]
        return at_ms if at_ms - self._since_ms <= RETRY_WITHIN_MS else None

    def again(self) -> OpenModel:
        """The alarm rang: the next attempt at the same line."""
        return OpenModel(ATTEMPT_MS)

    def lost(self, now_ms: int, *, last_sign_ms: int) -> list[OpenModel] | None:
        """The line that was ready is gone: another one, at once or when the alarm rings, or None
        when it went too often. ``last_sign_ms`` is when words, or a response, came last.

        A line that is lost as soon as it is ready, and did nothing, was as good as refused, and
        the next attempt keeps its distance: a server that restarts takes connections before it
        can serve them.
        """
        self._lost_at_ms.append(now_ms)
        many = len(self._lost_at_ms) > MOST_REOPENINGS
        if many and now_ms - self._lost_at_ms[0] < REOPENINGS_WITHIN_MS:
            self.state = Link.GONE
            return None
        served = last_sign_ms >= self._ready_at_ms
        if served or now_ms - self._ready_at_ms >= STILLBORN_MS:
            return [self.open(now_ms)]
        self.state = Link.OPENING
        self._since_ms = now_ms
        return [] if self._again(now_ms) else None

    def changed_over(self, now_ms: int) -> None:
        """A spare line is the line now."""
        self.state = Link.READY
        self._ready_at_ms = now_ms
        self._refusals = 0
        self._alarms.clear(Alarm.ATTEMPT)

    def give_up(self) -> None:
        """No line is wanted any more."""
        self._alarms.clear(Alarm.ATTEMPT)
        self.state = Link.GONE
