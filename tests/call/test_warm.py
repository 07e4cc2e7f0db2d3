"""A person is asked before the caller is put through; until then nothing is lost."""

from dataclasses import replace

import orjson
import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset, SoundPlan, WarmPlan
from app.call.warm import DECIDES_MS, MESSAGE, PLACED_MS, shortened
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import (
    done,
    frame,
    kinds,
    on_the_phone,
    say,
    speech,
    started,
    tool_call,
)

RING_MS = 20_000
MUSIC = {"hold": SoundPlan(8_000), "target:desk": SoundPlan(4_000)}
WISH = '{"target":"desk","summary":"Ada asks about\\n claim 7."}'


def plan(then: str = "resume", said: str | None = None) -> CallPlan:
    warm = {"desk": WarmPlan(RING_MS, then, said), "boss": WarmPlan(RING_MS)}
    return CallPlan(targets=("desk", "boss", "billing"), warm=warm, sounds=MUSIC)


def asked(given: CallPlan | None = None, wish: str = WISH) -> CallMachine:
    """A machine at 1000 ms whose caller has heard the announcement, and hears music."""
    machine = on_the_phone(given or plan())
    machine.handle(started(), 0)
    names = say(machine, 1_000, 0)
    machine.handle(tool_call("transfer_call", arguments=wish), 100)
    machine.handle(done(), 200)
    out = machine.handle(e.MarkReturned(names[-1]), 1_000)
    assert out[:2] == [
        c.PlaceSideCall("desk", 1, "Ada asks about claim 7."),
        c.CallerHeld("transfer"),
    ]
    return machine


def told(commands: list[c.Command]) -> dict[str, object]:
    """What the model is told of it."""
    (output,) = (one.output for one in commands if isinstance(one, c.AddToolOutput))
    found: dict[str, object] = orjson.loads(output)
    return found


def over(reason: str, attempt: int = 1) -> e.SideCallOver:
    return e.SideCallOver(attempt, reason)


def test_the_caller_stays_and_hears_the_targets_music_while_the_person_is_called() -> None:
    """S17, W38: the person's telephone rings beside the stream; the model hears silence."""
    machine = asked()
    machine.handle(e.SideCallPlaced(1, "desk", "CA2"), 1_100)

    assert [type(x) for x in machine.handle(frame(0), 1_200)] == [c.AppendSilence]
    assert c.PlaySound(3_200) in machine.wake(1_300)


@pytest.mark.parametrize(
    ("summary", "kept"),
    [
        ("claim " * 400, "claim " * 50 + "…"),
        ("x" * 2_000, "x" * 300 + " …"),
        ("a" * 300, "a" * 300),
    ],
)
def test_a_summary_of_two_kilobytes_is_told_as_far_as_one_listens(summary: str, kept: str) -> None:
    """The person hears it before they may press a key; the cut is between words, if there are."""
    assert shortened(summary) == kept


def test_only_who_accepts_is_joined_with_the_caller() -> None:
    """Recipe 8.4: the caller leaves the stream when somebody waits for them, and not before."""
    machine = asked()
    assert machine.handle(e.SideCallPlaced(1, "desk", "CA2"), 1_100) == []
    assert machine.handle(e.SideCallAnswered(1), 2_000) == []

    assert machine.handle(e.SideCallAccepted(1), 3_000) == [c.Join("desk", 1)]
    assert machine.handle(e.TransferAccepted(), 3_100) == []
    out = machine.handle(e.StreamStopped(), 3_200)
    assert out[-1] == c.EndStream("transferring")
    assert "DropSideCall" not in kinds(out)


@pytest.mark.parametrize(
    "reason",
    ["no_answer", "busy", "declined", "not_accepted", "machine", "http_500", "rate_limited"],
)
def test_who_was_not_reached_leaves_the_caller_with_the_agent(reason: str) -> None:
    """L28, S20, D-PT-9, D-TRA-4: nothing was lost, the music stops, the agent says so."""
    machine = asked()

    out = machine.handle(over(reason), 1_500)

    assert out[0] == c.NotReached("desk", reason, "resume")
    assert c.CallerReleased() in out
    assert (told(out)["ok"], told(out)["reason"]) == (False, reason)
    assert out[-1] == c.CreateResponse("tool_result")
    assert not {"Join", "Transfer"} & set(kinds(out))
    assert [type(x) for x in machine.handle(frame(0), 1_600)][-1] is c.AppendAudio


def test_what_the_operator_wants_said_then_is_given_to_the_model() -> None:
    """W37, W40: the line of the document, word for word."""
    out = asked(plan(said="They are at lunch.")).handle(over("busy"), 1_500)

    assert '"They are at lunch."' in str(told(out)["note"])


def test_a_message_can_be_taken_instead() -> None:
    """W41: who cannot be reached gets a message."""
    out = asked(plan("take_message")).handle(over("no_answer"), 1_500)

    assert MESSAGE in str(told(out)["note"])


def test_the_call_ends_with_a_word_where_the_document_says_so() -> None:
    """W41: ``end_call`` never hangs up on somebody who was told nothing."""
    machine = asked(plan("end_call", "Nobody is there. Goodbye."))

    out = machine.handle(over("no_answer"), 1_500)
    wanted = out[-1]
    assert isinstance(wanted, c.CreateResponse)
    assert "Nobody is there. Goodbye." in (wanted.instructions or "")
    assert "HangUp" not in kinds(out)
    machine.handle(started("R2", "goodbye"), 1_600)
    (name,) = say(machine, 50, 1_700, item_id="B", response_id="R2")
    machine.handle(done("R2"), 1_800)
    assert machine.handle(e.MarkReturned(name), 1_900) == [c.HangUp()]
    machine.handle(e.HangUpDone(accepted=True), 2_000)
    assert machine.handle(e.StreamStopped(), 2_100) == [c.EndStream("transfer_failed")]


def test_another_person_may_be_asked_then() -> None:
    """The music goes on, and what comes late of the first one changes nothing."""
    machine = asked(plan("boss"))

    out = machine.handle(over("busy"), 1_500)
    assert out == [
        c.NotReached("desk", "busy", "boss"),
        c.PlaceSideCall("boss", 2, "Ada asks about claim 7."),
    ]
    assert machine.handle(e.SideCallAccepted(1), 1_600) == []
    assert machine.handle(over("busy", 1), 1_600) == []
    assert machine.handle(e.SideCallAccepted(2), 1_700) == [c.Join("boss", 2)]


def test_the_caller_may_be_put_through_to_another_target_unasked() -> None:
    """A cold target stands behind a warm one, such as the switchboard."""
    out = asked(plan("billing")).handle(over("busy"), 1_500)

    through = c.Transfer("billing", summary="Ada asks about claim 7.")
    assert out == [c.NotReached("desk", "busy", "billing"), through]


@pytest.mark.parametrize(
    "event", [e.StreamStopped(), e.CallEnded("completed"), e.CallerLineLost(1006)]
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_caller_who_leaves_ends_the_call_to_the_person(event: e.Event, answered: bool) -> None:
    """Recipe 8.4, 5: nobody is asked to take a call that is over."""
    machine = asked()
    if answered:
        machine.handle(e.SideCallAnswered(1), 1_200)

    out = machine.handle(event, 1_500)

    assert c.DropSideCall(1) in out
    assert type(out[-1]) is c.EndStream
    assert out[-1].reason in {"caller_hangup", "stream_lost"}


def test_a_caller_who_leaves_on_the_way_into_the_room_leaves_nobody_waiting_there() -> None:
    """The person accepted, and would listen to silence."""
    machine = asked()
    machine.handle(e.SideCallAccepted(1), 1_500)

    assert c.DropSideCall(1) in machine.handle(e.CallEnded("completed"), 1_600)


def test_a_redirect_into_the_room_that_twilio_refuses_is_told_to_the_model() -> None:
    """The caller is still here, and the person is let go."""
    machine = asked()
    machine.handle(e.SideCallAccepted(1), 1_500)

    out = machine.handle(e.TransferRefused("server_error"), 1_600)

    assert out[0] == c.DropSideCall(1)
    assert c.CallerReleased() in out
    assert told(out) == {"ok": False, "reason": "server_error"}


def test_a_person_of_whom_nobody_tells_anything_is_waited_for_no_longer() -> None:
    """Callbacks get lost; music without an end is dead air with a tune."""
    machine = asked()

    out = machine.wake(1_000 + PLACED_MS + RING_MS)

    assert c.DropSideCall(1) in out
    assert told(out)["reason"] == "no_answer"


def test_who_picked_up_has_time_to_decide_and_not_for_ever() -> None:
    """What it is about is said twice."""
    machine = asked()
    machine.handle(e.SideCallAnswered(1), 20_000)

    assert "DropSideCall" not in kinds(machine.wake(1_000 + PLACED_MS + RING_MS))
    assert c.DropSideCall(1) in machine.wake(20_000 + DECIDES_MS)


def test_the_star_key_takes_the_wish_back() -> None:
    """Recipe 8.4, 1: "never mind"; other keys mean nothing to music."""
    machine = asked(plan("end_call"))

    assert machine.handle(e.CallerDigit("5"), 1_200) == []
    out = machine.handle(e.CallerDigit("*"), 1_300)

    assert out[0] == c.DropSideCall(1)
    assert told(out)["reason"] == "caller_changed_their_mind"
    assert out[-1] == c.CreateResponse("tool_result")


def test_what_is_keyed_in_while_the_person_is_called_is_in_no_flight_log() -> None:
    """The rest of a PIN that was asked for just before; but the star must be replayed."""
    pin = {"pin": DigitsPreset(num_digits=4, sensitive=True)}
    machine = asked(replace(plan(), presets=pin))

    machine.handle(e.CallerDigit("7"), 3000)
    typed = machine.private_key
    machine.handle(e.CallerDigit("*"), 3100)

    assert typed is True
    assert machine.private_key is False


def test_an_operators_transfer_asks_the_person_too() -> None:
    """The command is over when the caller was redirected, or when it failed."""
    machine = on_the_phone(plan())
    machine.handle(e.TransferOrdered("cmd", "desk", summary="Ada waits."), 0)
    machine.handle(started("R", "announce"), 10)
    (name,) = say(machine, 50, 20)
    machine.handle(done(), 30)
    assert c.PlaceSideCall("desk", 1, "Ada waits.") in machine.handle(e.MarkReturned(name), 100)

    out = machine.handle(over("busy"), 200)

    assert c.OrderDone("cmd", "failed", "busy") in out
    assert out[-1] == c.CreateResponse("not_through")


def test_an_operator_who_ends_the_call_lets_the_person_go() -> None:
    """Nobody rings for a call that is being hung up."""
    out = asked().handle(e.HangUpOrdered("operator_ended"), 1_500)

    assert c.DropSideCall(1) in out
    assert c.HangUp() in out


def test_a_model_that_is_lost_for_good_does_not_take_the_person_away() -> None:
    """Who asked for a person needs no model any more; without a person there is the failure."""
    machine = asked()
    for attempt in range(8):
        machine.handle(e.ModelLineLost(1011, "gone"), 1_500 + attempt)
        machine.handle(e.ModelRefused("bad_key", retryable=False), 1_500 + attempt)

    assert "FailOver" not in kinds(machine.wake(30_000))
    assert c.FailOver() in machine.handle(over("busy"), 30_100)


def test_a_line_that_was_lost_during_the_music_is_not_waited_for_without_an_end() -> None:
    """Nobody counted while the person was asked; then nobody was reached, and nobody spoke."""
    machine = asked()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 1_200)
    machine.wake(10_000)
    machine.handle(over("busy"), 15_000)

    out = [one for at_ms in range(15_500, 30_000, 500) for one in machine.wake(at_ms)]
    assert c.FailOver() in out


def test_no_word_of_the_agents_ends_the_music_of_who_waits_for_a_person() -> None:
    """The caller was on hold until the agent speaks; now a person is asked, and it must not."""
    machine = on_the_phone(plan())
    machine.handle(e.HoldOrdered("H", "Look it up."), 0)
    out = machine.handle(e.TransferOrdered("T", "desk", at_once=True), 100)
    assert c.SetSound("target:desk") in out
    assert c.CallerHeld("transfer") not in out
    machine.handle(started("R", "no_input"), 200)

    assert "CallerReleased" not in kinds(machine.handle(speech(200), 300))
    assert [type(x) for x in machine.handle(frame(0), 400)] == [c.AppendSilence]
    assert c.CallerReleased() in machine.handle(over("busy"), 1_500)
