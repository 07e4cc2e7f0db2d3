"""What stands in for a tool: its answer, its failure, its time, and never the tool itself."""

import pytest

from app.simulation.cases import Mock
from app.simulation.lanes import Mocks
from app.tools.registry import CallFacts, Registry, ToolOutcome, tool

FACTS = CallFacts("call", "CA", "+14155550100", "+15005550006")


async def asked(mock: dict[str, object], arguments: str = '{"day": "monday"}') -> ToolOutcome:
    """The outcome of a tool that is mocked so; the tool itself fails the test."""

    def opening_hours(day: str) -> str:
        """When we are open."""
        pytest.fail(f"the real tool was run for {day}")

    registry = Registry()
    registry.add(tool(opening_hours), timeout_ms=200)
    registry.acted = Mocks({"opening_hours": Mock.model_validate(mock)}).acted
    return await registry.run("opening_hours", arguments, FACTS)


@pytest.mark.parametrize(
    ("mock", "output", "ok"),
    [
        ({"result": "closed"}, "closed", True),
        ({"result": {"open": False}}, '{"open":false}', True),
        ({"error": "The calendar is down."}, "The calendar is down.", False),
        (
            {"result": "late", "delay": "10s"},
            "The tool did not finish within 0.2 seconds.",
            False,
        ),
    ],
)
async def test_a_mock_is_asked_in_the_tools_place(
    mock: dict[str, object], output: str, ok: bool
) -> None:
    """A simulation must not book, charge or write to anybody."""
    outcome = await asked(mock)

    assert (outcome.output, outcome.ok) == (output, ok)


async def test_arguments_that_the_tool_would_refuse_are_refused() -> None:
    """A mock that takes anything hides what the model gets wrong."""
    assert not (await asked({"result": "closed"}, "{}")).ok
