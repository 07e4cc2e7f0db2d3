"""One stream's audio on a phone that plays by its own clock.

Rule: a mark is back when the phone says so and not before; nothing of the truth about what
was heard is computed here.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from app.emulators.phone_line import PhoneLine
from app.emulators.twilio_words import monotonic_ms


class Relay(Protocol):
    """The phone, as a stream's audio needs it."""

    def play(self, mulaw: bytes) -> None: ...
    def mark(self, name: str) -> None: ...
    def clear(self) -> None: ...


class RelayedLine:
    """Marks are the phone's word; how much was heard is an estimate."""

    def __init__(self, phone: Relay, now_ms: float, marks_came: Callable[[], None]) -> None:
        self._phone = phone
        self._marks_came = marks_came
        self._estimate = PhoneLine(now_ms=now_ms, keep_audio=False)
        self._outstanding: deque[str] = deque()
        self._returned: list[str] = []
        self.discarded_bytes = 0

    @property
    def heard(self) -> bytes:
        """Nothing: what was heard only the phone knows."""
        return b""

    @property
    def heard_ms(self) -> int:
        """What a phone that lost no time would have played."""
        return self._estimate.heard_ms

    @property
    def playing(self) -> bool:
        """Whether such a phone would still play."""
        return self._estimate.playing

    def play(self, mulaw: bytes, now_ms: float) -> int:
        """Relay; ten minutes ahead of time is too much here as at Twilio."""
        discarded = self._estimate.play(mulaw, now_ms)
        self.discarded_bytes += discarded
        self._phone.play(mulaw[: len(mulaw) - discarded])
        return discarded

    def mark(self, name: str, now_ms: float) -> list[str]:
        """Relay; comes back when the phone says so."""
        self._outstanding.append(name)
        self._phone.mark(name)
        return self.advance(now_ms)

    def clear(self, now_ms: float) -> list[str]:
        """Relay; the phone returns what is outstanding."""
        self._estimate.clear(now_ms)
        self._phone.clear()
        return self.advance(now_ms)

    def advance(self, now_ms: float) -> list[str]:
        """The marks that came back since."""
        self._estimate.advance(now_ms)
        returned, self._returned = self._returned, []
        return returned

    def next_mark_at_ms(self) -> float | None:
        """Nobody knows."""
        return None

    def came_back(self, name: str) -> bool:
        """The tab returns a mark; False for one that is not outstanding."""
        if name not in self._outstanding:
            return False
        self._outstanding.remove(name)
        self._returned.append(name)
        self._estimate.advance(monotonic_ms())
        self._marks_came()
        return True
