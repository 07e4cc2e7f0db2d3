"""One agent hands the conversation to another: nothing changes before their line takes over."""

from dataclasses import replace

import pytest

from app.call.handoff import HANDED, NOT_HANDED, TAKES_OVER
from app.call.line_swap import LIFE_MS, ORDER_MS, SPARE_ATTEMPT_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset, ToolPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, on_the_phone, speech, started, tool_call

BILLING = CallPlan(tools={"invoices": ToolPlan()}, handoffs=("intake",), targets=("cashier",))
INTAKE = CallPlan(
    tools={"look_up": ToolPlan()},
    handoffs=("billing",),
    targets=("desk",),
    colleagues={"billing": BILLING, "intake": CallPlan(handoffs=("billing",))},
)
THEIRS = c.OpenSpare(SPARE_ATTEMPT_MS, "billing")
SPARE = e.SpareReady("sess_2", LIFE_MS)
HANDED_OVER = c.HandOver("billing", "a bill")


def wished(agent: str = "billing", tool_call_id: str = "T1") -> e.ToolCalled:
    """The model wants a colleague to go on."""
    arguments = f'{{"agent":"{agent}","reason":"a bill"}}'
    return tool_call("handoff", arguments=arguments, tool_call_id=tool_call_id)


def handing(plan: CallPlan = INTAKE) -> CallMachine:
    """A machine whose agent has said that they hand over; the line is being opened."""
    machine = on_the_phone(plan)
    machine.handle(started(), 10)
    machine.handle(speech(60), 20)
    assert machine.handle(wished(), 30) == [THEIRS]
    machine.handle(done(), 40)
    return machine


def kinds_of(commands: list[c.Command]) -> list[type]:
    return [type(one) for one in commands]


def test_the_other_agent_takes_over_with_the_conversation_and_speaks_first() -> None:
    """Their line is told what was said, the wish and its answer; then they introduce themselves."""
    machine = handing()

    out = machine.handle(SPARE, 400)

    assert out[:2] == [HANDED_OVER, c.SwitchModel()]
    assert c.AddToolOutput("T1", HANDED.format(agent="billing")) in out
    assert out[-1] == TAKES_OVER


def test_what_the_other_agent_has_holds_from_then_on() -> None:
    """Tools, targets and handoffs are theirs: what was the first agent's is not there any more."""
    machine = handing()
    machine.handle(SPARE, 400)
    machine.handle(started("R2", "handoff"), 500)

    assert machine.handle(tool_call("look_up", tool_call_id="T2", response_id="R2"), 510) == [
        c.AddToolOutput("T2", "there is no tool 'look_up'")
    ]
    assert machine.handle(tool_call("invoices", tool_call_id="T3", response_id="R2"), 520) == [
        c.RunTool("T3", "invoices", "{}")
    ]


def test_back_and_forth() -> None:
    """Who was handed to may hand back."""
    machine = handing()
    machine.handle(SPARE, 400)
    machine.handle(started("R2", "handoff"), 500)

    back = e.ToolCalled("R2", "item-T2", "T2", "handoff", '{"agent":"intake"}')
    assert machine.handle(back, 510) == [c.OpenSpare(SPARE_ATTEMPT_MS, "intake")]
    machine.handle(done("R2"), 520)
    assert c.HandOver("intake") in machine.handle(e.SpareReady("sess_3", LIFE_MS), 900)


def test_they_pass_the_caller_to_and_fro_only_so_often() -> None:
    """Without a word of the caller's a handoff counts as a round of tools; then they must talk."""
    plan = replace(INTAKE, colleagues={"billing": replace(BILLING, max_tool_rounds=2)})
    plan = replace(plan, colleagues={**plan.colleagues, "intake": CallPlan(max_tool_rounds=2)})
    machine = handing(plan)
    assert machine.handle(SPARE, 400)[-1] == TAKES_OVER
    machine.handle(started("R2", "handoff"), 500)
    machine.handle(e.ToolCalled("R2", "item-T2", "T2", "handoff", '{"agent":"intake"}'), 510)
    machine.handle(done("R2"), 520)

    out = machine.handle(e.SpareReady("sess_3", LIFE_MS), 900)

    assert out[-1] == replace(TAKES_OVER, tools=False)


@pytest.mark.parametrize(
    "gone", [e.SpareRefused("http_500", retryable=True), e.SpareLost(1006, "abnormal")]
)
def test_where_they_cannot_be_had_the_agent_goes_on(gone: e.Event) -> None:
    """Nothing has changed: the model is told, and speaks."""
    machine = handing()

    out = machine.handle(gone, 400)

    assert c.CloseSpare() in out
    assert c.AddToolOutput("T1", NOT_HANDED) in out
    assert c.CreateResponse in kinds_of(out)
    assert c.HandOver not in kinds_of(out + machine.handle(SPARE, 500))
    assert machine.handle(wished(tool_call_id="T2"), 600) == [THEIRS]


def test_a_caller_who_speaks_is_heard_out() -> None:
    """In the middle of a sentence nobody takes over; what was said is answered, and then."""
    machine = handing()
    machine.handle(e.SpeechStarted(0), 300)

    assert machine.handle(SPARE, 400) == []
    machine.handle(e.SpeechStopped(0), 700)
    machine.handle(e.CallerTurnCommitted("C"), 710)
    machine.handle(started("R2"), 720)
    machine.handle(speech(60, "B", "R2"), 730)
    assert HANDED_OVER in machine.handle(done("R2"), 900)


def test_a_caller_who_speaks_for_a_minute_is_heard_out_too() -> None:
    """A line that nears its end may be exchanged in mid-sentence; an agent may wait."""
    machine = handing()
    machine.handle(e.SpeechStarted(0), 300)
    machine.handle(SPARE, 400)

    assert c.HandOver not in kinds_of(machine.wake(ORDER_MS - 1_000))


def test_a_line_that_is_lost_meanwhile_is_replaced_by_theirs() -> None:
    """The next line is opened by whoever has the call, and so they must have it before."""
    machine = handing()

    out = machine.handle(e.ModelLineLost(1006, "abnormal"), 10_000)

    assert kinds_of(out).index(c.HandOver) < kinds_of(out).index(c.OpenModel)
    assert TAKES_OVER in machine.handle(e.ModelReady("sess_2"), 10_300)


@pytest.mark.parametrize(
    ("agent", "plan"), [("sales", INTAKE), ("intake", INTAKE), ("billing", CallPlan())]
)
def test_nobody_else_is_handed_to(agent: str, plan: CallPlan) -> None:
    """Only whom the document names, and only where it names somebody."""
    machine = on_the_phone(plan)

    [refused] = machine.handle(wished(agent), 10)

    assert isinstance(refused, c.AddToolOutput)


def test_one_at_a_time() -> None:
    """A second wish is refused; the first goes on."""
    machine = handing()

    [refused] = machine.handle(wished(tool_call_id="T2"), 50)

    assert isinstance(refused, c.AddToolOutput)
    assert HANDED_OVER in machine.handle(SPARE, 400)


def test_a_transfer_goes_first() -> None:
    """While the caller is put through to a person nobody takes over."""
    machine = handing()
    machine.handle(e.TransferOrdered("", "desk"), 100)

    assert c.HandOver not in kinds_of(machine.handle(SPARE, 400))


def test_an_ordinary_spare_line_is_of_no_use_to_them() -> None:
    """It speaks with the first agent's voice."""
    machine = on_the_phone(INTAKE)
    machine.handle(e.SwapOrdered("voice"), 0)

    assert machine.handle(wished(), 30) == [c.CloseSpare(), THEIRS]


def test_what_the_next_agent_has_keyed_in_is_kept_secret() -> None:
    """A preset of theirs is known, and as private as one of the first agent's."""
    theirs = CallPlan(presets={"pin": DigitsPreset(num_digits=2, sensitive=True)})
    machine = handing(CallPlan(handoffs=("billing",), colleagues={"billing": theirs}))
    machine.handle(SPARE, 400)
    machine.handle(frame(0), 410)

    machine.handle(e.CallerDigit("1"), 500)
    assert machine.private_key is None  # Typed ahead, perhaps of something secret.
    machine.handle(e.DigitsOrdered("cmd", "pin"), 600)
    machine.handle(e.CallerDigit("4"), 700)

    assert machine.private_key is True
