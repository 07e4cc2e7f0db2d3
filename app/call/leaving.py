"""The moments around a stream: nobody came, and Twilio has yet to end it.

After an accepted redirect or hang-up the stream is Twilio's to end. Closing it ourselves at
once would race the redirect, which Twilio applies asynchronously, and could run the verb
behind ``</Connect>`` first; never closing it would leak. So: three seconds.
"""

from app.call.alarms import Alarm, Alarms

PARKED_MS = 15_000
"""A model line is kept for a stream that does not come."""
STOP_MS = 3_000
"""From an accepted REST request to Twilio's ``stop``, which follows within a second."""
DOUBT_MS = 1_000
"""From an answer that got lost to ``stop``, in silence: the same words are behind the socket."""
REST_MS = 10_000
"""From asking REST to any answer at all."""


class Leaving:
    """Why and since when the stream is about to end."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self.failure: str | None = None
        """The end reason of a call that is leaving because the agent cannot go on."""

    def park(self, now_ms: int) -> None:
        """The TwiML was answered; the stream is due."""
        self._alarms.set(Alarm.PARKED, now_ms + PARKED_MS)

    def arrived(self) -> None:
        """The stream is there."""
        self._alarms.clear(Alarm.PARKED)

    def asked(self, now_ms: int) -> None:
        """REST was asked to take the call away; an answer is due."""
        self._alarms.set(Alarm.STOP, now_ms + REST_MS)

    def accepted(self, now_ms: int) -> None:
        """REST agreed; ``stop`` is due."""
        self._alarms.set(Alarm.STOP, now_ms + STOP_MS)

    def doubted(self, now_ms: int) -> None:
        """REST may have agreed, and somebody listens to nothing meanwhile."""
        self._alarms.set(Alarm.STOP, now_ms + DOUBT_MS)

    def stayed(self) -> None:
        """REST refused; the stream goes on."""
        self._alarms.clear(Alarm.STOP)
