"""Transfers that another process began, where the document has changed since."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from app.call.plan import CallPlan
from app.call.reception import Lines
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.invitations import digest_of
from app.runtime.line import Line
from app.runtime.live_call import LiveCall
from app.runtime.roster import Edition, Roster
from app.runtime.runner import Runner
from app.runtime.scripts import Destination, Scripts
from app.runtime.signalling import Signalling
from app.services.store.calls import StoredFact
from tests.runtime.test_adoption import row
from tests.runtime.test_draining import Unwritten, _no_task


class Opened(Exception):
    """A line is opened for the caller, as far as it goes here."""


def opened(_call: LiveCall, _plan: CallPlan) -> Runner:
    raise Opened


TOKEN = "t" * 43
DESK = {"desk": Destination("+14155550123")}


def book(numbers: Lines, targets: Mapping[str, Destination] | None = None) -> Book:
    """A book in which calls can enter and end, and no line is opened."""
    line = Line(CallPlan(), Scripts("https://x.test", Fallback("Sorry."), targets or {}), "1")
    roster = Roster(Edition("1", {line.agent: line}, numbers))
    return Book(roster, capacity=9, make_runner=opened, store=Unwritten(), spawn=_no_task)


def taken_over(here: Book, target: str, room: str = "") -> LiveCall:
    """A call whose transfer a process began that is gone, with the document of then."""
    dialling = {"target": target, "token_digest": digest_of(TOKEN), "room": room}
    told = [
        StoredFact(1, 0, "call.created", {"direction": "inbound"}),
        StoredFact(2, 1, "call.stream_started", {"stream": 1, "stream_sid": "MZ1"}),
        StoredFact(3, 2, "transfer.started", {"target": target, "mode": "cold"}),
        StoredFact(4, 3, "transfer.dialling", dialling),
    ]
    return here.take_over(row(datetime.now(UTC)), told)


async def test_a_target_that_is_in_the_document_no_longer_fails_like_any_other() -> None:
    """The caller would have heard Twilio's words for an error of ours, and a dead line."""
    here = book(Lines(), DESK)
    call = taken_over(here, "gone")

    with pytest.raises(Opened):
        Signalling(here).dialled(
            TOKEN, call_sid="CA1", connected=False, status="busy", talk_s=None, call_over=False
        )

    assert call.report.transfers[-1].outcome == "busy"


@pytest.mark.parametrize("room", ["", "room-1"])
async def test_who_is_asked_about_again_is_not_put_through_to_nobody(room: str) -> None:
    """Twilio asks what comes after the stream; whom they were to talk to has been taken out."""
    here = book(Lines(), DESK)
    call = taken_over(here, "gone", room)

    if room:  # Who waits there was reached already.
        assert room in Signalling(here).stream_ended("CA1", call_over=False)
        return
    with pytest.raises(Opened):
        Signalling(here).stream_ended("CA1", call_over=False)
    assert call.report.transfers[-1].outcome == "unknown_target"
