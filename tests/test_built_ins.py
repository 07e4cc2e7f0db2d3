"""Which built-in tools an agent has: those that can work with it, and no others."""

from typing import Any

from app.agents.document import Agent
from app.built_ins import ALL, offered, planned
from app.call import built_in

EVERYTHING = Agent.model_validate(
    {
        "instructions": "You are Contoso.",
        "transfer_targets": {"desk": {"description": "Us", "to": "+33612345678", "mode": "warm"}},
        "dtmf": {"send": "inband", "presets": {"pin": {"num_digits": 4}}},
        "hold_audio": "tones",
        "callbacks": {},
        "reminders": True,
        "sms": {"to": ["caller", "desk"], "media": {"map": {"url": "https://example.com/map"}}},
        "verification": {},
        "send_link": {},
        "forms": {"claim": {"fields": [{"name": "policy", "type": "text", "confirm": True}]}},
        "form": "claim",
        "knowledge": "docs",
        "handoffs": ["billing"],
        "colleagues": {"billing": "Knows all bills."},
    }
)
"""An agent that may do all there is."""


def _names(agent: Agent, **more: Any) -> list[str]:
    return [schema["name"] for schema in offered(agent, **more)]


def test_every_built_in_has_one_row() -> None:
    """A name without a row is refused to operators and offered to nobody."""
    assert sorted(one.name for one in ALL) == sorted(built_in.NAMES)


def test_an_agent_that_may_do_everything_is_offered_everything() -> None:
    """A row that is never offered does nothing."""
    assert set(_names(EVERYTHING, dials=True)) == built_in.NAMES


def test_a_bare_agent_can_hang_up_and_no_more() -> None:
    """A model that is offered a transfer to nobody will promise one."""
    assert _names(Agent(instructions="You are Contoso.")) == ["end_call"]


def test_where_no_calls_can_be_placed_none_is_promised() -> None:
    """The document allows call-backs; the settings say whether anybody may be called."""
    assert "schedule_callback" not in _names(EVERYTHING)
    assert "schedule_callback" not in planned(EVERYTHING)
    assert "schedule_callback" in planned(EVERYTHING, dials=True)
