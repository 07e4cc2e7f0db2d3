"""When somebody is called back: moments as people name them, and refusals a model can act on."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest

from app.tools.callback import Callback, Note, Refused, arranged, asked, due, spoken

PARIS, NEW_YORK = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
"""A Saturday, five past two in Paris."""
WEEK = timedelta(days=7)


def wished(zones: tuple[ZoneInfo, ...] = (PARIS,), /, **given: object) -> Callback:
    """What a model gets for these arguments."""
    return asked(orjson.dumps({"reason": "The bill", **given}).decode(), NOW, zones, WEEK)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"in_minutes": 30}, "2026-11-21T14:35+01:00"),
        ({"time": "16:00"}, "2026-11-21T16:00+01:00"),
        ({"day": "today", "time": "16:00"}, "2026-11-21T16:00+01:00"),
        ({"day": "Tomorrow", "time": "9:30"}, "2026-11-22T09:30+01:00"),
        ({"day": "monday", "time": "09:00"}, "2026-11-23T09:00+01:00"),
        ({"day": "saturday", "time": "18:00"}, "2026-11-21T18:00+01:00"),
        ({"day": "saturday", "time": "09:00"}, "2026-11-28T09:00+01:00"),
        ({"day": "2026-11-24", "time": "10:00"}, "2026-11-24T10:00+01:00"),
        (
            {"day": "tomorrow", "time": "09:00", "timezone": "America/New_York"},
            "2026-11-22T09:00-05:00",
        ),
    ],
)
def test_a_moment_is_named_as_people_do(given: dict[str, object], at: str) -> None:
    """By the clock of who is called; a model knows no date."""
    assert wished(**given).at.isoformat(timespec="minutes") == at


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"day": "today", "time": "14:00"}, "That time is over. It is now Saturday 21 November"),
        ({"day": "2026-11-30", "time": "10:00"}, "at most 7 days from now. It is now Saturday"),
        ({"in_minutes": 999_999}, "too far ahead"),
        ({"in_minutes": 0}, "1 or more"),
        ({"in_minutes": "30"}, "whole number"),
        ({"in_minutes": True}, "whole number"),
        ({"day": "tomorrow"}, "day and time"),
        ({"day": "tomorrow", "time": "24:00"}, "24-hour clock"),
        ({"day": "someday", "time": "10:00"}, "or a date such as 2026-11-21"),
        ({"time": "10:00", "timezone": "Paris"}, "ask in which city"),
        ({"time": "10:00", "timezone": "../etc/passwd"}, "ask in which city"),
        ({"in_minutes": 30, "reason": " "}, "Say in reason"),
        ({"in_minutes": 30, "reason": 7}, "Say in reason"),
    ],
)
def test_what_is_refused_says_what_to_do(given: dict[str, object], why: str) -> None:
    """The model tells the caller, or corrects itself, and knows what time it is there."""
    with pytest.raises(Refused, match=why.replace("(", r"\(")):
        wished(**given)


@pytest.mark.parametrize("arguments", ["", "{", "[]", '"x"', '{"in_minutes": 5'])
def test_arguments_that_are_none_are_refused(arguments: str) -> None:
    """A model writes what it likes."""
    with pytest.raises(Refused):
        asked(arguments, NOW, (PARIS,), WEEK)


def test_where_the_clock_is_not_known_it_is_asked_for() -> None:
    """A mobile of a large country may be anywhere in it; so many minutes from now is the same."""
    zones = (NEW_YORK, ZoneInfo("America/Los_Angeles"))

    with pytest.raises(Refused, match="ask in which city"):
        wished(zones, day="tomorrow", time="09:00")
    with pytest.raises(Refused, match="ask in which city"):
        wished((), day="tomorrow", time="09:00")

    assert wished(zones, in_minutes=10).at == NOW + timedelta(minutes=10)
    assert wished((NEW_YORK, ZoneInfo("America/Toronto")), time="09:00").at.hour == 9


def test_the_model_is_told_the_moment_in_words() -> None:
    """What was arranged is confirmed to the caller."""
    callback = wished(day="monday", time="09:00")

    assert spoken(callback.at) == "Monday 23 November 2026, 09:00 (Europe/Paris)"
    assert orjson.loads(arranged(callback)) == {
        "ok": True,
        "at": "2026-11-23T09:00+01:00",
        "tell_them": "Monday 23 November 2026, 09:00 (Europe/Paris)",
    }


def test_a_reminder_may_be_due_at_some_moment_or_at_none() -> None:
    """With a title, and what else is to be known."""
    named = due('{"title": " Send the  bill ", "description": "By post"}', NOW, (), WEEK)
    timed = due('{"title": "x", "day": "monday", "time": "09:00"}', NOW, (PARIS,), WEEK)

    assert named == (Note("Send the bill", "By post"), None)
    assert timed[0] == Note("x", None)
    assert timed[1] is not None
    assert timed[1].isoformat(timespec="minutes") == "2026-11-23T09:00+01:00"


@pytest.mark.parametrize(
    "arguments",
    [
        *("{}", '{"title": ""}', '{"title": 7}', '{"title": "x", "description": []}'),
        *('{"title": "x", "day": "monday"}', '{"title": "x", "in_minutes": 0}'),
    ],
)
def test_a_reminder_without_a_title_or_with_half_a_moment_is_refused(arguments: str) -> None:
    """Nobody could do anything with it."""
    with pytest.raises(Refused):
        due(arguments, NOW, (PARIS,), WEEK)
