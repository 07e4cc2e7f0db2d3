"""When people may be called: the operator's hours, in the time zone of the person called.

Written as schema.org writes opening hours: ``Mo-Fr 09:00-20:00, Sa 10:00-14:00``. Rule: where a
number may be in several time zones (a mobile of a large country), all of them have to agree.
Pure: the moment is an argument.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_RULE = re.compile(r"(?P<days>\w{2}(?:-\w{2})?)\s+(?P<opens>\d\d:\d\d)\s*-\s*(?P<closes>\d\d:\d\d)")
_LOOK_AHEAD_DAYS = 8


@dataclass(frozen=True, slots=True)
class _Rule:
    days: frozenset[int]
    """0 is Monday."""
    opens_min: int
    closes_min: int
    """Minutes since midnight; 1440 is the day's end."""


@dataclass(frozen=True, slots=True)
class CallingHours:
    """The hours of a week."""

    rules: tuple[_Rule, ...] = ()
    """Empty: at any time."""

    @classmethod
    def read(cls, text: str) -> "CallingHours":
        """``text`` as it is set. Raises ``ValueError`` that names the part that is wrong."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return cls(tuple(_rule(part) for part in parts))

    def opens_at_ms(self, number: str, now_ms: int) -> int | None:
        """The first moment from ``now_ms`` on when ``number`` may be called (epoch ms).

        ``now_ms`` itself when it may be called now; None where nobody knows what time it is
        there, or the hours of its possible time zones never meet.
        """
        if not self.rules:
            return now_ms
        zones = zones_of(number)
        if not zones:
            return None
        moments = (now_ms, *sorted(self._openings(zones, now_ms)))
        return next((one for one in moments if self._all_open(zones, one)), None)

    def _all_open(self, zones: list[ZoneInfo], now_ms: int) -> bool:
        moment = datetime.fromtimestamp(now_ms / 1000, UTC)
        return all(self._open(moment.astimezone(zone)) for zone in zones)

    def _open(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        return any(
            local.weekday() in rule.days and rule.opens_min <= minute < rule.closes_min
            for rule in self.rules
        )

    def _openings(self, zones: list[ZoneInfo], now_ms: int) -> Iterator[int]:
        """Every moment of the coming week at which some zone begins to be open."""
        for zone in zones:
            today = datetime.fromtimestamp(now_ms / 1000, zone).date()
            for ahead in range(_LOOK_AHEAD_DAYS):
                for rule in self.rules:
                    moment = _at(today + timedelta(days=ahead), rule.opens_min, zone)
                    if moment > now_ms:
                        yield moment


def _at(day: date, minute: int, zone: ZoneInfo) -> int:
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    return round(local.timestamp() * 1000)


def zones_of(number: str) -> list[ZoneInfo]:
    """The time zones a number may be in; empty where that is unknown."""
    try:
        names = timezone.time_zones_for_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return []
    try:
        return [ZoneInfo(name) for name in names if name != "Etc/Unknown"]
    except ZoneInfoNotFoundError:
        return []


def _rule(part: str) -> _Rule:
    match = _RULE.fullmatch(part)
    days = _days(match["days"]) if match else None
    if match is None or days is None:
        raise ValueError(f'"{part}" is not like "Mo-Fr 09:00-20:00"')
    opens, closes = _minutes(match["opens"]), _minutes(match["closes"])
    if not 0 <= opens < closes <= 24 * 60:
        raise ValueError(f'"{part}" does not end after it begins, on the same day')
    return _Rule(days, opens, closes)


def _days(text: str) -> frozenset[int] | None:
    first, _, last = text.partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        return None
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    span = (end - begin) % 7
    return frozenset((begin + one) % 7 for one in range(span + 1))


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes) if int(minutes) < 60 else -1
