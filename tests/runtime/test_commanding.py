"""An order to a call: by Twilio where there is no stream, and over the bus once or not at all."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.call.plan import CallPlan
from app.errors import CallerFault, CarrierFault, OurFault
from app.protocol.twiml import Fallback
from app.runtime.book import Book
from app.runtime.commanding import Commanding
from app.runtime.line import Line
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.roster import alone
from app.runtime.routing import Routing
from app.runtime.runner import Runner
from app.runtime.scripts import Destination, Scripts
from app.runtime.signalling import Signalling
from app.runtime.wishes import Wish
from app.services.store.archive import Archive
from app.services.store.calls import CallRow
from tests.runtime.test_draining import Unwritten

NUMBER = "+14155550123"
CALL_SID = "CA" + "0" * 32
TRANSFER = Wish("transfer", {"target": "Billing", "announcement": "To <Anna>."})


class Carrier:
    """Twilio's API: takes everything, or fails for a reason."""

    def __init__(self) -> None:
        self.fails: str | None = None
        self.tells: Callable[[str], None] = lambda _call_sid: None
        """What its callbacks do before the answer is there."""
        self.redirected: list[str] = []
        self.ended: list[str] = []

    def _answer(self) -> None:
        if self.fails is not None:
            raise CarrierFault(self.fails)

    async def redirect(self, call_sid: str, twiml: str) -> None:
        self._answer()
        self.redirected.append(twiml)

    async def hang_up(self, call_sid: str) -> None:
        self._answer()
        self.ended.append(call_sid)
        self.tells(call_sid)

    async def call_status(self, call_sid: str) -> str:
        raise AssertionError("nobody asks here")


class Wire:
    """A bus between processes by name; what is asked of those it has lost stays with it."""

    def __init__(self) -> None:
        self.there: dict[str, Commanding] = {}
        self.lost: set[str] = set()
        self.dead: set[str] = set()
        self.late: list[tuple[str, dict[str, Any]]] = []
        self.answers_get_lost = False

    async def ask(self, to: str, op: str, args: dict[str, Any], _within_s: float) -> Any | None:
        if to in self.dead:
            return None
        if to in self.lost:
            self.late.append((op, args))
            return None
        answer = await self.there[to].answer(op, args)
        return None if self.answers_get_lost and op != "wanted" else answer

    async def hears(self, process: str) -> bool:
        return process not in self.dead


class Process:
    """One process, with nothing behind it but its book."""

    def __init__(self, name: str, wire: Wire, folder: Path) -> None:
        scripts = Scripts("https://x.test", Fallback("Sorry."), {"billing": Destination(NUMBER)})
        self.carrier = Carrier()
        self.book = Book(
            alone(Line(CallPlan(), scripts, "1")),
            capacity=9,
            make_runner=_no_runner,
            store=Unwritten(),
            spawn=_no_task,
            me=name,
        )
        archive = Archive(f"sqlite:///{folder}/never-opened.db")
        signalling = Signalling(self.book)
        routing = Routing(signalling, self.book, archive, wire, me=name, shared=True)
        self.commanding = wire.there[name] = Commanding(
            routing,
            self.book,
            archive,
            wire,
            signalling=signalling,
            carrier=self.carrier,
            me=name,
        )

    def cut_off(self) -> LiveCall:
        """A call whose stream was lost, and who is at Twilio."""
        call = self.book.enter(CallFacts(CALL_SID, "AC" + "0" * 32, "", ""))
        self.book.cut_off(call)
        return call


def _no_runner(_call: LiveCall, _plan: CallPlan) -> Runner:
    raise AssertionError("nobody brings a caller here")


def _no_task(work: Coroutine[Any, Any, None], _name: str) -> None:
    work.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def one(wire: Wire, tmp_path: Path) -> Process:
    return Process("one", wire, tmp_path)


@pytest.fixture
def other(wire: Wire, tmp_path: Path) -> Process:
    return Process("other", wire, tmp_path)


def row(call: LiveCall, owner: str | None) -> CallRow:
    """The call as the store has it."""
    known: dict[str, Any] = dict.fromkeys(CallRow.__dataclass_fields__)
    known |= {"call_id": call.call_id, "call_sid": CALL_SID, "conversation_id": "conv_1"}
    known |= {"direction": "inbound", "status": "live", "created_at": datetime.now(UTC)}
    known |= {"owner": owner, "resume_count": 0, "erased": False, "told_seq": 0}
    return CallRow(**known | {"followed_up": False})


async def test_a_caller_without_a_stream_is_put_through_by_twilio(one: Process) -> None:
    """Its voice says the announcement, and the record tells the transfer like any other."""
    call = one.cut_off()

    given = await one.commanding.give(CALL_SID, [TRANSFER])

    (became,) = given.commands
    assert (became.state, became.reason) == ("completed", "")
    (twiml,) = one.carrier.redirected
    assert "<Say>To &lt;Anna&gt;.</Say><Dial" in twiml
    assert NUMBER in twiml
    assert call.at_carrier
    assert len(one.book.capacity) == 0
    assert call.report.commands == {TRANSFER.command_id: ("completed", "")}
    assert [(t.target, t.outcome) for t in call.report.transfers] == [("billing", "ringing")]
    with pytest.raises(CallerFault, match="put through to a person"):
        await one.commanding.give(CALL_SID, [Wish("transfer", {"target": "billing"})])


async def test_a_caller_whom_twilio_does_not_put_through_is_waited_for_again(one: Process) -> None:
    """Nothing was lost: their next stream finds them where they were."""
    call = one.cut_off()
    one.carrier.fails = "rate_limited"

    with pytest.raises(CarrierFault):
        await one.commanding.give(CALL_SID, [TRANSFER])

    assert call.cut_off
    assert not call.at_carrier
    assert call.report.commands == {TRANSFER.command_id: ("failed", "rate_limited")}
    assert call.report.transfers[-1].outcome == "refused:rate_limited"


async def test_a_caller_who_has_left_is_not_put_through(one: Process) -> None:
    """Twilio says that the call is over, and so does the record."""
    call = one.cut_off()
    one.carrier.fails = "call_over"

    with pytest.raises(CallerFault):
        await one.commanding.give(CALL_SID, [TRANSFER])

    assert call.report.ending == "caller_hangup"


async def test_a_redirect_in_doubt_is_not_made_twice(one: Process) -> None:
    """Twilio has the document or comes for it; the result of the dialling tells."""
    call = one.cut_off()
    one.carrier.fails = "timed_out"

    given = await one.commanding.give(CALL_SID, [TRANSFER])

    assert given.commands[0].state == "accepted"
    assert call.at_carrier
    assert not call.cut_off


@pytest.mark.parametrize("wishes", [[Wish("say", {"text": "x"})], [TRANSFER, Wish("end_call")]])
async def test_what_needs_a_stream_waits_for_one(one: Process, wishes: list[Wish]) -> None:
    """Half of a list is not carried out."""
    one.cut_off()

    with pytest.raises(OurFault) as refused:
        await one.commanding.give(CALL_SID, wishes)

    assert refused.value.reason == "no_stream"
    assert not one.carrier.redirected


async def test_a_call_without_a_stream_is_ended_by_twilio(one: Process) -> None:
    """And where Twilio does not, it goes on."""
    call = one.cut_off()
    one.carrier.fails = "unreachable"
    with pytest.raises(CarrierFault):
        await one.commanding.give(CALL_SID, [Wish("end_call")])
    assert (call.report.ending, call.ends_as) == (None, None)

    one.carrier.fails = None
    await one.commanding.give(CALL_SID, [Wish("end_call")])

    assert one.carrier.ended == [CALL_SID]
    assert call.report.ending == "operator_ended"


@pytest.mark.parametrize("fails", [None, "timed_out"])
async def test_twilio_s_own_word_of_the_end_may_be_faster_than_its_answer(
    one: Process, fails: str | None
) -> None:
    """The record does not blame the caller for what the operator did."""
    call = one.cut_off()
    one.carrier.fails = fails
    if fails is None:
        one.carrier.tells = lambda _call_sid: one.book.end(call, "caller_hangup")
        await one.commanding.give(CALL_SID, [Wish("end_call")])
    else:
        with pytest.raises(CarrierFault):
            await one.commanding.give(CALL_SID, [Wish("end_call")])
        one.book.end(call, "caller_hangup")

    assert call.report.ending == "operator_ended"


async def test_the_process_that_has_the_call_does_it(one: Process, other: Process) -> None:
    """Its own copy is changed; what it refuses comes back as what it was."""
    call = other.cut_off()

    assert await one.commanding.put(row(call, "other"), {"a": 1}) == {"a": 1}
    assert call.report.custom_data == {"a": 1}
    with pytest.raises(CallerFault) as refused:
        await one.commanding.put(row(call, "other"), {"b": "x" * 70_000})
    assert refused.value.reason == "too_much"
    assert "64 KiB" in str(refused.value)


async def test_what_was_given_up_is_not_done_later(
    wire: Wire, one: Process, other: Process
) -> None:
    """A process that stood still hears of it when nobody waits any more."""
    call = other.cut_off()
    wire.lost.add("other")

    with pytest.raises(OurFault) as refused:
        await one.commanding.put(row(call, "other"), {"a": 1})
    assert refused.value.reason == "no_answer"
    ((op, args),) = wire.late
    assert await other.commanding.answer(op, args) is None

    assert call.report.custom_data == {}


async def test_an_answer_that_gets_lost_is_told_as_such(
    wire: Wire, one: Process, other: Process
) -> None:
    """It was done, or may have been: doing it again is for whoever can look."""
    call = other.cut_off()
    wire.answers_get_lost = True

    with pytest.raises(OurFault) as refused:
        await one.commanding.put(row(call, "other"), {"a": 1})

    assert refused.value.reason == "unclear"
    assert call.report.custom_data == {"a": 1}


async def test_a_call_that_has_just_moved_is_asked_for_again(one: Process, other: Process) -> None:
    """Between two looks it ended, or another process has it."""
    call = other.cut_off()
    other.book.give_away(call)

    with pytest.raises(OurFault) as refused:
        await one.commanding.put(row(call, "other"), {"a": 1})

    assert refused.value.reason == "moved"


async def test_a_call_that_has_just_ended_here_is_not_brought_back(one: Process) -> None:
    """The store may not know yet, and still has this process as its owner."""
    call = one.cut_off()
    one.book.end(call, "caller_hangup")

    for owner in ("one", None):
        with pytest.raises(OurFault) as refused:
            await one.commanding.put(row(call, owner), {"a": 1})
        assert refused.value.reason == "moved"
    assert one.book.here(call.call_id) is None


async def test_nonsense_from_the_bus_is_answered_with_nothing(one: Process) -> None:
    """Whoever may connect to the database may say what they like there."""
    for op in ("wanted", "command", "put", "fly"):
        assert await one.commanding.answer(op, {}) in (None, {"wanted": False})
