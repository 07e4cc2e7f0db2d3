"""Keys that we press: in the audio or by the carrier, for the model or the operator."""

from dataclasses import replace

import orjson
import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, Memory, PressPlan, SoundPlan
from app.call.presses import DONE
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.witness import Witnessed
from tests.call.words import (
    done,
    kinds,
    marks,
    on_the_phone,
    say,
    speech,
    started,
    tool_call,
)

PLAN = CallPlan(may_press=True)
BY_CARRIER = CallPlan(may_press=True, presses=PressPlan(by_carrier=True))
ORDER = e.KeysOrdered("K", "12#")
SECRET = e.KeysOrdered("K", "xwx", "", "1w2")


def wish(digits: object = "1w2#", tool_call_id: str = "T1") -> e.ToolCalled:
    arguments = orjson.dumps({"digits": digits}).decode()
    return tool_call("send_dtmf", tool_call_id=tool_call_id, arguments=arguments)


def asked(plan: CallPlan = PLAN, digits: object = "1w2#") -> tuple[CallMachine, list[c.Command]]:
    """A model that wants keys at 100 ms, without a word."""
    machine = on_the_phone(plan)
    machine.handle(started(), 0)
    out = machine.handle(wish(digits), 100)
    return machine, out + machine.handle(done(), 110)


def outputs(commands: list[c.Command]) -> list[dict[str, object]]:
    return [orjson.loads(x.output) for x in commands if isinstance(x, c.AddToolOutput)]


def keys(commands: list[c.Command]) -> list[int]:
    """What was sent of keys, in ms each."""
    return [x.length_bytes // 8 for x in commands if isinstance(x, c.PlayKeys)]


def test_keys_are_pressed_as_the_model_wants_them() -> None:
    """W58: each with the gap behind it, the pause between; told when the mark came back."""
    machine, out = asked()

    assert keys(out) == [400, 500, 400, 400]
    assert [x.covers_ms for x in out if isinstance(x, c.SendMark)] == [1_700]
    assert not outputs(out)

    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_810)

    assert heard[0] == c.KeysPressed("1w2#", 3, "inband", ok=True)
    assert [x.output for x in heard if isinstance(x, c.AddToolOutput)] == [DONE]
    assert not [x for x in heard if isinstance(x, c.CreateResponse)], "it listens"


def test_length_gap_and_level_are_the_operators() -> None:
    """W59, W61: 60 ms and 80 ms."""
    _, out = asked(CallPlan(may_press=True, presses=PressPlan(key_ms=60, gap_ms=80)), "12")

    assert keys(out) == [140, 140]


@pytest.mark.parametrize(
    ("digits", "word"),
    [
        ("", "no keys"),
        (None, "no keys"),
        ("call +1 (415)", "keys are 0-9"),
        ("wW", "only pauses"),
        ("1" * 33, "too many"),
        ("1" + "W" * 20, "too long"),
        ("{{dtmf.pin}}", "keys are 0-9"),
    ],
)
def test_what_is_no_key_is_answered_in_words(digits: object, word: str) -> None:
    """W58: the model is told what is wrong, and asked to speak."""
    _, out = asked(digits=digits)

    assert not keys(out)
    (told,) = outputs(out)
    assert told["ok"] is False
    assert word in str(told["reason"])
    assert "CreateResponse" in kinds(out)


def test_models_write_numbers_as_they_like() -> None:
    """D-OC-1's neighbours: a number, blanks and small letters are no reason to refuse."""
    assert len(keys(asked(digits=12)[1])) == 2
    assert len(keys(asked(digits="1 2-a")[1])) == 3


def test_a_line_that_is_no_telephone_hears_no_keys() -> None:
    """W57: nothing is sent, the model is told, the record is warned; an order is no-op."""
    machine, out = asked(CallPlan(may_press=True, has_keys=False))

    assert not keys(out)
    assert c.KeysPressed("", 0, "", ok=False, reason="no_keypad") in out
    assert outputs(out)[0]["ok"] is False

    ordered = machine.handle(ORDER, 200)
    assert kinds(ordered) == ["KeysPressed", "OrderDone"]
    assert ordered[-1] == c.OrderDone("K", "completed")


def test_without_the_operators_leave_there_is_no_such_tool() -> None:
    """The model may have heard of it elsewhere."""
    _, out = asked(CallPlan())

    assert not keys(out)
    assert "AddToolOutput" in kinds(out)


def test_keys_wait_for_what_is_being_said() -> None:
    """Speech and tones never overlap: the first tone follows the last word."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    words = say(machine, 400, 10)
    assert not keys(machine.handle(wish(), 100))
    assert not keys(machine.handle(done(), 110))

    for name in words[:-1]:
        assert not keys(machine.handle(e.MarkReturned(name), 200))
    assert keys(machine.handle(e.MarkReturned(words[-1]), 420))


def test_nobody_cuts_keys_and_what_waits_behind_them_is_cut() -> None:
    """Barge-in while they sound: no clear; speech that waited was not heard, nor ever is."""
    machine, out = asked()
    machine.handle(started("R2"), 200)
    assert not machine.handle(speech(600, "B", "R2"), 210), "held back"

    cut = machine.handle(e.SpeechStarted("C"), 300)

    assert "ClearPlayback" not in kinds(cut)
    assert c.TruncateItem("B", 0, 0) in cut
    assert not machine.handle(speech(600, "B", "R2"), 310)
    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_810)
    assert c.KeysPressed("1w2#", 3, "inband", ok=True) in heard
    assert "PlayAudio" not in kinds(heard)


def test_what_is_said_meanwhile_is_heard_after_the_keys() -> None:
    """Not over them, and whole; its end is noticed."""
    machine, out = asked()
    machine.handle(started("R2"), 200)
    machine.handle(speech(100, "B", "R2"), 210)
    machine.handle(e.SpeechAudioDone("R2", "B", 0), 220)
    machine.handle(done("R2"), 230)

    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_810)

    assert sum(x.length_bytes for x in heard if isinstance(x, c.PlayAudio)) == 800
    assert len(marks(heard)) == 1


def test_a_goodbye_behind_keys_is_heard_before_the_call_ends() -> None:
    """The mark of the keys is not the end of what waits behind them."""
    machine, out = asked()
    machine.handle(started("R2"), 200)
    machine.handle(speech(100, "B", "R2"), 210)
    machine.handle(tool_call("end_call", tool_call_id="T2", response_id="R2"), 215)
    machine.handle(e.SpeechAudioDone("R2", "B", 0), 220)
    machine.handle(done("R2"), 230)

    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_810)
    assert "HangUp" not in kinds(heard)
    assert "HangUp" in kinds(machine.handle(e.MarkReturned(marks(heard)[-1]), 1_910))


def test_ambience_pauses_for_keys_and_goes_on_where_it_was() -> None:
    """A machine listens to them: nothing is mixed under."""
    plan = CallPlan(may_press=True, sounds={"ambience": SoundPlan(80_000)})
    machine = on_the_phone(plan)

    out = machine.handle(ORDER, 100)

    assert kinds(out)[:3] == ["ClearPlayback", "SetSound", "PlayKeys"]
    assert out[1] == c.SetSound("ambience", 800), "100 ms of it were heard"
    due_ms = machine.deadline_ms()
    assert due_ms is not None
    assert 100 + 1_200 - 300 <= due_ms <= 100 + 1_200
    assert "PlaySound" in kinds(machine.wake(due_ms))


def test_an_order_is_completed_when_the_keys_were_heard() -> None:
    """And the model knows of it; the next order waits for that."""
    machine = on_the_phone()
    out = machine.handle(ORDER, 0)
    assert kinds(machine.handle(e.KeysOrdered("L", "5"), 10)) == []

    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_200)

    assert c.OrderDone("K", "completed") in heard
    assert len(keys(heard)) == 1
    assert [x.text for x in heard if isinstance(x, c.AddMessage)] == [
        "The operator pressed the keys 12# on the line."
    ]


def test_secret_keys_of_the_operator_are_nobodys() -> None:
    """Neither the model nor the record nor the log is told more than how many."""
    machine = on_the_phone()

    out = machine.handle(SECRET, 0)
    heard = machine.handle(e.MarkReturned(marks(out)[0]), 1_300)

    assert c.KeysPressed("[redacted:2]", 2, "inband", ok=True) in heard
    assert "1w2" not in repr([out, heard, SECRET])
    replayed = on_the_phone().handle(e.KeysOrdered("K", "xwx"), 0)
    assert keys(replayed) == keys(out)


def test_keys_that_never_have_their_moment_are_given_up() -> None:
    """15 s of something else being said: told, and not pressed later."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(400), 10)
    machine.handle(done(), 20)
    assert not machine.handle(ORDER, 100)

    out = machine.wake(15_100)

    assert c.KeysPressed("", 0, "", ok=False, reason="not_free") in out
    assert out[-1] == c.OrderDone("K", "failed", "not_free")
    assert not keys(machine.handle(e.MarkReturned("g0:1"), 15_200))


def test_two_sequences_at_once_are_one_too_many() -> None:
    """The second is refused, in words."""
    machine, _ = asked()
    machine.handle(started("R2"), 200)

    out = machine.handle(wish("9", "T2"), 210)

    assert "already" in str(outputs(out)[0]["reason"])
    assert machine.handle(ORDER, 220)[-1] == c.OrderDone("K", "refused", "keys_under_way")


def test_keys_that_were_cut_by_the_end_of_the_call_were_not_pressed() -> None:
    """The order fails; nothing is told of keys."""
    machine = on_the_phone()
    machine.handle(ORDER, 0)

    out = machine.handle(e.StreamStopped(), 300)

    assert "KeysPressed" not in kinds(out)
    assert c.OrderDone("K", "failed", "stream_over") in out


# By the carrier.


def test_the_carrier_presses_keys_and_the_call_goes_on() -> None:
    """D-OC-1: clear first, then the redirect; the stream ends, the conversation does not."""
    machine, out = asked(BY_CARRIER)

    assert [x for x in out if not isinstance(x, c.SendMark)] == [
        c.ClearPlayback(),
        c.RedirectKeys("1w2#"),
    ]
    assert machine.handle(e.KeysAnswered("accepted"), 200) == []
    over = machine.handle(e.StreamStopped(), 300)
    assert over == [c.KeysPressed("1w2#", 3, "play", ok=True), c.EndStream("pressing")]
    (entry,) = machine.transcript.entries
    assert entry.text == DONE


def test_a_stream_that_ends_before_the_answer_of_rest_was_redirected() -> None:
    """Twilio obeys faster than it answers."""
    machine, _ = asked(BY_CARRIER)

    assert machine.handle(e.StreamStopped(), 150)[-1] == c.EndStream("pressing")


def test_a_caller_who_hangs_up_meanwhile_has_hung_up() -> None:
    """Twilio says that the call is over: nothing is waited for."""
    machine, _ = asked(BY_CARRIER)
    machine.handle(e.KeysAnswered("accepted"), 200)

    assert machine.handle(e.CallEnded("completed"), 250)[-1] == c.EndStream("caller_hangup")


@pytest.mark.parametrize("lost", [False, True])
def test_keys_that_the_carrier_refuses_cost_nothing(lost: bool) -> None:
    """REST said no, or nothing and no stop came: the agent is told and goes on."""
    machine, _ = asked(BY_CARRIER)
    if lost:
        assert machine.handle(e.KeysAnswered("unclear", "http_503"), 200) == []
        out = machine.wake(3_300)
    else:
        out = machine.handle(e.KeysAnswered("refused", "http_400"), 200)

    assert outputs(out)[0]["ok"] is False
    assert "CreateResponse" in kinds(out)
    assert "EndStream" not in kinds(out)
    machine.handle(started("R2"), 3_400)
    assert "PlayAudio" in kinds(machine.handle(speech(100, "B", "R2"), 3_410))


def test_an_order_by_the_carrier_is_completed_when_the_stream_ends() -> None:
    """And fails with the reason where REST refuses."""
    plan = CallPlan(presses=PressPlan(by_carrier=True))
    machine = on_the_phone(plan)
    machine.handle(ORDER, 0)
    machine.handle(e.KeysAnswered("accepted"), 100)
    assert c.OrderDone("K", "completed") in machine.handle(e.StreamStopped(), 200)

    machine = on_the_phone(plan)
    machine.handle(ORDER, 0)
    refused = machine.handle(e.KeysAnswered("refused", "http_400"), 100)
    assert refused[-1] == c.OrderDone("K", "failed", "http_400")


def test_whoever_comes_back_from_keys_is_listened_to() -> None:
    """The next line is told in one note, and asked for nothing."""
    plan = CallPlan(
        greeting="Hello.",
        memories=(Memory("user", "Press one."),),
        returning="the keys 1 have been pressed",
        returns_to_listen=True,
    )
    machine = CallMachine(plan)
    machine.begin(0)
    out = machine.handle(e.ModelReady("sess_2"), 10)
    out += machine.handle(e.StreamStarted("MZ2"), 20)

    assert "CreateResponse" not in kinds(out)
    notes = [x.text for x in out if isinstance(x, c.AddMessage) and "pressed" in x.text]
    assert len(notes) == 1


def test_the_record_tells_of_keys() -> None:
    """dtmf.sent with the keys; a warning where there were none; away while the carrier has it."""
    report = Witnessed()
    report.saw(10, None, [c.KeysPressed("1w2#", 3, "play", ok=True)])
    assert report.facts[-1].data == {"digits": "1w2#", "length": 3, "via": "play"}
    assert report.pressed_away == "1w2#"

    report.saw(20, e.StreamStarted("MZ2"), [])
    report.saw(30, None, [c.KeysPressed("", 0, "", ok=False, reason="http_400")])

    assert report.pressed_away is None
    assert report.warnings["keys_not_pressed:http_400"] == 1


def test_keys_are_no_words_to_who_waits_for_a_line() -> None:
    """They counted as something heard: the tone stopped, and nobody waited for a line any more."""
    machine = on_the_phone(PLAN)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)
    (name,) = marks(machine.handle(ORDER, 200))
    machine.handle(e.MarkReturned(name), 1_400)

    out = [one for at_ms in range(1_500, 20_000, 500) for one in machine.wake(at_ms)]
    assert out.count(c.PlayComfort()) > 1
    assert c.FailOver() in out


def test_nobody_who_hears_keys_is_told_that_the_line_lives() -> None:
    """The tone would come behind them, and the words that wait for them behind the tone."""
    machine = on_the_phone(replace(PLAN, filler_after_ms=1_000))
    machine.handle(e.SpeechStarted("U"), 0)
    machine.handle(e.CallerTurnCommitted("U"), 500)
    machine.handle(ORDER, 600)

    assert machine.wake(1_600) == [c.LatencyHigh()]
