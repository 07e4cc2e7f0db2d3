"""When a call is recorded: never before the caller was told, never while a secret is keyed in."""

import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset, RecordingPlan
from app.call.recording import AGAIN_MS, MOST_TRIES, NOTICE, TAIL_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, kinds, on_the_phone, say, speech, started, tool_call

TOLD = "This call is recorded."
SPOKEN = c.CreateResponse(
    NOTICE, f'Say exactly this, word for word, and nothing else: "{TOLD}"', tools=False
)
START, PAUSE, RESUME, STOP = (c.AskRecording(x) for x in ("start", "pause", "resume", "stop"))
PRESETS = {
    "pin": DigitsPreset(num_digits=4, sensitive=True),
    "card": DigitsPreset(num_digits=4),
    "room": DigitsPreset(num_digits=2),
}


def plan(announcement: str = "", *, reached: str = "", **given: object) -> CallPlan:
    """A recorded call."""
    recording = RecordingPlan(announcement, pause_during=("card",), reached=reached)
    return CallPlan(recording=recording, presets=PRESETS, **given)  # type: ignore[arg-type]


def wishes(commands: list[c.Command]) -> list[str]:
    """What the carrier is asked for."""
    return [x.wish for x in commands if isinstance(x, c.AskRecording)]


def asks_for(preset: str) -> e.Event:
    """The model has the caller key something in."""
    return tool_call("collect_dtmf", arguments=f'{{"preset":"{preset}"}}')


def told(machine: CallMachine, response_id: str = "R1") -> list[str]:
    """The announcement is said; the marks that tell when it was heard."""
    machine.handle(started(response_id, NOTICE), 10)
    marks = say(machine, 1000, 20, response_id=response_id)
    machine.handle(done(response_id), 30)
    return marks


def greeted(given: CallPlan) -> tuple[CallMachine, list[c.Command]]:
    """A machine whose caller has come, and what its first words are."""
    machine = CallMachine(given)
    machine.begin(0)
    out = machine.handle(e.ModelReady("sess_1"), 0)
    return machine, out + machine.handle(e.StreamStarted("MZ1"), 0)


def test_a_call_is_recorded_from_its_first_moment_where_nobody_is_to_be_told() -> None:
    """consent: none."""
    _, out = greeted(plan(greeting="Hello."))

    assert wishes(out) == ["start"]


def test_nothing_is_recorded_before_the_announcement_was_heard() -> None:
    """Said is not heard: only the mark behind it begins the recording, and then the greeting."""
    machine, out = greeted(plan(TOLD, greeting="Hello."))
    assert SPOKEN in out

    *earlier, last = told(machine)
    for mark in earlier:
        assert not machine.handle(e.MarkReturned(mark), 500)
    out = machine.handle(e.MarkReturned(last), 1020)

    assert out[0] == START
    assert [x.purpose for x in out if isinstance(x, c.CreateResponse)] == ["greeting"]


def test_the_caller_cannot_cut_the_announcement() -> None:
    """Neither by voice, which the model does not even hear, nor by keys."""
    machine, _ = greeted(plan(TOLD, greeting="Hello."))
    machine.handle(started("R1", NOTICE), 10)
    machine.handle(speech(1000, response_id="R1"), 20)

    heard = machine.handle(frame(0), 100)
    by_voice = machine.handle(e.SpeechStarted("I1"), 120)
    by_key = machine.handle(e.CallerDigit("1"), 140)

    assert kinds(heard) == ["AppendSilence"]
    assert c.ClearPlayback() not in by_voice + by_key


def test_after_the_announcement_the_caller_is_heard() -> None:
    """The greeting is another matter."""
    machine, _ = greeted(plan(TOLD, greeting="Hello."))
    for mark in told(machine):
        machine.handle(e.MarkReturned(mark), 1020)

    assert machine.passes(frame(0), 1040) or kinds(machine.handle(frame(0), 1040)) == [
        "AppendAudio"
    ]


def test_an_announcement_that_broke_off_is_said_again() -> None:
    """Half of it is no consent."""
    machine, _ = greeted(plan(TOLD, greeting="Hello."))
    machine.handle(started("R1", NOTICE), 10)
    [*_, last] = say(machine, 100, 20, response_id="R1")
    machine.handle(done("R1", "cancelled"), 30)
    out = machine.handle(e.MarkReturned(last), 130)

    assert wishes(out) == []
    assert SPOKEN in out


def test_where_it_never_works_the_call_goes_on_unrecorded() -> None:
    """And the record says why."""
    machine, out = greeted(plan(TOLD, greeting="Hello."))
    for attempt in range(MOST_TRIES):
        machine.handle(started(f"R{attempt}", NOTICE), 10)
        [*_, last] = say(machine, 100, 20, response_id=f"R{attempt}", item_id=f"A{attempt}")
        machine.handle(done(f"R{attempt}", "cancelled"), 30)
        out = machine.handle(e.MarkReturned(last), 130)

    assert c.NotRecorded("not_announced") in out
    assert wishes(out) == []
    assert [x.purpose for x in out if isinstance(x, c.CreateResponse)] == ["greeting"]


def test_an_announcement_that_is_never_heard_holds_nobody_up() -> None:
    """Twilio returns no mark: after a while the call begins, unrecorded."""
    machine, _ = greeted(plan(TOLD, greeting="Hello."))
    told(machine)

    out = machine.wake(20_000)

    assert c.NotRecorded("not_announced") in out
    assert not machine.handle(e.MarkReturned("none"), 20_100)


def test_a_line_that_is_lost_says_it_once_more() -> None:
    """What the next line does not know of was not announced."""
    machine, _ = greeted(plan(TOLD, greeting="Hello."))
    machine.handle(e.ModelLineLost(1006, "gone"), 10)

    assert SPOKEN in machine.handle(e.ModelReady("sess_2"), 200)


@pytest.mark.parametrize("preset", ["pin", "card"])
def test_it_rests_while_a_secret_is_keyed_in(preset: str) -> None:
    """Sensitive presets always, others where the operator names them; the last key has to
    die away first."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    out = machine.handle(asks_for(preset), 100)
    assert wishes(out) == ["pause"]
    machine.handle(done(), 110)

    keyed = [machine.handle(e.CallerDigit(digit), 200) for digit in "1234"]

    assert [wishes(x) for x in keyed] == [[], [], [], []]
    assert wishes(machine.wake(200 + TAIL_MS - 1)) == []
    assert wishes(machine.wake(200 + TAIL_MS)) == ["resume"]


def test_other_keys_are_recorded() -> None:
    """A room number is no secret."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)

    assert wishes(machine.handle(asks_for("room"), 100)) == []


def test_a_secret_that_is_asked_for_again_keeps_it_at_rest() -> None:
    """A second collection within the tail of the first."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)
    machine.handle(done(), 110)
    for digit in "1234":
        machine.handle(e.CallerDigit(digit), 200)
    machine.handle(started("R2"), 300)
    again = tool_call(
        "collect_dtmf", tool_call_id="T2", response_id="R2", arguments='{"preset":"pin"}'
    )

    assert wishes(machine.handle(again, 400)) == []
    assert wishes(machine.wake(200 + TAIL_MS)) == []


def test_what_cannot_rest_is_stopped() -> None:
    """Better no recording than one with a PIN in it."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)

    assert machine.handle(e.RecordingAnswered("pause", ok=False), 150) == [STOP]

    for digit in "1234":
        machine.handle(e.CallerDigit(digit), 200)
    assert wishes(machine.wake(200 + TAIL_MS)) == []


def test_a_recording_that_never_began_is_not_paused() -> None:
    """The carrier refused: the call goes on without."""
    machine = on_the_phone(plan())
    machine.handle(e.RecordingAnswered("start", ok=False), 50)
    machine.handle(started(), 60)

    assert wishes(machine.handle(asks_for("pin"), 100)) == []


def test_what_cannot_even_be_stopped_is_asked_to_again_and_again() -> None:
    """Twilio's REST was away for both: the PIN would have been on the recording to its end."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)
    machine.handle(e.RecordingAnswered("pause", ok=False), 150)

    assert machine.handle(e.RecordingAnswered("stop", ok=False), 200) == []
    for digit in "1234":
        machine.handle(e.CallerDigit(digit), 300)
    assert wishes(machine.wake(200 + AGAIN_MS)) == ["stop"]
    machine.handle(e.RecordingAnswered("stop", ok=False), 4_000)
    assert wishes(machine.wake(4_000 + AGAIN_MS)) == ["stop"]
    machine.handle(e.RecordingAnswered("stop", ok=True), 8_000)

    assert wishes(machine.wake(60_000)) == []


def test_it_goes_on_where_the_caller_is_put_through() -> None:
    """Whoever the caller talks to next is recorded."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)
    machine.handle(e.FailoverOrdered("database_away"), 200)

    assert wishes(machine.handle(e.StreamStopped(), 300)) == ["resume"]


def test_it_rests_on_while_a_lost_stream_is_followed_by_another() -> None:
    """The caller, who notices nothing, goes on keying in the PIN."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)
    machine.handle(e.CallerDigit("1"), 200)

    assert wishes(machine.handle(e.CallerLineLost(1006), 300)) == []

    after, out = greeted(plan(reached="resting", returning="the connection was interrupted"))
    assert wishes(out + after.wake(TAIL_MS - 1)) == []
    assert wishes(after.wake(TAIL_MS)) == ["resume"]


def test_a_call_that_is_over_asks_for_nothing_more() -> None:
    """There is nothing to go on with."""
    machine = on_the_phone(plan())
    machine.handle(started(), 0)
    machine.handle(asks_for("pin"), 100)

    assert wishes(machine.handle(e.StreamStopped(), 300)) == []


@pytest.mark.parametrize(
    ("reached", "wanted"),
    [("on", []), ("resting", []), ("stopping", ["stop"]), ("over", []), ("", ["start"])],
)
def test_a_later_stream_goes_on_from_where_it_was(reached: str, wanted: list[str]) -> None:
    """Neither announced nor begun twice."""
    _, out = greeted(plan(reached=reached, returning="the connection was interrupted"))

    assert wishes(out) == wanted


def test_somebody_who_is_called_is_told_first() -> None:
    """Of a call we placed: the announcement, then why we call."""
    machine, out = greeted(plan(TOLD, greeting="It is Contoso.", speaks_after_ms=2000))
    assert SPOKEN in out

    for mark in told(machine):
        out = machine.handle(e.MarkReturned(mark), 1020)

    assert [x.purpose for x in out if isinstance(x, c.CreateResponse)] == ["greeting"]
