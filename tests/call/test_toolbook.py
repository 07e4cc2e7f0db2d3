"""Tool calls: run once, answered once, spoken about once together."""

import pytest

from app.call.alarms import Alarms
from app.call.machine import CallMachine
from app.call.plan import MOST_ROUNDS, CallPlan, ToolPlan
from app.call.toolbook import FILLER, FILLER_MS, LATE, Toolbook
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, marks, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(tools={"look_up": ToolPlan(), "slow": ToolPlan("Bear with me.")})
RESULT = c.CreateResponse("tool_result")


def called(*tool_call_ids: str, ended: bool = True) -> CallMachine:
    """A machine whose response R called these tools."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    for tool_call_id in tool_call_ids:
        machine.handle(tool_call(tool_call_id=tool_call_id), 0)
    if ended:
        machine.handle(done(), 10)
    return machine


def test_a_tool_is_run_with_the_arguments_as_they_are() -> None:
    """`D-JB-2`: broken JSON is for the tool's own checks to refuse, not for the call to die of."""
    machine = called()

    assert machine.handle(tool_call(arguments='{"date": "tomo'), 0) == [
        c.RunTool("T1", "look_up", '{"date": "tomo')
    ]


def test_a_tool_announced_twice_is_run_once() -> None:
    """The server announces a call in more than one event."""
    machine = called("T1", ended=False)

    assert machine.handle(tool_call(), 1) == []


def test_one_result_one_answer() -> None:
    """The plain case: output, then a request to speak about it."""
    machine = called("T1")

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 100) == [
        c.AddToolOutput("T1", "42"),
        RESULT,
    ]


def test_parallel_tools_bring_all_outputs_and_one_answer() -> None:
    """`D-TAC-5`, `D-PT-3`: a request per tool is a collision, and the second is never voiced."""
    machine = called("T1", "T2", "T3")

    assert machine.handle(e.ToolDone("T2", "b", ok=True), 100) == [c.AddToolOutput("T2", "b")]
    assert machine.handle(e.ToolDone("T1", "a", ok=False), 110) == [c.AddToolOutput("T1", "a")]
    assert machine.handle(e.ToolDone("T3", "c", ok=True), 120) == [
        c.AddToolOutput("T3", "c"),
        RESULT,
    ]


def test_a_fast_tool_waits_for_its_own_response_to_end() -> None:
    """`D-TAC-5`: the output is there before response.done; the request must not be."""
    machine = called("T1", "T2", ended=False)

    assert machine.handle(e.ToolDone("T1", "a", ok=True), 1) == [c.AddToolOutput("T1", "a")]
    assert machine.handle(e.ToolDone("T2", "b", ok=True), 2) == [c.AddToolOutput("T2", "b")]
    assert machine.handle(done(), 10) == [RESULT]


def test_a_result_counts_once() -> None:
    """A second output for a call is an error, and a third party's is nobody's."""
    machine = called("T1")
    machine.handle(e.ToolDone("T1", "42", ok=True), 100)

    assert machine.handle(e.ToolDone("T1", "43", ok=True), 110) == []
    assert machine.handle(e.ToolDone("T9", "?", ok=True), 120) == []


def test_a_background_result_is_handed_over_in_silence() -> None:
    """The model may use it later; the caller has been answered."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    say(machine, 50, 5)
    machine.handle(done(), 10)

    assert machine.handle(e.ToolDone("T1", "noted", ok=True, background=True), 100) == [
        c.AddToolOutput("T1", "noted")
    ]


@pytest.mark.parametrize("done_at_ms", [5, 100], ids=["before", "after"])
def test_a_background_result_is_spoken_of_where_nothing_was_said(done_at_ms: int) -> None:
    """The caller asked something and has heard nothing: silence would last until they ask again."""
    machine = called("T1", ended=False)
    noted = e.ToolDone("T1", "noted", ok=True, background=True)
    moments = sorted([(10, done()), (done_at_ms, noted)], key=lambda moment: moment[0])

    out = [x for now_ms, event in moments for x in machine.handle(event, now_ms)]

    assert out == [c.AddToolOutput("T1", "noted"), RESULT]


def test_an_interrupted_response_leaves_no_silence_to_fill() -> None:
    """The caller speaks, and their turn is answered."""
    machine = called("T1", ended=False)
    machine.handle(e.SpeechStarted("U"), 5)
    machine.handle(done(status="cancelled", reason="turn_detected"), 10)

    assert machine.handle(e.ToolDone("T1", "noted", ok=True, background=True), 100) == [
        c.AddToolOutput("T1", "noted")
    ]
    machine.handle(e.SpeechStopped("U"), 400)
    assert machine.handle(e.CallerTurnCommitted("U"), 400) == []
    machine.handle(started("R2"), 450)
    machine.handle(speech(100, "B", "R2"), 460)
    assert kinds(machine.handle(done("R2"), 470)) == []


def test_one_result_worth_speaking_of_is_enough() -> None:
    """Background and foreground in one response: one request for all."""
    machine = called("T1", "T2")
    machine.handle(e.ToolDone("T2", "42", ok=True), 90)

    assert machine.handle(e.ToolDone("T1", "noted", ok=True, background=True), 100) == [
        c.AddToolOutput("T1", "noted"),
        RESULT,
    ]


def test_an_unknown_tool_is_answered_on_the_spot() -> None:
    """A dangling call confuses every later turn."""
    machine = called(ended=False)

    out = machine.handle(tool_call("fly_to_the_moon"), 1)

    assert out == [c.AddToolOutput("T1", "there is no tool 'fly_to_the_moon'")]
    assert machine.handle(done(), 10) == [RESULT]


def test_a_result_waits_while_the_model_speaks_of_something_else() -> None:
    """The caller asked another thing meanwhile, and its answer began before the output came."""
    machine = called("T1")
    machine.handle(e.SpeechStarted("U"), 20)
    machine.handle(e.SpeechStopped("U"), 500)
    machine.handle(e.CallerTurnCommitted("U"), 500)
    machine.handle(started("R2"), 550)
    say(machine, 100, 560, item_id="B", response_id="R2")

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 600) == [c.AddToolOutput("T1", "42")]
    assert machine.handle(done("R2"), 700) == [RESULT]


def test_a_result_that_the_servers_own_answer_has_seen_is_not_spoken_of_twice() -> None:
    """The output came while the caller spoke; the response to their turn knows it."""
    machine = called("T1")
    machine.handle(e.SpeechStarted("U"), 20)
    assert machine.handle(e.ToolDone("T1", "42", ok=True), 100) == [c.AddToolOutput("T1", "42")]
    machine.handle(e.CallerTurnCommitted("U"), 500)
    machine.handle(started("R2"), 550)
    machine.handle(speech(100, "B", "R2"), 560)

    assert kinds(machine.handle(done("R2"), 700)) == []


def test_the_document_says_how_many_rounds_there_may_be() -> None:
    """`max_tool_rounds`: then the model must speak, whatever it would call next."""
    book = Toolbook(Alarms(), most_rounds=2)
    asked = []
    for n in range(2):
        book.opened(tool_call(tool_call_id=f"T{n}", response_id=f"R{n}"), None, 0)
        book.response_ended(f"R{n}", silent=True)
        book.closed(e.ToolDone(f"T{n}", "x", ok=True))
        asked.append(book.due())

    assert [request is not None and request.tools for request in asked] == [True, False]


def test_two_rounds_that_end_together_bring_one_answer() -> None:
    """What one request has spoken of must not wait for the next occasion."""
    book = Toolbook(Alarms())
    for n in (1, 2):
        book.opened(tool_call(tool_call_id=f"T{n}", response_id=f"R{n}"), None, 0)
        book.closed(e.ToolDone(f"T{n}", "ok", ok=True))
        book.response_ended(f"R{n}", silent=False)

    assert book.due() == RESULT
    assert book.due() is None


def test_a_slow_tool_is_covered_by_one_phrase() -> None:
    """Silence sounds like a lost call; a phrase every second sounds like a broken one."""
    machine = called("T1")

    assert machine.deadline_ms() == FILLER_MS
    assert machine.wake(FILLER_MS) == [c.CreateResponse("filler", FILLER, tools=False)]
    machine.handle(started("R2", "filler"), 750)
    (name,) = say(machine, 50, 760, item_id="B", response_id="R2")
    assert machine.handle(done("R2"), 770) == []
    machine.handle(e.MarkReturned(name), 820)
    assert machine.wake(9_000) == []
    assert machine.handle(e.ToolDone("T1", "42", ok=True), 9_500) == [
        c.AddToolOutput("T1", "42"),
        RESULT,
    ]


def test_the_operator_words_the_phrase() -> None:
    """Each tool may have its own."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("slow"), 0)
    machine.handle(done(), 10)

    (filler,) = machine.wake(FILLER_MS)

    assert isinstance(filler, c.CreateResponse)
    assert filler.instructions == (
        'Say exactly this, word for word, and nothing else: "Bear with me."'
    )


def test_nobody_talks_over_the_model_to_fill_a_silence_that_is_none() -> None:
    """The model announced the tool in words that are still playing."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(speech(3_000), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)

    assert machine.wake(FILLER_MS) == []


def test_the_silence_after_the_models_words_is_filled_too() -> None:
    """ "Let me look that up", and then nothing for twenty seconds."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    names = say(machine, 3_000, 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    for n in range(3):
        machine.handle(e.MarkReturned(names[n]), 198 * (n + 1))
    assert machine.wake(FILLER_MS) == []
    machine.handle(e.MarkReturned(names[-1]), 3_000)

    assert machine.deadline_ms() == 3_000 + FILLER_MS
    assert machine.wake(3_000 + FILLER_MS) == [c.CreateResponse("filler", FILLER, tools=False)]


def test_a_fast_tool_needs_no_phrase() -> None:
    """The alarm is gone with the last open call."""
    machine = called("T1")
    machine.handle(e.ToolDone("T1", "42", ok=True), 100)

    assert "filler" not in [x.purpose for x in machine.wake(FILLER_MS) if hasattr(x, "purpose")]


def test_a_phrase_that_waits_behind_the_result_is_not_said() -> None:
    """One moment, please - here it is - would be said in the wrong order."""
    machine = called("T1")
    machine.handle(e.SpeechStarted("U"), 20)
    assert machine.wake(FILLER_MS) == []
    machine.handle(e.ToolDone("T1", "42", ok=True), 800)
    machine.handle(e.SpeechStopped("U"), 900)

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 900) == []
    assert machine.handle(e.CallerDigit("#"), 1_000)[-1] == RESULT


def test_a_model_that_only_calls_tools_must_speak_in_the_end() -> None:
    """Rounds without a word of the caller's are bounded."""
    machine = on_the_phone(PLAN)
    asked: list[c.CreateResponse] = []
    machine.handle(started("R0"), 0)
    for n in range(MOST_ROUNDS):
        machine.handle(tool_call(tool_call_id=f"T{n}", response_id=f"R{n}"), n)
        machine.handle(e.ToolDone(f"T{n}", "again", ok=True), n)
        (request,) = machine.handle(done(f"R{n}"), n)
        assert isinstance(request, c.CreateResponse)
        asked.append(request)
        machine.handle(started(f"R{n + 1}", "tool_result"), n)

    assert [request.tools for request in asked] == [True] * (MOST_ROUNDS - 1) + [False]


def test_a_word_of_the_callers_begins_the_count_anew() -> None:
    """Ten questions in a call are ten tools, and nothing is wrong."""
    book = Toolbook(Alarms())
    for n in range(3 * MOST_ROUNDS):
        book.opened(tool_call(tool_call_id=f"T{n}", response_id=f"R{n}"), None, 0)
        book.closed(e.ToolDone(f"T{n}", "ok", ok=True))
        book.response_ended(f"R{n}", silent=False)
        wanted = book.due()
        assert wanted is not None
        assert wanted.tools
        book.caller_turn()


def test_a_result_that_outlived_its_line_is_told_and_spoken_of() -> None:
    """The new line has answered the call with a placeholder; the caller still waits."""
    machine = called("T1")
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    machine.handle(e.ModelReady("sess_2"), 400)
    machine.handle(started("R2", "resume"), 450)
    machine.handle(speech(20, "B", "R2"), 460)
    machine.handle(done("R2"), 470)

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 900) == [
        c.AddMessage("system", LATE + '"42"'),
        RESULT,
    ]


def test_a_background_result_that_outlived_its_line_is_only_told() -> None:
    """Nobody waits for it."""
    machine = called("T1")
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    machine.handle(e.ModelReady("sess_2"), 400)

    assert machine.handle(e.ToolDone("T1", "ok", ok=True, background=True), 900) == [
        c.AddMessage("system", LATE + '"ok"')
    ]


def test_a_result_between_two_lines_is_part_of_what_the_new_one_is_told() -> None:
    """Exactly one output per call and line."""
    machine = called("T1")
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 200) == []
    out = machine.handle(e.ModelReady("sess_2"), 400)
    assert out[:2] == [c.AddToolCall("T1", "look_up", "{}"), c.AddToolOutput("T1", "42")]
    assert machine.handle(e.ToolDone("T1", "42", ok=True), 500) == []


def test_the_audio_goes_on_while_a_tool_runs() -> None:
    """`D-TAC-4`, `D-TAC-6`, `D-PT-2`: a hung tool must not mute the call."""
    machine = called("T1")
    machine.handle(e.SpeechStarted("U"), 50_000)
    machine.handle(e.CallerTurnCommitted("U"), 51_000)
    machine.handle(started("R2"), 51_100)

    assert marks(machine.handle(speech(500, "B", "R2"), 51_200)) != []


def test_a_leaving_call_runs_no_tool() -> None:
    """What it would do, nobody would hear of."""
    machine = called()
    machine.handle(e.HangUpOrdered("operator_ended"), 100)

    assert machine.handle(tool_call(), 110) == []


def test_a_result_during_an_attempt_to_leave_is_not_lost() -> None:
    """The transfer may be refused; then the model must know, and say both."""
    plan = CallPlan(tools={"look_up": ToolPlan()}, targets=("billing",))
    machine = on_the_phone(plan)
    machine.handle(started(), 0)
    machine.handle(tool_call(tool_call_id="T1"), 0)
    machine.handle(
        tool_call("transfer_call", tool_call_id="T2", arguments='{"target":"billing"}'), 0
    )
    (name,) = say(machine, 50, 0)
    machine.handle(done(), 10)
    assert machine.handle(e.MarkReturned(name), 60) == [c.Transfer("billing")]

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 100) == [c.AddToolOutput("T1", "42")]
    assert machine.handle(e.TransferRefused("busy"), 200) == [
        c.AddToolOutput("T2", '{"ok":false,"reason":"busy"}'),
        RESULT,
    ]
