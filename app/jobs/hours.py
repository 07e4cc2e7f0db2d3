"""When people may be called: the operator's hours, in the time zone of the person called.

Written one after the other, ``Mo-Fr 09:00-20:00, Sa 10:00-14:00`` (``app/hours.py``). Rule: where a
number may be in several time zones (a mobile of a large country), all of them have to agree.
Pure: the moment is an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

from app.hours import Week

_LOOK_AHEAD_DAYS = 8
_AT_ANY_TIME = Week()


@dataclass(frozen=True, slots=True)
class CallingHours:
    """The hours of a week."""

    week: Week = _AT_ANY_TIME
    """Without rules: at any time."""

    @classmethod
    def read(cls, text: str) -> "CallingHours":
        """``text`` as it is set. Raises ``ValueError`` that names the part that is wrong."""
        return cls(Week.read(part for part in text.split(",") if part.strip()))

    def opens_at_ms(self, number: str, now_ms: int) -> int | None:
        """The first moment from ``now_ms`` on when ``number`` may be called (epoch ms).

        ``now_ms`` itself when it may be called now; None where nobody knows what time it is
        there, or the hours of its possible time zones never meet.
        """
        if not self.week.rules:
            return now_ms
        zones = zones_of(number)
        if not zones:
            return None
        moments = (now_ms, *sorted(self._openings(zones, now_ms)))
        return next((one for one in moments if self._all_open(zones, one)), None)

    def _all_open(self, zones: list[ZoneInfo], now_ms: int) -> bool:
        moment = datetime.fromtimestamp(now_ms / 1000, UTC)
        return all(self.week.open_at(moment.astimezone(zone)) for zone in zones)

    def _openings(self, zones: list[ZoneInfo], now_ms: int) -> Iterator[int]:
        """Every moment of the coming week at which some zone begins to be open."""
        for zone in zones:
            today = datetime.fromtimestamp(now_ms / 1000, zone).date()
            for ahead in range(_LOOK_AHEAD_DAYS):
                for rule in self.week.rules:
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
