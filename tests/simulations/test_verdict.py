"""What a record is compared with: met or not, and what came instead."""

from typing import Any

import pytest

from app.simulation.cases import Case
from app.simulation.verdict import Played, judged

RECORD: dict[str, Any] = {
    "end_reason": "assistant_hangup",
    "ending": {"result": "success", "reason": "assistant_hangup"},
    "turns": [
        {"type": "start", "text": None, "responses": [{"type": "speech", "text": "Hello."}]},
        {
            "type": "speech",
            "text": "On Sunday?",
            "responses": [
                {"type": "tool", "name": "opening_hours"},
                {"type": "speech", "text": "We are closed on"},
                {"type": "speech", "text": "Sunday."},
                {"type": "tool", "name": "end_call"},
            ],
        },
        {"type": "dtmf", "text": None, "responses": []},
    ],
    "form": {"name": "claim", "values": {"policy": "AB123456"}},
    "latency_ms": {"turn_played": {"count": 1, "p50": 400, "p95": 700, "max": 700}},
    "transfers": [{"target": "desk", "outcome": "busy"}],
}


def case(**expect: Any) -> Case:
    """A case that expects this."""
    return Case.model_validate({"name": "x", "expect": expect})


@pytest.mark.parametrize(
    "expect",
    [
        {},
        {"end_reason": "assistant_hangup"},
        {"tools": ["opening_hours", "end_call"]},
        {"tools": ["end_call"], "no_tools": ["hold"]},
        {"tools": {"any": ["end_call", "opening_hours"]}},
        {"heard": ["closed on sunday", {"matches": "clos(ed|ing)"}], "not_heard": ["goodbye"]},
        {"understood": ["sunday"]},
        {"order": [{"heard": "hello"}, {"tool": "opening_hours"}, {"heard": "Sunday"}]},
        {"form": {"policy": "AB123456"}},
        {"latency_ms": {"p95": 700, "max": 700}},
        {"turns": 2},
        {"turns": {"min": 1, "max": 3}},
        {"transfer": {"target": "desk", "outcome": "busy"}},
    ],
)
def test_what_is_so_is_met(expect: dict[str, Any]) -> None:
    """A check that fails where all is well is switched off by whoever it wakes."""
    assert [one.got for one in judged(case(**expect), Played(RECORD))] == [None] * len(
        judged(case(**expect), Played(RECORD))
    )


@pytest.mark.parametrize(
    ("expect", "got"),
    [
        ({"end_reason": "transferred"}, "assistant_hangup"),
        ({"tools": ["end_call", "opening_hours"]}, "tools called: opening_hours, end_call"),
        ({"tools": []}, "tools called: opening_hours, end_call"),
        ({"tools": {"any": ["end_call", "end_call"]}}, "tools called: opening_hours, end_call"),
        ({"no_tools": ["end_call"]}, "tools called: opening_hours, end_call"),
        ({"heard": ["goodbye"]}, "Hello. / We are closed on / Sunday."),
        ({"not_heard": [{"matches": "^hel+o"}]}, "Hello."),
        ({"understood": ["monday"]}, "On Sunday?"),
        ({"form": {"policy": "CD"}}, "'AB123456'"),
        ({"form": {"place": "x"}}, "None"),
        ({"latency_ms": {"p95": 699}}, "700 ms"),
        ({"turns": 3}, "2"),
        ({"transfer": {"target": "desk", "outcome": "bridged"}}, "desk: busy"),
        ({"transfer": "none"}, "desk: busy"),
    ],
)
def test_what_is_not_so_is_told_with_what_came_instead(expect: dict[str, Any], got: str) -> None:
    """A build that fails must say what failed."""
    assert [one.got for one in judged(case(**expect), Played(RECORD)) if one.got] == [got]


def test_order_names_the_moment_that_did_not_come_in_its_place() -> None:
    """Both happened, the wrong way round."""
    wanted = [{"tool": "end_call"}, {"tool": "opening_hours"}]

    (check,) = [one for one in judged(case(order=wanted), Played(RECORD)) if one.got]

    assert check.got is not None
    assert check.got.startswith("no tool opening_hours where it should come")


@pytest.mark.parametrize(
    ("played", "expected"),
    [
        (Played(None), "the call has a record"),
        (Played(RECORD, timed_out=True), "the call is over within 60 s"),
        (Played(RECORD, complaints=["x"]), "script and call go together"),
        (
            Played({**RECORD, "ending": {"result": "upstream_error"}}),
            "the call ends well",
        ),
    ],
)
def test_a_call_that_went_wrong_fails_whatever_was_expected(played: Played, expected: str) -> None:
    """No expectation is no excuse."""
    assert [one.expected for one in judged(case(), played) if one.got] == [expected]


def test_words_of_the_carrier_were_heard_too() -> None:
    """Where the agent fails, its sentence is the carrier's to say."""
    checks = judged(
        case(heard=["technical problem"]), Played(RECORD, ["We have a technical problem."])
    )

    assert not [one for one in checks if one.got]
