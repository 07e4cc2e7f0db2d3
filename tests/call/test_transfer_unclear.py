"""A redirect whose answer went astray: nobody knows whether Twilio took it, until it shows."""

import pytest

from app.call.leaving import REST_MS, STOP_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(targets=("billing",))
WISH = tool_call("transfer_call", arguments='{"target":"billing"}')
UNCLEAR = e.TransferUnclear("server_error")
TOLD = [
    c.AddToolOutput("T1", '{"ok":false,"reason":"server_error"}'),
    c.CreateResponse("tool_result"),
]


def unclear(at_ms: int = 1_500) -> CallMachine:
    """A machine that asked for the redirect at 1,000 ms and does not know what became of it."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    names = say(machine, 1_000, 0)
    machine.handle(WISH, 100)
    machine.handle(done(), 200)
    assert machine.handle(e.MarkReturned(names[-1]), 1_000) == [c.Transfer("billing")]
    assert machine.handle(UNCLEAR, at_ms) == []
    return machine


@pytest.mark.parametrize(
    "witness", [e.StreamStopped(), e.StreamReportedOver(), e.CallerLineLost(1006)]
)
def test_a_stream_that_ends_soon_was_redirected(witness: e.Event) -> None:
    """The dial result is on its way; a call that ends here would meet it closed."""
    machine = unclear()

    assert machine.handle(witness, 1_500 + STOP_MS - 1) == [c.EndStream("transferring")]


def test_a_stream_that_goes_on_was_not_redirected() -> None:
    """The caller is still here, and the model has to say so."""
    machine = unclear()

    assert machine.wake(1_500 + STOP_MS - 1) == []
    assert machine.wake(1_500 + STOP_MS) == TOLD
    machine.handle(started("R2", "tool_result"), 5_000)
    assert kinds(machine.handle(speech(100, "B", "R2"), 5_100)) == ["PlayAudio", "SendMark"]


def test_audio_alone_does_not_tell_that_the_stream_goes_on() -> None:
    """Twilio obeys a redirect a moment after it took it; frames come until then."""
    machine = unclear()
    for at_ms in range(1_520, 2_000, 20):
        machine.handle(frame(at_ms), at_ms)

    assert machine.handle(e.StreamStopped(), 2_000) == [c.EndStream("transferring")]


def test_a_caller_who_hangs_up_meanwhile_was_not_put_through() -> None:
    """The end of the call is certain, whatever became of the redirect."""
    assert unclear().handle(e.CallEnded("completed"), 1_600) == [c.EndStream("caller_hangup")]


def test_the_caller_cannot_ask_for_a_second_transfer_meanwhile() -> None:
    """Two redirects would ring two people, or one person twice."""
    machine = unclear()
    machine.handle(started("R2"), 1_550)

    assert machine.handle(tool_call("transfer_call", tool_call_id="T2"), 1_600) == [
        c.AddToolOutput("T2", '{"ok":false,"reason":"a transfer is already under way"}')
    ]


def test_a_stream_that_goes_on_without_a_model_gets_the_failure_treatment() -> None:
    """`D-PT-8`: nobody is left to be told, so the caller must be."""
    machine = unclear()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 1_600)

    assert machine.wake(1_500 + STOP_MS) == [c.CloseModel(), c.FailOver()]


def test_an_operator_who_ends_the_call_meanwhile_has_the_last_word() -> None:
    """The hang-up was asked for last; the alarm is its own then."""
    machine = unclear()

    assert machine.handle(e.HangUpOrdered("operator_ended"), 1_600) == [c.HangUp()]
    assert machine.wake(1_600 + REST_MS)[-1] == c.EndStream("operator_ended")


def test_an_unclear_answer_nobody_waits_for_changes_nothing() -> None:
    """It may come after the stream went on, or where nothing was asked at all."""
    waiting, live = CallMachine(PLAN), on_the_phone(PLAN)
    waiting.begin(0)

    for machine in (waiting, live):
        before_ms = machine.deadline_ms()
        assert machine.handle(UNCLEAR, 10) == []
        assert machine.deadline_ms() == before_ms
