"""Menus that a call we placed is answered with: heard to their end, and not round and round."""

import orjson

from app.call.alarms import Alarms
from app.call.machine import CallMachine
from app.call.menus import SAME, Menus, Round
from app.call.navigating import GOES_ROUND
from app.call.plan import CallPlan, MenuPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, on_the_phone, speech, started, tool_call

PLAN = CallPlan(may_press=True, menus=MenuPlan(pause_ms=2_000), speaks_after_ms=4_000)
MENU = "For sales press one, for support press two, to hear this again press nine."
HEARD = "For sales press one. For support press two. To hear this again, press nine."
"""The same to other ears."""


def turn(machine: CallMachine, item_id: str, at_ms: int, text: str = "") -> list[c.Command]:
    """The far end says something for half a second."""
    out = machine.handle(e.SpeechStarted(item_id), at_ms)
    out += machine.handle(e.SpeechStopped(item_id), at_ms + 500)
    out += machine.handle(e.CallerTurnCommitted(item_id), at_ms + 500)
    return out + (machine.handle(e.CallerTranscribed(item_id, text), at_ms + 600) if text else [])


def asked(commands: list[c.Command]) -> list[str]:
    return [x.purpose for x in commands if isinstance(x, c.CreateResponse)]


def test_the_server_answers_no_menu() -> None:
    """IVR mode: turns are ours from the beginning of the line; without menus they are not."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    assert c.SetTurnTaking(by_server=False) in machine.handle(e.ModelReady("sess_1"), 0)

    machine = CallMachine(CallPlan())
    machine.begin(0)
    assert "SetTurnTaking" not in kinds(machine.handle(e.ModelReady("sess_1"), 0))


def test_a_menu_is_answered_when_it_has_been_silent_for_long() -> None:
    """IVR mode: its pauses are none of ours; one answer to all of it."""
    machine = on_the_phone(PLAN)

    assert not asked(turn(machine, "A", 0))
    assert not asked(turn(machine, "B", 1_800))
    assert not asked(machine.wake(2_500)), "it went on before"
    assert asked(machine.wake(4_300)) == ["turn"]


def test_whoever_is_spoken_to_is_a_person() -> None:
    """The usual turns again; and a menu once more when keys are pressed."""
    machine = on_the_phone(PLAN)
    turn(machine, "A", 0)
    machine.wake(2_500)
    machine.handle(started("R", "turn"), 2_600)
    machine.handle(speech(100), 2_700)

    assert c.SetTurnTaking(by_server=True) in machine.handle(done(), 2_800)

    machine.handle(e.ResponseStarted("R2", None), 5_000)
    keys = orjson.dumps({"digits": "1"}).decode()
    out = machine.handle(tool_call("send_dtmf", response_id="R2", arguments=keys), 5_010)
    assert c.SetTurnTaking(by_server=False) in out


def test_a_model_that_says_nothing_to_a_menu_is_not_urged() -> None:
    """Silence is an answer there."""
    machine = on_the_phone(PLAN)
    turn(machine, "A", 0)
    machine.wake(2_500)
    machine.handle(started("R", "turn"), 2_600)

    assert not asked(machine.handle(done(), 2_800))


def test_a_menu_heard_three_times_is_told_and_heard_again_ends_the_call() -> None:
    """IVR mode: once told, in the record too; then the call ends with its own reason."""
    machine = on_the_phone(PLAN)
    assert "MenuRepeated" not in kinds(
        turn(machine, "A", 0, MENU) + turn(machine, "B", 4_000, HEARD)
    )

    third = turn(machine, "C", 8_000, MENU)
    assert c.MenuRepeated("menu_loop") in third
    assert c.AddMessage("system", GOES_ROUND) in third

    fourth = turn(machine, "D", 12_000, HEARD)
    assert c.HangUp() in fourth
    machine.handle(e.HangUpDone(accepted=True), 12_700)
    assert machine.handle(e.StreamStopped(), 12_800)[-1] == c.EndStream("ivr")


def test_a_menu_that_goes_round_may_go_on() -> None:
    """The operator's wish; the model is told once all the same."""
    machine = on_the_phone(CallPlan(menus=MenuPlan(ends=False)))

    out = [x for number in range(6) for x in turn(machine, f"I{number}", 4_000 * number, MENU)]

    assert kinds(out).count("MenuRepeated") == 1
    assert "HangUp" not in kinds(out)


def test_people_may_repeat_themselves() -> None:
    """Nobody is taken for a menu in a call that came in, and short words are everybody's."""
    machine = on_the_phone(CallPlan())
    out = [x for number in range(6) for x in turn(machine, f"I{number}", 4_000 * number, MENU)]
    assert not {"MenuRepeated", "HangUp"} & set(kinds(out))

    menus = Menus(Alarms(), MenuPlan())
    assert {menus.said("Hello, who is") for _ in range(9)} == {Round.NEW}


def test_menus_with_other_choices_are_other_menus() -> None:
    """What they have in common is less than what counts as the same."""
    menus = Menus(Alarms(), MenuPlan())
    others = (
        "For sales press one, for support press two.",
        "For invoices say invoices, for a new contract say contract.",
        "Please enter your account number followed by the pound key.",
        "All our agents are busy, please hold the line.",
    )

    assert SAME > 0.8
    assert {menus.said(text) for text in others * 2} == {Round.NEW}
