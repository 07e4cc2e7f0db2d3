"""The roster: which agent answers which call, by the document as it is now.

An edition of the document never changes; another one takes its place, for the calls that come
from then on. What was asked about a number (``Lines``) and who answers it come from one edition.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.call.line_menu import Choice, chosen
from app.call.reception import ALL_LINES, Lines
from app.runtime.line import Line


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """The document at one time."""

    version: str
    lines: Mapping[str, Line]
    """By the name of the agent or, for a number on which it is not quite what it is elsewhere, by
    what ``numbers`` calls it. The first answers where nothing else is said."""
    numbers: Lines = ALL_LINES
    """The operator's numbers, with who answers each."""

    @property
    def first(self) -> Line:
        """Who answers where nothing else is said."""
        return next(iter(self.lines.values()))

    @property
    def agents(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(line.agent for line in self.lines.values()))

    @property
    def targets(self) -> tuple[str, ...]:
        """Whom callers can be put through to, by whatever agent."""
        names = (name for line in self.lines.values() for name in line.scripts.destinations)
        return tuple(dict.fromkeys(names))

    def choice(self, number: str, pressed: str | None) -> Choice | None:
        """What a caller has chosen in the menu of a number."""
        plan = self.numbers.of(number)
        return chosen(plan.menu, pressed) if plan is not None else None

    def answering(self, number: str, pressed: str | None = None) -> Line:
        """Who answers a number of the operator's, after that key in its menu."""
        choice = self.choice(number, pressed)
        if choice is not None and choice.agent:
            return self.line(choice.agent, number)
        plan = self.numbers.of(number)
        return self.lines.get(plan.agent, self.first) if plan is not None else self.first

    def line(self, agent: str, number: str) -> Line:
        """The agent of that name on a number; where there is none, who answers the number."""
        answering = self.answering(number)
        return answering if agent == answering.agent else self.lines.get(agent, answering)


class Roster:
    """The edition that holds now. There is one before the first call."""

    def __init__(self, edition: Edition | None = None) -> None:
        self._edition = edition

    @property
    def edition(self) -> Edition:
        """What calls that come now are answered by."""
        if self._edition is None:
            raise LookupError("nobody answers yet")
        return self._edition

    @edition.setter
    def edition(self, edition: Edition) -> None:
        self._edition = edition


def alone(line: Line) -> Roster:
    """One agent who answers every number."""
    return Roster(Edition(line.version, {line.agent: line}))
