"""Something is keyed in because it was asked for: rows W25, W26 and W49 to W57."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.call.digits import PAUSE_MS
from app.call.hearing import STALL_MS, Hidden
from app.call.key_tones import HELD_FRAMES
from app.call.keying import AGAIN, NO_KEYPAD
from app.call.keypad import AGAIN_MS, DISCREET_MS, LONGEST_MS
from app.call.machine import CallMachine
from app.call.orders import SAID_WITHIN_MS
from app.call.plan import MOST_ROUNDS, CallPlan, DigitsPreset, ToolPlan
from app.call.responses import STALLED_MS
from app.call.toolbook import FILLER_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

FIRST_MS, NEXT_MS = 8_000, 4_000
SPOKEN = c.CreateResponse("tool_result")
PIN = DigitsPreset(num_digits=6, finish_on_key="#", sensitive=True, ignore_speech=True)


def asked(
    preset: DigitsPreset, *, name: str = "number", plan: CallPlan | None = None
) -> CallMachine:
    """A machine whose model wants ``preset`` keyed in; at 0 ms, with nothing to say first."""
    machine = on_the_phone(replace(plan or CallPlan(), presets={name: preset}))
    machine.handle(started(), 0)
    assert machine.handle(collect(name), 0) == []
    assert machine.handle(done(), 0) == []
    return machine


def collect(name: str = "number", tool_call_id: str = "T1", response_id: str = "R") -> e.ToolCalled:
    arguments = orjson.dumps({"preset": name}).decode()
    return tool_call(
        "collect_dtmf", tool_call_id=tool_call_id, response_id=response_id, arguments=arguments
    )


def press(
    machine: CallMachine, keys: str, now_ms: int = 0, *, every_ms: int = 200
) -> list[c.Command]:
    """Keys, one after the other; what they led to."""
    out: list[c.Command] = []
    for n, key in enumerate(keys):
        out += machine.handle(e.CallerDigit(key), now_ms + n * every_ms)
    return out


def outputs(commands: list[c.Command]) -> list[dict[str, Any]]:
    """What the model was told by the outputs of tools."""
    return [orjson.loads(x.output) for x in commands if isinstance(x, c.AddToolOutput)]


def told(commands: list[c.Command]) -> list[c.DigitsCollected]:
    """What the record was told."""
    return [x for x in commands if isinstance(x, c.DigitsCollected)]


def test_the_finishing_key_ends_it_at_once() -> None:
    """W49: ``1234#`` is "1234", without waiting for more."""
    machine = asked(DigitsPreset(finish_on_key="#"))

    assert press(machine, "1234") == []
    assert press(machine, "#", 900) == [
        c.DigitsCollected("number", "1234", 4, ok=True, reason="finish_on_key"),
        c.AddToolOutput("T1", '{"ok":true,"digits":"1234"}'),
        SPOKEN,
    ]


def test_the_sixteenth_of_sixteen_digits_ends_it() -> None:
    """W50: a card number needs no key behind it."""
    machine = asked(DigitsPreset(num_digits=16))

    assert press(machine, "123456789012345") == []
    assert outputs(press(machine, "6", 3_000)) == [{"ok": True, "digits": "1234567890123456"}]


def test_too_few_digits_fail_and_are_told_all_the_same() -> None:
    """W51: the model may make something of what there is."""
    machine = asked(DigitsPreset(min_digits=4, max_digits=8))
    press(machine, "12", every_ms=100)

    out = machine.wake(100 + NEXT_MS)

    assert told(out) == [c.DigitsCollected("number", "12", 2, ok=False, reason="too_few_digits")]
    assert outputs(out) == [{"ok": False, "reason": "too_few_digits", "digits": "12"}]
    assert out[-1] == SPOKEN


def test_as_many_digits_as_there_may_be_end_it_at_once() -> None:
    """W52: the turn begins when the most is reached."""
    machine = asked(DigitsPreset(min_digits=4, max_digits=8))

    assert press(machine, "1234567") == []
    assert outputs(press(machine, "8", 2_000)) == [{"ok": True, "digits": "12345678"}]


def test_enough_digits_are_all_there_are_when_no_more_come() -> None:
    """W52: between least and most, a pause says that it was all."""
    machine = asked(DigitsPreset(min_digits=4, max_digits=8))
    press(machine, "1234", every_ms=100)

    assert told(machine.wake(300 + NEXT_MS))[0] == c.DigitsCollected(
        "number", "1234", 4, ok=True, reason="timeout"
    )


def test_pauses_between_digits_are_waited_for_but_not_for_ever() -> None:
    """W53: gaps of 3 s pass with a limit of 4 s, one of 5 s ends it."""
    machine = asked(DigitsPreset(max_digits=9))
    for n, key in enumerate("123"):
        now_ms = n * 3_000
        assert machine.wake(now_ms) == []
        assert machine.handle(e.CallerDigit(key), now_ms) == []

    assert machine.deadline_ms() == 6_000 + NEXT_MS
    assert outputs(machine.wake(6_000 + NEXT_MS)) == [{"ok": True, "digits": "123"}]


def test_the_time_for_the_first_digit_begins_when_the_question_was_heard() -> None:
    """W53: a long question must not eat the caller's time."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=4)}))
    machine.handle(started(), 0)
    names = say(machine, 5_000, 0)
    machine.handle(collect(), 10)
    machine.handle(done(), 20)

    machine.handle(e.MarkReturned(names[-1]), 5_000)

    assert told(machine.wake(5_000 + FIRST_MS - 1)) == []
    out = machine.wake(5_000 + FIRST_MS)
    assert outputs(out) == [{"ok": False, "reason": "no_digits", "digits": ""}]


def test_nobody_is_told_to_wait_while_they_are_waited_for() -> None:
    """W53: what reminds of silence is off; "one moment, please" would be one."""
    machine = asked(DigitsPreset(num_digits=4))

    assert machine.wake(FILLER_MS) == []
    assert machine.wake(FIRST_MS - 1) == []


def test_a_caller_who_speaks_instead_has_their_time_from_then_on() -> None:
    """W53: "wait, I am looking for my card" is no refusal to press keys."""
    machine = asked(DigitsPreset(num_digits=4))
    machine.handle(e.SpeechStarted("U"), FIRST_MS - 100)

    assert told(machine.wake(FIRST_MS)) == []
    machine.handle(e.SpeechStopped("U"), FIRST_MS + 500)
    assert told(machine.wake(2 * FIRST_MS)) != []


def test_what_is_said_over_keys_is_silence_to_the_model() -> None:
    """W54: from the first digit to the end, with the timeline kept."""
    machine = asked(DigitsPreset(num_digits=2, ignore_speech=True))
    heard: list[c.Command] = []
    for n in range(600):
        if n in {20, 200}:
            heard += [x for x in press(machine, "5", n * 20) if isinstance(x, c.AppendAudio)]
        heard += machine.handle(frame(n * 20), n * 20)

    sounds = kinds(heard)
    assert len(sounds) == 600
    assert sounds[:15] == ["AppendAudio"] * 15
    assert sounds[15:213] == ["AppendSilence"] * 198
    assert sounds[213:] == ["AppendAudio"] * 387


def test_what_is_said_beside_keys_is_heard_but_for_their_tones() -> None:
    """W54: the default is that speech counts; a tone is no speech. Twilio leaves it in the
    audio and tells of the key when it has begun."""
    machine = asked(DigitsPreset(num_digits=9))
    heard: list[c.Command] = []
    for n in range(400):
        if n == 20:
            press(machine, "5", 400)
        heard += machine.handle(frame(n * 20), n * 20)

    sounds = kinds(heard)
    assert sounds[:15] == ["AppendAudio"] * 15
    assert sounds[15:33] == ["AppendSilence"] * 18
    assert set(sounds[33:]) == {"AppendAudio"}


def test_without_keys_no_frame_is_held_back() -> None:
    """The price of silenced tones is paid by those who key something in."""
    machine = on_the_phone()
    press(machine, "5", 0)
    assert not machine.passes(frame(0), 10)
    for n in range(200):
        machine.handle(frame(n * 20), n * 20)
    machine.wake(4_000)

    assert machine.passes(frame(4_000), 4_000)


def test_further_keys_are_ignored_until_they_are_asked_for() -> None:
    """W55: ``stop_after`` and ``dtmf.start``."""
    machine = asked(DigitsPreset(num_digits=2, stop_after=True))
    press(machine, "12")
    machine.handle(started("R2", "tool_result"), 300)
    machine.handle(done("R2"), 400)

    assert press(machine, "3#", 1_000) == []
    assert machine.handle(e.DigitsOrdered("cmd_1"), 6_000) == [c.OrderDone("cmd_1", "completed")]
    assert c.AddMessage("user", "[keypad] The caller pressed: 4 #") in press(machine, "4#", 7_000)


def test_a_collection_opens_ignored_keys_again() -> None:
    """W55: whoever asks wants an answer."""
    machine = asked(DigitsPreset(num_digits=2, stop_after=True))
    press(machine, "12")
    machine.handle(started("R2", "tool_result"), 1_000)
    machine.handle(collect(tool_call_id="T2", response_id="R2"), 1_000)

    assert outputs(press(machine, "34", 2_000)) == [{"ok": True, "digits": "34"}]


def test_a_line_without_keys_is_told_so_and_waits_for_none() -> None:
    """W57: on a browser's line a keypad command does nothing, with a warning."""
    plan = CallPlan(presets={"number": DigitsPreset(num_digits=4)}, has_keys=False)
    machine = on_the_phone(plan)
    machine.handle(started(), 0)

    out = machine.handle(collect(), 0)
    assert out == [
        c.DigitsCollected("", "", 0, ok=False, reason="no_keypad"),
        c.AddToolOutput("T1", NO_KEYPAD),
    ]
    assert machine.handle(e.DigitsOrdered("cmd_1", "number"), 10)[-1] == c.OrderDone(
        "cmd_1", "completed"
    )


def test_a_line_on_which_a_key_was_pressed_has_keys() -> None:
    """W57: a softphone may have them, and shows it."""
    plan = CallPlan(presets={"number": DigitsPreset(num_digits=1)}, has_keys=False)
    machine = on_the_phone(plan)
    press(machine, "#")
    machine.handle(started(), 100)
    machine.handle(collect(), 100)

    assert outputs(press(machine, "4", 200)) == [{"ok": True, "digits": "4"}]


def test_keys_during_playback_are_ignored_where_they_must_not_interrupt() -> None:
    """W25: no ``clear``, and the digit is absent from the collection."""
    plan = CallPlan(presets={"number": DigitsPreset(num_digits=2)}, interruptible="speech")
    machine = on_the_phone(plan)
    machine.handle(started(), 0)
    names = say(machine, 1_000, 0)
    machine.handle(collect(), 10)
    machine.handle(done(), 20)

    assert press(machine, "9", 500) == []
    machine.handle(e.MarkReturned(names[-1]), 1_000)
    assert outputs(press(machine, "12", 1_100)) == [{"ok": True, "digits": "12"}]


def test_a_key_stops_playback_and_counts() -> None:
    """W26: who knows the menu need not listen to it."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(started(), 0)
    say(machine, 1_000, 0)
    machine.handle(collect(), 10)
    machine.handle(done(), 20)

    assert kinds(press(machine, "1", 500)) == ["ClearPlayback", "TruncateItem"]
    assert outputs(press(machine, "2", 700)) == [{"ok": True, "digits": "12"}]


def test_a_choice_is_told_with_its_meaning() -> None:
    """The model need not remember which key meant what."""
    machine = asked(DigitsPreset(num_digits=1, choices={"1": "a new claim", "0": "a person"}))

    assert outputs(press(machine, "1")) == [{"ok": True, "digits": "1", "choice": "a new claim"}]


def test_what_does_not_fit_is_asked_for_again_as_often_as_the_preset_says() -> None:
    """The caller hears what to press; the model's tool call stays open meanwhile."""
    machine = asked(DigitsPreset(num_digits=1, choices={"1": "a new claim"}, retries=1))

    failed, again = press(machine, "7")
    assert failed == c.DigitsCollected("number", "7", 1, ok=False, reason="no_such_choice")
    assert isinstance(again, c.CreateResponse)
    assert (again.purpose, again.tools) == (AGAIN, False)
    assert "1 for a new claim" in (again.instructions or "")
    machine.handle(started("R2", AGAIN), 100)
    (name,) = say(machine, 200, 100, response_id="R2", item_id="B")
    machine.handle(done("R2"), 110)
    machine.handle(e.MarkReturned(name), 300)
    assert outputs(press(machine, "8", 400)) == [
        {"ok": False, "reason": "no_such_choice", "digits": "8"}
    ]


def test_a_collection_that_comes_to_nothing_ends() -> None:
    """Digits that never come: however often somebody speaks meanwhile."""
    machine = asked(DigitsPreset(num_digits=4))
    out: list[c.Command] = []
    for at_ms in range(0, LONGEST_MS + FIRST_MS, 1_000):
        machine.handle(e.SpeechStarted("U"), at_ms)
        out += machine.wake(at_ms)
        if at_ms < LONGEST_MS:
            assert outputs(out) == []

    assert outputs(out) == [{"ok": False, "reason": "no_digits", "digits": ""}]


def test_keys_pressed_just_before_belong_to_what_is_asked() -> None:
    """Who calls every day types ahead; half a number must not be a turn of its own."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=4)}))
    press(machine, "12", every_ms=100)
    machine.handle(started(), 300)
    machine.handle(collect(), 300)

    assert outputs(press(machine, "34", 400)) == [{"ok": True, "digits": "1234"}]
    assert machine.wake(5_000) == []


def test_the_finishing_key_after_the_last_digit_is_no_turn() -> None:
    """W49, W50: many press it out of habit."""
    machine = asked(DigitsPreset(num_digits=2, finish_on_key="#"))
    press(machine, "12")

    assert press(machine, "#", 300) == []
    assert press(machine, "#", 200 + AGAIN_MS)[0] == c.AddMessage(
        "user", "[keypad] The caller pressed: #"
    )


def test_another_question_ends_the_one_before_it() -> None:
    """The model changed its mind: one answer, to the latest question."""
    machine = asked(DigitsPreset(num_digits=2))
    machine.handle(started("R2"), 100)

    out = machine.handle(collect(tool_call_id="T2", response_id="R2"), 100)

    assert outputs(out) == [{"ok": False, "reason": "superseded", "digits": ""}]
    assert outputs(press(machine, "34", 200)) == [{"ok": True, "digits": "34"}]


@pytest.mark.parametrize("arguments", ["", "{", "[]", "{}", '{"preset": 7}', '{"preset": "pin"}'])
def test_an_unknown_preset_is_answered_with_those_there_are(arguments: str) -> None:
    """The model invents; the caller must not wait for it."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(started(), 0)

    (output,) = outputs(machine.handle(tool_call("collect_dtmf", arguments=arguments), 0))

    assert output["reason"] == "unknown_preset"
    assert "number" in output["note"]
    machine.handle(done(), 50)
    assert press(machine, "1#", 100)[-1] == c.AddMessage("user", "[keypad] The caller pressed: 1 #")


def test_a_line_without_presets_has_no_such_tool() -> None:
    """As with any other name."""
    machine = on_the_phone()
    machine.handle(started(), 0)

    assert machine.handle(tool_call("collect_dtmf"), 0) == [
        c.AddToolOutput("T1", "there is no tool 'collect_dtmf'")
    ]


def test_the_operator_has_something_keyed_in() -> None:
    """The command completes when it is known; the model is told, and speaks."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    assert machine.handle(e.DigitsOrdered("cmd_1", "number"), 0) == []

    assert press(machine, "12", 100) == [
        c.DigitsCollected("number", "12", 2, ok=True, reason="num_digits"),
        c.AddMessage("user", '[keypad] The caller pressed for number: {"ok":true,"digits":"12"}'),
        c.CreateResponse("digits"),
        c.OrderDone("cmd_1", "completed"),
    ]


def test_an_order_that_comes_to_nothing_fails_and_lets_the_next_one_begin() -> None:
    """W1: a list of commands is carried out in its order."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(e.DigitsOrdered("cmd_1", "number"), 0)
    machine.handle(e.MessageOrdered("cmd_2", "system", "The customer is known."), 10)

    out = machine.wake(FIRST_MS)

    assert c.OrderDone("cmd_1", "failed", "no_digits") in out
    assert out[-1] == c.OrderDone("cmd_2", "completed")
    assert machine.handle(e.DigitsOrdered("cmd_3", "pin"), FIRST_MS + 10) == [
        c.OrderDone("cmd_3", "refused", "unknown_preset")
    ]


def test_orders_to_hang_up_do_not_wait_for_keys() -> None:
    """What was ordered before is dropped with the call."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(e.DigitsOrdered("cmd_1", "number"), 0)

    out = machine.handle(e.HangUpOrdered("operator_ended", "cmd_2"), 100)

    assert c.OrderDone("cmd_1", "failed", "stream_over") in out
    assert press(machine, "12", 200) == []
    assert machine.deadline_ms() is None or machine.deadline_ms() != SAID_WITHIN_MS


def test_sensitive_digits_are_kept_for_tools_and_told_to_nobody() -> None:
    """The model passes a name on; only what keeps the digits for tools holds them."""
    machine = asked(PIN, name="pin")

    out = press(machine, "123456")

    assert out == [
        c.DigitsCollected("pin", "[redacted:6]", 6, ok=True, reason="num_digits"),
        c.KeepDigits("pin", "123456"),
        c.AddToolOutput("T1", '{"ok":true,"length":6,"digits":"{{dtmf.pin}}"}'),
        SPOKEN,
    ]
    assert "123456" not in repr(out)
    assert "1" not in "".join(entry.text + entry.arguments for entry in machine.transcript.entries)


def test_a_secret_that_comes_too_late_is_not_told_either() -> None:
    """The collection was over, and the caller goes on typing the same number."""
    machine = asked(PIN, name="pin")
    machine.wake(FIRST_MS)

    (message, *_) = press(machine, "1234#", FIRST_MS + 100)

    assert isinstance(message, c.AddMessage)
    assert "5 keys" in message.text
    assert not any(digit in message.text for digit in "1234")
    late_ms = FIRST_MS + DISCREET_MS
    assert c.AddMessage("user", "[keypad] The caller pressed: 1 #") in press(machine, "1#", late_ms)


def test_whether_a_key_may_be_written_down_is_known_when_it_is_over() -> None:
    """Of keys that were pressed before the question only the question tells."""
    machine = on_the_phone(CallPlan(presets={"pin": PIN}))
    press(machine, "12")
    undecided = machine.private_key, machine.private_turn
    machine.handle(started(), 300)
    machine.handle(collect("pin"), 300)
    typed_ahead = machine.private_turn
    press(machine, "3", 400)
    typed = machine.private_key
    press(machine, "#", 500)

    assert (undecided, typed_ahead, typed) == ((None, None), True, True)
    assert machine.private_key is False


def cut_short(preset: DigitsPreset) -> CallMachine:
    """A machine whose question is being heard when its first key is pressed, at 300 ms."""
    machine = on_the_phone(CallPlan(presets={"number": preset}))
    machine.handle(started(), 0)
    say(machine, 2_000, 0)
    assert c.ClearPlayback() in machine.handle(e.CallerDigit("4"), 300)
    return machine


def test_keys_into_the_question_belong_to_the_collection_it_announces() -> None:
    """W49: its tool call was on its way when the first key cut the question."""
    machine = cut_short(DigitsPreset(num_digits=3))
    press(machine, "1", 500)
    machine.handle(collect(), 600)

    out = press(machine, "5", 700) + machine.handle(done(status="cancelled"), 800)

    assert outputs(out) == [{"ok": True, "digits": "415"}]
    assert not [x for x in out if isinstance(x, c.AddMessage)]


def test_the_finishing_key_does_not_end_a_turn_that_may_be_a_collection() -> None:
    """W49: who knows the question has typed all of it before it is asked for."""
    machine = cut_short(DigitsPreset(finish_on_key="#"))

    assert press(machine, "15#", 400) == []
    assert outputs(machine.handle(collect(), 850)) == [{"ok": True, "digits": "415"}]
    machine.handle(done(status="cancelled"), 900)
    assert machine.wake(900 + PAUSE_MS) == []


def test_keys_wait_as_long_as_the_response_may_ask_for_them() -> None:
    """W49: a secret that is typed ahead is in nobody's turn, however slow the tool call comes."""
    machine = cut_short(PIN)
    press(machine, "123", 400)

    assert machine.wake(800 + PAUSE_MS) == []
    out = machine.handle(collect(), 3_000) + press(machine, "45", 3_100)
    assert outputs(out) == [
        {"ok": True, "length": 6, "digits": "{{dtmf.number}}"},
    ]
    assert "41234" not in repr([x for x in out if not isinstance(x, c.KeepDigits)])


def test_keys_that_nobody_asked_for_are_a_turn_when_the_response_is_over() -> None:
    """W49: what the question would have led to was cut off with it."""
    machine = cut_short(DigitsPreset(num_digits=3))
    press(machine, "15", 400)
    machine.handle(done(status="cancelled"), 650)

    out = machine.wake(600 + PAUSE_MS)

    assert out[0] == c.AddMessage("user", "[keypad] The caller pressed: 4 1 5")


def test_keys_that_were_told_are_in_no_collection() -> None:
    """W49: they answered something else, and of a secret they would have told too much."""
    machine = on_the_phone(CallPlan(presets={"number": PIN}))
    assert press(machine, "12#")[0] == c.AddMessage("user", "[keypad] The caller pressed: 1 2 #")
    machine.handle(started("R2", "digits"), 700)
    machine.handle(collect(response_id="R2"), 700)
    machine.handle(done("R2"), 750)

    assert outputs(press(machine, "345678", 1_000)) == [
        {"ok": True, "length": 6, "digits": "{{dtmf.number}}"},
    ]


def test_keys_of_a_turn_may_be_written_down_once_they_are_told() -> None:
    """An agent with secrets has other keys, too."""
    machine = on_the_phone(CallPlan(presets={"pin": PIN}))
    press(machine, "12")
    assert machine.private_turn is None

    machine.wake(5_000)

    assert machine.private_turn is False


def test_a_model_that_is_lost_meanwhile_is_told_on_its_next_line() -> None:
    """The caller has keyed it in, and will not do it again."""
    machine = asked(DigitsPreset(num_digits=2))
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    assert outputs(press(machine, "12", 200)) == []

    assert c.AddToolOutput("T1", '{"ok":true,"digits":"12"}') in machine.handle(
        e.ModelReady("sess_2"), 800
    )


def test_marks_that_a_key_threw_back_give_no_more_time() -> None:
    """W53: after the first digit the pause between digits counts, whatever is heard of."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=4)}))
    machine.handle(started(), 0)
    names = say(machine, 1_000, 0)
    machine.handle(collect(), 10)
    machine.handle(done(), 20)
    press(machine, "1", 500)
    for name in names:
        machine.handle(e.MarkReturned(name), 510)

    out = machine.wake(500 + NEXT_MS)

    assert told(out) == [c.DigitsCollected("number", "1", 1, ok=False, reason="too_few_digits")]


def test_a_question_that_is_still_heard_uses_up_no_time() -> None:
    """W53: a menu read out for ten seconds must not have failed after eight."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=4)}))
    machine.handle(started(), 0)
    say(machine, 10_000, 0)
    machine.handle(collect(), 10)
    machine.handle(done(), 20)

    assert told(machine.wake(FIRST_MS + 10)) == []


def test_only_the_other_tool_of_a_response_is_waited_for_with_a_phrase() -> None:
    """Who is to press keys is not told to wait, whatever else was called beside it."""
    plan = CallPlan(tools={"look_up": ToolPlan()}, presets={"number": DigitsPreset(num_digits=4)})
    machine = on_the_phone(plan)
    machine.handle(started(), 0)
    machine.handle(collect(), 0)
    assert machine.deadline_ms() == STALLED_MS
    machine.handle(tool_call(tool_call_id="T2"), 0)
    machine.handle(done(), 10)

    machine.handle(e.ToolDone("T2", "42", ok=True), 100)

    assert machine.wake(FILLER_MS) == []


def test_keys_that_are_coming_are_not_asked_for() -> None:
    """The prompt to try again waits behind a response, and is not wanted any more."""
    preset = DigitsPreset(num_digits=2, choices={"11": "a new claim"}, retries=1)
    machine = asked(preset)
    machine.handle(started("R2"), 100)
    machine.handle(speech(500, "B", "R2"), 110)
    press(machine, "77", 200, every_ms=10)
    press(machine, "1", 300)

    assert machine.handle(done("R2", "cancelled"), 310) == []
    assert outputs(press(machine, "1", 400))[0]["ok"]


def test_what_is_keyed_in_counts_as_a_word_of_the_callers() -> None:
    """A form of ten numbers is no model that only calls tools."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=1)}))
    wanted = list[c.Command]()
    for n in range(MOST_ROUNDS + 2):
        machine.handle(started(f"R{n}", "tool_result" if n else None), n * 100)
        machine.handle(collect(tool_call_id=f"T{n}", response_id=f"R{n}"), n * 100)
        machine.handle(done(f"R{n}"), n * 100)
        wanted += press(machine, "5", n * 100 + 50)[-1:]

    assert wanted == [SPOKEN] * (MOST_ROUNDS + 2)


def test_an_order_takes_the_place_of_the_models_question_and_has_an_end_of_its_own() -> None:
    """The end of the one must not be taken for the end of the other."""
    machine = asked(DigitsPreset(num_digits=2))

    out = machine.handle(e.DigitsOrdered("cmd_1", "number"), 100)

    assert outputs(out) == [{"ok": False, "reason": "superseded", "digits": ""}]
    assert not [one for one in out if isinstance(one, c.OrderDone)]
    assert press(machine, "12", 200)[-1] == c.OrderDone("cmd_1", "completed")


def test_a_key_that_is_ignored_is_not_written_down_either() -> None:
    """Of an agent with secrets: it may be the rest of one."""
    machine = asked(replace(PIN, num_digits=2, stop_after=True), name="pin")
    press(machine, "12")
    machine.handle(e.CallerDigit("#"), 300)

    machine.handle(e.CallerDigit("3"), 400)

    assert machine.private_key is True


@pytest.mark.parametrize("lost", [False, True])
def test_what_is_held_back_for_a_key_is_heard_in_its_order(lost: bool) -> None:
    """By this line when it stalls, or by the next one."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(e.SpeechStarted("U"), 0)
    machine.handle(e.DigitsOrdered("cmd_1", "number"), 0)
    for n in range(20):
        machine.handle(frame(n * 20), n * 20)

    if lost:
        machine.handle(e.ModelLineLost(1006, "abnormal"), 400)
        out = machine.handle(e.ModelReady("sess_2"), 500)
        assert kinds(out).count("AppendAudio") == 20
    else:
        out = machine.wake(380 + STALL_MS)
        assert kinds(out) == ["AppendAudio"] * HELD_FRAMES + ["AppendSilence"]


def test_what_is_held_back_for_a_key_comes_before_a_hold() -> None:
    """Else a word of before it would be heard after it."""
    machine = on_the_phone(CallPlan(presets={"number": DigitsPreset(num_digits=2)}))
    machine.handle(e.DigitsOrdered("cmd_1", "number"), 0)
    for n in range(20):
        machine.handle(frame(n * 20), n * 20)
    machine._parts.hearing.hide(Hidden.HOLD)

    assert kinds(machine.handle(frame(400), 400)) == ["AppendAudio"] * HELD_FRAMES + [
        "AppendSilence"
    ]
    assert kinds(machine.handle(frame(420), 420)) == ["AppendSilence"]
