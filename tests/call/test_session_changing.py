"""What is changed of the session in mid-call: from when on, until when, on which lines."""

from dataclasses import replace
from typing import Any

import pytest

from app.call.facts import Fact
from app.call.line_swap import LIFE_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, ToolPlan
from app.call.report import Report
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.session_changes import Changes
from tests.call.words import done, on_the_phone, speech, started, tool_call

PLAN = CallPlan(tools={"look_up": ToolPlan(), "pay": ToolPlan()})
SPEED: dict[str, Any] = {"speed": 1.2}
GLOSSARY: dict[str, Any] = {"transcription": {"keywords": ["stent"]}}
DONE = c.OrderDone("cmd", "completed")


def ordered(strategy: str = "replace", **fields: Any) -> e.ConfigureOrdered:
    return e.ConfigureOrdered("cmd", strategy=strategy, session=fields)


def changes(commands: list[c.Command]) -> list[tuple[Any, Any, str]]:
    found = [one for one in commands if isinstance(one, c.ChangeSession)]
    return [(one.replace, one.merge, one.strategy) for one in found]


def turn(machine: CallMachine, at_ms: int) -> list[c.Command]:
    """The caller says something, and the model begins to answer in R."""
    out = machine.handle(e.SpeechStarted("C"), at_ms)
    out += machine.handle(e.SpeechStopped("C"), at_ms + 500)
    out += machine.handle(e.CallerTurnCommitted(f"C{at_ms}"), at_ms + 510)
    return out + machine.handle(started(), at_ms + 520)


def test_w7_a_change_is_told_and_done_at_once() -> None:
    """Only what was named goes to the model."""
    machine = on_the_phone(PLAN)

    out = machine.handle(ordered(**GLOSSARY), 100)

    assert changes(out) == [(GLOSSARY, {}, "replace")]
    assert DONE in out


@pytest.mark.parametrize("strategy", ["replace_once", "merge_once"])
def test_w8_what_is_changed_once_is_restored_after_the_next_turn(strategy: str) -> None:
    """W10, too: not before the answer has ended, and only once."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered("merge", instructions="Be kind."), 50)
    machine.handle(ordered(strategy, **GLOSSARY), 100)

    assert changes(turn(machine, 1_000)) == []
    assert changes(machine.handle(speech(60), 1_600)) == []
    assert changes(machine.handle(done(), 1_700)) == [
        ({}, {"instructions": "Be kind."}, "restored")
    ]
    turn(machine, 3_000)
    assert changes(machine.handle(done(), 3_700)) == []


def test_w8_the_answer_after_a_tool_still_belongs_to_the_turn() -> None:
    """What the tool found is spoken about with what was changed for the turn."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered("replace_once", instructions="Be brief."), 100)
    turn(machine, 1_000)
    machine.handle(tool_call(), 1_600)

    assert changes(machine.handle(done(), 1_700)) == []
    assert changes(machine.handle(e.ToolDone("T1", "{}", ok=True), 1_800)) == []
    machine.handle(started("R2", "tool_result"), 1_900)
    machine.handle(speech(60, "B", "R2"), 2_000)
    assert changes(machine.handle(done("R2"), 2_100)) == [({}, {}, "restored")]


def test_w9_merges_add_up() -> None:
    """A second merge keeps what the first has changed beside it; W11: so does the rest."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered("merge", **GLOSSARY), 100)

    out = machine.handle(ordered("merge", transcription={"prompt": "Hearts."}), 200)

    assert changes(out) == [
        ({}, {"transcription": {"keywords": ["stent"], "prompt": "Hearts."}}, "merge")
    ]


def test_w19_the_speed_waits_for_the_end_of_a_response() -> None:
    """While the model speaks it cannot be changed."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 10)
    machine.handle(speech(60), 20)

    assert machine.handle(ordered(**SPEED), 30) == []
    out = machine.handle(done(), 40)
    assert changes(out) == [(SPEED, {}, "replace")]
    assert DONE in out


def test_a_new_line_gets_the_changed_session_first() -> None:
    """It was set up as the document has it."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered(**GLOSSARY), 100)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10_000)

    out = machine.handle(e.ModelReady("sess_2"), 10_300)

    assert changes(out[:1]) == [(GLOSSARY, {}, "")]


def test_the_next_stream_gets_it_from_the_record() -> None:
    """Also in another process: the plan has what the facts told, without what is for one turn."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered(**GLOSSARY), 100)
    [told] = [
        one
        for one in machine.handle(ordered("merge_once", instructions="x"), 200)
        if isinstance(one, c.ChangeSession)
    ]
    report = Report()
    report.learn(Fact("session.changed", 200, {"fields": [], "lasting": told.lasting}))

    machine = CallMachine(replace(PLAN, session=report.session))
    machine.begin(0)

    assert changes(machine.handle(e.ModelReady("sess_1"), 0)) == [(GLOSSARY, {}, "")]


def test_w14_another_agent_does_not_get_it() -> None:
    """Their instructions, tools and ears are their own."""
    plan = CallPlan(handoffs=("billing",), colleagues={"billing": CallPlan()})
    machine = on_the_phone(plan)
    machine.handle(ordered(**GLOSSARY), 10)
    machine.handle(tool_call("handoff", arguments='{"agent":"billing"}'), 30)

    out = machine.handle(e.SpareReady("sess_2", LIFE_MS), 400)

    assert c.HandOver("billing") in out
    assert changes(out) == []


def test_a_tool_that_was_taken_away_is_not_run() -> None:
    """Whatever the model calls: the operator's word counts from the order on."""
    machine = on_the_phone(PLAN)
    machine.handle(ordered(tools=["look_up"]), 10)

    assert c.RunTool("T1", "pay", "{}") not in machine.handle(tool_call("pay"), 20)
    assert c.RunTool("T2", "look_up", "{}") in machine.handle(tool_call(tool_call_id="T2"), 30)


def test_tools_that_the_agent_has_not_are_refused() -> None:
    """Nothing of the order is done."""
    machine = on_the_phone(PLAN)

    out = machine.handle(ordered(tools=["look_up", "fly"], instructions="x"), 10)

    assert out == [c.OrderDone("cmd", "refused", "unknown_tool")]


def test_a_replacement_takes_the_place_of_merges_and_is_merged_into() -> None:
    """In the order in which they came."""
    first = Changes().merged({"a": {"x": 1}, "b": {"y": None}})
    then = first.replaced({"a": {"z": 3}}).merged({"a": {"x": 4}, "b": {"w": 5}})

    assert then == Changes({"a": {"z": 3, "x": 4}}, {"b": {"y": None, "w": 5}})
