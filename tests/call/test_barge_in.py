"""The caller speaks over the model: every command of the answer, in order."""

import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, ToolPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, marks, on_the_phone, say, speech, started

CALLER = e.SpeechStarted("U")


def speaking(plan: CallPlan | None = None) -> CallMachine:
    """A machine in the middle of a response of the server's."""
    machine = on_the_phone(plan or CallPlan())
    machine.handle(started(), 0)
    return machine


def play(machine: CallMachine, names: list[str], until_ms: int) -> None:
    """Twilio returns the marks of 198 ms pieces that were played by then."""
    for index, name in enumerate(names):
        if (index + 1) * 198 <= until_ms:
            machine.handle(e.MarkReturned(name), (index + 1) * 198)


def test_the_audible_item_is_truncated_at_what_was_heard_and_the_queued_one_at_nothing() -> None:
    """`D-TS-1`, `D-OAP-3`, `D-PC-1`, `D-TRA-1`: A of 10 s plays, B waits, the caller at 7 s."""
    machine = speaking()
    names = say(machine, 10_000, 0, item_id="A") + say(machine, 1_000, 0, item_id="B")
    machine.handle(done(), 0)
    play(machine, names, 7_000)

    assert machine.handle(CALLER, 7_000) == [
        c.ClearPlayback(),
        c.TruncateItem("A", 0, 7_000),
        c.TruncateItem("B", 0, 0),
    ]


def test_a_reply_delivered_at_once_is_truncated_by_what_was_played() -> None:
    """`D-TAC-1`: bytes sent are not bytes heard; 10 s arrive in half a second."""
    machine = speaking()
    play(machine, say(machine, 10_000, 0), 500)

    assert c.TruncateItem("A", 0, 500) in machine.handle(CALLER, 500)


def test_the_ledger_outlives_the_response() -> None:
    """`D-PT-1`: a reply is generated in a second and played for ten."""
    machine = speaking()
    names = say(machine, 10_000, 0)
    machine.handle(done(), 1_000)
    play(machine, names, 3_000)

    assert machine.handle(CALLER, 3_000) == [
        c.ClearPlayback(),
        c.TruncateItem("A", 0, 3_000),
    ]


def test_an_interruption_always_truncates() -> None:
    """`D-BL-1`, `D-JB-1`: a model that is not told believes it said everything."""
    machine = speaking()
    say(machine, 2_000, 0)

    assert kinds(machine.handle(CALLER, 100)) == ["ClearPlayback", "TruncateItem"]


def test_an_answer_after_an_answer_is_measured_from_when_it_began_to_play() -> None:
    """`D-TS-4`: the second waited behind the first in Twilio's buffer."""
    machine = speaking()
    names = say(machine, 3_000, 0, item_id="A")
    machine.handle(done(), 100)
    machine.handle(started("R2"), 200)
    names += say(machine, 3_000, 200, item_id="B", response_id="R2")
    for at_ms, name in zip((*range(198, 3_000, 198), 3_000, 3_198), names, strict=False):
        machine.handle(e.MarkReturned(name), at_ms)

    assert machine.handle(CALLER, 3_300) == [c.ClearPlayback(), c.TruncateItem("B", 0, 300)]


def test_the_whole_response_falls_silent() -> None:
    """`D-TS-3`, `D-TAC-2`, `D-BL-1`: late deltas of any of its items would be heard after all."""
    machine = speaking()
    machine.handle(speech(500, "A"), 0)
    machine.handle(CALLER, 100)

    assert machine.handle(speech(500, "A"), 110) == []
    assert machine.handle(speech(500, "B"), 120) == []
    assert machine.handle(e.SpeechAudioDone("R", "B", 0), 130) == []
    assert machine.handle(done(status="cancelled", reason="turn_detected"), 140) == []


def test_a_response_without_audio_yet_falls_silent_too() -> None:
    """`D-TAC-3`: the caller speaks between response.created and the first delta."""
    machine = speaking()

    assert machine.handle(CALLER, 100) == []
    assert machine.handle(speech(500), 200) == []


def test_the_next_response_is_heard() -> None:
    """Muting is by response: the answer to the interruption must come through."""
    machine = speaking()
    machine.handle(speech(500), 0)
    machine.handle(CALLER, 100)
    machine.handle(done(status="cancelled"), 120)
    machine.handle(started("R2"), 900)

    assert kinds(machine.handle(speech(100, "B", "R2"), 950)) == ["PlayAudio", "SendMark"]


def test_echoes_of_the_cleared_marks_do_not_spoil_the_next_interruption() -> None:
    """`D-TS-2`, `D-OAP-2`: Twilio returns every outstanding mark on clear, and late."""
    machine = speaking()
    old = say(machine, 2_000, 0)
    machine.handle(CALLER, 300)
    machine.handle(done(status="cancelled"), 310)
    machine.handle(started("R2"), 900)
    machine.handle(speech(2_000, "B", "R2"), 1_000)
    for name in old:
        machine.handle(e.MarkReturned(name), 1_010)

    assert machine.handle(e.SpeechStarted("U2"), 1_150) == [
        c.ClearPlayback(),
        c.TruncateItem("B", 0, 150),
    ]


def test_large_deltas_are_truncated_inside() -> None:
    """`D-OAJ-2`: one delta of two seconds, interrupted at one and a half."""
    machine = speaking()
    play(machine, marks(machine.handle(speech(2_000), 0)), 1_500)

    assert c.TruncateItem("A", 0, 1_500) in machine.handle(CALLER, 1_500)


def test_nothing_happens_when_everything_was_heard() -> None:
    """The caller's normal turn is no interruption."""
    machine = speaking()
    (name,) = say(machine, 100, 0)
    machine.handle(done(), 50)
    machine.handle(e.MarkReturned(name), 110)

    assert machine.handle(CALLER, 500) == []


def test_an_item_cut_in_a_gap_of_its_audio_is_truncated_where_it_stopped() -> None:
    """The rest is on its way and will be muted; unsaid words must not be remembered."""
    machine = speaking()
    (name,) = marks(machine.handle(speech(100), 0))
    machine.handle(e.MarkReturned(name), 110)

    assert machine.handle(CALLER, 500) == [c.ClearPlayback(), c.TruncateItem("A", 0, 100)]
    assert machine.handle(speech(100), 510) == []


def test_the_server_cancels_what_it_can_hear_interrupted() -> None:
    """A second cancellation would only be an error."""
    machine = speaking()
    machine.handle(speech(500), 0)

    assert "CancelResponse" not in kinds(machine.handle(CALLER, 100))


def test_a_server_that_does_not_interrupt_is_told_to_cancel() -> None:
    """With `interrupt_response: false` nobody else would stop the response."""
    machine = speaking(CallPlan(server_interrupts=False))
    machine.handle(speech(500), 0)

    assert machine.handle(CALLER, 100) == [
        c.ClearPlayback(),
        c.TruncateItem("A", 0, 100),
        c.CancelResponse("R"),
    ]


def test_a_finished_response_is_never_cancelled() -> None:
    """The usual case: it was generated long ago, and only truncation matters."""
    machine = speaking(CallPlan(server_interrupts=False))
    say(machine, 500, 0)
    machine.handle(done(), 50)

    assert machine.handle(CALLER, 100) == [c.ClearPlayback(), c.TruncateItem("A", 0, 100)]


def test_keys_cancel_what_the_server_cannot_hear() -> None:
    """The server does not know that a key was pressed, and is told once."""
    machine = speaking()
    machine.handle(speech(500), 0)

    assert machine.handle(e.CallerDigit("1"), 100) == [
        c.ClearPlayback(),
        c.TruncateItem("A", 0, 100),
        c.CancelResponse("R"),
    ]
    assert machine.handle(e.CallerDigit("#"), 120) == [
        c.AddMessage("user", "[keypad] The caller pressed: 1 #")
    ]
    assert machine.handle(done(status="cancelled"), 150) == [c.CreateResponse("digits")]


def test_the_model_is_interrupted_only_once() -> None:
    """A second burst of speech finds nothing to cut."""
    machine = speaking()
    machine.handle(speech(500), 0)
    machine.handle(CALLER, 100)

    assert machine.handle(e.SpeechStarted("U2"), 150) == []


@pytest.mark.parametrize("tool_ms", [500, 3_000])
def test_a_running_tool_does_not_delay_an_interruption(tool_ms: int) -> None:
    """`D-TAC-4`, `D-PT-2`: a tool awaited in the read loop held the clear back until its end."""
    machine = speaking(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(speech(2_000), 0)
    machine.handle(e.ToolCalled("R", "F", "T1", "look_up", "{}"), 10)

    assert machine.handle(CALLER, 100) == [c.ClearPlayback(), c.TruncateItem("A", 0, 100)]
    out = machine.handle(e.ToolDone("T1", "42", ok=True), tool_ms)
    assert out == [c.AddToolOutput("T1", "42")]
