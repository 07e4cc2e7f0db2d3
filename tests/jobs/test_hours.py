"""When a telephone may ring: by the clock on its owner's wall."""

from datetime import UTC, datetime

import pytest

from app.jobs.hours import CallingHours

PARIS, NEW_YORK, SYDNEY = "+33612345678", "+12125551234", "+61298765432"
TOLL_FREE = "+18005551234"
WEEK = CallingHours.read("Mo-Fr 09:00-20:00, Sa 10:00-14:00")


def ms(text: str) -> int:
    """A moment of UTC in epoch milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("number", "now", "opens"),
    [
        # 2026-11-20 is a Friday; Paris is UTC+1, New York UTC-5, Sydney UTC+11.
        (PARIS, "2026-11-20T08:00", "2026-11-20T08:00"),
        (PARIS, "2026-11-20T07:59:59.999", "2026-11-20T08:00"),
        (PARIS, "2026-11-20T18:59:59", "2026-11-20T18:59:59"),
        (PARIS, "2026-11-20T19:00", "2026-11-21T09:00"),
        (PARIS, "2026-11-21T13:00", "2026-11-23T08:00"),
        (NEW_YORK, "2026-11-20T08:00", "2026-11-20T14:00"),
        (SYDNEY, "2026-11-20T23:30", "2026-11-20T23:30"),
        # The night in which Paris changes its clocks: Monday nine o'clock is an hour later.
        (PARIS, "2026-10-24T13:00", "2026-10-26T08:00"),
        (PARIS, "2026-03-28T13:30", "2026-03-30T07:00"),
    ],
)
def test_it_rings_in_the_hours_of_who_is_called(number: str, now: str, opens: str) -> None:
    """Nobody is woken, also on the other side of the world and when clocks change."""
    assert WEEK.opens_at_ms(number, ms(now)) == ms(opens)


def test_all_time_zones_of_a_number_have_to_agree() -> None:
    """A toll-free number may ring anywhere from Puerto Rico to Guam."""
    opens = CallingHours.read("Mo-Su 08:00-21:00").opens_at_ms(TOLL_FREE, ms("2026-11-20T13:00"))

    assert opens is not None
    assert opens > ms("2026-11-20T13:00")


def test_hours_that_never_meet_are_told() -> None:
    """A call that can never be placed must not wait for ever."""
    assert CallingHours.read("Mo-Su 12:00-12:30").opens_at_ms(TOLL_FREE, 0) is None


def test_without_hours_it_may_ring_at_any_time() -> None:
    """The setting may be empty."""
    assert CallingHours.read("").opens_at_ms(PARIS, 7) == 7


@pytest.mark.parametrize(
    ("text", "day", "open_"),
    [("Sa-Mo 10:00-11:00", "2026-11-22T09:30", True), ("Mo 00:00-24:00", "2026-11-23T22:59", True)],
)
def test_weeks_may_wrap_and_days_may_be_whole(text: str, day: str, open_: bool) -> None:
    """As schema.org writes them."""
    hours = CallingHours.read(text)

    assert (hours.opens_at_ms(PARIS, ms(day)) == ms(day)) is open_


@pytest.mark.parametrize(
    "text",
    ["Mo", "Mo 9-17", "Xx 09:00-17:00", "Mo 17:00-09:00", "Mo 09:00-09:00", "Mo 09:00-24:01",
     "Mo 09:60-10:00", "Mo-Fr 09:00-20:00; Sa 10:00-12:00", "Mo--Fr 09:00-10:00"],
)  # fmt: skip
def test_what_is_no_hours_is_refused(text: str) -> None:
    """A mistake found at the start costs nothing."""
    with pytest.raises(ValueError, match='"'):
        CallingHours.read(text)
