"""Who can be had when: told before the caller is, and the same when it is replayed."""

import orjson
import pytest

from app.call.openness import LONGEST_MS, Openness, closed_spans
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, started, tool_call

SIP_ONLY = CallPlan(
    targets=("pbx", "billing"), modes={"pbx": "refer"}, impossible={"pbx": "refer_needs_sip"}
)
AFTER_HOURS = CallPlan(targets=("billing",), closed={"billing": ((5_000, 9_000),)})


def output(commands: list[c.Command]) -> dict[str, object]:
    """What the model is told of its tool call."""
    [sent] = [one for one in commands if isinstance(one, c.AddToolOutput)]
    told: dict[str, object] = orjson.loads(sent.output)
    return told


def test_l4_a_refer_from_the_telephone_network_is_refused_in_words() -> None:
    """`<Refer>` on such a leg is error 13801: the caller would be gone, and nobody knew why."""
    machine = on_the_phone(SIP_ONLY)
    machine.handle(started(), 0)

    out = machine.handle(tool_call("transfer_call", arguments='{"target":"pbx"}'), 10)
    told = output(out + machine.handle(done(), 20))

    assert (told["ok"], told["reason"]) == (False, "refer_needs_sip")
    assert "ordinary network" in str(told["why"])


@pytest.mark.parametrize(("now_ms", "open_"), [(4_999, True), (5_000, False), (9_000, True)])
def test_a_target_is_closed_from_its_hour_to_the_next(now_ms: int, open_: bool) -> None:
    """The end of a span is the first moment at which somebody is there again."""
    openness = Openness(closed=AFTER_HOURS.closed)

    assert (openness.refusal("billing", now_ms) is None) is open_


def test_who_asks_for_a_closed_target_is_told_so_and_the_call_goes_on() -> None:
    """Refused before anything is announced."""
    machine = on_the_phone(AFTER_HOURS)
    machine.handle(started(), 6_000)

    out = machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 6_010)
    told = output(out + machine.handle(done(), 6_020))

    assert told["reason"] == "closed"
    assert "nobody is there" in str(told["why"])


def test_an_order_for_a_closed_target_is_refused_too() -> None:
    """The operator's program is told why."""
    machine = on_the_phone(AFTER_HOURS)

    out = machine.handle(e.TransferOrdered("o1", "Billing"), 6_000)

    assert out == [c.OrderDone("o1", "refused", "closed")]


def test_w29_the_mode_and_what_it_is_about_go_along() -> None:
    """What the carrier is asked depends on the one, what the person is told on the other."""
    machine = on_the_phone(CallPlan(targets=("pbx",), modes={"pbx": "refer"}))
    machine.handle(started(), 0)
    names = say(machine, 100, 0)
    wish = '{"target":"pbx","summary":"An  invoice\\n is wrong."}'
    machine.handle(tool_call("transfer_call", arguments=wish), 10)
    machine.handle(done(), 20)

    out = machine.handle(e.MarkReturned(names[-1]), 200)

    assert out == [c.Transfer("pbx", "refer", "An invoice is wrong.")]


def test_hours_become_spans_of_the_calls_own_time() -> None:
    """Exact to the minute, so that a replayed call says what it said."""
    minute, hour = 60_000, 3_600_000
    began_ms = 1_700_000_000_123

    def open_at(now_ms: int) -> bool:
        return not began_ms + hour <= now_ms < began_ms + 3 * hour

    ((since, until),) = closed_spans(open_at, began_ms)

    assert hour <= since <= hour + minute
    assert 3 * hour <= until <= 3 * hour + minute
    assert (began_ms + since) % minute == 0
    assert closed_spans(lambda _: True, began_ms) == ()
    assert closed_spans(lambda _: False, began_ms) == ((0, LONGEST_MS),)
