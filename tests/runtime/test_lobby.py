"""Who waits for a place: told once or again, by this process or another."""

from app.call.plan import CallPlan
from app.call.reception import LinePlan, Lines, Lobby
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.line import Line
from app.runtime.live_call import CallFacts
from app.runtime.lobby import Waiting
from app.runtime.roster import Edition, Roster
from app.runtime.scripts import Scripts
from tests.runtime.test_draining import FACTS, Unwritten, _no_runner, _no_task


def book(numbers: Lines) -> Book:
    """A book in which calls can enter and end, and no line is opened."""
    line = Line(CallPlan(), Scripts("https://x.test", Fallback("Sorry."), {}), "1")
    roster = Roster(Edition("1", {line.agent: line}, numbers))
    return Book(roster, capacity=9, make_runner=_no_runner, store=Unwritten(), spawn=_no_task)


async def test_who_has_entered_is_not_hung_up_on_by_a_repeated_word_of_the_queue() -> None:
    """Twilio asks again where our answer was lost; they had waited as long as anybody may."""
    lobby = LinePlan(lobby=Lobby(longest_s=300))
    here = book(Lines({FACTS.to_number: lobby}))
    waiting = Waiting(here)
    assert "<Leave" in waiting.asked(FACTS, 1, 300)
    assert waiting.left(FACTS, "leave", 301) is None
    here.enter(FACTS)

    assert waiting.left(FACTS, "leave", 301) is None


async def test_a_place_that_another_process_kept_is_good_here_if_there_is_one() -> None:
    """The word that they leave the queue comes to any process; they had waited long enough."""
    lobby = LinePlan(lobby=Lobby(longest_s=300))
    here = book(Lines({FACTS.to_number: lobby}))

    assert Waiting(here).left(FACTS, "leave", 301) is None


async def test_who_gave_up_where_it_is_still_full_hears_what_is_written() -> None:
    """There is no place, and they have waited as long as anybody may."""
    full = LinePlan(lobby=Lobby(longest_s=300), max_concurrent=1)
    here = book(Lines({FACTS.to_number: full}))
    talking = here.enter(CallFacts("CA" + "1" * 32, FACTS.account_sid, "", FACTS.to_number))
    here.capacity.hold(talking.call_id)

    assert "<Hangup" in str(Waiting(here).left(FACTS, "leave", 301))
