"""Opening the model line, opening it again, and when to stop trying.

Attempts are bounded in number and the caller's patience in time: from the moment the caller
waits until something is heard must stay under five seconds, whatever the model does.

    OPENING ──ready──▶ READY ──lost──▶ OPENING … ──no attempt left──▶ GONE
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.protocol.commands import OpenModel
from app.protocol.events import ModelRefused

ATTEMPT_MS = 2_500
PATIENCE_MS = 4_000
MOST_ATTEMPTS = 2
MOST_REOPENINGS = 3
"""Lines lost in one call before the model counts as failed."""


class Link(Enum):
    """What there is of a model line."""

    OPENING = auto()
    READY = auto()
    GONE = auto()


class ModelLink:
    """The life of a call's model lines."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._attempts = 0
        self._reopenings = 0
        self.state = Link.OPENING

    def open(self) -> OpenModel:
        """The next attempt."""
        self._attempts += 1
        self.state = Link.OPENING
        return OpenModel(ATTEMPT_MS)

    def ready(self) -> bool:
        """The line may carry audio. False if that comes too late to matter."""
        self._alarms.clear(Alarm.MODEL)
        if self.state is not Link.OPENING:
            return False
        self._attempts = 0
        self.state = Link.READY
        return True

    def caller_waits(self, now_ms: int) -> None:
        """Somebody is listening to silence from now on."""
        if self.state is Link.OPENING:
            self._alarms.set(Alarm.MODEL, now_ms + PATIENCE_MS)

    def refused(self, event: ModelRefused) -> OpenModel | None:
        """An attempt failed: the next one, or None when there is none left."""
        if self.state is not Link.OPENING:
            return None
        if event.retryable and self._attempts < MOST_ATTEMPTS:
            return self.open()
        self.state = Link.GONE
        return None

    def lost(self, now_ms: int) -> OpenModel | None:
        """The line that was ready is gone: another one, or None when it went too often."""
        self._reopenings += 1
        self._attempts = 0
        if self._reopenings > MOST_REOPENINGS:
            self.state = Link.GONE
            return None
        command = self.open()
        self.caller_waits(now_ms)
        return command

    def give_up(self) -> None:
        """The caller's patience is over."""
        self.state = Link.GONE
        self._alarms.clear(Alarm.MODEL)
