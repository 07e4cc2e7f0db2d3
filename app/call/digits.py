"""Keys the caller pressed, as one turn: a number is one thing to say, not ten.

A pause or ``#`` ends the turn. The model reads it as a labelled user message.
"""

from app.call.alarms import Alarm, Alarms

PAUSE_MS = 1_500
MOST_DIGITS = 64
KEYPAD = "[keypad] The caller pressed:"
"""How such a turn begins, for the model."""


class Digits:
    """Collects until the caller pauses."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._pressed = ""

    def press(self, digit: str, now_ms: int) -> str | None:
        """One key. The whole turn if this one ended it, else None."""
        self._pressed += digit
        if digit == "#" or len(self._pressed) >= MOST_DIGITS:
            return self.paused()
        self._alarms.set(Alarm.DIGITS, now_ms + PAUSE_MS)
        return None

    def paused(self) -> str | None:
        """The caller pressed no further key: the turn as text, None if there is nothing."""
        pressed, self._pressed = self._pressed, ""
        self._alarms.clear(Alarm.DIGITS)
        return f"{KEYPAD} {' '.join(pressed)}" if pressed else None
