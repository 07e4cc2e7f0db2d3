"""How long a caller listens to nothing before somebody else speaks to them."""

import pytest

from app.call.machine import CallMachine
from app.call.patience import ANSWER_MS, PATIENCE_MS
from app.call.plan import CallPlan, ToolPlan
from app.call.responses import OWED_MS, STALLED_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.witness import Witnessed
from tests.call.words import done, marks, on_the_phone, say, speech, started, tool_call

GREETED = CallPlan("Hello.")
LOST = e.ModelLineLost(1006, "abnormal")
FAILOVER = [c.CloseModel(), c.FailOver()]
PUTS_THROUGH = CallPlan(targets=("billing",))


def mute(
    machine: CallMachine, until_ms: int, *, ready_after_ms: int = 100, alive: bool = False
) -> int | None:
    """A model that accepts every line and says nothing: when the failure treatment came.

    ``alive``: it says so when it is asked.
    """
    ready_at_ms: int | None = None
    while True:
        moments = [at for at in (machine.deadline_ms(), ready_at_ms) if at is not None]
        now_ms = min(moments)
        if now_ms > until_ms:
            return None
        if now_ms == ready_at_ms:
            ready_at_ms = None
            out = machine.handle(e.ModelReady("sess_n"), now_ms)
        else:
            out = machine.wake(now_ms)
        if c.FailOver() in out:
            return now_ms
        if alive and c.AskAlive() in out:
            machine.handle(e.ModelAlive(), now_ms)
        if any(isinstance(command, c.OpenModel) for command in out):
            ready_at_ms = now_ms + ready_after_ms


def turn(machine: CallMachine, at_ms: int) -> None:
    """The caller says something that ends here."""
    machine.handle(e.SpeechStarted("U"), at_ms - 400)
    machine.handle(e.SpeechStopped("U"), at_ms)
    machine.handle(e.CallerTurnCommitted("U"), at_ms)


def greeted(plan: CallPlan = GREETED) -> CallMachine:
    """A machine whose greeting was heard after a second."""
    machine = on_the_phone(plan)
    machine.handle(started("G", "greeting"), 0)
    names = say(machine, 100, 900, item_id="G", response_id="G")
    machine.handle(done("G"), 910)
    machine.handle(e.MarkReturned(names[-1]), 1_000)
    return machine


@pytest.mark.parametrize("ready_after_ms", [0, 100, 2_000])
def test_a_model_that_never_speaks_is_given_up_once(ready_after_ms: int) -> None:
    """One patience for the first sound, however many lines were opened for it meanwhile."""
    machine = on_the_phone(GREETED)

    assert mute(machine, 60_000, ready_after_ms=ready_after_ms) == PATIENCE_MS


def test_patience_begins_with_the_caller_and_not_with_the_model() -> None:
    """Nobody listens to a line that waits for a stream."""
    machine = CallMachine(GREETED)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 1_000)
    machine.handle(e.StreamStarted("MZ1"), 1_500)

    assert mute(machine, 60_000) == 1_500 + PATIENCE_MS


def test_a_greeting_that_began_before_the_stream_is_waited_for() -> None:
    """The model answers and brings no sound: still one patience."""
    machine = CallMachine(GREETED)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 100)
    machine.handle(started("G", "greeting"), 200)
    machine.handle(e.StreamStarted("MZ1"), 300)

    assert mute(machine, 60_000) == 300 + PATIENCE_MS


def test_a_caller_who_speaks_first_waits_for_nothing() -> None:
    """Silence is what this operator asked for."""
    machine = on_the_phone()

    assert mute(machine, 9_000) is None


def test_a_first_sound_ends_the_wait() -> None:
    """What was sent will be heard."""
    machine = on_the_phone(GREETED)
    machine.handle(started("R", "greeting"), 500)
    names = say(machine, 100, 900)
    machine.handle(done(), 910)
    machine.handle(e.MarkReturned(names[-1]), 1_000)

    assert mute(machine, 9_000) is None


def test_an_answer_that_never_comes_has_one_budget() -> None:
    """Asked again, another line, asked again: eight seconds in all, not eight for each."""
    machine = greeted()
    turn(machine, 5_000)

    assert mute(machine, 60_000) == 5_000 + ANSWER_MS


def test_a_response_that_began_and_made_no_sound_is_asked_for_once_more() -> None:
    """2.5 `answer_hard_timeout_sec`: cancelled, asked for again, and then given up."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(started(), 6_900)

    assert c.CancelResponse("R") in machine.wake(5_000 + ANSWER_MS)
    asked = machine.handle(done(status="cancelled"), 5_100 + ANSWER_MS)
    assert asked == [c.CreateResponse("nudge")]
    machine.handle(started("R2", "nudge"), 5_200 + ANSWER_MS)

    assert mute(machine, 60_000) == 5_000 + ANSWER_MS + PATIENCE_MS


def test_what_was_asked_for_in_vain_is_asked_for_again() -> None:
    """An operator's sentence stays that sentence, and comes late rather than not."""
    machine = greeted()
    (wanted,) = machine.handle(e.SayOrdered("S", "We close at five."), 5_000)
    machine.handle(started("S1", "say"), 5_100)

    assert c.CancelResponse("S1") in machine.wake(5_000 + ANSWER_MS)
    assert machine.handle(done("S1", "cancelled"), 5_100 + ANSWER_MS)[-1] == wanted


def test_a_second_response_that_brings_sound_is_heard() -> None:
    """Nobody was failed over, and the next answer has its whole time again."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(started(), 6_900)
    machine.wake(5_000 + ANSWER_MS)
    machine.handle(done(status="cancelled"), 5_100 + ANSWER_MS)
    machine.handle(started("R2", "nudge"), 5_200 + ANSWER_MS)

    assert say(machine, 100, 7_000 + ANSWER_MS, item_id="B", response_id="R2") != []
    assert machine.handle(speech(100), 7_100 + ANSWER_MS) == []


def told(machine: CallMachine, until_ms: int) -> list[tuple[int, c.Command]]:
    """What alarms lead to, and when."""
    found: list[tuple[int, c.Command]] = []
    while (now_ms := machine.deadline_ms()) is not None and now_ms <= until_ms:
        found += [(now_ms, one) for one in machine.wake(now_ms) if one != c.VerifyCall()]
    return found


PATIENT = CallPlan("Hello.", filler_after_ms=4_000, give_up_ms=15_000, tools={"t": ToolPlan()})


def test_a_caller_who_waits_for_an_answer_hears_that_the_line_lives() -> None:
    """C26: an answer after six seconds: a tone at four, and `latency.high`, once."""
    machine = greeted(PATIENT)
    turn(machine, 5_000)
    machine.handle(started(), 5_200)

    assert told(machine, 10_999) == [(9_000, c.LatencyHigh()), (9_000, c.PlayComfort())]
    assert say(machine, 100, 11_000, item_id="B") != []
    assert told(machine, 15_000) == []


def test_the_tone_comes_again_and_the_warning_does_not() -> None:
    """Until what is given up is given up."""
    machine = greeted(PATIENT)
    turn(machine, 5_000)
    machine.handle(started(), 5_200)

    found = told(machine, 19_999)
    assert [at_ms for at_ms, one in found if one == c.PlayComfort()] == list(
        range(9_000, 20_000, 2_000)
    )
    assert [one for _, one in found].count(c.LatencyHigh()) == 1
    assert (20_000, c.CancelResponse("R")) in told(machine, 20_000)


def test_a_quick_answer_has_no_tone() -> None:
    """Nor has a caller who speaks again."""
    machine = greeted(PATIENT)
    turn(machine, 5_000)
    machine.handle(started(), 5_200)
    machine.handle(e.SpeechStarted("V"), 8_900)

    assert told(machine, 20_000) == []


def test_a_tool_has_a_filler_of_its_own() -> None:
    """Nobody owes words while it works; what follows it is waited for like any answer."""
    machine = greeted(PATIENT)
    turn(machine, 5_000)
    machine.handle(started(), 5_200)
    machine.handle(tool_call("t"), 5_300)
    machine.handle(done(), 5_400)
    asked = [one for _, one in told(machine, 6_500)]
    assert [one.purpose for one in asked if isinstance(one, c.CreateResponse)] == ["filler"]
    machine.handle(started("F", "filler"), 6_600)
    say(machine, 100, 6_700, item_id="F", response_id="F")
    machine.handle(done("F"), 6_800)

    machine.handle(e.ToolDone("T1", "{}", ok=True), 9_500)
    machine.handle(started("A", "tool_result"), 9_600)
    assert c.PlayComfort() not in [one for _, one in told(machine, 13_499)]


def test_the_warning_is_in_the_record() -> None:
    """C26: `latency.high`."""
    story = Witnessed()
    story.saw(9_000, None, [c.LatencyHigh(), c.PlayComfort()])

    assert dict(story.warnings) == {"latency.high": 1}


def test_a_line_that_drops_must_be_replaced_sooner() -> None:
    """From the failure to a voice is under five seconds, whatever the answer still had."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(LOST, 6_000)
    machine.handle(e.ModelReady("sess_2"), 7_000)

    assert mute(machine, 60_000) == 6_000 + PATIENCE_MS


def test_a_line_that_drops_late_does_not_lengthen_the_wait() -> None:
    """The caller has waited since the turn ended."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(started(), 6_900)
    machine.handle(LOST, 12_000)
    machine.handle(e.ModelReady("sess_2"), 12_100)

    assert mute(machine, 60_000) == 5_000 + ANSWER_MS


def test_what_still_plays_is_no_silence() -> None:
    """The model is ahead of the caller by what Twilio has yet to play."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    names = marks(machine.handle(speech(3_000), 0))
    names += marks(machine.handle(LOST, 10))
    machine.handle(e.ModelReady("sess_2"), 500)
    for at_ms, name in enumerate(names):
        machine.handle(e.MarkReturned(name), 2_900 + at_ms)

    assert mute(machine, 60_000) in range(3_000 + PATIENCE_MS, 3_030 + PATIENCE_MS)


def test_a_caller_who_speaks_does_not_wait() -> None:
    """A long sentence into a slow greeting is not the time to give up."""
    machine = on_the_phone(GREETED)
    machine.handle(e.SpeechStarted("U"), 3_000)
    machine.wake(OWED_MS)
    machine.handle(started("R", "greeting"), 3_050)

    assert c.FailOver() not in machine.wake(PATIENCE_MS)


def test_a_caller_who_has_heard_nothing_at_all_has_less_patience() -> None:
    """A "hello?" into a dead line must not buy it another eight seconds."""
    machine = on_the_phone(GREETED)
    turn(machine, 2_000)

    assert mute(machine, 60_000) == 2_000 + PATIENCE_MS


def test_a_caller_who_talks_to_a_mute_model_does_not_keep_it() -> None:
    """Every "hello?" ends a wait; the second line that stays mute is the last one."""
    machine = greeted()
    said_at_ms, opened = 5_000, 0
    turn(machine, said_at_ms)
    for now_ms in range(5_000, 40_000, 100):
        out = machine.wake(now_ms)
        opened += sum(isinstance(x, c.OpenModel) for x in out)
        if c.OpenModel(2_500) in out:
            machine.handle(e.ModelReady("sess_n"), now_ms)
        if c.FailOver() in out:
            break
        if now_ms - said_at_ms >= 3_000:
            said_at_ms = now_ms
            turn(machine, now_ms)

    assert opened <= 1
    assert now_ms <= 5_000 + 2 * ANSWER_MS


def test_a_model_that_is_busy_is_not_mute() -> None:
    """A tool's long arguments are written in silence."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(started(), 5_100)
    for now_ms in range(6_000, 20_000, 1_000):
        machine.handle(e.SpeechText("R", "F", 0, ""), now_ms)
        assert c.FailOver() not in machine.wake(now_ms)

    assert mute(machine, 60_000) == 19_000 + STALLED_MS


def test_a_slow_tool_is_not_a_mute_model() -> None:
    """The model said one moment; nothing is owed until the tool has come back."""
    machine = greeted(CallPlan("Hello.", tools={"look_up": ToolPlan()}))
    turn(machine, 5_000)
    machine.handle(started(), 5_100)
    machine.handle(tool_call(), 5_200)
    machine.handle(done(), 5_210)
    machine.wake(5_900)
    machine.handle(started("F", "filler"), 6_000)
    names = say(machine, 100, 6_100, item_id="F", response_id="F")
    machine.handle(done("F"), 6_110)
    machine.handle(e.MarkReturned(names[-1]), 6_200)

    assert mute(machine, 40_000, alive=True) is None
    machine.handle(e.ToolDone("T1", "42", ok=True), 40_000)
    assert mute(machine, 90_000) == 40_000 + ANSWER_MS


def test_a_mute_model_does_not_keep_a_caller_from_a_person() -> None:
    """The caller asked to be put through: that needs no words of the model's."""
    machine = on_the_phone(PUTS_THROUGH)
    turn(machine, 1_000)
    machine.handle(started(), 1_100)
    wish = tool_call("transfer_call", arguments='{"target":"billing"}')
    machine.handle(wish, 1_200)
    machine.handle(done(), 1_210)

    out: list[c.Command] = []
    while c.Transfer("billing") not in out:
        now_ms = machine.deadline_ms()
        assert now_ms is not None
        assert now_ms < 10_000
        out = machine.wake(now_ms)
        assert c.FailOver() not in out


def test_a_call_that_is_leaving_is_not_failed() -> None:
    """Who is being hung up on waits for nothing more."""
    machine = greeted()
    turn(machine, 5_000)
    machine.handle(e.HangUpOrdered("operator_ended"), 5_100)

    assert mute(machine, 14_000) is None


def test_three_drops_an_hour_apart_are_no_failed_model() -> None:
    """A session lives an hour; a long call outlives several."""
    machine = greeted()
    for hour in range(1, 7):
        at_ms = hour * 3_600_000
        assert machine.handle(LOST, at_ms)[-1:] == [c.OpenModel(2_500)]
        machine.handle(e.ModelReady(f"sess_{hour}"), at_ms + 500)
        machine.handle(started(f"R{hour}", "resume"), at_ms + 600)
        names = say(machine, 100, at_ms + 700, item_id=f"I{hour}", response_id=f"R{hour}")
        machine.handle(done(f"R{hour}"), at_ms + 710)
        machine.handle(e.MarkReturned(names[-1]), at_ms + 800)
