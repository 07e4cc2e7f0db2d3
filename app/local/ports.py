"""The three ports of the local model: what hears, what thinks and what speaks.

Each port is a ladder of implementations; the best that is there is taken, and ``rung`` says
which one that is, for the log and for the page. One object serves one call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.emulators.realtime_turns import Ask, Output


@dataclass(frozen=True, slots=True)
class Intent:
    """Something a caller may want, and the ways to say it."""

    name: str
    say_like: tuple[str, ...]
    """Lower-case English; ``(a|b)`` is a choice, ``[a]`` may be left out."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What became of one turn of the caller."""

    text: str
    """What the caller seems to have said; empty when nothing could be made of it."""
    intent: str | None
    """The intent it is taken for; None: not understood, or no intents were expected."""


NOTHING = Understood("", None)

Took = Callable[[str, str], None]
"""Told which rung served, and in a sentence why none above it did; empty: it is the best."""


def untold(_rung: str, _why: str) -> None:
    """For whoever has nobody to tell."""


class Detector(Protocol):
    """Voice activity, 20 ms after 20 ms, of one call."""

    def is_speech(self, linear: bytes, threshold: float) -> bool:
        """Whether this frame (16-bit, 8 kHz, mono) is speech; ``threshold`` as in server_vad."""
        ...


class Hear(Protocol):
    """Turns of the caller to words and intents. Audio is 16-bit, 8 kHz, mono, any length."""

    @property
    def rung(self) -> str:
        """Which implementation this is, in a few words."""
        ...

    def begin(self, intents: Sequence[Intent]) -> None:
        """A turn begins, of which one of ``intents`` is expected; none: any words."""
        ...

    def feed(self, linear: bytes) -> None:
        """More of the turn, as it is spoken."""
        ...

    async def end(self) -> Understood:
        """The turn is over. Cancelling forgets it."""
        ...


class Think(Protocol):
    """What the agent says and does next."""

    @property
    def rung(self) -> str:
        """Which implementation this is, in a few words."""
        ...

    def configure(self, session: Mapping[str, Any]) -> None:
        """The ``session`` of a ``session.update`` that was sent to this call's session."""
        ...

    def expects(self) -> Sequence[Intent]:
        """What the caller may want next; nothing in particular: any words."""
        ...

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """The response to ``ask``; ``heard`` is the turn it answers, if it answers one.

        Speech comes without audio: whoever speaks adds it. Cancelling abandons the thought.
        """
        ...


class Speak(Protocol):
    """Words to sound."""

    @property
    def rung(self) -> str:
        """Which implementation this is, in a few words."""
        ...

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law, about -20 dBFS; empty where nothing can speak. Cancel-safe."""
        ...
