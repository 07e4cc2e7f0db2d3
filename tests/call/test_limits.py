"""A call that may not last, or cost, as much as it likes: told in time, ended with a sentence."""

import pytest

from app.call.machine import CallMachine
from app.call.plan import BillPlan, CallPlan
from app.call.prices import PRICES, cost_microusd, dollars
from app.call.winding_up import AGAIN_MS, GOODBYE, MONEY, TIME
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.test_silence import asked
from tests.call.witness import Witnessed
from tests.call.words import done, kinds, on_the_phone, say, started

MINUTE_MS = 60_000
HALF_HOUR = CallPlan(max_call_ms=30 * MINUTE_MS, targets=("desk",))
PRICE = PRICES["gpt-realtime-2.1"]
USED = e.Usage(input_text=1_000, output_audio=500)
"""36,000 millionths of a dollar."""


def woken(machine: CallMachine, until_ms: int) -> list[tuple[int, c.Command]]:
    """What is done by alarms alone, and when; the model says that it lives."""
    found: list[tuple[int, c.Command]] = []
    while (now_ms := machine.deadline_ms()) is not None and now_ms <= until_ms:
        for command in machine.wake(now_ms):
            if command == c.AskAlive():
                machine.handle(e.ModelAlive(), now_ms)
            elif command == c.VerifyCall():
                machine.handle(e.CallStillUp(), now_ms)
            else:
                found.append((now_ms, command))
    return found


def said_goodbye(machine: CallMachine, at_ms: int) -> list[c.Command]:
    """The last sentence is said, and heard to its end."""
    machine.handle(started("G", "goodbye"), at_ms + 100)
    names = say(machine, 1_000, at_ms + 200, response_id="G")
    machine.handle(done("G"), at_ms + 300)
    return [x for name in names for x in machine.handle(e.MarkReturned(name), at_ms + 1_300)]


def test_the_model_is_told_two_minutes_before_and_says_the_last_sentence() -> None:
    """5.5: `timeouts.max_call`."""
    machine = on_the_phone(HALF_HOUR)

    told, goodbye = woken(machine, 30 * MINUTE_MS)

    assert told == (28 * MINUTE_MS, c.AddMessage("system", TIME.format(left="2 minutes")))
    assert goodbye == (30 * MINUTE_MS, GOODBYE)
    assert c.HangUp() in said_goodbye(machine, 30 * MINUTE_MS)
    ended = machine.handle(e.StreamStopped(), 30 * MINUTE_MS + 2_000)
    assert ended[-1] == c.EndStream("max_duration")


def test_a_short_call_is_told_shortly_before() -> None:
    """Two minutes before the end of one minute there is nothing."""
    (told, _) = woken(on_the_phone(CallPlan(max_call_ms=MINUTE_MS)), MINUTE_MS)

    assert told == (48_000, c.AddMessage("system", TIME.format(left="12 seconds")))


def test_a_call_without_a_limit_lasts() -> None:
    """0 really means off."""
    assert woken(on_the_phone(CallPlan()), 50 * MINUTE_MS) == []


def test_the_last_sentence_is_not_interrupted() -> None:
    """Nor called off: who talks on is told, and the call ends."""
    machine = on_the_phone(HALF_HOUR)
    woken(machine, 30 * MINUTE_MS)
    machine.handle(started("G", "goodbye"), 30 * MINUTE_MS + 100)
    names = say(machine, 1_000, 30 * MINUTE_MS + 200, response_id="G")

    assert machine.handle(e.SpeechStarted("U"), 30 * MINUTE_MS + 400) == []
    assert machine.handle(e.TransferOrdered("T", "desk"), 30 * MINUTE_MS + 500) == [
        c.OrderDone("T", "refused", "call_ending")
    ]
    machine.handle(done("G"), 30 * MINUTE_MS + 600)
    out = [x for n in names for x in machine.handle(e.MarkReturned(n), 30 * MINUTE_MS + 1_300)]
    assert c.HangUp() in out


def test_a_caller_who_comes_back_does_not_begin_anew() -> None:
    """Ten minutes were with a person, five with the agent before: ten are left."""
    plan = CallPlan(max_call_ms=30 * MINUTE_MS, began_at_ms=0, returning="nobody answered")
    machine = CallMachine(plan)
    machine.begin(15 * MINUTE_MS)
    machine.handle(e.ModelReady("sess_2"), 15 * MINUTE_MS)
    machine.handle(e.StreamStarted("MZ2"), 15 * MINUTE_MS)
    machine.handle(started("R", "returned"), 15 * MINUTE_MS)
    machine.handle(e.ResponseDone("R", "cancelled"), 15 * MINUTE_MS)

    found = [(at, x) for at, x in woken(machine, 30 * MINUTE_MS) if isinstance(x, c.AddMessage)]
    assert found == [(28 * MINUTE_MS, c.AddMessage("system", TIME.format(left="2 minutes")))]


def test_who_comes_back_too_late_hears_the_sentence_at_once() -> None:
    """On another process perhaps, where the clock has gone on."""
    machine = CallMachine(CallPlan(max_call_ms=MINUTE_MS, began_at_ms=0))
    machine.begin(5 * MINUTE_MS)
    machine.handle(e.ModelReady("sess_2"), 5 * MINUTE_MS)
    machine.handle(e.StreamStarted("MZ2"), 5 * MINUTE_MS)

    assert woken(machine, 5 * MINUTE_MS) == [(5 * MINUTE_MS, GOODBYE)]


def test_a_transfer_under_way_goes_first() -> None:
    """They are about to leave the agent; where that fails, the call ends then."""
    machine = on_the_phone(HALF_HOUR)
    machine.handle(e.TransferOrdered("T", "desk"), 30 * MINUTE_MS - 1_000)
    assert c.HangUp() not in [x for _, x in woken(machine, 30 * MINUTE_MS)]
    machine.handle(started("P", "announce"), 30 * MINUTE_MS + 100)
    names = say(machine, 500, 30 * MINUTE_MS + 200, response_id="P")
    machine.handle(done("P"), 30 * MINUTE_MS + 300)
    for name in names:
        machine.handle(e.MarkReturned(name), 30 * MINUTE_MS + 800)
    machine.handle(e.TransferRefused("busy"), 30 * MINUTE_MS + 900)
    machine.handle(started("N", "not_through"), 30 * MINUTE_MS + 1_000)
    names = say(machine, 500, 30 * MINUTE_MS + 1_050, item_id="N", response_id="N")
    machine.handle(done("N"), 30 * MINUTE_MS + 1_100)
    for name in names:
        machine.handle(e.MarkReturned(name), 30 * MINUTE_MS + 1_600)

    ((at_ms, goodbye),) = asked(machine, 30 * MINUTE_MS + AGAIN_MS)
    assert (at_ms, goodbye) == (30 * MINUTE_MS + AGAIN_MS, GOODBYE)


def test_without_a_model_the_call_ends_without_a_sentence() -> None:
    """Nobody is there to say it, and nobody waits for one."""
    machine = on_the_phone(CallPlan(max_call_ms=MINUTE_MS))
    machine.handle(e.ModelLineLost(1006, "lost"), MINUTE_MS - 10)

    assert c.HangUp() in [x for _, x in woken(machine, MINUTE_MS)]


def test_a_response_costs_what_the_list_says() -> None:
    """Cached tokens are cheap; what they are is part of the price."""
    usage = e.Usage(119, 13, 64, 30, 91)
    mixed = e.Usage(100, 100, 150, 0, 0, input_cached_audio=50)

    assert cost_microusd(usage, PRICE) == round(55 * 4 + 64 * 0.4 + 13 * 32 + 30 * 24 + 91 * 64)
    assert cost_microusd(mixed, PRICE) == round(100 * 0.4 + 50 * 32 + 50 * 0.4)
    assert dollars(214_049) == "0.2140"


def spends(most_microusd: int | None, before: int = 0) -> CallMachine:
    return on_the_phone(CallPlan(bill=BillPlan(PRICE, "own", most_microusd, before)))


def used(machine: CallMachine, at_ms: int, usage: e.Usage | None = USED) -> list[c.Command]:
    """A silent response, and what it leads to."""
    machine.handle(started(f"R{at_ms}"), at_ms)
    return machine.handle(e.ResponseDone(f"R{at_ms}", "cancelled", None, usage), at_ms + 10)


def test_a_call_that_has_cost_enough_is_wound_up() -> None:
    """peers 6.11: a spoken wrap-up instead of a cut; the first word of it at four fifths."""
    machine = spends(100_000)

    assert used(machine, 100) == [c.ModelBilled(36_000, "own")]
    assert used(machine, 200) == [c.ModelBilled(36_000, "own")]
    assert used(machine, 300) == [c.ModelBilled(36_000, "own"), GOODBYE]
    assert c.HangUp() in said_goodbye(machine, 400)
    assert machine.handle(e.StreamStopped(), 2_000)[-1] == c.EndStream("cost_limit")


def test_the_model_is_told_once_that_little_is_left() -> None:
    """And begins nothing new."""
    machine = spends(130_000)
    told = [used(machine, at_ms)[1:] for at_ms in (100, 200, 300)]

    assert told == [[], [], [c.AddMessage("system", MONEY)]]


def test_what_earlier_streams_cost_counts() -> None:
    """A transfer that came back, or another process, does not begin anew."""
    assert used(spends(100_000, before=70_000), 100)[-1] == GOODBYE


@pytest.mark.parametrize("usage", [None, USED])
def test_a_call_without_a_limit_costs_what_it_costs(usage: e.Usage | None) -> None:
    """It is told all the same, where it is known."""
    assert kinds(used(spends(None), 100, usage)) == (["ModelBilled"] if usage else [])


def test_the_record_has_what_the_call_cost() -> None:
    """C30: in each record; unknown is null, never 0."""
    machine, story = spends(None), Witnessed()
    assert not story.bill
    for at_ms in (100, 200):
        event = e.ResponseDone(f"R{at_ms}", "cancelled", None, USED)
        machine.handle(started(f"R{at_ms}"), at_ms)
        story.saw(at_ms, event, machine.handle(event, at_ms))

    assert dict(story.bill) == {"own": 72_000}
    assert story.usage["input_text"] == 2_000
    assert "bill" not in story.usage
