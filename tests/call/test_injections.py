"""A caller who talks the model into everything goes nowhere that the operator did not name."""

from collections.abc import Callable

import orjson
import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, ToolPlan
from app.call.templates import parse
from app.call.ways import KNOWN, Route, way
from app.protocol import commands as c
from app.protocol import events as e
from tests import injections
from tests.call.words import done, on_the_phone, started, tool_call

Comes = Callable[[CallMachine, str], list[c.Command]]
PLAN = CallPlan(tools={"look_up": ToolPlan()}, targets=("desk",))


def said(machine: CallMachine, sentence: str) -> list[c.Command]:
    """The caller says it, and the model begins to answer."""
    out = machine.handle(e.CallerTurnCommitted("U1"), 0)
    out += machine.handle(e.CallerTranscribed("U1", sentence), 10)
    return out + machine.handle(started(), 20)


def texted(machine: CallMachine, sentence: str) -> list[c.Command]:
    """… sends it."""
    return machine.handle(e.TextReceived(sentence), 0) + machine.handle(started("R", "sms"), 20)


def found(machine: CallMachine, sentence: str) -> list[c.Command]:
    """A tool, or a document that was searched, says it."""
    out = machine.handle(started("Q"), 0)
    out += machine.handle(tool_call(tool_call_id="T0", response_id="Q"), 1)
    out += machine.handle(e.ToolDone("T0", sentence, ok=True), 2)
    out += machine.handle(done("Q"), 3)
    return out + machine.handle(started("R", "tool_result"), 20)


WAYS = [
    *((said, sentence) for sentence in injections.CALLER),
    *((texted, sentence) for sentence in injections.TEXT),
    *((found, sentence) for sentence in (*injections.TOOL, *injections.KNOWLEDGE)),
]


@pytest.mark.parametrize(("comes", "sentence"), WAYS)
@pytest.mark.parametrize("wanted", injections.WANTED)
def test_nobody_is_put_through_to_where_a_sentence_wants(
    comes: Comes, sentence: str, wanted: str
) -> None:
    """The model obeys to the letter: a target that is no name of the operator's is refused."""
    machine = on_the_phone(PLAN)
    out = comes(machine, sentence)
    out += machine.handle(tool_call("transfer_call", arguments=_json(target=wanted)), 30)
    more = _json(target="desk", to=wanted, number=wanted, uri=wanted)
    out += machine.handle(done(), 40)
    for now_ms in range(1_000, 30_000, 1_000):
        out += machine.wake(now_ms)

    assert not [x for x in out if isinstance(x, c.Transfer | c.PlaceSideCall | c.RedirectKeys)]
    [told] = [x.output for x in out if isinstance(x, c.AddToolOutput) and x.tool_call_id == "T1"]
    assert orjson.loads(told)["ok"] is False
    # Beside the name of a target nothing else counts.
    machine = on_the_phone(PLAN)
    comes(machine, sentence)
    machine.handle(tool_call("transfer_call", arguments=more), 30)
    through = machine.wake(30_000)
    assert [x for x in through if isinstance(x, c.Transfer)] == [c.Transfer("desk")]


@pytest.mark.parametrize(("comes", "sentence"), WAYS)
def test_no_sentence_becomes_an_instruction(comes: Comes, sentence: str) -> None:
    """It comes to the model as what it is: the caller's words, or a tool's output."""
    out = comes(on_the_phone(PLAN), sentence)

    asked = [x.instructions or "" for x in out if isinstance(x, c.CreateResponse)]
    told = [x.text for x in out if isinstance(x, c.AddMessage) and x.role != "user"]
    assert not [text for text in (*asked, *told) if sentence in text]


@pytest.mark.parametrize("value", injections.EVERYTHING)
def test_a_callers_header_chooses_no_address(value: str) -> None:
    """What the operator passes on of it is text in a header of theirs, whatever it holds."""
    headers = {"X-Who": parse("{{sip.headers.x-who}}", KNOWN)}
    route = Route("sip:desk@contoso.example", headers, mode="refer")
    gone = way(route, {"sip": {"x-who": value}}, call_id="call_1", key="")

    address, _, sent = gone.to.partition("?")
    assert address == "sip:desk@contoso.example"
    assert sent.count("=") <= 1
    assert not {"&", "\r", "\n", "<", ">", '"', ";", "@"} & set(sent)
    assert set(gone.headers) <= {"X-Who"}


def _json(**arguments: str) -> str:
    return orjson.dumps(arguments).decode()
