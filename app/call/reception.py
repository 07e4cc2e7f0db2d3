"""Whether a call is for the agent at all: which line it rang, from where, and when. Pure.

Asked once, before anything is opened for the call. Rule: what the operator wrote about a number
holds for every call to it; whether there is room is decided later, when the answer is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.call.line_menu import LineMenu

LEAVE = "Nobody can take your call now. Please leave a message after the tone."
NOBODY = "Nobody could take your call. Please call again later."
CLOSED = "We are closed at the moment. Please call again later."


class Opening(Protocol):
    """Hours, in their time zone."""

    def open_at(self, now_ms: int) -> bool:
        """Whether somebody is there at this moment (epoch ms)."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What a caller gets who is not answered by the agent: a sentence, a person, or both."""

    say: str | None = None
    target: str | None = None
    """Whom they are put through to, by name; None: the call ends."""
    takes_message: bool = False
    """They may say something after a tone, and then it ends."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A program of the operator's that is asked who calls."""

    url: str
    timeout_ms: int = 2_000
    fails_open: bool = True
    """False: where it does not answer as it should the call is rejected."""


@dataclass(frozen=True, slots=True)
class Lobby:
    """What the operator wrote about waiting for a number."""

    most: int = 20
    """More do not wait."""
    longest_s: int = 600
    otherwise: Instead = Instead(NOBODY)
    """For who has waited that long, or would be one too many."""


@dataclass(frozen=True, slots=True)
class LinePlan:
    """What the operator wrote about a number."""

    hours: Opening | None = None
    """None: always open."""
    when_closed: Instead = Instead(CLOSED)
    countries: frozenset[str] | None = None
    """ISO 3166 codes of where callers may call from; None: from anywhere."""
    max_concurrent: int | None = None
    when_full: Instead | None = None
    """None: as where the whole process is full."""
    lobby: Lobby | None = None
    """How callers wait where it is full; None: they do not."""
    before_call: Lookup | None = None
    menu: LineMenu | None = None
    """What callers choose from before they are answered; None: nothing."""
    agent: str = ""
    """Who answers, as the roster calls it; empty: whoever does where nothing else is said."""


_ENDS_AS = {"closed": "closed_hours", "line_full": "capacity"}

ANYBODY_ANYTIME = LinePlan()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The agent does not answer."""

    why: str
    """unmapped, country, closed, line_full, or what a look-up said: rejected, put_through,
    told, unanswered."""
    instead: Instead | None = None
    """None: the call is not even taken."""
    busy: bool = False
    """How it sounds where it is not taken."""

    @property
    def reason(self) -> str:
        """What the call ends with."""
        return _ENDS_AS.get(self.why, "blocked")


@dataclass(frozen=True, slots=True)
class Lines:
    """The operator's numbers."""

    plans: Mapping[str, LinePlan] = field(default_factory=dict)
    """By E.164 or SIP address."""
    others: LinePlan | None = ANYBODY_ANYTIME
    """Of every other number; None: it is not answered."""

    def of(self, number: str) -> LinePlan | None:
        """The plan of the line that was rung; of a SIP address its parameters do not matter."""
        bare = number.partition(";")[0].partition("?")[0]
        found = self.plans.get(number) or self.plans.get(bare)
        return found or self.plans.get(bare.lower()) or self.others


ALL_LINES = Lines()


def refusal(line: LinePlan | None, *, caller: str, country: str, now_ms: int) -> Refusal | None:
    """Why a call to this line is not the agent's; None where it is, as far as is known yet.

    ``caller`` is the number as Twilio gives it; ``country`` where it belongs, empty where nobody
    knows; ``now_ms`` is epoch time.
    """
    if line is None:
        return Refusal("unmapped")
    by_internet = caller.startswith(("sip:", "sips:", "client:"))
    if line.countries is not None and not by_internet and country not in line.countries:
        return Refusal("country")
    if line.hours is not None and not line.hours.open_at(now_ms):
        return Refusal("closed", line.when_closed)
    return None
