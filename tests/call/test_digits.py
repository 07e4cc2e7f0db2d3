"""Keys the caller pressed, as one turn."""

from app.call.alarms import Alarm, Alarms
from app.call.digits import MOST_DIGITS, PAUSE_MS, Digits
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, started


def test_a_number_is_one_turn() -> None:
    """`D-PT-10`: ten digits were ten interruptions and ten responses."""
    machine = on_the_phone()
    for n, digit in enumerate("0123456789"):
        assert machine.handle(e.CallerDigit(digit), n * 200) == []

    assert machine.deadline_ms() == 1_800 + PAUSE_MS
    assert machine.wake(1_800 + PAUSE_MS) == [
        c.AddMessage("user", "[keypad] The caller pressed: 0 1 2 3 4 5 6 7 8 9"),
        c.CreateResponse("digits"),
    ]


def test_one_key_is_a_turn_too() -> None:
    """`D-BL-3`: "press 1" must work without a `#` behind it."""
    machine = on_the_phone()
    machine.handle(e.CallerDigit("1"), 0)

    assert machine.wake(PAUSE_MS)[0] == c.AddMessage("user", "[keypad] The caller pressed: 1")


def test_a_hash_ends_the_turn_at_once() -> None:
    """Callers know it from every other machine."""
    alarms = Alarms()
    digits = Digits(alarms)
    digits.press("4", 0)

    assert digits.press("#", 100) == "4#"
    assert not alarms.is_set(Alarm.DIGITS)
    assert digits.paused() is None


def test_a_stuck_key_is_bounded() -> None:
    """A turn cannot grow for ever."""
    digits = Digits(Alarms())

    turns = [digits.press("7", n) for n in range(MOST_DIGITS)]

    assert turns[:-1] == [None] * (MOST_DIGITS - 1)
    assert turns[-1] is not None


def test_keys_pressed_while_there_is_no_model_are_told_to_the_next_one() -> None:
    """The caller typed the account number and will not do it again."""
    machine = on_the_phone()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    assert machine.handle(e.CallerDigit("5"), 200) == []
    assert machine.handle(e.CallerDigit("#"), 300) == []

    assert machine.handle(e.ModelReady("sess_2"), 400)[0] == c.AddMessage(
        "system", "[keypad] The caller pressed: 5 #"
    )


def test_keys_are_answered_when_the_response_they_cut_is_over() -> None:
    """A cancelled response is active until its response.done."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    say(machine, 500, 0)
    machine.handle(e.CallerDigit("#"), 100)

    assert machine.handle(done(status="cancelled", reason="client_cancelled"), 150) == [
        c.CreateResponse("digits")
    ]


def test_keys_after_the_end_of_a_live_call_say_nothing() -> None:
    """A leaving call has nobody to tell."""
    machine = on_the_phone(CallPlan())
    machine.handle(e.CallerDigit("1"), 0)
    machine.handle(e.HangUpOrdered("operator_ended"), 100)

    assert machine.handle(e.CallerDigit("#"), 200) == []
    assert machine.wake(PAUSE_MS) == []
