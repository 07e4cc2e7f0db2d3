"""One line takes over from another: when a spare is opened, and which moment will do."""

import pytest

from app.call.line_swap import (
    AGAIN_AFTER_MS,
    FAIR_MS,
    LAST_MS,
    LEAD_MS,
    LIFE_MS,
    ORDER_MS,
    SPARE_ATTEMPT_MS,
)
from app.call.machine import CallMachine
from app.call.model_link import ATTEMPT_MS
from app.call.plan import CallPlan, ToolPlan
from app.call.prompts import RESUMED, resumed
from app.call.pulse import PROBE_AFTER_MS
from app.call.toolbook import LATE
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(tools={"look_up": ToolPlan()})
OPEN_SPARE = c.OpenSpare(SPARE_ATTEMPT_MS)
SPARE = e.SpareReady("sess_2", LIFE_MS)
LOST = e.ModelLineLost(1006, "abnormal")
ORDER = e.SwapOrdered("voice")
HEARD = c.AppendAudio(frame(0).payload_b64)
SWITCHED = [c.SwitchModel()]


def aged(machine: CallMachine, until_ms: int) -> list[tuple[int, c.Command]]:
    """Time passes on a line that answers when it is asked whether it lives."""
    out = []
    while (at_ms := machine.deadline_ms()) is not None and at_ms <= until_ms:
        for command in machine.wake(at_ms):
            out.append((at_ms, command))
            machine.handle(e.ModelAlive(), at_ms)
    return [(at_ms, x) for at_ms, x in out if not isinstance(x, c.AskAlive | c.VerifyCall)]


def ordered(plan: CallPlan = PLAN) -> CallMachine:
    """A machine whose spare line is being opened."""
    machine = on_the_phone(plan)
    assert machine.handle(ORDER, 0) == [OPEN_SPARE]
    return machine


@pytest.mark.parametrize(
    ("life_ms", "due_ms"),
    [
        (None, LIFE_MS - LEAD_MS),
        (1_800_000, 1_800_000 - LEAD_MS),
        (60_000, 30_000),
        (9 * LIFE_MS, LIFE_MS - LEAD_MS),
    ],
)
def test_a_spare_is_opened_before_the_line_ends(life_ms: int | None, due_ms: int) -> None:
    """`D-PC-4`: at 60 minutes the server hangs up; some hosts do at 30, and clocks may be wrong."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1", life_ms), 0)
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.handle(frame(0), 0)

    assert aged(machine, due_ms) == [(due_ms, OPEN_SPARE)]


def test_in_a_pause_the_spare_takes_over_and_nothing_is_said() -> None:
    """The caller notices nothing; the new line is told what was said, and goes on listening."""
    machine = on_the_phone(PLAN)
    for n in range(3):
        assert machine.passes(frame(20 * n), 20 * n) or machine.handle(frame(20 * n), 20 * n)
    machine.handle(ORDER, 100)

    assert machine.handle(SPARE, 400) == [*SWITCHED, HEARD, HEARD, HEARD]
    assert machine.passes(frame(60), 410)
    assert machine.deadline_ms() is not None


def test_the_spare_is_told_the_conversation() -> None:
    """A line that remembers nothing would ask who is there."""
    machine = ordered()
    machine.handle(started(), 10)
    machine.handle(e.SpeechText("R", "A", 0, "Hello."), 10)
    (name,) = say(machine, 100, 20)
    machine.handle(done(), 30)
    assert machine.handle(SPARE, 40) == []

    assert machine.handle(e.MarkReturned(name), 130) == [
        *SWITCHED,
        c.AddMessage("assistant", "Hello."),
    ]


def test_nothing_is_cut_for_a_swap_that_has_time() -> None:
    """Neither an answer, nor what still plays of it, nor a tool, nor the caller."""
    machine = ordered()
    machine.handle(e.SpeechStarted("U"), 10)
    assert machine.handle(SPARE, 20) == []
    assert machine.handle(e.SpeechStopped("U"), 30) == []
    assert machine.handle(e.CallerTurnCommitted("U"), 31) == []
    assert machine.handle(e.CallerTranscribed("U", "Is my car ready?"), 40) == []
    assert machine.handle(started(), 50) == []
    assert kinds(machine.handle(tool_call(), 60)) == ["RunTool"]
    assert machine.handle(done(), 70) == []
    out = machine.handle(e.ToolDone("T1", "yes", ok=True), 100)
    assert kinds(out) == ["AddToolOutput", "CreateResponse"]
    machine.handle(started("R2", "tool_result"), 110)
    (name,) = say(machine, 100, 120, response_id="R2")
    assert machine.handle(done("R2"), 130) == []

    assert machine.handle(e.MarkReturned(name), 230)[:1] == SWITCHED


def test_a_pause_is_no_moment_until_no_turn_follows() -> None:
    """The news of the pause and of the turn come in one breath."""
    machine = ordered()
    machine.handle(e.SpeechStarted("U"), 10)
    machine.handle(SPARE, 20)
    assert machine.handle(e.SpeechStopped("U"), 1_000) == []

    assert aged(machine, 2_000)[:1] == [(1_501, c.SwitchModel())]


def test_a_turn_without_words_is_no_quiet_moment() -> None:
    """The next line could not be told what the caller said: it waits for the transcript."""
    machine = ordered()
    machine.handle(frame(0), 0)
    machine.handle(e.SpeechStarted("U"), 10)
    for n in range(1, 30):
        machine.handle(frame(20 * n), 20 * n)
    machine.handle(e.CallerTurnCommitted("U"), 700)
    machine.handle(started(), 710)
    (name,) = say(machine, 100, 720)
    machine.handle(done(), 730)
    machine.handle(SPARE, 740)
    assert machine.handle(e.MarkReturned(name), 830) == []

    assert machine.handle(e.CallerTranscribed("U", "Thanks."), 2_000)[:1] == SWITCHED


def test_near_the_end_what_plays_may_play_on() -> None:
    """A reply that was made whole is not lost with its line."""
    machine = ordered()
    machine.handle(started(), 10)
    (*_, _last) = say(machine, 50_000, 20)
    machine.handle(done(), 30)
    machine.handle(SPARE, 40)

    (at_ms, first), *_ = aged(machine, ORDER_MS)

    assert (at_ms, first) == (ORDER_MS - ORDER_MS // 10, c.SwitchModel())


def test_at_the_very_end_the_reply_is_cut_and_goes_on() -> None:
    """Worse than a pause, better than a line that is closed by the server."""
    machine = ordered()
    machine.handle(started(), 50_000)
    machine.handle(e.SpeechText("R", "A", 0, "Once upon a time"), 50_000)
    machine.handle(SPARE, 50_010)
    for second in range(50, 58):
        machine.handle(speech(1_000), second * 1_000)

    acts = [x for _, x in aged(machine, ORDER_MS - 1)]

    assert acts[-3:] == [
        *SWITCHED,
        c.AddMessage("assistant", "Once upon a time …"),
        resumed("Once upon a time"),
    ]


def test_what_the_old_line_said_means_nothing_to_the_new_one() -> None:
    """Its items cannot be truncated there; the runner hears nothing more of it."""
    machine = ordered()
    machine.handle(started(), 10)
    say(machine, 50_000, 20)
    machine.handle(done(), 30)
    machine.handle(SPARE, 40)
    aged(machine, ORDER_MS - ORDER_MS // 10)

    assert machine.handle(e.SpeechStarted("U"), 55_000) == [c.ClearPlayback()]


def test_open_tools_answer_the_new_line_with_a_message() -> None:
    """It has been given a placeholder for the call already, and a second output is an error."""
    machine = ordered()
    machine.handle(started(), 53_900)
    machine.handle(tool_call(), 53_950)
    machine.handle(done(), 54_000)
    acts = machine.handle(SPARE, 54_100)
    assert kinds(acts) == ["SwitchModel", "AddToolCall", "AddToolOutput"]

    out = machine.handle(e.ToolDone("T1", "42", ok=True), ORDER_MS)

    assert out[:1] == [c.AddMessage("system", LATE + '"42"')]


def test_a_spare_that_is_refused_is_asked_for_again() -> None:
    """Further and further apart; the line in use goes on meanwhile."""
    machine = on_the_phone(PLAN)
    machine.handle(e.SpeechStarted("U"), 0)
    machine.handle(ORDER, 0)
    at_ms, made = 0, []
    for _ in range(len(AGAIN_AFTER_MS)):
        assert machine.handle(e.SpareRefused("http_503", retryable=True), at_ms) == []
        again = [x for x in aged(machine, at_ms + 60_000) if x[1] == OPEN_SPARE][:1]
        if not again:
            break
        at_ms = again[0][0]
        made.append(at_ms)

    assert made[0] == 5_000
    assert made == sorted(made)
    assert all(at_ms < ORDER_MS for at_ms in made)


def test_a_spare_that_is_refused_for_good_is_not_asked_for_again() -> None:
    """The key was revoked; the call goes on as long as its line does."""
    machine = ordered()
    machine.handle(frame(0), 0)

    assert machine.handle(e.SpareRefused("http_401", retryable=False), 100) == []
    assert aged(machine, PROBE_AFTER_MS) == []


def test_a_spare_that_is_lost_is_replaced() -> None:
    """It may have waited for minutes."""
    machine = ordered()
    machine.handle(e.SpeechStarted("U"), 10)
    machine.handle(SPARE, 20)
    machine.handle(e.SpareLost(1001, "going away"), 100)

    assert aged(machine, 5_100)[0] == (5_100, OPEN_SPARE)


def test_a_line_that_is_lost_is_replaced_by_the_spare_at_once() -> None:
    """No attempt, no silence; the caller's sentence goes to the new line whole."""
    machine = on_the_phone(PLAN)
    for n in range(5):
        machine.handle(frame(20 * n), 20 * n)
    machine.handle(e.SpeechStarted("U"), 100)
    machine.handle(ORDER, 100)
    machine.handle(SPARE, 110)

    assert machine.handle(LOST, 200) == [*SWITCHED, *[HEARD] * 5]
    assert machine.wake(1_200)[-1] == RESUMED


def test_a_line_that_is_lost_takes_an_attempt_at_a_spare_with_it() -> None:
    """One attempt at a time: the one that the caller waits for."""
    machine = ordered()

    assert machine.handle(LOST, 1_200) == [c.CloseSpare(), c.CloseModel(), c.OpenModel(ATTEMPT_MS)]
    assert machine.handle(SPARE, 1_300) == [c.CloseSpare()]


def test_a_failed_call_needs_no_spare() -> None:
    """A leaked session is billed by the minute."""
    machine = ordered()

    out = machine.handle(e.ModelError("insufficient_quota"), 10)

    assert out == [c.CloseSpare(), c.CloseModel(), c.FailOver()]


def test_a_new_line_ends_in_its_turn() -> None:
    """Two hours are three lines; the spare's hour began when it was opened."""
    machine = ordered()
    assert machine.handle(e.SpareReady("sess_2", 1_800_000), 400) == SWITCHED

    acts = [x for x in aged(machine, LIFE_MS) if x[1] == OPEN_SPARE]

    assert acts == [(400 + 1_800_000 - LEAD_MS, OPEN_SPARE)]


def test_the_end_of_an_hour_leaves_time_for_a_pause() -> None:
    """Four and a half minutes of them; then of what is nearly one; then of anything."""
    assert LEAD_MS > FAIR_MS > LAST_MS > 0
