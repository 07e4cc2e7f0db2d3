"""W1: commands to a call: speak now, mute, take over."""

import pytest

from app.call.muting import AGENT_BACK, AGENT_MUTED, CALLER_BACK, CALLER_MUTED
from app.call.plan import CallPlan, ToolPlan
from app.call.pulse import PROBE_AFTER_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.test_orders import completed, spoken
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(targets=("billing", "desk"), tools={"look_up": ToolPlan()})
RESPOND = e.RespondOrdered("R", "Offer them a call-back.")
ASKED = c.CreateResponse("say")
MUTE, UNMUTE = e.MuteOrdered("M", "agent"), e.UnmuteOrdered("U", "agent")
TAKEOVER = e.TransferOrdered("T", "billing", at_once=True)


def test_the_agent_speaks_now_and_the_next_command_waits_until_it_was_heard() -> None:
    """W1: a spoken command completes at its last mark."""
    machine = on_the_phone(PLAN)

    assert machine.handle(RESPOND, 0) == [c.AddMessage("system", RESPOND.instructions), ASKED]
    assert machine.handle(e.MessageOrdered("M", "system", "Ada.", after="R"), 0) == []
    name = spoken(machine, "say")
    assert machine.handle(e.MarkReturned(name), 210) == [
        completed("R"),
        c.AddMessage("system", "Ada."),
        completed("M"),
    ]


def test_without_instructions_the_model_is_only_asked_to_speak() -> None:
    """What it says is its own affair."""
    assert on_the_phone(PLAN).handle(e.RespondOrdered("R"), 0) == [ASKED]


def test_an_agent_that_acts_instead_has_responded() -> None:
    """Its tool comes to words in its own time; nobody waits for them in vain."""
    machine = on_the_phone(PLAN)
    machine.handle(e.RespondOrdered("R"), 0)
    machine.handle(started("R9", "say"), 10)
    machine.handle(tool_call("look_up", response_id="R9"), 20)

    assert completed("R") in machine.handle(done("R9"), 30)


def test_a_muted_caller_is_silence_on_the_same_timeline() -> None:
    """Frame for frame; their keys count, and a hold in between changes nothing."""
    machine = on_the_phone(PLAN)
    silence = c.AppendSilence(20)

    assert machine.handle(e.MuteOrdered("M", "caller"), 0) == [
        c.AddMessage("system", CALLER_MUTED),
        completed("M"),
    ]
    assert not machine.passes(frame(1), 20)
    assert machine.handle(frame(1), 20) == [silence]
    machine.handle(e.HoldOrdered("H"), 30)
    machine.handle(e.UnholdOrdered("U"), 40)
    assert machine.handle(frame(2), 40) == [silence]
    assert machine.handle(e.UnmuteOrdered("U", "caller"), 50) == [
        c.AddMessage("system", CALLER_BACK),
        completed("U"),
    ]
    assert kinds(machine.handle(frame(3), 60)) == ["AppendAudio"]


def test_a_muted_agent_is_cut_and_answers_nothing() -> None:
    """Whatever it begins is cancelled; it hears the caller all the same."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    say(machine, 400, 0)

    out = machine.handle(MUTE, 100)
    assert kinds(out) == [
        "ClearPlayback",
        "TruncateItem",
        "CancelResponse",
        "AddMessage",
        "OrderDone",
    ]
    assert out[-2] == c.AddMessage("system", AGENT_MUTED)
    machine.handle(done(status="cancelled"), 110)
    machine.handle(e.SpeechStarted("A"), 200)
    machine.handle(e.SpeechStopped("A"), 900)
    machine.handle(e.CallerTurnCommitted("A"), 910)
    assert machine.handle(started("R2", None), 920) == [c.CancelResponse("R2")]
    assert machine.handle(speech(100, "B", "R2"), 930) == []
    machine.handle(done("R2", "cancelled"), 940)
    assert kinds(machine.handle(frame(60), 1_200))[-1] == "AppendAudio"


def test_an_agent_that_is_not_muted_any_more_speaks() -> None:
    """The caller has heard nothing for a while."""
    machine = on_the_phone(PLAN)
    machine.handle(MUTE, 0)

    assert machine.handle(UNMUTE, 100) == [
        c.AddMessage("system", AGENT_BACK),
        c.CreateResponse("unmute"),
        completed("U"),
    ]
    assert machine.handle(started("R2", "unmute"), 110) == []
    assert kinds(machine.handle(speech(100, "B", "R2"), 120)) == ["PlayAudio", "SendMark"]


def test_nobody_waits_for_a_muted_agent() -> None:
    """A caller whose turn is not answered is not a caller whom the model has failed."""
    machine = on_the_phone(PLAN)
    machine.handle(MUTE, 0)
    machine.handle(e.SpeechStarted("A"), 200)
    machine.handle(e.CallerTurnCommitted("A"), 910)
    machine.handle(started("R2", None), 920)
    machine.handle(done("R2", "cancelled"), 940)

    out = [one for at_ms in range(1_000, PROBE_AFTER_MS, 500) for one in machine.wake(at_ms)]
    assert not [one for one in out if isinstance(one, c.FailOver | c.CreateResponse)]


@pytest.mark.parametrize("lost_at_ms", [50, 200])
def test_a_caller_whose_agent_is_muted_and_gone_comes_to_somebody_else(lost_at_ms: int) -> None:
    """Who ends the mute would find nobody: the tone that promises a line promised it for ever."""
    machine = on_the_phone(PLAN)
    lost, mute = e.ModelLineLost(1006, "abnormal"), e.MuteOrdered("M", "agent")
    for at_ms, event in sorted([(lost_at_ms, lost), (100, mute)], key=lambda one: one[0]):
        machine.handle(event, at_ms)

    out = [one for at_ms in range(500, 20_000, 500) for one in machine.wake(at_ms)]
    assert c.FailOver() in out


@pytest.mark.parametrize(
    ("first", "order", "why"),
    [
        (MUTE, e.MuteOrdered("X", "agent"), "muted"),
        (MUTE, e.SayOrdered("X", "A moment."), "muted"),
        (MUTE, e.RespondOrdered("X"), "muted"),
        (None, e.UnmuteOrdered("X", "agent"), "not_muted"),
        (MUTE, e.UnmuteOrdered("X", "caller"), "not_muted"),
        (e.TransferOrdered("T", "billing"), e.MuteOrdered("X", "caller"), "call_ending"),
        (e.ModelLineLost(1006, "abnormal"), e.RespondOrdered("X"), "model_away"),
    ],
)
def test_what_would_mean_nothing_is_refused(
    first: e.Event | None, order: e.Event, why: str
) -> None:
    """And whoever ordered it is told why."""
    machine = on_the_phone(PLAN)
    if first is not None:
        machine.handle(first, 0)
    if isinstance(first, e.TransferOrdered):
        machine.handle(e.MarkReturned(spoken(machine, "announce")), 210)
        machine.handle(e.TransferAccepted(), 220)

    assert c.OrderDone("X", "refused", why) in machine.handle(order, 230)


def test_who_takes_over_does_not_wait_for_the_agent() -> None:
    """In mid-sentence: it is cut, nothing is announced, and the carrier is asked."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    say(machine, 400, 0)

    out = machine.handle(TAKEOVER, 100)
    assert kinds(out) == ["ClearPlayback", "TruncateItem", "CancelResponse", "Transfer"]
    assert machine.handle(e.TransferAccepted(), 300) == [completed("T")]


def test_what_was_ordered_before_is_not_waited_for_either() -> None:
    """It was interrupted; and in a list each has its turn."""
    machine = on_the_phone(PLAN)
    machine.handle(e.SayOrdered("S", "A long story."), 0)
    machine.handle(started("R9", "say"), 10)
    say(machine, 400, 10, item_id="R9", response_id="R9")
    out = machine.handle(TAKEOVER, 100)

    assert c.OrderDone("S", "failed", "interrupted") in out
    assert out[-1] == c.Transfer("billing")
    machine = on_the_phone(PLAN)
    machine.handle(e.SayOrdered("S", "Anna will go on."), 0)
    assert machine.handle(e.TransferOrdered("T", "billing", after="S", at_once=True), 0) == []
    out = machine.handle(e.MarkReturned(spoken(machine, "say")), 210)
    assert out == [completed("S"), c.Transfer("billing")]


def test_a_muted_agent_announces_no_transfer() -> None:
    """The caller is put through all the same."""
    machine = on_the_phone(PLAN)
    machine.handle(MUTE, 0)

    assert machine.handle(e.TransferOrdered("T", "billing"), 10) == [c.Transfer("billing")]


def test_a_new_line_is_told_that_somebody_is_muted() -> None:
    """The order outlives the line, and its words are in the transcript."""
    machine = on_the_phone(PLAN)
    machine.handle(MUTE, 0)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)
    out = machine.handle(e.ModelReady("S2"), 1_000)

    assert any(AGENT_MUTED in str(one) for one in out)
    asked = [one for one in out if isinstance(one, c.CreateResponse)]
    assert machine.handle(started("R2", asked[0].purpose), 5_000) == [c.CancelResponse("R2")]


def test_a_muted_agent_whose_line_is_lost_is_not_made_up_for_by_a_tone() -> None:
    """No word of it would ever end the tone."""
    machine = on_the_phone(PLAN)
    machine.handle(MUTE, 0)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)

    out = [one for at_ms in range(100, 9_000, 100) for one in machine.wake(at_ms)]
    assert not [one for one in out if isinstance(one, c.PlayComfort)]
