"""What the caller hears while a lost model line is replaced: a soft tone, that they know of life.

Between two lines nobody is there who could speak. The voice cannot be had: it is the model's,
it is gone, and a sentence of somebody else's in the middle of a conversation would startle
more than it calms, in a language that may not be the caller's. A spare line kept warm for every
call would cost a second session each, and with a server that is down be as dead as the first.
So it is a tone, as a telephone exchange gives one to somebody who is held: after a second of
silence, and again every two seconds, until something is said or somebody else speaks. It is
no speech: it is not in the ledger, ends no wait, and is in no transcript.

The alarm is lazy: audio does not move it. When it rings, the ledger tells.
"""

from app.call.alarms import Alarm, Alarms
from app.call.playout import Playout
from app.protocol.commands import Command, PlayComfort

COMFORT_AFTER_MS = 1_000
"""Of silence; most lines are replaced in less."""
COMFORT_EVERY_MS = 2_000


class Comfort:
    """A silence that began when the model line was lost."""

    def __init__(self, alarms: Alarms, playout: Playout) -> None:
        self._alarms = alarms
        self._playout = playout
        self._sent_before = 0

    def line_lost(self, now_ms: int) -> None:
        """Nobody speaks from now on; what was said before may still play."""
        self._sent_before = self._playout.ever_sent
        self._alarms.set(Alarm.COMFORT, self._silent_for(now_ms, COMFORT_AFTER_MS))

    def _silent_for(self, now_ms: int, length_ms: int) -> int:
        return now_ms + self._playout.unheard_ms(now_ms) + length_ms

    def ends(self) -> None:
        """The caller speaks, or is somebody else's."""
        self._alarms.clear(Alarm.COMFORT)

    def due(self, now_ms: int) -> list[Command]:
        """The alarm rang: the tone, unless something was said meanwhile."""
        if self._playout.ever_sent != self._sent_before:
            return []
        if self._playout.unheard_ms(now_ms):
            self._alarms.set(Alarm.COMFORT, self._silent_for(now_ms, COMFORT_AFTER_MS))
            return []
        self._alarms.set(Alarm.COMFORT, now_ms + COMFORT_EVERY_MS)
        return [PlayComfort()]
