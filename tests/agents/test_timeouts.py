"""How long something may take, as the operator writes it."""

from pathlib import Path

import pytest

from app.agents.load import load_agent, load_document
from app.agents.problems import AgentFault
from app.assembly import plan
from app.call.plan import BillPlan, SilencePlan
from app.call.prices import PRICE_LIST, PRICES, Price
from app.tool_kinds import registry


def written(folder: Path, timeouts: str, more: str = "") -> Path:
    file = folder / "agent.yaml"
    file.write_text(f"instructions: x\ntimeouts: {timeouts}\n{more}", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("timeouts", "expected"),
    [
        ("{}", SilencePlan()),
        ("{silence: 30s}", SilencePlan(30_000)),
        ("{silence: 0}", None),
        ("{silence: {after: 0}}", None),
        ("{silence: {after: 0s, times: 2}}", None),
        (
            "{silence: {after: 5s, say: [Hello?, Still there?], times: 2, then: human}}",
            SilencePlan(5_000, ("Hello?", "Still there?"), 2, "human"),
        ),
    ],
)
def test_how_long_a_caller_may_say_nothing(
    tmp_path: Path, timeouts: str, expected: SilencePlan | None
) -> None:
    """2.5: on by default, and 0 really means off."""
    agent = load_agent(written(tmp_path, timeouts, 'transfer_to: "+33612345678"\n'))

    assert plan(agent).silence == expected


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [("{}", (4_000, 8_000)), ("{filler_after: 0, give_up_after: 15s}", (None, 15_000))],
)
def test_how_long_an_answer_may_take(
    tmp_path: Path, thinking: str, expected: tuple[int | None, int]
) -> None:
    """2.5: the soft and the hard timeout."""
    made = plan(load_agent(written(tmp_path, f"{{thinking: {thinking}}}")))

    assert (made.filler_after_ms, made.give_up_ms) == expected


def test_how_long_a_call_may_last(tmp_path: Path) -> None:
    """Half an hour, unless it is said otherwise; 0 is for ever."""
    wanted = [plan(load_agent(written(tmp_path, one))).max_call_ms for one in MAX_CALLS]

    assert wanted == [1_800_000, 60_000, None]


MAX_CALLS = ("{}", "{max_call: 1m}", "{max_call: 0}")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("{}", BillPlan(PRICES["gpt-realtime-2.1"], PRICE_LIST)),
        ("{cost_per_call: 0.5}", BillPlan(PRICES["gpt-realtime-2.1"], PRICE_LIST, 500_000)),
        (
            "{prices: {text_in: 1, text_cached: 2, text_out: 3, audio_in: 4, audio_cached: 5,"
            " audio_out: 6}}\nmodel: mine",
            BillPlan(Price(1, 2, 3, 4, 5, 6), "own"),
        ),
        ("{}\nmodel: mine", None),
    ],
)
def test_what_a_call_may_cost(tmp_path: Path, limits: str, expected: BillPlan | None) -> None:
    """The list of the model, or the operator's own; of others nobody knows."""
    agent = load_agent(written(tmp_path, "{}", f"limits: {limits}\n"))

    assert plan(agent).bill == expected


def test_an_amount_that_nobody_could_count_does_not_load(tmp_path: Path) -> None:
    """A limit that never bites is a trap."""
    with pytest.raises(AgentFault) as fault:
        load_agent(written(tmp_path, "{}", "limits: {cost_per_call: 1}\nmodel: mine\n"))

    assert '3 limits.prices: needs the prices of "mine"' in str(fault.value)


@pytest.mark.parametrize(
    ("timeouts", "problem"),
    [
        ("{silence: {after: 2s}}", "2 timeouts.silence.after: must be from 3s to 10m, or 0"),
        ("{silence: 20}", "2 timeouts.silence"),
        ("{silence: {times: 0}}", "2 timeouts.silence.times"),
        ("{silence: {then: hang_up}}", '2 timeouts.silence.then: unknown target "hang_up"'),
        ("{max_call: 59s}", "2 timeouts.max_call: must be from 1m to 24h, or 0"),
        ("{thinking: {give_up_after: 3s}}", "2 timeouts.thinking.give_up_after: must be from 4s"),
        ("{thinking: {say: One moment.}}", "2 timeouts.thinking.say: cannot be had: who would say"),
        ("{tool: 11m}", "2 timeouts.tool: must be from 100ms to 10m"),
    ],
)
def test_what_cannot_be_does_not_load(tmp_path: Path, timeouts: str, problem: str) -> None:
    """Found before a port opens, with the place."""
    with pytest.raises(AgentFault) as fault:
        load_agent(written(tmp_path, timeouts))

    assert problem in str(fault.value)


def test_a_tool_without_a_time_of_its_own_has_that_of_all(tmp_path: Path) -> None:
    """`timeouts.tool` is the default, and a tool's own word goes before it."""
    (tmp_path / "desk.py").write_text("def a() -> str:\n    'A.'\n    return ''\nb = a\n")
    more = (
        "tools:\n  one: {type: python, handler: desk:a}\n"
        "  two: {type: python, handler: desk:b, timeout: 1s}\n"
    )
    tools = registry(load_document(written(tmp_path, "{tool: 4s}", more)))

    assert [tools[name].timeout_ms for name in ("one", "two")] == [4_000, 1_000]
