"""The moments a call waits for, as data: one table, no clock.

A component sets an alarm by name and is asked again when it is due. Alarms that guard
against silence are *lazy*: audio does not move them, the component that wakes looks how long
the silence has lasted and sets the alarm again. So a frame costs no timer.
"""

from enum import Enum, auto


class Alarm(Enum):
    """Everything a call may wait for."""

    PARKED = auto()
    """Nobody came for a model line that was opened when the TwiML was answered."""
    ATTEMPT = auto()
    """The model line was refused; it is worth another attempt."""
    MODEL = auto()
    """The caller has waited long enough to hear the model."""
    THINKING = auto()
    """The caller has waited for an answer so long that they are told that the line lives."""
    MEDIA = auto()
    """No caller audio: is the call still there?"""
    STALL = auto()
    """The line went quiet in the middle of a caller's sentence."""
    OWED = auto()
    """The model owes a response, or the rest of one."""
    SWAP = auto()
    """The model line nears its end, or a spare one waits for a moment to take its place."""
    COMFORT = auto()
    """The caller has heard nothing since the model line was lost."""
    PULSE = auto()
    """Nothing has been heard of the model for long."""
    FILLER = auto()
    """A tool is taking its time."""
    WORK = auto()
    """A tool has a sound, and has been at work for a moment."""
    SOUND = auto()
    """Little is left of the sound that was sent ahead."""
    DIGITS = auto()
    """No further key was pressed."""
    KEYPAD = auto()
    """No key, or no further one, of something the caller was asked to key in."""
    MENU = auto()
    """What is taken for a menu has been silent for so long that it is over."""
    PRESS = auto()
    """Keys should have been pressed by now, if anybody let them."""
    ANNOUNCED = auto()
    """An announcement should have been heard by now."""
    ORDERED = auto()
    """What the operator has the agent say should have been heard by now."""
    CALLEE = auto()
    """Who was called says nothing, or a message to their machine takes its time."""
    PERSON = auto()
    """Who is called on the caller's behalf should have taken the call by now."""
    SHIELD = auto()
    """The greeting should be over by now, and the caller be heard."""
    RECORDING = auto()
    """The last key of what must not be recorded has died away."""
    NOISE = auto()
    """The caller has not paused for long: it may be noise."""
    LIMIT = auto()
    """The call has lasted for nearly as long as it may, or for longer."""
    SILENCE = auto()
    """The caller, whose turn it is, has said nothing for long."""
    WORDS = auto()
    """The words of the caller's turn should have come by now."""
    VOICE = auto()
    """Somebody may be interrupting: how much voice is there by now?"""
    STOP = auto()
    """Twilio should have ended the stream by now."""


class Alarms:
    """At most one moment per name; setting a name again moves it."""

    def __init__(self) -> None:
        self._at_ms: dict[Alarm, int] = {}
        self.next_ms: int | None = None
        """The earliest moment, None while nothing is waited for."""

    def set(self, alarm: Alarm, at_ms: int) -> None:
        """Wait for ``at_ms``, whatever this alarm waited for before."""
        self._at_ms[alarm] = at_ms
        self.next_ms = min(self._at_ms.values())

    def clear(self, alarm: Alarm) -> None:
        """Wait for it no longer; nothing happens if nobody did."""
        if self._at_ms.pop(alarm, None) is not None:
            self.next_ms = min(self._at_ms.values(), default=None)

    def clear_all(self) -> None:
        """Wait for nothing."""
        self._at_ms.clear()
        self.next_ms = None

    def is_set(self, alarm: Alarm) -> bool:
        """Whether somebody waits for it."""
        return alarm in self._at_ms

    def due(self, now_ms: int) -> list[Alarm]:
        """The alarms whose moment has come, earliest first; they are cleared."""
        due = sorted(
            (alarm for alarm, at_ms in self._at_ms.items() if at_ms <= now_ms),
            key=lambda alarm: (self._at_ms[alarm], alarm.value),
        )
        for alarm in due:
            self.clear(alarm)
        return due
