"""What a telephone is to the local carrier: five small promises, and a clock for what it says.

A phone may be a browser tab, a script or a program in a terminal. Rule: a phone lives in its
own time. What it says comes when it comes, what it plays is played by its own clock, and the
carrier only relays: it neither waits for a phone nor guesses what was heard.

    free -> ringing -> talking -> free       a leg is what the phone is talking on
"""

import asyncio
import enum
from collections.abc import Callable
from typing import Any, Protocol

from app.protocol.units import FRAME_MS

TOLERANCE_FRAMES = 25
"""A phone may be half a second late, or ahead, before its time is set right."""


class Voice(Protocol):
    """Words to sound."""

    rung: str
    """``flite``, ``espeak-ng``, or ``none`` when it cannot speak."""

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law; empty where nothing can speak. Cancel-safe."""
        ...


class Line(Protocol):
    """What a stream plays to. Times are ms on one rising clock; PhoneLine says what is meant."""

    discarded_bytes: int

    @property
    def heard(self) -> bytes: ...
    @property
    def heard_ms(self) -> int: ...
    @property
    def playing(self) -> bool: ...
    def play(self, mulaw: bytes, now_ms: float) -> int: ...
    def mark(self, name: str, now_ms: float) -> list[str]: ...
    def clear(self, now_ms: float) -> list[str]: ...
    def advance(self, now_ms: float) -> list[str]: ...
    def next_mark_at_ms(self) -> float | None: ...


class Leg(Protocol):
    """What a phone is talking on."""

    async def take_frame(self, mulaw: bytes) -> None:
        """20 ms the phone says; dropped where nobody listens."""
        ...

    async def press(self, digit: str) -> None:
        """A key of the phone (``0-9 * # A-D``)."""
        ...

    async def hang_up(self) -> None:
        """The phone puts the receiver down, or lost the network. Safe to repeat."""
        ...


class Answer(enum.Enum):
    """What became of ringing a phone."""

    ANSWERED = "answered"
    DECLINED = "declined"
    GONE = "gone"
    """The phone itself disappeared: another may take its place."""


class Phone(Protocol):
    """A telephone. Nothing but ``play_out`` waits."""

    @property
    def free(self) -> bool:
        """Whether it can ring or dial."""
        ...

    def ring(
        self, leg: Leg, *, call_sid: str, from_: str, to: str, sentence: str
    ) -> "asyncio.Future[Answer]":
        """Ring a free phone; once answered it talks on ``leg``. ``sentence`` says who calls."""
        ...

    def over(self, leg: Leg, by: str, reason: str) -> None:
        """``leg`` is over, rung or talked on; nothing happens if the phone is not on it."""
        ...

    def tell(self, event: str, **fields: Any) -> None:
        """Something about the call, in the words of the phone socket."""
        ...

    def line(self, now_ms: float, marks_came: Callable[[], None]) -> Line:
        """What a stream plays to from now on; ``marks_came`` is called when ``advance`` has news.

        The line is over with the next ``clear`` after the stream.
        """
        ...

    def play(self, mulaw: bytes) -> None:
        """Audio that no stream brings, behind what is there."""
        ...

    async def play_out(self, mulaw: bytes) -> None:
        """The same, until it was heard or the phone is gone."""
        ...

    def clear(self) -> None:
        """Drop what was not heard, whoever brought it."""
        ...


class FrameClock:
    """Numbers the frames of a stream that come in a phone's own time, from 0.

    What is late stays in order and closes up; only beyond the tolerance it is a gap, and what
    is further ahead than the tolerance is too much.
    """

    def __init__(self, started_at_ms: float) -> None:
        self._started_at_ms = started_at_ms
        self._next = 0

    def number(self, now_ms: float) -> int | None:
        """The number of the frame that came now; None when it is one too many."""
        due = int((now_ms - self._started_at_ms) / FRAME_MS)
        if self._next > due + TOLERANCE_FRAMES:
            return None
        if self._next < due - TOLERANCE_FRAMES:
            self._next = due
        number = self._next
        self._next += 1
        return number
