"""The call to a person: told once, to who asked for it, whoever Twilio tells and how often."""

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.call.plan import CallPlan
from app.call.templates import parse
from app.call.ways import KNOWN
from app.errors import CarrierFault
from app.protocol.commands import PlaceSideCall
from app.protocol.events import (
    Event,
    SideCallAccepted,
    SideCallAnswered,
    SideCallOver,
    SideCallPlaced,
)
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.line import Line
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.roster import alone
from app.runtime.routing import Routing
from app.runtime.scripts import Destination, Scripts
from app.runtime.side_calls import News, SideCall, SideCalls
from app.runtime.signalling import Signalling
from app.services.no_bus import NoBus
from app.services.store.archive import Archive

CALLER, PERSON = "CA" + "1" * 32, "CA" + "2" * 32
WISH = PlaceSideCall("desk", 1, "Ada waits.")
TOLD = parse("A call. {{summary.short}}", KNOWN)
DESK = Destination("+14155550123", whisper=TOLD, accept_key="5")
ROOM, GONE, REFUSED = "<Conference", "The caller has left.", "<Response><Hangup /></Response>"


class Carrier:
    """Twilio's REST API, written down."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.placed: dict[str, Any] = {}
        self.fault: CarrierFault | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def place(self, to: str, from_: str, url: str, more: Mapping[str, Any]) -> str:
        self.asked.append(("place", to, from_))
        self.placed = {"url": url, **more}
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return PERSON

    async def redirect(self, call_sid: str, twiml: str) -> None:
        self.asked.append(("redirect", call_sid, twiml))

    async def hang_up(self, call_sid: str) -> None:
        self.asked.append(("hang_up", call_sid))

    async def call_status(self, call_sid: str) -> str:
        return "in-progress"


class Beside:
    """One process with one caller who waits."""

    def __init__(self) -> None:
        self.carrier = Carrier()
        self.told: list[Event] = []
        self.work: list[asyncio.Task[None]] = []
        self.scripts = Scripts("https://x.test", Fallback("Sorry."), {"desk": DESK})
        self.desk = SideCalls(self.carrier, self._spawn, lambda _call: "")
        facts = CallFacts(CALLER, "AC" + "0" * 32, "+14155550100", "+15005550006")
        self.line = Line(CallPlan(), self.scripts, "1")
        self.call = LiveCall("call_1", facts, lambda _id, _seq, _fact: None, self.line)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.work.append(asyncio.ensure_future(work))

    async def settled(self) -> None:
        await asyncio.gather(*self.work)

    def asked(self) -> SideCall:
        return self.desk.asked(self.call, WISH, self.told.append)

    async def ringing(self) -> SideCall:
        side = self.asked()
        assert await self.desk.place(side) == SideCallPlaced(1, "desk", PERSON)
        return side

    def news(self, side: SideCall, what: str, said: str = "", leg_sid: str = PERSON) -> str:
        return self.desk.told(News(what, side.token, leg_sid, said))


@pytest.fixture
async def beside() -> Beside:
    return Beside()


async def test_the_call_is_placed_from_our_number_with_urls_of_its_own(beside: Beside) -> None:
    """Twilio shows nobody else's number; the token in the URLs is drawn for this call."""
    side = await beside.ringing()

    assert beside.carrier.asked == [("place", "+14155550123", "+15005550006")]
    url = f"https://x.test/twilio/side-call/{side.token}"
    assert beside.carrier.placed == {
        "url": f"{url}?for={CALLER}",
        "timeout": 20,
        "status_callback": f"{url}/status?for={CALLER}",
        "status_callback_event": ["ringing", "answered", "completed"],
        "machine_detection": "Enable",
        "async_amd": "true",
        "async_amd_status_callback": f"{url}/machine?for={CALLER}",
    }


async def test_the_key_takes_the_call_once(beside: Beside) -> None:
    """Twilio repeats: the same room again, and nobody is told twice."""
    side = await beside.ringing()

    assert "A call. Ada waits." in beside.news(side, "answered")
    assert "A call. Ada waits." in beside.news(side, "answered")
    first = beside.news(side, "key", "5")
    assert ROOM in first
    assert beside.news(side, "key", "5") == first
    assert beside.news(side, "key", "1") == first
    beside.news(side, "machine", "machine")
    assert beside.told == [SideCallAnswered(1), SideCallAccepted(1)]


@pytest.mark.parametrize(
    ("what", "said", "reason"),
    [
        ("key", "1", "declined"),
        ("key", "", "declined"),
        ("machine", "machine", "machine"),
        ("machine", "fax", "machine"),
        ("status", "no-answer", "no_answer"),
        ("status", "busy", "busy"),
        ("status", "failed", "failed"),
        ("status", "completed", "not_accepted"),
    ],
)
async def test_whatever_else_comes_is_told_once(
    beside: Beside, what: str, said: str, reason: str
) -> None:
    """And a key that comes after it opens no room."""
    side = await beside.ringing()
    beside.news(side, what, said)

    assert GONE in beside.news(side, "key", "5")
    beside.news(side, "status", "completed")
    await beside.settled()
    assert beside.told == [SideCallOver(1, reason)]


@pytest.mark.parametrize(("what", "said"), [("machine", "human"), ("status", "ringing")])
async def test_good_news_changes_nothing(beside: Beside, what: str, said: str) -> None:
    """The key decides, and nothing else."""
    side = await beside.ringing()
    beside.news(side, what, said)

    assert ROOM in beside.news(side, "key", "5")


async def test_a_token_that_nobody_drew_and_a_leg_of_another_call_open_nothing(
    beside: Beside,
) -> None:
    """Both come signed by Twilio; neither is the call to this person."""
    side = await beside.ringing()

    assert GONE in beside.desk.told(News("key", "guessed", PERSON, "5"))
    assert GONE in beside.news(side, "key", "5", leg_sid="CA" + "3" * 32)
    assert beside.told == []


async def test_a_wish_that_is_dropped_before_it_is_sent_calls_nobody(beside: Beside) -> None:
    """The caller hung up in the same moment."""
    side = beside.asked()
    beside.desk.drop(beside.call, 1)

    assert await beside.desk.place(side) == SideCallOver(1, "canceled")
    assert beside.carrier.asked == []


async def test_a_wish_that_is_dropped_while_it_is_sent_is_hung_up_when_it_is_known(
    beside: Beside,
) -> None:
    """Until REST answers nobody knows which call to end."""
    beside.carrier.open.clear()
    side = beside.asked()
    placing = asyncio.ensure_future(beside.desk.place(side))
    await asyncio.sleep(0)
    beside.desk.drop(beside.call, 1)
    beside.carrier.open.set()
    await placing
    await beside.settled()

    assert beside.carrier.asked[-1] == ("hang_up", PERSON)


async def test_who_has_picked_up_is_told_that_the_caller_left(beside: Beside) -> None:
    """A line that just goes dead makes people call back."""
    side = await beside.ringing()
    beside.news(side, "answered")
    beside.desk.drop(beside.call, 1)
    await beside.settled()

    (what, who, twiml) = beside.carrier.asked[-1]
    assert (what, who) == ("redirect", PERSON)
    assert GONE in twiml


async def test_a_placing_in_doubt_is_ended_when_it_turns_out_to_ring(beside: Beside) -> None:
    """The answer got lost, and the telephone rings all the same."""
    beside.carrier.fault = CarrierFault("timed_out")
    side = beside.asked()

    assert await beside.desk.place(side) == SideCallOver(1, "timed_out")
    beside.news(side, "status", "ringing")
    await beside.settled()
    assert beside.carrier.asked[-1] == ("hang_up", PERSON)
    assert beside.told == []


async def test_a_placing_in_doubt_that_was_heard_to_ring_before_is_ended(beside: Beside) -> None:
    """Twilio's word that it rings may overtake the lost answer, and be the only one."""
    side = beside.asked()
    beside.carrier.open.clear()
    beside.carrier.fault = CarrierFault("timed_out")
    placing = asyncio.ensure_future(beside.desk.place(side))
    await asyncio.sleep(0)
    beside.news(side, "status", "ringing")
    beside.carrier.open.set()

    assert await placing == SideCallOver(1, "timed_out")
    await beside.settled()

    assert beside.carrier.asked[1:] == [("hang_up", PERSON)]


async def test_a_caller_who_is_gone_leaves_nobody_in_the_room(beside: Beside) -> None:
    """The record has closed; whoever accepted would listen to silence."""
    side = await beside.ringing()
    beside.news(side, "key", "5")
    beside.desk.call_over(beside.call)
    await beside.settled()

    assert beside.carrier.asked[-1][:2] == ("redirect", PERSON)
    assert GONE in beside.news(side, "key", "5")


async def test_another_process_that_is_told_brings_it_to_the_one_that_asked(
    beside: Beside, tmp_path: Path
) -> None:
    """Callbacks come to any process; the one with the caller's call answers them."""
    book = Book(
        alone(beside.line),
        capacity=1,
        make_runner=lambda _call, _plan: pytest.fail("nobody is brought here"),
        store=Archive(f"sqlite:///{tmp_path}/calls.db").writer,
        spawn=lambda work, _name: work.close(),
    )
    call = book.enter(beside.call.facts)
    side = beside.desk.asked(call, WISH, beside.told.append)
    archive, bus = Archive(f"sqlite:///{tmp_path}/calls.db"), NoBus("me")
    signalling = Signalling(book)
    routing = Routing(signalling, book, archive, bus, me="me", shared=True, people=beside.desk)
    news = {"what": "key", "token": side.token, "leg_sid": PERSON, "said": "5"}

    answer = await routing.answer("side_call", {"call_sid": CALLER, **news})
    stranger = await routing.answer("side_call", {"call_sid": PERSON, **news})

    assert answer is not None
    assert ROOM in answer["twiml"]
    assert stranger is None
    assert beside.told == [SideCallAccepted(1)]
