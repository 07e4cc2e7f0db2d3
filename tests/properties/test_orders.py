"""Whatever happens to a call, each order of the operator's comes to one end."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset, ToolPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.test_machine import EVERYTHING
from tests.call.words import on_the_phone

PLAN = CallPlan(
    greeting="Hello.",
    tools={"look_up": ToolPlan()},
    targets=("billing",),
    presets={"pin": DigitsPreset(num_digits=2, finish_on_key="#", retries=1)},
)
ENDS = (e.StreamStopped, e.CallerLineLost, e.CallEnded)
ORDERS: list[e.Event] = [
    e.HangUpOrdered("operator_ended"),
    e.TransferOrdered("", "billing"),
    e.SayOrdered("", "A moment."),
    e.MessageOrdered("", "system", "A patient."),
    e.HoldOrdered(""),
    e.HoldOrdered("", "Look it up."),
    e.UnholdOrdered(""),
    e.RespondOrdered(""),
    e.MuteOrdered("", "agent"),
    e.UnmuteOrdered("", "agent"),
    e.ConfigureOrdered("", interruptible="none"),
    e.TransferOrdered("", "billing", at_once=True),
    e.DigitsOrdered("", "pin"),
    e.KeysOrdered("", "1w2#"),
    e.DigitsOrdered(""),
]
HAPPENINGS = [event for event in EVERYTHING if not isinstance(event, ENDS)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(HAPPENINGS), st.sampled_from(ORDERS)),
            st.integers(0, 8_000),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_every_order_ends_exactly_once(story: list[tuple[e.Event, int, bool]]) -> None:
    """Nobody who waits for the end of a command waits for ever, or hears of two."""
    machine: CallMachine = on_the_phone(PLAN)
    given_ids, ended, now_ms, last = list[str](), Counter[str](), 0, ""
    for number, (event, pause_ms, behind) in enumerate(story):
        now_ms += pause_ms
        out, happening = machine.wake(now_ms), event
        if type(event) in map(type, ORDERS):
            name = f"order-{number}"
            after = last if behind else ""
            happening = replace(event, command_id=name, after=after)  # type: ignore[call-arg,type-var]
            if not any(isinstance(one, c.EndStream) for one in out):
                given_ids.append(name)
            last = name
        out += machine.handle(happening, now_ms)
        ended.update(one.command_id for one in out if isinstance(one, c.OrderDone))
        if any(isinstance(one, c.EndStream) for one in out):
            break
    out = machine.handle(e.StreamStopped(), now_ms + 1)
    ended.update(one.command_id for one in out if isinstance(one, c.OrderDone))

    assert not [name for name, times in ended.items() if times > 1]
    assert not [name for name in given_ids if name not in ended]
