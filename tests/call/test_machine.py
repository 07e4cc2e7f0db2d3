"""Order and phase: what a call does when, and what it never does."""

from collections.abc import Callable

import pytest

from app.call.leaving import PARKED_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, ToolPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan("Hello.", tools={"look_up": ToolPlan()}, targets=("billing",))

EVERYTHING: list[e.Event] = [
    e.StreamStarted("MZ1"),
    frame(0),
    e.CallerDigit("1"),
    e.CallerDigit("#"),
    e.MarkReturned("g0:1"),
    e.CallStillUp(),
    e.ModelReady("sess_9"),
    e.ModelRefused("timeout", retryable=True),
    e.ModelRefused("http_401", retryable=False),
    e.ModelLineLost(1000, "ok"),
    e.SpareReady("sess_10"),
    e.SpareRefused("timeout", retryable=True),
    e.SpareLost(1006, "abnormal"),
    e.SwapOrdered("voice"),
    e.ModelAlive(),
    e.SpeechStarted("U"),
    e.SpeechStopped("U"),
    e.CallerTurnCommitted("U"),
    e.CallerTranscribed("U", "Hello?"),
    started("R", "greeting"),
    started("R2"),
    speech(100),
    e.SpeechAudioDone("R", "A", 0),
    e.SpeechText("R", "A", 0, "Hello."),
    tool_call(),
    tool_call("transfer_call", tool_call_id="T2", arguments='{"target":"billing"}'),
    tool_call("end_call", tool_call_id="T3"),
    done(),
    done("R2", "failed", "server_error"),
    e.ModelError("insufficient_quota"),
    e.ModelError("conversation_already_has_active_response", "create:greeting"),
    e.ModelError("invalid_value", "create:greeting"),
    e.ToolDone("T1", "42", ok=True),
    e.TransferAccepted(),
    e.TransferRefused("busy"),
    e.TransferUnclear("timed_out"),
    e.StreamReportedOver(),
    e.FailoverDone(accepted=True),
    e.HangUpDone(accepted=True),
    e.HangUpOrdered("operator_ended"),
    e.HangUpOrdered("operator_ended", "H", after="M"),
    e.TransferOrdered("O", "billing", "I put you through."),
    e.SayOrdered("S", "A moment, please."),
    e.MessageOrdered("M", "system", "The caller is a patient.", after="S"),
    e.HoldOrdered("P", "Look it up.", after="M"),
    e.HoldOrdered("P2"),
    e.UnholdOrdered("P3"),
    e.RespondOrdered("Q", "Offer a call-back."),
    e.MuteOrdered("Q2", "caller"),
    e.MuteOrdered("Q3", "agent"),
    e.UnmuteOrdered("Q4", "agent"),
    tool_call("collect_dtmf", tool_call_id="T4", arguments='{"preset":"pin"}'),
    e.DigitsOrdered("K", "pin"),
    e.DigitsOrdered("K2", after="K"),
    e.KeysOrdered("K3", "1w2#"),
    e.KeysAnswered("accepted"),
    e.KeysAnswered("refused", "busy"),
    tool_call("send_dtmf", tool_call_id="T5", arguments='{"digits":"1"}'),
    e.TransferOrdered("O2", "billing", at_once=True),
    e.SideCallAnswered(1),
    e.SideCallAccepted(1),
    e.SideCallOver(1, "no_answer"),
    e.VoiceMeasured(300),
    e.CallerTyped("Hello?"),
    e.TextReceived("Here it is."),
    e.TextFailed("caller", "undelivered", "It is a landline."),
    e.RecordingAnswered("start", ok=False),
    e.RecordingAnswered("pause", ok=False),
    e.PickedUp("machine", records=True),
    e.ResponseDone("R", "completed", None, e.Usage(output_audio=1_000)),
    e.ConfigureOrdered("C", interruptible="none"),
    e.FailoverOrdered("server_shutdown"),
    e.FailoverDone(accepted=False),
    e.HangUpDone(accepted=False),
    e.StreamStopped(),
    e.CallerLineLost(1006),
    e.CallEnded("completed"),
]
ENDINGS: list[tuple[e.Event, str]] = [
    (e.StreamStopped(), "caller_hangup"),
    (e.CallEnded("completed"), "caller_hangup"),
    (e.CallerLineLost(1006), "stream_lost"),
]
TO_CALLER = (c.PlayAudio, c.SendMark, c.ClearPlayback, c.SetSound, c.PlaySound)


def waiting() -> CallMachine:
    machine = CallMachine(PLAN)
    machine.begin(0)
    return machine


def leaving() -> CallMachine:
    machine = on_the_phone(PLAN)
    machine.handle(e.HangUpOrdered("operator_ended"), 0)
    return machine


def over() -> CallMachine:
    machine = on_the_phone(PLAN)
    machine.handle(e.StreamStopped(), 0)
    return machine


def test_a_whole_call() -> None:
    """Greeting, question, answer, goodbye: the shortest honest conversation."""
    machine = waiting()
    machine.handle(e.ModelReady("sess_1"), 50)
    machine.handle(started("R", "greeting"), 80)
    machine.handle(e.StreamStarted("MZ1"), 100)
    names = say(machine, 100, 120)
    assert machine.handle(done(), 130) == []
    assert machine.handle(e.MarkReturned(names[-1]), 230) == []

    assert machine.handle(e.SpeechStarted("U"), 1_000) == []
    assert machine.handle(e.SpeechStopped("U"), 2_000) == []
    assert machine.handle(e.CallerTurnCommitted("U"), 2_000) == []
    machine.handle(started("R2"), 2_050)
    names = say(machine, 100, 2_300, item_id="B", response_id="R2")
    machine.handle(tool_call("end_call", response_id="R2"), 2_310)
    assert machine.handle(done("R2"), 2_320) == []

    assert machine.handle(e.MarkReturned(names[-1]), 2_410) == [c.HangUp()]
    assert machine.handle(e.HangUpDone(accepted=True), 2_500) == []
    assert machine.handle(e.StreamStopped(), 2_600) == [c.EndStream("assistant_hangup")]
    assert machine.deadline_ms() is None


@pytest.mark.parametrize("make", [waiting, lambda: on_the_phone(PLAN)])
@pytest.mark.parametrize(("ending", "reason"), ENDINGS)
def test_the_callers_end_is_the_end(
    make: Callable[[], CallMachine], ending: e.Event, reason: str
) -> None:
    """`D-TS-5`, `D-OAP-4`: the model line was left open, and billed, until its cap."""
    machine = make()

    assert machine.handle(ending, 500) == [c.EndStream(reason)]
    assert machine.deadline_ms() is None


@pytest.mark.parametrize("event", EVERYTHING, ids=repr)
def test_after_the_end_there_is_silence(event: e.Event) -> None:
    """Events still on their way must not wake the dead."""
    machine = over()

    assert machine.handle(event, 10) == []
    assert machine.wake(1_000_000) == []


@pytest.mark.parametrize("event", EVERYTHING, ids=repr)
@pytest.mark.parametrize("make", [waiting, lambda: on_the_phone(PLAN), leaving])
def test_no_event_is_too_much_for_any_phase(
    make: Callable[[], CallMachine], event: e.Event
) -> None:
    """Whatever comes, whenever it comes: an answer, and a deadline that is not past."""
    machine = make()

    machine.handle(event, 100)
    machine.wake(100)

    deadline_ms = machine.deadline_ms()
    assert deadline_ms is None or deadline_ms > 100


@pytest.mark.parametrize("event", EVERYTHING[1:], ids=repr)
def test_nothing_is_played_before_there_is_a_stream(event: e.Event) -> None:
    """The caller line would have nowhere to send it."""
    machine = waiting()
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started("R", "greeting"), 20)

    assert not [x for x in machine.handle(event, 30) if isinstance(x, TO_CALLER)]
    assert not [x for x in machine.handle(speech(100), 40) if isinstance(x, TO_CALLER)]


@pytest.mark.parametrize("event", [speech(100), e.SpeechStarted("U"), e.CallerDigit("#")])
def test_a_leaving_call_is_left_alone(event: e.Event) -> None:
    """Nothing new is said to a caller who is being taken away."""
    assert not leaving().handle(event, 10)


def test_the_short_way_of_a_frame_is_the_long_one() -> None:
    """The runner hands frames in past the dispatch; they must mean the same, and end alike."""
    machine = on_the_phone()

    assert machine.handle(frame(0), 0) == [c.AppendAudio(frame(0).payload_b64)]
    assert machine.passes(frame(20), 20)
    machine.handle(e.StreamStopped(), 30)
    assert not machine.passes(frame(40), 40)
    assert machine.handle(frame(40), 40) == []


def test_a_wake_that_came_too_early_is_harmless() -> None:
    """Clocks and loops are never exact."""
    machine = waiting()

    assert machine.wake(PARKED_MS - 1) == []
    assert machine.deadline_ms() == PARKED_MS
    assert machine.wake(PARKED_MS) == [c.EndStream("stream_lost")]


def test_a_second_stream_does_not_start_the_call_again() -> None:
    """One machine, one stream."""
    machine = on_the_phone(PLAN)

    assert machine.handle(e.StreamStarted("MZ2"), 100) == []


def test_the_returning_caller_is_told_why() -> None:
    """The agent knows that nobody answered, for this response and for all later ones."""
    machine = CallMachine(CallPlan("Hello.", returning="transfer to billing failed: busy"))
    machine.begin(0)

    note, welcome = machine.handle(e.ModelReady("sess_1"), 100)

    assert note == c.AddMessage(
        "system", "The caller is back with you: transfer to billing failed: busy."
    )
    assert isinstance(welcome, c.CreateResponse)
    assert welcome.purpose == "returned"
    assert "busy" in (welcome.instructions or "")


def test_equal_events_at_equal_times_lead_to_equal_commands() -> None:
    """What makes a flight log a replay."""
    first, second = waiting(), waiting()
    for n, event in enumerate(EVERYTHING):
        assert first.handle(event, n * 50) == second.handle(event, n * 50)
        assert first.wake(n * 50) == second.wake(n * 50)
        assert first.deadline_ms() == second.deadline_ms()


def test_the_end_comes_last() -> None:
    """Whatever was wanted before is carried out before."""
    machine = on_the_phone(PLAN)
    machine.handle(e.FailoverOrdered("server_shutdown"), 0)

    assert kinds(machine.handle(e.FailoverDone(accepted=False), 10)) == ["EndStream"]


def test_a_greeting_lost_before_the_caller_came_is_said_again() -> None:
    """Nobody heard the first one: the new line greets, and is told of no greeting before."""
    machine = CallMachine(CallPlan("Hello."))
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(e.ResponseStarted("R1", "greeting"), 20)
    machine.handle(e.SpeechText("R1", "I1", 0, "Hello."), 30)
    machine.handle(speech(800, "I1", "R1"), 40)
    machine.handle(e.ModelLineLost(1006, "closed_1006"), 50)

    commands = machine.handle(e.ModelReady("sess_2"), 60)

    assert [x.purpose for x in commands if isinstance(x, c.CreateResponse)] == ["greeting"]
    assert not any(isinstance(x, c.AddMessage) for x in commands)
    assert machine.handle(e.StreamStarted("MZ1"), 70) == []
