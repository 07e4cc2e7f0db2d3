"""Hanging up: after the goodbye was heard, unless the caller has more to say."""

import pytest

from app.call.announcement import WATCHDOG_MS
from app.call.dialogue import SPOKEN_OVER
from app.call.farewell import GOODBYE, INTERRUPTED, MOST_TRIES
from app.call.leaving import PARKED_MS, REST_MS, STOP_MS
from app.call.machine import CallMachine
from app.call.noise import LATER_MS
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, speech, started, tool_call

CALLER = e.SpeechStarted("U")
NOTED = c.AddToolOutput("T1", '{"ok":true,"note":"The call ends when the goodbye was heard."}')


def parting() -> tuple[CallMachine, list[str]]:
    """A machine whose model said 5 s of goodbye, called end_call and is done at 1 s."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    names = say(machine, 5_000, 0)
    assert machine.handle(tool_call("end_call"), 500) == [NOTED]
    assert machine.handle(done(), 1_000) == []
    return machine, names


def hung_up() -> CallMachine:
    machine, names = parting()
    assert machine.handle(e.MarkReturned(names[-1]), 5_000) == [c.HangUp()]
    return machine


def test_the_goodbye_is_heard_before_the_call_ends() -> None:
    """`D-PT-7`: five seconds of goodbye are in Twilio's buffer when the model is done."""
    machine, names = parting()

    for index, name in enumerate(names[:-1]):
        assert machine.handle(e.MarkReturned(name), (index + 1) * 198) == []
    assert machine.handle(e.MarkReturned(names[-1]), 5_000) == [c.HangUp()]


def test_a_goodbye_is_asked_for_where_none_was_said() -> None:
    """A call that just ends sounds like a broken line."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call"), 10)

    assert machine.handle(done(), 50) == [GOODBYE]
    machine.handle(started("R2", "goodbye"), 100)
    (name,) = say(machine, 50, 110, item_id="B", response_id="R2")
    assert machine.handle(e.MarkReturned(name), 170) == []
    assert machine.handle(done("R2"), 200) == [c.HangUp()]


def test_a_caller_who_speaks_during_the_goodbye_stays() -> None:
    """`D-TRA-5`: "wait, one more thing" ended the call at once."""
    machine, _ = parting()

    assert machine.handle(CALLER, 1_100) == [
        c.ClearPlayback(),
        c.TruncateItem("A", 0, 198),
        c.AddMessage("system", INTERRUPTED),
    ]
    assert machine.wake(LATER_MS) == [c.VerifyCall(), c.AskAlive()]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_goodbye_that_was_spoken_over_before_end_call_ends_nothing(status: str) -> None:
    """`D-TRA-5`: the tool call was on its way when the caller said "wait, one more thing"."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    say(machine, 2_000, 0)
    machine.handle(CALLER, 500)

    assert machine.handle(tool_call("end_call"), 510) == [c.AddToolOutput("T1", SPOKEN_OVER)]
    assert machine.handle(done(status=status), 520) == []
    assert machine.wake(WATCHDOG_MS + 1_000) == [c.VerifyCall()]


def test_a_caller_who_presses_a_key_during_the_goodbye_stays() -> None:
    """`D-TRA-5`: a key is something to say, too."""
    machine, _ = parting()

    out = machine.handle(e.CallerDigit("#"), 1_100)

    assert c.AddMessage("system", INTERRUPTED) in out
    assert out[-1] == c.CreateResponse("digits")
    assert c.HangUp() not in machine.wake(WATCHDOG_MS + 2_000)


def test_a_goodbye_that_was_only_asked_for_is_called_off_too() -> None:
    """`D-TRA-5`: it must not be said after the caller's next question either."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call"), 10)
    machine.handle(CALLER, 20)

    assert machine.handle(done(status="cancelled"), 50) == []
    machine.handle(e.CallerTurnCommitted("U"), 1_000)
    machine.handle(started("R2"), 1_050)
    (name,) = say(machine, 50, 1_100, item_id="B", response_id="R2")
    assert machine.handle(done("R2"), 1_150) == []
    assert machine.handle(e.MarkReturned(name), 1_200) == []


def test_a_goodbye_that_never_comes_is_not_waited_for() -> None:
    """The watchdog ends the call the model wanted to end."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call"), 0)
    machine.handle(done(), 10)
    machine.handle(started("R2", "goodbye"), 20)
    machine.handle(speech(100, "B", "R2"), 5_000)

    assert c.HangUp() in machine.wake(WATCHDOG_MS)


def test_an_accepted_hang_up_ends_with_twilios_stop() -> None:
    """The stream is Twilio's to end; the reason is ours."""
    machine = hung_up()
    machine.handle(e.HangUpDone(accepted=True), 5_100)

    assert machine.handle(e.StreamStopped(), 5_300) == [c.EndStream("assistant_hangup")]


def test_a_stop_that_never_comes_is_not_waited_for() -> None:
    """A stream nobody ends would be a leak."""
    machine = hung_up()
    machine.handle(e.HangUpDone(accepted=True), 5_100)

    assert machine.deadline_ms() == 5_100 + STOP_MS
    assert machine.wake(5_100 + STOP_MS) == [c.EndStream("assistant_hangup")]


def test_rest_that_never_answers_is_not_waited_for() -> None:
    """Ten seconds of an open, silent line are enough."""
    machine = hung_up()

    assert machine.wake(5_000 + REST_MS)[-1] == c.EndStream("assistant_hangup")


def test_a_refused_hang_up_is_tried_again_and_then_the_stream_ends() -> None:
    """Closing the stream is the last way to end a call."""
    machine = hung_up()

    for _ in range(MOST_TRIES - 1):
        assert machine.handle(e.HangUpDone(accepted=False), 5_100) == [c.HangUp()]
    assert machine.handle(e.HangUpDone(accepted=False), 5_200) == [c.EndStream("assistant_hangup")]


def test_an_order_to_hang_up_waits_for_nothing() -> None:
    """The operator, or the end of the longest call."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(5_000), 0)

    assert machine.handle(e.HangUpOrdered("operator_ended"), 100) == [c.HangUp()]
    assert machine.handle(CALLER, 200) == []
    machine.handle(e.HangUpDone(accepted=True), 250)
    assert machine.handle(e.CallEnded("completed"), 300) == [c.EndStream("operator_ended")]


def test_an_order_before_the_stream_keeps_its_reason() -> None:
    """Whoever reads the record wants to know whose doing it was."""
    machine = CallMachine(CallPlan())
    machine.begin(0)

    assert machine.handle(e.HangUpOrdered("operator_ended"), PARKED_MS - 100) == [c.HangUp()]
    assert machine.wake(PARKED_MS) == [c.EndStream("operator_ended")]


@pytest.mark.parametrize("accepted", [True, False])
def test_an_answer_nobody_waits_for_changes_nothing(accepted: bool) -> None:
    """Least of all may it hang up on a caller."""
    machine = on_the_phone()
    before_ms = machine.deadline_ms()

    assert machine.handle(e.HangUpDone(accepted=accepted), 100) == []
    assert machine.deadline_ms() == before_ms


def test_a_long_goodbye_is_heard_to_its_end() -> None:
    """`D-PT-7` by another road: a watchdog must not cut what the caller is listening to."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    names = say(machine, 14_000, 0)
    machine.handle(tool_call("end_call"), 10)
    machine.handle(done(), 20)
    for number, name in enumerate(names[:-1], 1):
        machine.handle(e.MarkReturned(name), number * 14_000 // len(names))
        assert c.HangUp() not in machine.wake(number * 14_000 // len(names))

    assert machine.handle(e.MarkReturned(names[-1]), 14_000) == [c.HangUp()]
