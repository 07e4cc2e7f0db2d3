"""How fast calls are placed: evenly, and never faster than the account allows.

The database's own limiter counts what began in the last period, which on SQLite has a clock of
whole seconds and lets twenty calls go at once; Twilio's limit is meant for a moment, not for a
second. Rule: of one process, two turns are never closer than ``1 / per_second``. Pure.
"""


class Turnstile:
    """Gives out turns in the order they are asked for."""

    def __init__(self, per_second: float, now_s: float) -> None:
        """The first turn comes a gap after ``now_s``: an earlier life may just have had one."""
        self._gap_s = 1 / per_second
        self._next_at_s = now_s + self._gap_s

    def take(self, now_s: float) -> float:
        """Take the next turn; returns how long it must be waited for, in seconds."""
        at_s = max(self._next_at_s, now_s)
        self._next_at_s = at_s + self._gap_s
        return at_s - now_s
