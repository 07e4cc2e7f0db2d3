"""What the caller keyed in for tools alone is given to tools, and to nobody else."""

import pytest

from app.protocol.commands import KeepDigits, RunTool, Transfer
from app.protocol.events import Event, ToolDone
from app.runtime.effects import FORGOTTEN, Allowed, Effects, anything
from app.runtime.ports import Carrier


class Tools:
    """Notes with what it was run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def __call__(self, run: RunTool) -> Event:
        self.ran.append(run.arguments)
        return ToolDone(run.tool_call_id, "done", ok=True)


async def _nowhere(_wish: Transfer) -> None:
    raise AssertionError


class Nobody(Carrier):
    """A carrier that is not needed."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        raise AssertionError

    async def hang_up(self, call_sid: str) -> None:
        raise AssertionError

    async def call_status(self, call_sid: str) -> str:
        raise AssertionError


def effects(tools: Tools, kept: dict[str, str], allowed: Allowed = anything) -> Effects:
    return Effects(
        "CA1",
        carrier=Nobody(),
        run_tool=tools,
        put_through=_nowhere,
        failure_twiml=lambda: "",
        kept=kept,
        allowed=allowed,
    )


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ('{"pin":"{{dtmf.pin}}"}', '{"pin":"4711"}'),
        ('{"pin":"{{ dtmf.pin }}"}', '{"pin":"4711"}'),
        ('{"all":"{{dtmf.pin}}-{{dtmf.card_2}}"}', '{"all":"4711-*#0"}'),
        ('{"pin":"1234"}', '{"pin":"1234"}'),
        ('{"text":"{{caller.number}} {dtmf.pin}"}', '{"text":"{{caller.number}} {dtmf.pin}"}'),
    ],
)
async def test_a_tool_is_given_the_digits_where_their_name_stands(written: str, given: str) -> None:
    """Models put blanks into it; nothing else is touched."""
    tools = Tools()
    made = effects(tools, {})
    made.keep(KeepDigits("pin", "4711"))
    made.keep(KeepDigits("card_2", "*#0"))

    await made.perform(RunTool("T1", "check_pin", written))

    assert tools.ran == [given]


async def test_digits_that_are_not_known_any_more_are_asked_for_again() -> None:
    """Another process has the call now: the tool must not be given a name for a PIN."""
    tools = Tools()

    done = await effects(tools, {}).perform(RunTool("T1", "check_pin", '{"pin":"{{dtmf.pin}}"}'))

    assert done == ToolDone("T1", FORGOTTEN, ok=False, error="forgotten")
    assert tools.ran == []


async def test_what_somebody_has_something_against_is_not_run() -> None:
    """O14: the words are the model's answer; who was asked saw no digits."""
    tools, shown = Tools(), list[str]()

    async def refuses(run: RunTool) -> str:
        shown.append(run.arguments)
        return "No."

    made = effects(tools, {"pin": "4711"}, refuses)
    done = await made.perform(RunTool("T1", "refund", '{"pin":"{{dtmf.pin}}"}'))

    assert done == ToolDone("T1", "No.", ok=False, error="not_approved")
    assert (tools.ran, shown) == ([], ['{"pin":"{{dtmf.pin}}"}'])


async def test_what_is_built_in_is_given_no_digits() -> None:
    """Its arguments are written into the record: a reminder with a PIN in it."""
    tools, written = Tools(), '{"reason":"{{dtmf.pin}}"}'

    await effects(tools, {"pin": "4711"}).perform(RunTool("T1", "schedule_callback", written))

    assert tools.ran == [written]


def test_digits_are_in_no_repr() -> None:
    """What is logged by mistake is logged without them."""
    assert "4711" not in repr(KeepDigits("pin", "4711"))
