"""Hours of the week, as schema.org writes opening hours: ``Mo-Fr 09:00-20:00``.

Two ask for them: whether a line is answered now, and when somebody may be called. The rule: a
day's hours end on that day, and the moment is an argument. Pure.

https://schema.org/openingHours
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_RULE = re.compile(
    r"(?P<days>\w{2}(?:[-,]\w{2})*)\s+(?P<opens>\d\d:\d\d)\s*-\s*(?P<closes>\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """From when to when, on which days."""

    days: frozenset[int]
    """0 is Monday."""
    opens_min: int
    closes_min: int
    """Minutes since midnight; 1440 is the day's end."""


@dataclass(frozen=True, slots=True)
class Week:
    """The hours of a week, by whichever clock is asked."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def read(cls, parts: Iterable[str]) -> "Week":
        """Each part as it is written. Raises ``ValueError`` that names the one that is wrong."""
        return cls(tuple(rule(part.strip()) for part in parts))

    def open_at(self, local: datetime) -> bool:
        """Whether the hours include this moment of a clock on the wall."""
        minute = local.hour * 60 + local.minute
        return any(
            local.weekday() in one.days and one.opens_min <= minute < one.closes_min
            for one in self.rules
        )


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When somebody is there: the hours of a week in one time zone, and days without any."""

    zone: ZoneInfo
    week: Week
    closed: frozenset[date] = frozenset()
    """Holidays, by the calendar of that zone."""

    def open_at(self, now_ms: int) -> bool:
        """Whether somebody is there at this moment (epoch ms)."""
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self.zone)
        return local.date() not in self.closed and self.week.open_at(local)


def rule(part: str) -> Rule:
    """``Mo-Fr 09:00-20:00`` or ``Mo,We 09:00-12:00``. Raises ``ValueError`` with a sentence."""
    match = _RULE.fullmatch(part)
    days = _days(match["days"]) if match else None
    if match is None or days is None:
        raise ValueError(f'"{part}" is not like "Mo-Fr 09:00-20:00"')
    opens, closes = _minutes(match["opens"]), _minutes(match["closes"])
    if not 0 <= opens < closes <= 24 * 60:
        raise ValueError(f'"{part}" does not end after it begins, on the same day')
    return Rule(days, opens, closes)


def _days(text: str) -> frozenset[int] | None:
    days: set[int] = set()
    for span in text.split(","):
        first, *last = span.split("-")
        if len(last) > 1 or not {first, *last} <= set(_DAYS):
            return None
        begin, end = _DAYS.index(first), _DAYS.index(last[0] if last else first)
        days |= {(begin + one) % 7 for one in range((end - begin) % 7 + 1)}
    return frozenset(days)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes) if int(minutes) < 60 else -1
