"""What may interrupt the agent, and when: rows S7 and W23 to W26, with literal values."""

import pytest

from app.call.attempts import LEAST_MS, SOONEST_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset
from app.call.prompts import resumed, verbatim
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, on_the_phone, say, speech, started

CALLER = e.SpeechStarted("U")
SILENT = e.SpeechStopped("U")
TURN = e.CallerTurnCommitted("U")
LOOK = c.MeasureVoice()
CUT = [c.ClearPlayback(), c.TruncateItem("A", 0, 198)]
"""The first mark has not come back, and nobody believes the clock beyond it."""
NEXT = c.CreateResponse("turn")
CAREFUL = CallPlan(min_interruption_ms=250)
GUARDED = CallPlan(echo_guard=True)


def speaking(plan: CallPlan, purpose: str | None = "turn") -> CallMachine:
    """A machine that plays two seconds, all of which it has been given."""
    machine = on_the_phone(plan)
    machine.handle(started(purpose=purpose), 0)
    say(machine, 2_000, 0)
    machine.handle(done(), 0)
    return machine


@pytest.mark.parametrize("interruptible", ["speech", "any"])
def test_speech_interrupts_at_once(interruptible: str) -> None:
    """W24: where nothing asks for a moment of voice there is no delay and no measuring."""
    machine = speaking(CallPlan(interruptible=interruptible), None)

    assert machine.handle(CALLER, 300) == CUT


@pytest.mark.parametrize("interruptible", ["none", "dtmf"])
def test_speech_that_does_not_interrupt_is_answered_afterwards(interruptible: str) -> None:
    """W23: no clear and no truncation; the reply is asked for by us, and heard after the end."""
    machine = speaking(CallPlan(interruptible=interruptible))

    assert machine.handle(CALLER, 300) == []
    assert machine.handle(SILENT, 900) == []
    assert machine.handle(TURN, 900) == [NEXT]
    machine.handle(started("R2", "turn"), 950)
    assert kinds(machine.handle(speech(200, "B", "R2"), 1_000))[0] == "PlayAudio"


def test_the_reply_waits_for_the_response_in_progress() -> None:
    """W23: else the server may refuse it."""
    machine = on_the_phone(CallPlan(interruptible="none"))
    machine.handle(started(purpose="turn"), 0)
    machine.handle(speech(500), 0)
    machine.handle(CALLER, 100)
    machine.handle(SILENT, 400)

    assert machine.handle(TURN, 400) == []
    assert machine.handle(speech(500), 450) != []
    assert NEXT in machine.handle(done(), 500)


def test_a_response_of_ours_does_not_yield_to_speech_that_does_not_interrupt() -> None:
    """W23: what was asked for before the caller spoke is heard all the same."""
    machine = on_the_phone(CallPlan(interruptible="none"))
    machine.handle(e.CallerTurnCommitted("U0"), 0)
    machine.handle(e.SpeechStarted("U"), 50)

    assert machine.handle(started(purpose="turn"), 100) == []
    assert kinds(machine.handle(speech(200), 150))[0] == "PlayAudio"


@pytest.mark.parametrize("interruptible", ["speech", "none"])
def test_keys_that_do_not_interrupt_are_ignored(interruptible: str) -> None:
    """W25: no clear, and the digit is not part of the collection."""
    plan = CallPlan(interruptible=interruptible, presets={"pin": DigitsPreset(num_digits=1)})
    machine = speaking(plan)
    machine.handle(e.DigitsOrdered("D", "pin"), 100)

    assert machine.handle(e.CallerDigit("1"), 300) == []


@pytest.mark.parametrize("interruptible", ["dtmf", "any"])
def test_keys_that_interrupt_stop_playback_and_count(interruptible: str) -> None:
    """W26: one key does both."""
    plan = CallPlan(interruptible=interruptible, presets={"pin": DigitsPreset(num_digits=1)})
    machine = speaking(plan)
    machine.handle(e.DigitsOrdered("D", "pin"), 100)

    out = machine.handle(e.CallerDigit("1"), 300)

    assert out[:2] == CUT
    assert [x.shown for x in out if isinstance(x, c.DigitsCollected)] == ["1"]


@pytest.mark.parametrize(
    ("greeting", "general", "key_cuts"),
    [("none", "any", False), ("dtmf", "speech", True), ("speech", "any", False)],
)
def test_the_greeting_has_its_own_rule(greeting: str, general: str, key_cuts: bool) -> None:
    """W25, W26: and when it is over the agent's counts again."""
    plan = CallPlan(greeting="Hello.", greeting_interruptible=greeting, interruptible=general)
    machine = on_the_phone(plan)
    machine.handle(started(purpose="greeting"), 0)
    names = say(machine, 2_000, 0)
    machine.handle(done(), 0)

    cut = machine.handle(e.CallerDigit("1"), 300)
    assert (c.ClearPlayback() in cut) is key_cuts
    if key_cuts:
        return
    for index, name in enumerate(names):
        machine.handle(e.MarkReturned(name), 198 * (index + 1))
    machine.handle(started("R2"), 5_000)
    machine.handle(speech(1_000, "B", "R2"), 5_000)
    assert c.ClearPlayback() in machine.handle(e.CallerDigit("2"), 5_300)


def greeting(rule: str = "none", general: str = "any") -> tuple[CallMachine, list[str]]:
    """A machine that plays a greeting of 200 ms, all of which it has been given."""
    machine = on_the_phone(
        CallPlan(greeting="Hello.", greeting_interruptible=rule, interruptible=general)
    )
    machine.handle(started(purpose="greeting"), 0)
    names = say(machine, 200, 0)
    machine.handle(done(), 10)
    return machine, names


@pytest.mark.parametrize("rule", ["none", "dtmf"])
def test_what_is_said_into_a_shielded_greeting_is_answered_afterwards(rule: str) -> None:
    """W23: as for a shielded ``say``: no clear, no truncation, and the reply is asked for by us."""
    machine, _names = greeting(rule)

    assert machine.handle(CALLER, 50) == []
    assert machine.handle(SILENT, 120) == []
    assert machine.handle(TURN, 120) == [NEXT]


def test_the_server_takes_no_turns_until_the_greeting_was_heard() -> None:
    """W23: it would cancel the greeting by itself."""
    machine = CallMachine(CallPlan(greeting="Hello.", greeting_interruptible="none"))
    machine.begin(0)

    assert machine.handle(e.ModelReady("sess_1"), 0)[0] == c.SetTurnTaking(by_server=False)
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.handle(started(purpose="greeting"), 0)
    names = say(machine, 200, 0)
    assert c.SetTurnTaking(by_server=True) not in machine.handle(done(), 10)
    told = [x for name in names for x in machine.handle(e.MarkReturned(name), 200)]
    assert told == [c.SetTurnTaking(by_server=True)]


def test_the_answer_behind_a_shielded_greeting_may_be_interrupted() -> None:
    """W23: it is generated while the greeting plays, and is not the greeting."""
    machine, names = greeting()
    machine.handle(CALLER, 50)
    machine.handle(SILENT, 100)
    machine.handle(TURN, 100)
    machine.handle(started("R2", "turn"), 120)
    machine.handle(speech(2_000, "B", "R2"), 130)
    assert machine.handle(e.SpeechStarted("U2"), 150) == []
    machine.handle(e.SpeechStopped("U2"), 180)

    for name in names:
        machine.handle(e.MarkReturned(name), 210)
    assert machine.handle(e.SpeechStarted("U3"), 400)[0] == c.ClearPlayback()


def test_a_key_that_cuts_a_greeting_gives_the_server_its_turns_back() -> None:
    """W26: what comes now is not the greeting."""
    machine, _names = greeting("dtmf")

    out = machine.handle(e.CallerDigit("1"), 50)
    assert c.ClearPlayback() in out
    assert c.SetTurnTaking(by_server=True) in out


def test_a_caller_who_comes_back_hears_no_greeting() -> None:
    """Its rule is of no concern to them."""
    plan = CallPlan("Hello.", greeting_interruptible="none", returning="busy")
    machine = CallMachine(plan)
    machine.begin(0)

    assert kinds(machine.handle(e.ModelReady("sess_1"), 0))[-1] == "CreateResponse"
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.handle(started(purpose="returned"), 0)
    say(machine, 2_000, 0)
    assert machine.handle(CALLER, 300) == CUT


def test_a_cough_does_not_cut() -> None:
    """S7: with 250 ms a cough of 120 ms does not clear, and nothing is truncated for it."""
    machine = speaking(CAREFUL)

    assert machine.handle(CALLER, 100) == [LOOK]
    assert machine.handle(e.VoiceMeasured(100), 101) == []
    assert machine.deadline_ms() == 101 + SOONEST_MS
    assert machine.wake(141) == [LOOK]
    assert machine.handle(e.VoiceMeasured(120), 142) == []
    assert machine.wake(182) == [LOOK]
    assert machine.handle(e.VoiceMeasured(0), 183) == []
    assert machine.handle(SILENT, 640) == []
    assert machine.handle(TURN, 640) == []
    assert machine.handle(e.CallerTranscribed("U", " "), 900) == [c.DeleteItem("U")]
    assert not any(entry.item_id == "U" for entry in machine.transcript.entries)


def test_enough_voice_cuts_once() -> None:
    """S7: as soon as the caller has been heard for so long, and the item where it is by then."""
    machine = speaking(CAREFUL)
    machine.handle(CALLER, 50)

    assert machine.handle(e.VoiceMeasured(240), 280) == []
    assert machine.wake(300) == [LOOK]
    assert machine.handle(e.VoiceMeasured(260), 300) == CUT
    assert machine.handle(e.VoiceMeasured(280), 320) == []
    assert machine.handle(SILENT, 900) == []
    assert machine.handle(TURN, 900) == [NEXT]


def test_an_interruption_that_counts_cancels_what_is_being_made() -> None:
    """S7: a server that only tells of turns cancels nothing by itself."""
    machine = on_the_phone(CAREFUL)
    machine.handle(started(purpose="turn"), 0)
    machine.handle(speech(2_000), 0)
    machine.handle(CALLER, 100)

    assert machine.handle(e.VoiceMeasured(300), 300) == [*CUT, c.CancelResponse("R")]


def test_a_short_word_is_answered_when_it_is_known_to_be_one() -> None:
    """S7: "yes" is shorter than a cough; it cuts nothing, and is not lost either."""
    machine = speaking(CAREFUL)
    machine.handle(CALLER, 100)
    machine.handle(e.VoiceMeasured(200), 300)
    machine.handle(SILENT, 700)
    machine.handle(TURN, 700)

    assert machine.handle(e.CallerTranscribed("U", "Yes."), 900) == [NEXT]
    assert machine.transcript.entries[-1].text == "Yes."


def test_whoever_speaks_into_silence_is_not_measured() -> None:
    """S7: nothing is being said that could be cut, so that an answer costs no delay."""
    machine = on_the_phone(CAREFUL)

    assert machine.handle(CALLER, 100) == []
    machine.handle(SILENT, 300)
    assert machine.handle(TURN, 300) == [NEXT]


def test_our_own_voice_cuts_nothing_and_is_no_turn() -> None:
    """S7: the echo guard; the model would answer itself, for ever."""
    machine = speaking(GUARDED)

    assert machine.handle(CALLER, 100) == [LOOK]
    assert machine.handle(e.VoiceMeasured(0, 200), 101) == []
    machine.handle(SILENT, 700)
    assert machine.handle(TURN, 700) == [c.DeleteItem("U")]
    assert machine.handle(e.CallerTranscribed("U", "Hello, this is"), 900) == []
    assert not any(entry.item_id == "U" for entry in machine.transcript.entries)


def test_a_caller_who_speaks_over_the_echo_is_heard() -> None:
    """S7: the server takes both for one turn; the caller's voice is what counts."""
    machine = speaking(GUARDED)
    machine.handle(CALLER, 100)
    machine.handle(e.VoiceMeasured(0, 200), 101)

    assert machine.handle(e.VoiceMeasured(LEAST_MS, 100), 300) == CUT
    machine.handle(SILENT, 900)
    assert machine.handle(TURN, 900) == [NEXT]


def test_a_false_interruption_is_taken_up_where_it_stopped() -> None:
    """What was cut for nothing goes on right after the words that were heard."""
    machine = on_the_phone(CAREFUL)
    machine.handle(started(purpose="turn"), 0)
    machine.handle(e.SpeechText("R", "A", 0, "We open at nine."), 0)
    names = say(machine, 2_000, 0)
    machine.handle(done(), 0)
    for index, name in enumerate(names[:5]):
        machine.handle(e.MarkReturned(name), 198 * (index + 1))
    machine.handle(CALLER, 1_000)
    machine.handle(e.VoiceMeasured(300), 1_000)
    machine.handle(SILENT, 1_400)
    assert machine.handle(TURN, 1_400) == [NEXT]
    machine.handle(started("R2", "turn"), 1_500)

    out = machine.handle(e.CallerTranscribed("U", ""), 1_600)
    assert out == [c.DeleteItem("U"), c.CancelResponse("R2")]
    heard = machine.transcript.cut_off
    assert 0 < len(heard) < len("We open at nine.")
    assert machine.handle(done("R2", "cancelled"), 1_650) == [resumed(heard)]


def test_a_message_may_be_kept_from_being_cut() -> None:
    """W23, W24: for as long as it is heard; the server is told before and after."""
    machine = on_the_phone(CallPlan())
    order = e.SayOrdered("S", "A moment.", interruptible="none")

    assert machine.handle(order, 0) == [
        c.SetTurnTaking(by_server=False),
        c.CreateResponse("say", verbatim("A moment."), tools=False),
    ]
    machine.handle(started(purpose="say"), 10)
    (name,) = say(machine, 100, 10)
    machine.handle(done(), 20)
    assert machine.handle(CALLER, 60) == []
    assert machine.handle(e.MarkReturned(name), 110) == [
        c.OrderDone("S", "completed"),
        c.SetTurnTaking(by_server=True),
    ]


def test_what_is_said_behind_a_message_is_cut_like_anything_else() -> None:
    """W23, W24: the answer to a caller who spoke over the message is not part of it."""
    machine = on_the_phone(CallPlan())
    machine.handle(e.SayOrdered("S", "A moment.", interruptible="none"), 0)
    machine.handle(started(purpose="say"), 10)
    (name,) = say(machine, 100, 10)
    machine.handle(done(), 20)
    machine.handle(CALLER, 30)
    machine.handle(SILENT, 60)
    assert machine.handle(TURN, 60) == [NEXT]
    machine.handle(started("R2", "turn"), 70)
    say(machine, 1_000, 80, item_id="B", response_id="R2")

    assert c.SetTurnTaking(by_server=True) in machine.handle(e.MarkReturned(name), 110)
    assert c.TruncateItem("B", 0, 190) in machine.handle(e.SpeechStarted("U2"), 300)


def test_the_rest_of_a_call_may_be_configured() -> None:
    """W23-W26 by command: also for a line that takes the place of this one."""
    machine = on_the_phone(CallPlan())

    assert machine.handle(e.ConfigureOrdered("C", interruptible="dtmf"), 0) == [
        c.SetTurnTaking(by_server=False),
        c.OrderDone("C", "completed"),
    ]
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    assert c.SetTurnTaking(by_server=False) in machine.handle(e.ModelReady("sess_2"), 200)
    out = machine.handle(e.ConfigureOrdered("C2", interruptible="any", min_interruption_ms=0), 300)
    assert c.SetTurnTaking(by_server=True) in out


def test_a_least_length_may_be_configured() -> None:
    """S7 by command."""
    machine = speaking(CallPlan(), None)
    machine.handle(e.ConfigureOrdered("C", min_interruption_ms=250), 50)

    assert machine.handle(CALLER, 100) == [LOOK]
    assert machine.handle(e.VoiceMeasured(260), 300) == CUT
