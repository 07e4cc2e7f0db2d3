"""Keys the caller pressed, as one turn: a number is one thing to say, not ten.

A pause or ``#`` ends the turn. The model reads it as a labelled user message. Where the response in
progress may yet ask for keys, they wait for its end: what was keyed in ahead of a collection is
that collection's, and nothing that the model must not know is told to it before.
"""

from app.call.alarms import Alarm, Alarms

PAUSE_MS = 1_500
MOST_DIGITS = 64
KEYPAD = "[keypad] The caller pressed:"
"""How such a turn begins, for the model."""
UNTOLD = (
    "[keypad] The caller pressed {count} keys, which are kept from you: they may belong to the "
    "number that was asked for in secret. Ask for it again."
)


def told(keys: str, *, secret: bool) -> str:
    """The turn as the model reads it."""
    return UNTOLD.format(count=len(keys)) if secret else f"{KEYPAD} {' '.join(keys)}"


class Digits:
    """Collects until the caller pauses."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._pressed = ""

    def press(self, digit: str, now_ms: int, *, wanted: bool = False) -> str | None:
        """One key. All keys of the turn if this one ended it, else None. ``wanted``: somebody may
        be about to ask for them."""
        self._pressed += digit
        if (digit == "#" and not wanted) or len(self._pressed) >= MOST_DIGITS:
            return self.paused()
        self.wait(now_ms)
        return None

    def wait(self, now_ms: int) -> None:
        """They are no turn yet."""
        self._alarms.set(Alarm.DIGITS, now_ms + PAUSE_MS)

    def paused(self) -> str | None:
        """The caller pressed no further key: the turn's keys, None if there are none."""
        return self.taken() or None

    def taken(self) -> str:
        """The keys of a turn that is not over, which belong to something else now."""
        pressed, self._pressed = self._pressed, ""
        self._alarms.clear(Alarm.DIGITS)
        return pressed
