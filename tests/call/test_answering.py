"""A call that we placed: who speaks first, and what a machine is told."""

from app.call.answering import LINGERS_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.protocol import commands as c
from app.protocol import events as e

PLAN = CallPlan(greeting="Hello, it is Contoso.", speaks_after_ms=2000, message="Call us back.")
MACHINE = e.PickedUp("machine", records=True)


def placed(plan: CallPlan = PLAN) -> CallMachine:
    """A call whose callee and model are both there, at 100 ms."""
    machine = CallMachine(plan)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 50)
    machine.handle(e.StreamStarted("MZ1"), 100)
    return machine


def asked(commands: list[c.Command]) -> list[str]:
    """What the model was asked to say, by purpose."""
    return [one.purpose for one in commands if isinstance(one, c.CreateResponse)]


def say(
    machine: CallMachine, purpose: str | None, response_id: str, now_ms: int
) -> list[c.Command]:
    """A response of 200 ms, begun and spoken."""
    out = machine.handle(e.ResponseStarted(response_id, purpose), now_ms)
    item_id = f"item_{response_id}"
    return out + machine.handle(e.SpeechAudio(response_id, item_id, 0, "AAAA", 1600), now_ms)


def hear(machine: CallMachine, commands: list[c.Command], now_ms: int) -> list[c.Command]:
    """Every mark comes back."""
    marks = [one.name for one in commands if isinstance(one, c.SendMark)]
    return [out for name in marks for out in machine.handle(e.MarkReturned(name), now_ms)]


def test_who_is_called_speaks_first() -> None:
    """People say hello on the telephone, and are interrupted by whoever does not wait for it."""
    machine = CallMachine(PLAN)

    out = machine.begin(0) + machine.handle(e.ModelReady("sess_1"), 50)
    out += machine.handle(e.StreamStarted("MZ1"), 100)
    machine.handle(e.SpeechStarted("item_1"), 900)

    assert asked(out) == []
    assert asked(machine.wake(10_000)) == []


def test_silence_is_spoken_into() -> None:
    """Once, with the greeting, from the moment on when both are there."""
    machine = placed()

    assert asked(machine.wake(2099)) == []
    assert asked(machine.wake(2100)) == ["greeting"]


def test_an_agent_without_a_greeting_has_something_to_say_all_the_same() -> None:
    """Silence on both sides is the end of a call."""
    machine = placed(CallPlan(speaks_after_ms=500))

    [wanted] = [one for one in machine.wake(600) if isinstance(one, c.CreateResponse)]

    assert "why you call" in (wanted.instructions or "")


def test_a_person_changes_nothing() -> None:
    """The verdict comes when the conversation has long begun."""
    machine = placed()

    assert machine.handle(e.PickedUp("human"), 3000) == []
    assert machine.handle(e.PickedUp("unknown"), 3000) == []


def test_a_machine_without_a_message_and_a_fax_are_hung_up_on() -> None:
    """Every second of a tape costs both sides."""
    silent = placed(CallPlan(speaks_after_ms=2000))
    fax = placed()

    assert c.HangUp() in silent.handle(e.PickedUp("machine"), 900)
    assert c.HangUp() in fax.handle(e.PickedUp("fax"), 900)
    assert silent.handle(e.StreamStopped(), 1000) == [c.EndStream("voicemail_hangup")]


def test_the_message_is_heard_before_the_call_ends() -> None:
    """L22: and half a second more: a machine cuts off what comes last."""
    machine = placed()

    out = machine.handle(MACHINE, 3000)
    assert asked(out) == ["voicemail"]
    assert "Call us back." in str(out)
    out = say(machine, "voicemail", "resp_1", 3100)
    out += machine.handle(e.SpeechAudioDone("resp_1", "item_resp_1", 0), 3100)
    out += machine.handle(e.ResponseDone("resp_1", "completed"), 3110)
    assert c.HangUp() not in out
    hear(machine, out, 3300)

    assert c.HangUp() not in machine.wake(3300 + LINGERS_MS - 1)
    assert c.HangUp() in machine.wake(3300 + LINGERS_MS)
    assert machine.handle(e.StreamStopped(), 4000) == [c.EndStream("voicemail_left")]


def test_what_was_being_said_to_the_machine_is_taken_back() -> None:
    """A message begins with its first word."""
    machine = placed()
    machine.handle(e.SpeechStarted("item_1"), 500)
    machine.handle(e.SpeechStopped("item_1"), 900)
    machine.handle(e.CallerTurnCommitted("item_1"), 900)
    say(machine, None, "resp_1", 1000)

    out = machine.handle(MACHINE, 1100)

    assert c.ClearPlayback() in out
    assert c.CancelResponse("resp_1") in out
    assert asked(out) == []
    assert asked(machine.handle(e.ResponseDone("resp_1", "cancelled"), 1200)) == ["voicemail"]


def test_nothing_that_waited_to_be_said_comes_before_the_message() -> None:
    """A machine records what it hears, and the answer to a turn was meant for a person."""
    machine = placed()
    machine.handle(e.ResponseStarted("resp_1", None), 500)
    machine.handle(e.SpeechStarted("item_1"), 600)
    machine.handle(e.CallerTyped("Hello?"), 700)

    assert asked(machine.handle(e.ResponseDone("resp_1", "cancelled"), 800)) == []
    assert asked(machine.handle(MACHINE, 1_000)) == ["voicemail"]


def test_an_answer_of_the_servers_own_to_the_machine_is_not_heard() -> None:
    """It takes the end of the greeting for a turn."""
    machine = placed()
    machine.handle(e.SpeechStarted("item_1"), 500)
    machine.handle(MACHINE, 1000)
    machine.handle(e.SpeechStopped("item_1"), 1100)
    machine.handle(e.CallerTurnCommitted("item_1"), 1100)

    out = machine.handle(e.ResponseStarted("resp_9", None), 1150)
    out += machine.handle(e.SpeechAudio("resp_9", "item_9", 0, "AAAA", 1600), 1160)

    assert c.CancelResponse("resp_9") in out
    assert not [one for one in out if isinstance(one, c.PlayAudio)]


def test_a_message_that_the_server_cut_is_said_again() -> None:
    """The beep is a voice to it."""
    machine = placed()
    machine.handle(MACHINE, 1000)
    say(machine, "voicemail", "resp_1", 1100)

    out = machine.handle(e.ResponseDone("resp_1", "cancelled", "turn_detected"), 1200)

    assert c.ClearPlayback() in out
    assert asked(out) == ["voicemail"]


def test_a_message_that_is_never_said_ends_the_call() -> None:
    """Nobody sits at the other end and hangs up."""
    machine = placed()
    machine.handle(MACHINE, 1000)

    out: list[c.Command] = []
    for now_ms in range(1000, 60_000, 100):
        out += machine.wake(now_ms)

    assert c.HangUp() in out
    assert c.FailOver() not in out


def test_a_verdict_may_come_before_the_stream() -> None:
    """Callbacks keep no order."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 50)

    assert machine.handle(MACHINE, 60) == []
    assert asked(machine.handle(e.StreamStarted("MZ1"), 100)) == ["voicemail"]


def test_the_message_waits_for_the_model() -> None:
    """A machine that beeps before the model line is open records what comes then."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.StreamStarted("MZ1"), 100)

    assert machine.handle(MACHINE, 200) == []
    assert asked(machine.handle(e.ModelReady("sess_1"), 300)) == ["voicemail"]


def test_keys_are_nothing_to_a_message() -> None:
    """A machine that beeps in two tones presses none."""
    machine = placed()
    machine.handle(MACHINE, 1000)

    assert machine.handle(e.CallerDigit("5"), 1100) == []
    assert machine.handle(e.SpeechStarted("item_1"), 1200) == []


def test_a_second_verdict_begins_nothing_again() -> None:
    """Twilio repeats."""
    machine = placed()
    machine.handle(MACHINE, 1000)

    assert machine.handle(MACHINE, 1100) == []
