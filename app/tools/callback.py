"""When somebody is to be called back: what the model wrote, by the clock of who is called. Pure.

A speech model knows neither the date nor the time of day where the caller is, so a moment is
named as people do (``tomorrow``, ``monday``, ``14:30``) or by how far off it is. Rule: whatever
is refused is refused in a sentence that the model can act on, with the time it is now.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LONGEST_REASON = 500
_LONGEST_TITLE = 200
_LONGEST_NOTE = 2_000


class Refused(Exception):
    """The call-back is not arranged; the message tells the model why, and what to do."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A call-back that was asked for."""

    at: datetime
    """With the time zone in which it is told."""
    reason: str
    """What it is to be about, in the model's words."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is to be done."""

    title: str
    description: str | None


def asked(arguments: str, now: datetime, zones: Sequence[ZoneInfo], within: timedelta) -> Callback:
    """What the model asked for with these arguments (JSON text). Raises ``Refused``.

    ``zones``: where the number may be; ``within``: how far ahead it may be.
    """
    given = _read(arguments)
    at = _checked(given, now, zones, within)
    reason = given.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise Refused("Say in reason what the call-back is to be about, then call the tool again.")
    return Callback(at, " ".join(reason.split())[:_LONGEST_REASON])


def due(
    arguments: str, now: datetime, zones: Sequence[ZoneInfo], within: timedelta
) -> tuple[Note, datetime | None]:
    """A reminder, and when it is due where it is at any moment. Raises ``Refused``."""
    given = _read(arguments)
    title, description = given.get("title"), given.get("description")
    if not isinstance(title, str) or not title.strip():
        raise Refused("Say in title what is to be done, then call the tool again.")
    if description is not None and not isinstance(description, str):
        raise Refused("description must be text.")
    timed = any(given.get(name) is not None for name in ("in_minutes", "day", "time"))
    at = _checked(given, now, zones, within) if timed else None
    note = " ".join((description or "").split())[:_LONGEST_NOTE]
    return Note(" ".join(title.split())[:_LONGEST_TITLE], note or None), at


def _checked(
    given: dict[str, Any], now: datetime, zones: Sequence[ZoneInfo], within: timedelta
) -> datetime:
    """The moment that was asked for, with the zone in which it is told."""
    zone = _zone(given.get("timezone"), zones, now)
    at = _moment(given, zone, now)
    told = zone or UTC
    if at <= now:
        raise Refused(f"That time is over. {_it_is(now, told)} Ask for another time.")
    if at - now > within:
        raise Refused(
            f"That is too far ahead: it may be at most {_length(within)} from now."
            f" {_it_is(now, told)} Ask for a time before that."
        )
    return at.astimezone(told)


def spoken(at: datetime) -> str:
    """A moment as it can be said, by the clock of its zone."""
    where = str(at.tzinfo)
    return f"{at:%A} {at.day} {at:%B} {at.year}, {at:%H:%M} ({where})"


def arranged(callback: Callback) -> str:
    """What the model is told of a call-back that was arranged."""
    told = {"ok": True, "at": callback.at.isoformat(timespec="minutes")}
    return orjson.dumps(told | {"tell_them": spoken(callback.at)}).decode()


def refused(why: str) -> str:
    """What the model is told of one that was not."""
    return orjson.dumps({"ok": False, "reason": why}).decode()


def _read(arguments: str) -> dict[str, Any]:
    try:
        given = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise Refused("The arguments were not complete JSON. Call the tool again with all of them.")
    return given


def _zone(named: object, zones: Sequence[ZoneInfo], now: datetime) -> tzinfo | None:
    """By whose clock; None where nobody knows."""
    if isinstance(named, str) and named:
        try:
            return ZoneInfo(named)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Refused(
                "The timezone must be a name such as Europe/Paris: ask in which city they are."
            ) from None
    offsets = {now.astimezone(zone).utcoffset() for zone in zones}
    return zones[0] if len(offsets) == 1 else None


def _moment(given: dict[str, Any], zone: tzinfo | None, now: datetime) -> datetime:
    minutes = given.get("in_minutes")
    if minutes is not None:
        if type(minutes) is not int or not 0 < minutes < 1_000_000:
            raise Refused("in_minutes must be a whole number of minutes, 1 or more.")
        return now + timedelta(minutes=minutes)
    clock = _TIME.fullmatch(str(given.get("time") or "").strip())
    if clock is None:
        raise Refused(
            "Give in_minutes, or day and time, time by the 24-hour clock such as 14:30."
            f" {_it_is(now, zone or UTC)}"
        )
    if zone is None:
        raise Refused(
            "Their number does not tell which time zone they are in: ask in which city they are,"
            " and give timezone as well."
        )
    local = now.astimezone(zone)
    at = time(int(clock[1]), int(clock[2]))
    day = _day(str(given.get("day") or "today").strip().casefold(), local, at)
    if day is None:
        raise Refused(
            "day must be today, tomorrow, a weekday such as monday, or a date such as"
            f" {local:%Y-%m-%d}. {_it_is(now, zone)}"
        )
    return datetime.combine(day, at, zone)


def _day(named: str, local: datetime, at: time) -> date | None:
    today = local.date()
    if named in {"today", "tomorrow"}:
        return today + timedelta(days=int(named == "tomorrow"))
    if named in _WEEKDAYS:
        ahead = (_WEEKDAYS.index(named) - today.weekday()) % 7
        # Who says on a Monday morning "Monday at nine" means the next one at ten.
        ahead += 7 if ahead == 0 and at <= local.time() else 0
        return today + timedelta(days=ahead)
    try:
        return date.fromisoformat(named)
    except ValueError:
        return None


def _it_is(now: datetime, zone: tzinfo) -> str:
    return f"It is now {spoken(now.astimezone(zone))}."


def _length(length: timedelta) -> str:
    hours = round(length.total_seconds() / 3_600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
