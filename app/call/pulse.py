"""Whether the model is still there at all, while nobody has a reason to expect words of it.

A socket may live, and its keepalive be answered, in front of a model that hears nothing any
more. Who is owed words notices by ``patience``; while the caller speaks, or nobody does, no
event is due, so the model is asked something harmless after a long silence. Whatever it then
says, an error included, is a sign of life.

The alarm is lazy: signs of life do not move it, and audio costs nothing here. When it rings,
the last sign tells.

    LISTENING ──silence──▶ ASKED ──still nothing──▶ (the line is mute)
        └───── a sign ────────┘
"""

from enum import Enum, auto

from app.call.alarms import Alarm, Alarms

PROBE_AFTER_MS = 20_000
"""A healthy model may say nothing for minutes: music on hold, a long story, a silent caller."""
PROBE_ANSWER_MS = 4_000
"""From the question to any event at all."""


class Sign(Enum):
    """What the alarm found."""

    ALIVE = auto()
    ASK = auto()
    """Nothing was heard of the model for so long that it has to be asked."""
    MUTE = auto()
    """It was asked, and nothing at all came."""


class Pulse:
    """The last sign of life of the model line that is ready."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._last_sign_ms = 0
        self._asked_at_ms: int | None = None

    def begins(self, now_ms: int) -> None:
        """The line is ready, or is to be listened to anew."""
        self._last_sign_ms = now_ms
        self._listen_until(now_ms + PROBE_AFTER_MS)

    def ends(self) -> None:
        """There is no line to listen to."""
        self._alarms.clear(Alarm.PULSE)

    def sign(self, now_ms: int) -> None:
        """The model said something other than speech."""
        self._last_sign_ms = now_ms

    def due(self, now_ms: int, *, last_speech_ms: int) -> Sign:
        """The alarm rang; ``last_speech_ms`` is when speech came last."""
        last_sign_ms = max(self._last_sign_ms, last_speech_ms)
        if self._asked_at_ms is not None and last_sign_ms < self._asked_at_ms:
            return Sign.MUTE
        if now_ms - last_sign_ms < PROBE_AFTER_MS:
            self._listen_until(last_sign_ms + PROBE_AFTER_MS)
            return Sign.ALIVE
        self._asked_at_ms = now_ms
        self._alarms.set(Alarm.PULSE, now_ms + PROBE_ANSWER_MS)
        return Sign.ASK

    def _listen_until(self, at_ms: int) -> None:
        self._asked_at_ms = None
        self._alarms.set(Alarm.PULSE, at_ms)
