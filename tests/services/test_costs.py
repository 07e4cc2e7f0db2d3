"""What the model costs a day, over all processes, on both databases."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.runtime.capacity import Capacity, Fleet
from app.runtime.spending import Spending
from app.services.store.costs import Costs
from app.services.store.database import open_engine

TODAY, TOMORROW = datetime(2026, 11, 22, 23, 59, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)


class Clock:
    """The day, as a test has it."""

    def __init__(self, now: datetime = TODAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def nothing(_at_ms: int, _kind: str, _data: Mapping[str, Any]) -> None:
    """Facts go nowhere here."""


def spends(one: Spending, microusd: int) -> None:
    """A response of a call of this process is billed."""
    one.noting(nothing)(0, "model.used", {"bill": {"microusd": microusd, "prices": "own"}})
    one.noting(nothing)(0, "model.used", {"input_text": 7})


@pytest.mark.parametrize("first_settles", [True, False])
async def test_all_processes_spend_one_amount(url: str, *, first_settles: bool) -> None:
    """peers 6.11: two processes, ten dollars: what the other spends counts here, too."""
    engine = open_engine(url)
    day = datetime(2026, 3, 1 + first_settles, tzinfo=UTC)
    a, b = (Spending(me, Costs(engine), 10_000_000, now=Clock(day)) for me in "ab")
    spends(a, 6_000_000)
    spends(b, 3_999_999)
    for one in (a, b, a) if first_settles else (b, a, b):
        await one.settle()
    before = (a.exhausted, b.exhausted)

    spends(b, 1)
    await b.settle()
    await a.settle()
    await a.settle()
    found = await a.days(day.date(), day.date())
    await engine.dispose()

    assert before == (False, False)
    assert (a.exhausted, b.exhausted) == (True, True)
    assert list(found) == [(day.date(), 10_000_000)]


async def test_a_new_day_begins_with_nothing(url: str) -> None:
    """At midnight of UTC calls are taken again."""
    engine, clock = open_engine(url), Clock()
    one = Spending("midnight", Costs(engine), 5, now=clock)
    spends(one, 5)
    await one.settle()
    full = one.exhausted

    clock.now = TOMORROW
    rested = one.exhausted
    spends(one, 4)
    found = await one.days(date(2026, 11, 22), date(2026, 11, 23))
    await engine.dispose()

    assert (full, rested, one.exhausted) == (True, False, False)
    assert list(found) == [(date(2026, 11, 23), 4), (date(2026, 11, 22), 5)]


async def test_without_a_limit_the_day_is_counted_all_the_same(sqlite_url: str) -> None:
    """C30: somebody asks for the sum."""
    engine = open_engine(sqlite_url)
    one = Spending("a", Costs(engine), now=Clock())
    spends(one, 10**12)
    found = await one.days(TODAY.date(), TODAY.date())
    await engine.dispose()

    assert not one.exhausted
    assert list(found) == [(TODAY.date(), 10**12)]


def test_nobody_else_takes_a_call_that_the_day_has_no_money_for() -> None:
    """All of them share the amount: sending the caller round would only take time."""
    capacity = Capacity(5)
    capacity.shared, capacity.fleet = True, Fleet(0, 5)
    capacity.hold("a")
    assert (capacity.refusal(), capacity.sends_on) == (None, True)

    capacity.exhausted = lambda: True

    assert (capacity.refusal(), capacity.sends_on) == ("cost", False)
