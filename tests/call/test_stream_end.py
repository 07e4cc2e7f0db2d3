"""The end of a stream as several witnesses tell it, and what was heard until then."""

import pytest

from app.call.leaving import STOP_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, speech, started, tool_call

REPORTED = e.StreamReportedOver()


def hanging_up() -> CallMachine:
    """A machine whose goodbye was heard."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    names = say(machine, 100, 0)
    machine.handle(tool_call("end_call"), 10)
    machine.handle(done(), 20)
    assert machine.handle(e.MarkReturned(names[-1]), 110) == [c.HangUp()]
    return machine


def test_a_report_without_a_stop_is_a_lost_stream() -> None:
    """The caller may still be there: nobody said that they hung up."""
    machine = on_the_phone()

    assert machine.handle(REPORTED, 1_000) == []
    assert machine.wake(1_000 + STOP_MS) == [c.EndStream("stream_lost")]


@pytest.mark.parametrize("witness", [e.StreamStopped(), e.CallEnded("completed")])
def test_a_report_may_overtake_what_it_reports(witness: e.Event) -> None:
    """Callback and socket are two connections: the usual hang-up stays what it is."""
    machine = on_the_phone()
    machine.handle(REPORTED, 1_000)

    assert machine.handle(witness, 1_500) == [c.EndStream("caller_hangup")]


def test_a_report_while_hanging_up_is_the_end_we_wanted() -> None:
    """Nothing is left to wait for."""
    assert hanging_up().handle(REPORTED, 300) == [c.EndStream("assistant_hangup")]


def test_a_report_before_the_stream_says_nothing() -> None:
    """A stream that has not come cannot have ended."""
    machine = CallMachine(CallPlan())
    machine.begin(0)
    before_ms = machine.deadline_ms()

    assert machine.handle(REPORTED, 100) == []
    assert machine.deadline_ms() == before_ms


@pytest.mark.parametrize(
    "witness", [e.StreamStopped(), e.CallEnded("completed"), e.CallerLineLost(1006)]
)
def test_a_hang_up_in_mid_sentence_leaves_what_was_heard(witness: e.Event) -> None:
    """The record says what the caller heard, not all that was sent to them."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechText("R", "A", 0, "A long sentence that nobody hears whole."), 0)
    names = say(machine, 2_000, 0)
    machine.handle(done(), 100)
    machine.handle(e.MarkReturned(names[0]), 198)

    machine.handle(witness, 300)

    (entry,) = machine.transcript.entries
    assert (entry.heard_ms, entry.sent_ms) == (300, 2_000)
    assert entry.text == "A"


def test_a_hang_up_after_the_sentence_cuts_nothing() -> None:
    """What was heard whole is not called interrupted."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechText("R", "A", 0, "Hello."), 0)
    names = say(machine, 100, 0)
    machine.handle(done(), 50)
    machine.handle(e.MarkReturned(names[-1]), 100)

    machine.handle(e.StreamStopped(), 700)

    (entry,) = machine.transcript.entries
    assert entry.heard_ms is None


def test_a_part_that_was_being_made_is_cut_where_it_was_heard() -> None:
    """Words run ahead of the audio: what has no audio yet was not heard either."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechText("R", "A", 0, "One two three four five."), 0)
    out = machine.handle(speech(100), 0)
    (name,) = [x.name for x in out if isinstance(x, c.SendMark)]
    machine.handle(e.MarkReturned(name), 100)

    machine.handle(e.StreamStopped(), 5_000)

    (entry,) = machine.transcript.entries
    assert entry.heard_ms == 100
