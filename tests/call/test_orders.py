"""Orders of the operator's: in turn, heard before the next, and each of them ends once."""

import pytest

from app.call.announcement import WATCHDOG_MS
from app.call.dialogue import NOT_THROUGH
from app.call.leaving import STOP_MS
from app.call.machine import CallMachine
from app.call.orders import MOST_WAITING, SAID_WITHIN_MS
from app.call.plan import CallPlan
from app.call.prompts import verbatim
from app.call.transfer import ANNOUNCE
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(targets=("billing", "Front Desk"))
TRANSFER = e.TransferOrdered("O", "billing")
SAY = e.SayOrdered("S", "A moment.")
ASKED = c.CreateResponse("say", verbatim("A moment."), tools=False)
END = e.HangUpOrdered("operator_ended", "H", after="S")
NOTE = e.MessageOrdered("M", "system", "A patient.")


def completed(command_id: str) -> c.OrderDone:
    return c.OrderDone(command_id, "completed")


def spoken(machine: CallMachine, purpose: str, response_id: str = "R9", at_ms: int = 10) -> str:
    """The model says what it was asked to: 200 ms, and the last mark still to return."""
    machine.handle(started(response_id, purpose), at_ms)
    names = say(machine, 200, at_ms, item_id=response_id, response_id=response_id)
    machine.handle(done(response_id), at_ms + 10)
    return names[-1]


def test_an_ordered_transfer_is_announced_and_heard_first() -> None:
    """Like the model's own wish, but that nobody has to be persuaded."""
    machine = on_the_phone(PLAN)

    assert machine.handle(TRANSFER, 0) == [ANNOUNCE]
    name = spoken(machine, "announce")
    assert machine.handle(e.MarkReturned(name), 210) == [c.Transfer("billing")]
    assert machine.handle(e.TransferAccepted(), 300) == [completed("O")]
    assert machine.handle(e.StreamStopped(), 400) == [c.EndStream("transferring")]


def test_the_operator_s_own_announcement_is_said_word_for_word() -> None:
    """And the next one, of the model's, is in the model's words again."""
    machine = on_the_phone(PLAN)
    mine = c.CreateResponse("announce", verbatim("To Anna."), tools=False)

    assert machine.handle(e.TransferOrdered("O", " BILLING ", "To Anna."), 0) == [mine]
    name = spoken(machine, "announce")
    assert machine.handle(e.MarkReturned(name), 210) == [c.Transfer("billing")]
    machine.handle(e.TransferRefused("busy"), 300)
    machine.handle(started("R2", "not_through"), 400)
    wish = tool_call("transfer_call", response_id="R2", arguments='{"target":"billing"}')
    machine.handle(wish, 410)
    assert machine.handle(done("R2"), 420) == [ANNOUNCE]


def test_nobody_is_put_through_in_the_middle_of_a_sentence() -> None:
    """What is being said is said first, and the caller does not interrupt from then on."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    say(machine, 400, 0)

    assert machine.handle(TRANSFER, 100) == []
    assert machine.handle(e.SpeechStarted("U"), 110) == []
    machine.handle(e.SpeechStopped("U"), 120)
    assert machine.handle(done(), 150) == [ANNOUNCE]


def test_a_refused_redirect_is_told_to_the_model_who_wished_for_nothing() -> None:
    """The caller heard that they are put through: silence would be the worst answer."""
    machine = on_the_phone(PLAN)
    machine.handle(TRANSFER, 0)
    machine.handle(e.MarkReturned(spoken(machine, "announce")), 210)

    assert machine.handle(e.TransferRefused("http_500"), 300) == [
        c.OrderDone("O", "failed", "http_500"),
        c.AddMessage("system", NOT_THROUGH.format(target="billing", reason="http_500")),
        c.CreateResponse("not_through"),
    ]
    machine.handle(started("R2", "not_through"), 310)
    assert kinds(machine.handle(speech(100, "B", "R2"), 320)) == ["PlayAudio", "SendMark"]


def test_a_model_that_is_away_keeps_nobody_from_a_person() -> None:
    """Who cannot announce it is not waited for."""
    machine = on_the_phone(PLAN)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)

    assert machine.handle(TRANSFER, 20) == [c.Transfer("billing")]


def test_an_announcement_that_never_comes_is_not_waited_for() -> None:
    """The operator asked for a person, not for a sentence."""
    machine = on_the_phone(PLAN)
    machine.handle(TRANSFER, 0)
    machine.handle(started("R2", "announce"), 20)
    machine.handle(speech(100, "B", "R2"), 5_000)

    assert c.Transfer("billing") in machine.wake(WATCHDOG_MS)


@pytest.mark.parametrize("target", ["nobody", "", "+19005551212"])
def test_a_target_that_is_not_in_the_document_is_refused(target: str) -> None:
    """A number is never dialled because somebody sent it."""
    machine = on_the_phone(PLAN)

    assert machine.handle(e.TransferOrdered("O", target), 0) == [
        c.OrderDone("O", "refused", "unknown_target")
    ]
    assert kinds(machine.handle(e.TransferOrdered("P", "front desk"), 10)) == ["CreateResponse"]


def test_a_transfer_beside_the_model_s_own_is_refused() -> None:
    """One caller can be put through to one person; and the other way round."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 0)
    assert machine.handle(TRANSFER, 10) == [c.OrderDone("O", "refused", "transfer_under_way")]

    machine = on_the_phone(PLAN)
    machine.handle(TRANSFER, 0)
    assert machine.handle(e.TransferOrdered("P", "billing"), 5) == [
        c.OrderDone("P", "refused", "transfer_under_way")
    ]
    machine.handle(started("R2", "announce"), 10)
    wish = tool_call("transfer_call", response_id="R2", arguments='{"target":"billing"}')
    assert machine.handle(wish, 20) == [
        c.AddToolOutput("T1", '{"ok":false,"reason":"a transfer is already under way"}')
    ]


def test_a_goodbye_gives_way_to_a_person() -> None:
    """As where the model calls both."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call"), 0)
    machine.handle(TRANSFER, 5)

    assert machine.handle(done(), 10) == [ANNOUNCE]
    name = spoken(machine, "announce", at_ms=20)
    assert machine.handle(e.MarkReturned(name), 300) == [c.Transfer("billing")]


def test_a_call_is_ended_when_the_last_words_were_heard() -> None:
    """`W1`: a spoken command completes at its last mark, and the next one waits for it."""
    machine = on_the_phone(PLAN)

    assert machine.handle(SAY, 0) == [ASKED]
    assert machine.handle(END, 0) == []
    name = spoken(machine, "say")
    assert machine.handle(e.MarkReturned(name), 210) == [completed("S"), c.HangUp()]
    assert machine.handle(e.HangUpDone(accepted=True), 300) == [completed("H")]
    assert machine.handle(e.StreamStopped(), 400) == [c.EndStream("operator_ended")]


def test_orders_are_carried_out_in_the_order_in_which_they_came() -> None:
    """Also those of two requests."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)

    assert machine.handle(NOTE, 1) == []
    assert machine.handle(e.SayOrdered("S2", "Here I am."), 2) == []
    name = spoken(machine, "say")
    assert machine.handle(e.MarkReturned(name), 210) == [
        completed("S"),
        c.AddMessage("system", "A patient."),
        completed("M"),
        c.CreateResponse("say", verbatim("Here I am."), tools=False),
    ]


def test_an_end_that_stands_after_nothing_waits_for_nobody() -> None:
    """Whoever has to end a call now must be able to."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)
    machine.handle(e.MessageOrdered("M", "system", "x", after="S"), 0)

    assert machine.handle(e.HangUpOrdered("operator_ended", "H"), 10) == [
        c.OrderDone("S", "failed", "stream_over"),
        c.OrderDone("M", "dropped", "stream_over"),
        c.HangUp(),
    ]


@pytest.mark.parametrize("at_ms", [50, 150])
def test_what_the_caller_spoke_over_was_not_said_and_what_stands_after_it_is_dropped(
    at_ms: int,
) -> None:
    """Nobody is hung up on in mid-sentence; an order of another request has its turn."""
    machine = on_the_phone(PLAN)
    for order in (SAY, END, e.HangUpOrdered("operator_ended", "H2", after="H"), NOTE):
        machine.handle(order, 0)
    machine.handle(started("R9", "say"), 10)
    say(machine, 200, 10, item_id="B", response_id="R9")
    out: list[c.Command] = []
    if at_ms > 100:
        out += machine.handle(done("R9"), 100)
    out += machine.handle(e.SpeechStarted("U"), at_ms)
    if at_ms < 100:
        out += machine.handle(done("R9", "cancelled", "turn_detected"), 100)

    orders = [one for one in out if isinstance(one, c.OrderDone)]
    assert orders == [
        c.OrderDone("S", "failed", "interrupted"),
        c.OrderDone("H", "dropped", "the_one_before_failed"),
        c.OrderDone("H2", "dropped", "the_one_before_failed"),
        completed("M"),
    ]
    assert c.HangUp() not in out


def test_words_that_wait_for_the_caller_to_finish_are_not_interrupted_by_them() -> None:
    """The model is asked when the caller has paused, and again where it began too early."""
    machine = on_the_phone(PLAN)
    machine.handle(e.SpeechStarted("U"), 0)

    assert machine.handle(SAY, 10) == []
    assert machine.handle(e.SpeechStarted("U"), 20) == []
    machine.handle(e.SpeechStopped("U"), 30)
    assert machine.wake(30 + 500) == [ASKED]
    machine.handle(e.SpeechStarted("U2"), 600)
    assert kinds(machine.handle(started("R2", "say"), 610)) == ["CancelResponse"]
    assert machine.handle(done("R2", "cancelled", "client_cancelled"), 620) == []
    machine.handle(e.SpeechStopped("U2"), 700)
    assert machine.wake(700 + 500) == [ASKED]
    name = spoken(machine, "say", at_ms=1_300)
    assert machine.handle(e.MarkReturned(name), 1_600) == [completed("S")]


def test_words_that_are_never_heard_are_given_up() -> None:
    """Whoever waits behind them is not kept for ever."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)
    machine.handle(NOTE, 0)
    machine.handle(started("R2", "say"), 10)
    for now_ms in range(1_000, SAID_WITHIN_MS, 1_000):
        machine.handle(e.SpeechText("R2", "B", 0, ""), now_ms)
        machine.wake(now_ms)

    out = machine.wake(SAID_WITHIN_MS)

    assert c.OrderDone("S", "failed", "not_heard") in out
    assert completed("M") in out


def test_words_that_come_after_they_were_given_up_are_not_those_that_follow() -> None:
    """The second order is over when its own words were heard."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)
    machine.handle(e.SayOrdered("S2", "Here I am."), 0)
    machine.handle(started("R2", "say"), 10)
    for now_ms in range(1_000, SAID_WITHIN_MS, 1_000):
        machine.handle(e.SpeechText("R2", "B", 0, ""), now_ms)
        machine.wake(now_ms)
    machine.wake(SAID_WITHIN_MS)

    name = say(machine, 100, SAID_WITHIN_MS + 10, item_id="B", response_id="R2")[-1]
    out = machine.handle(done("R2"), SAID_WITHIN_MS + 20)
    assert out == [c.CreateResponse("say", verbatim("Here I am."), tools=False)]
    assert machine.handle(e.MarkReturned(name), SAID_WITHIN_MS + 120) == []
    name = spoken(machine, "say", "R3", SAID_WITHIN_MS + 200)
    assert machine.handle(e.MarkReturned(name), SAID_WITHIN_MS + 500) == [completed("S2")]


def test_a_refused_redirect_is_known_to_the_line_that_comes() -> None:
    """The one before it was lost meanwhile."""
    machine = on_the_phone(PLAN)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)
    machine.handle(TRANSFER, 20)
    machine.handle(e.TransferUnclear("timed_out"), 30)

    out = machine.wake(30 + STOP_MS)

    assert c.OrderDone("O", "failed", "timed_out") in out
    told = NOT_THROUGH.format(target="billing", reason="timed_out")
    assert c.AddMessage("system", told) in machine.handle(e.ModelReady("sess_2"), 31 + STOP_MS)


def test_a_long_text_is_heard_to_its_end() -> None:
    """Only what stands still is given up."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)
    machine.handle(started("R2", "say"), 10)
    names = say(machine, 20_000, 10, item_id="B", response_id="R2")
    machine.handle(done("R2"), 20)
    for at, name in enumerate(names[:-1]):
        machine.handle(e.MarkReturned(name), 10 + at * 198)
        assert not any(isinstance(x, c.OrderDone) for x in machine.wake(10 + at * 198))

    assert machine.handle(e.MarkReturned(names[-1]), 20_100) == [completed("S")]


@pytest.mark.parametrize("role", ["system", "user"])
def test_what_the_model_is_told_is_not_spoken_about_and_survives_its_line(role: str) -> None:
    """It is part of the conversation: the next line is told, too."""
    machine = on_the_phone(PLAN)

    assert machine.handle(e.MessageOrdered("M", role, "A patient."), 0) == [
        c.AddMessage(role, "A patient."),
        completed("M"),
    ]
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)
    assert machine.handle(e.MessageOrdered("N", role, "In pain."), 20) == [completed("N")]
    out = machine.handle(e.ModelReady("sess_2"), 30)
    assert out[:2] == [c.AddMessage(role, "A patient."), c.AddMessage(role, "In pain.")]


def test_nothing_is_said_while_nobody_can_say_it() -> None:
    """The order is refused and may be given again, rather than forgotten."""
    machine = on_the_phone(PLAN)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)
    assert machine.handle(SAY, 20) == [c.OrderDone("S", "refused", "model_away")]

    machine = on_the_phone(PLAN)
    machine.handle(TRANSFER, 0)
    machine.handle(e.MarkReturned(spoken(machine, "announce")), 210)
    machine.handle(e.TransferAccepted(), 220)
    assert machine.handle(SAY, 230) == [c.OrderDone("S", "refused", "call_ending")]


def test_a_caller_who_hangs_up_ends_all_of_it() -> None:
    """Each order has its end, and no second one."""
    machine = on_the_phone(PLAN)
    for order in (TRANSFER, NOTE, END):
        machine.handle(order, 0)

    assert machine.handle(e.StreamStopped(), 100) == [
        c.OrderDone("O", "failed", "stream_over"),
        c.OrderDone("M", "dropped", "stream_over"),
        c.OrderDone("H", "dropped", "stream_over"),
        c.EndStream("caller_hangup"),
    ]


def test_a_redirect_in_doubt_that_ended_the_stream_was_taken() -> None:
    """The stream's end is the proof."""
    machine = on_the_phone(PLAN)
    machine.handle(TRANSFER, 0)
    machine.handle(e.MarkReturned(spoken(machine, "announce")), 210)
    machine.handle(e.TransferUnclear("timed_out"), 300)

    assert machine.handle(e.StreamStopped(), 400) == [
        completed("O"),
        c.EndStream("transferring"),
    ]


def test_there_are_so_many_orders_and_no_more() -> None:
    """A program that has lost its mind fills no memory."""
    machine = on_the_phone(PLAN)
    machine.handle(SAY, 0)
    for n in range(MOST_WAITING):
        assert machine.handle(e.SayOrdered(f"S{n}", "x"), 1) == []

    assert machine.handle(NOTE, 2) == [c.OrderDone("M", "refused", "too_many")]
