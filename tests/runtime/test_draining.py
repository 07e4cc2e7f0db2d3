"""Draining: the phases of a process's end, by a clock of literal seconds."""

from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from app.call.plan import CallPlan
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.draining import LET_GO_WITHIN_S, LINGER_S, Drain
from app.runtime.line import Line
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.roster import alone
from app.runtime.runner import Runner
from app.runtime.scripts import Scripts
from app.runtime.signalling import Signalling
from app.services.store.changes import Change
from app.services.store.writer import FactWriter

FACTS = CallFacts("CA" + "0" * 32, "AC" + "0" * 32, "", "")


def _no_runner(_call: LiveCall, _plan: CallPlan) -> Runner:
    raise AssertionError("nobody brings a caller here")


class Unwritten(FactWriter):
    """A writer whose task nobody runs: what it is told stays with it."""

    def __init__(self) -> None:
        super().__init__(Nowhere())


class Nowhere:
    """Takes nothing, because nobody asks it to."""

    async def write(self, changes: Sequence[Change]) -> None:
        raise AssertionError("nobody writes here")

    async def close(self) -> None:
        """Nothing to close."""


def _no_task(_work: Coroutine[Any, Any, None], _name: str) -> None:
    raise AssertionError("nobody brings a caller here")


@pytest.fixture
def book() -> Book:
    """A book in which calls can enter and end, and no line is opened."""
    line = Line(CallPlan(), Scripts("https://x.test", Fallback("Sorry."), {}), "1")
    return Book(alone(line), capacity=9, make_runner=_no_runner, store=Unwritten(), spawn=_no_task)


def test_a_process_that_nobody_ends_goes_on(book: Book) -> None:
    """Idle is not over."""
    drain = Drain(book, 600)

    assert not any(drain.over(now_s) for now_s in (100.0, 1_000.0, 100_000.0))
    assert not book.draining


def test_with_nobody_there_it_is_over_at_once(book: Book) -> None:
    """A deployment does not wait for callers who are not."""
    drain = Drain(book, 600)

    drain.begin(100.0)

    assert drain.over(100.0)
    assert book.draining


def test_whoever_reads_along_is_told_once_it_begins(book: Book) -> None:
    """An open page must not hold the end, and has to hear of it to let go."""
    drain = Drain(book, 600)
    with book.capacity.watchers.bell() as bell:
        assert not drain.over(100.0)
        assert not bell.is_set()

        drain.begin(100.0)

        assert bell.is_set()
        assert book.draining


@pytest.mark.parametrize(("shared", "sent_on"), [(True, 3), (False, 0)])
def test_new_calls_are_sent_to_others_where_there_are_any(
    book: Book, shared: bool, sent_on: int
) -> None:
    """So often, and no oftener: nobody may be free, and a caller must not go in a circle."""
    scripts = Scripts("https://x.test", Fallback("Sorry."), {})
    signalling = Signalling(book)
    Drain(book, 600, shared=shared).begin(100.0)

    answers = [signalling.admit(FACTS, before) for before in range(sent_on)]
    recorded = book.record(FACTS.call_sid)

    assert answers == [scripts.elsewhere(attempt + 1) for attempt in range(sent_on)]
    assert recorded is None, "a call that was sent on is another's to tell about"
    assert signalling.admit(FACTS, sent_on) == scripts.full()


def test_after_the_last_call_it_lingers_for_its_last_report(book: Book) -> None:
    """Twilio tells the end of a call after it; an error there alarms an operator."""
    call = book.enter(FACTS)
    drain = Drain(book, 600)
    drain.begin(100.0)
    assert not drain.over(200.0)

    book.end(call, "caller_hangup")

    assert not drain.over(200.0 + LINGER_S)
    assert drain.over(200.1 + LINGER_S)


def test_a_second_order_does_not_lengthen_the_first(book: Book) -> None:
    """An impatient operator gets no later an end."""
    book.enter(FACTS)
    drain = Drain(book, 60)
    drain.begin(100.0)
    assert not drain.over(130.0)

    drain.begin(130.0)

    assert not drain.over(160.0)
    assert drain.over(160.0 + LET_GO_WITHIN_S)


def test_who_is_with_a_person_is_waited_for_until_the_time_is_up(book: Book) -> None:
    """Their dial result needs a process to come to, but not for ever."""
    book.enter(FACTS)
    drain = Drain(book, 60)
    drain.begin(100.0)

    assert not drain.over(159.9)
    assert not drain.over(160.0)
    assert drain.over(160.1 + LINGER_S)
