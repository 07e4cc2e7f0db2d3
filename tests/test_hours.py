"""Opening hours: who is there by which clock, whatever the server's own says."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from app.hours import OpeningHours, Week

OFFICE = OpeningHours(
    ZoneInfo("Europe/Paris"),
    Week.read(["Mo-Fr 08:00-19:00", "Sa 09:00-12:00"]),
    frozenset({date(2026, 12, 25)}),
)


def ms(text: str) -> int:
    """A moment of UTC in epoch milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        # 2026-11-20 is a Friday; Paris is UTC+1 in winter and UTC+2 in summer.
        ("2026-11-20T06:59:59.999", False),
        ("2026-11-20T07:00", True),
        ("2026-11-20T17:59:59.999", True),
        ("2026-11-20T18:00", False),
        ("2026-11-21T08:00", True),
        ("2026-11-21T11:00", False),
        ("2026-11-22T10:00", False),
        # Friday, and a holiday; in Paris it begins an hour before UTC's.
        ("2026-12-25T10:00", False),
        ("2026-12-24T10:00", True),
        # The Fridays before and after the clocks change.
        ("2026-10-23T06:00", True),
        ("2026-10-30T06:00", False),
    ],
)
def test_somebody_is_there_by_the_clock_on_their_wall(now: str, is_open: bool) -> None:
    """Not by UTC, nor by the clock of the server."""
    assert OFFICE.open_at(ms(now)) is is_open


def test_a_holiday_is_a_day_of_its_own_zone() -> None:
    """Seven o'clock in Sydney is the day before in London."""
    week = Week.read(["Mo-Su 00:00-24:00"])
    sydney = OpeningHours(ZoneInfo("Australia/Sydney"), week, frozenset({date(2026, 1, 26)}))

    assert not sydney.open_at(ms("2026-01-25T20:00"))
    assert sydney.open_at(ms("2026-01-26T20:00"))


def test_days_may_be_named_one_by_one() -> None:
    """As schema.org writes them; a span may begin late in the week."""
    week = Week.read(["Mo,We,Fr-Sa 09:00-12:00", "Su-Mo 20:00-21:00"])

    found = [day for day in range(20, 27) if week.open_at(datetime(2026, 11, day, 10, tzinfo=UTC))]
    evenings = [
        day for day in range(20, 27) if week.open_at(datetime(2026, 11, day, 20, tzinfo=UTC))
    ]

    assert found == [20, 21, 23, 25]
    assert evenings == [22, 23]
