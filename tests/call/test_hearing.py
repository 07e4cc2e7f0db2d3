"""What the model hears of the caller: every frame once, in order, on one timeline."""

import pytest

from app.call.alarms import Alarm, Alarms
from app.call.connecting import SHIELD_MS
from app.call.hearing import (
    LONGEST_GAP_MS,
    MEDIA_MS,
    PREROLL_FRAMES,
    STALL_MS,
    STALL_SILENCE_MS,
    Hearing,
    Passed,
)
from app.call.machine import CallMachine
from app.call.plan import CallPlan, RecordingPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, frame, on_the_phone, say, speech, started

HEARD = c.AppendAudio(frame(0).payload_b64)


def listening(alarms: Alarms | None = None) -> Hearing:
    hearing = Hearing(alarms or Alarms())
    hearing.stream_started(0)
    hearing.model_ready()
    return hearing


def lettered(n: int) -> e.CallerAudio:
    """A frame that can be told from every other."""
    return e.CallerAudio(f"{n:04}", 160, n * 20)


def test_a_frame_passes_by_reference() -> None:
    """`D-BL-4`, `D-OAP-5`: batches of 200 or 50 ms were added to the end of every turn."""
    audio = frame(0)

    (command,) = listening().frame(audio, 0)

    assert isinstance(command, c.AppendAudio)
    assert command.payload_b64 is audio.payload_b64


def test_frames_wait_for_the_model_and_arrive_in_order() -> None:
    """The caller's first words are spoken while the line is being opened."""
    hearing = Hearing(Alarms())
    hearing.stream_started(0)

    assert [hearing.frame(lettered(n), n * 20) for n in range(5)] == [[]] * 5
    assert hearing.model_ready() == [c.AppendAudio(f"{n:04}") for n in range(5)]
    assert hearing.frame(lettered(5), 100) == [c.AppendAudio("0005")]
    assert hearing.model_ready() == []


def test_what_waits_is_bounded_and_the_oldest_goes_first() -> None:
    """Ten seconds; older words are worth nothing any more."""
    hearing = Hearing(Alarms())
    hearing.stream_started(0)
    for n in range(PREROLL_FRAMES + 7):
        hearing.frame(lettered(n), n * 20)

    waited = hearing.model_ready()

    assert len(waited) == PREROLL_FRAMES
    assert waited[0] == c.AppendAudio("0007")


@pytest.mark.parametrize(
    ("missing_ms", "padded_ms"), [(20, 20), (35, 20), (40, 40), (3_000, 3_000)]
)
def test_a_gap_in_the_timestamps_becomes_silence(missing_ms: int, padded_ms: int) -> None:
    """Voice activity detection counts audio, not time: without it a pause never ends."""
    hearing = listening()
    hearing.frame(frame(0), 0)

    assert hearing.frame(frame(20 + missing_ms), 0) == [c.AppendSilence(padded_ms), HEARD]
    assert hearing.padded_ms == padded_ms
    assert hearing.frame(frame(40 + missing_ms), 0) == [HEARD]


def test_a_long_gap_is_padded_up_to_a_limit() -> None:
    """An hour on hold must not become an hour of silence in one message."""
    hearing = listening()
    hearing.frame(frame(0), 0)

    assert hearing.frame(frame(3_600_000), 0) == [c.AppendSilence(LONGEST_GAP_MS), HEARD]


def test_jitter_is_no_gap() -> None:
    """Timestamps wander by some milliseconds; padding them would make the audio longer."""
    hearing = listening()
    out: list[c.Command] = []
    for at_ms in (0, 25, 38, 62, 79, 101, 120):
        out += hearing.frame(frame(at_ms), at_ms)

    assert out == [HEARD] * 7
    assert hearing.padded_ms == 0


@pytest.mark.parametrize("late_ms", [0, 20, 60])
def test_a_frame_that_comes_late_or_twice_is_not_heard_again(late_ms: int) -> None:
    """What was said, or the silence in its place, has been heard; going back in time would
    invent silence before the next frame."""
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.frame(frame(80), 80)

    assert hearing.frame(frame(80 - late_ms), 90) == []
    assert hearing.late_frames == 1
    assert hearing.frame(frame(100), 100) == [HEARD]
    assert hearing.padded_ms == 60


def test_a_late_frame_does_not_wait_for_the_model_either() -> None:
    """What waits is heard in order."""
    hearing = Hearing(Alarms())
    hearing.stream_started(0)
    for n in (0, 1, 0, 2):
        hearing.frame(lettered(n), n * 20)

    assert hearing.model_ready() == [c.AppendAudio(f"000{n}") for n in range(3)]


def test_a_clock_that_is_set_back_does_not_deafen_the_call() -> None:
    """One timestamp of another world must not make every later frame a late one."""
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.frame(frame(3_600_000), 20)

    assert hearing.frame(frame(40), 40) == [HEARD]
    assert hearing.frame(frame(60), 60) == [HEARD]
    assert hearing.late_frames == 0


def test_the_first_frame_has_nothing_before_it() -> None:
    """A stream may begin at any timestamp."""
    assert listening().frame(frame(5_000), 0) == [HEARD]


def test_a_new_stream_begins_a_new_timeline() -> None:
    """Timestamps count from the stream's beginning."""
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.stream_started(9_000)

    assert hearing.frame(frame(700), 9_000) == [HEARD]


def test_a_gap_while_the_model_is_away_waits_in_its_place() -> None:
    """Order is kept, silence included."""
    hearing = Hearing(Alarms())
    hearing.stream_started(0)
    hearing.frame(frame(0), 0)
    hearing.frame(frame(60), 60)

    assert hearing.model_ready() == [HEARD, c.AppendSilence(40), HEARD]


def test_a_line_that_stalls_in_mid_sentence_becomes_silence() -> None:
    """Otherwise the model waits for the end of a sentence that never comes."""
    alarms = Alarms()
    hearing = listening(alarms)
    hearing.frame(frame(0), 0)
    hearing.speech_started(10)

    assert alarms.next_ms == 10 + STALL_MS
    alarms.due(10 + STALL_MS)
    assert hearing.stalled(10 + STALL_MS) == [c.AppendSilence(STALL_SILENCE_MS)]


def test_a_stall_is_silence_for_as_long_as_it_lasts() -> None:
    """Some detection wants two seconds of silence; one and no more would never end the turn."""
    machine = on_the_phone()
    machine.handle(frame(0), 0)
    machine.handle(e.SpeechStarted("U"), 10)
    padded: list[c.Command] = []
    while (now_ms := machine.deadline_ms()) is not None and now_ms < 60_000:
        padded += [x for x in machine.wake(now_ms) if isinstance(x, c.AppendSilence)]

    assert padded == [c.AppendSilence(STALL_SILENCE_MS)] * (LONGEST_GAP_MS // STALL_SILENCE_MS)


def test_a_turn_that_has_ended_needs_no_more_silence() -> None:
    """What the silence was for has happened."""
    machine = on_the_phone()
    machine.handle(frame(0), 0)
    machine.handle(e.SpeechStarted("U"), 10)
    assert c.AppendSilence(STALL_SILENCE_MS) in machine.wake(10 + STALL_MS)
    machine.handle(e.SpeechStopped("U"), 1_000)

    for now_ms in range(1_000, 9_000, 100):
        assert c.AppendSilence(STALL_SILENCE_MS) not in machine.wake(now_ms)


def test_a_line_that_comes_back_after_a_stall_is_watched_again() -> None:
    """It may stall twice in one sentence."""
    machine = on_the_phone()
    machine.handle(frame(0), 0)
    machine.handle(e.SpeechStarted("U"), 10)
    machine.wake(10 + STALL_MS)
    machine.handle(frame(1_500), 1_500)

    assert c.AppendSilence(STALL_SILENCE_MS) not in machine.wake(1_800)
    assert c.AppendSilence(STALL_SILENCE_MS) in machine.wake(1_500 + STALL_MS)


def test_a_line_that_goes_on_is_looked_at_again() -> None:
    """Frames cost no timer: the alarm looks how long the silence has lasted."""
    alarms = Alarms()
    hearing = listening(alarms)
    hearing.speech_started(0)
    hearing.frame(frame(700), 700)
    alarms.due(STALL_MS)

    assert hearing.stalled(STALL_MS) == []
    assert alarms.is_set(Alarm.STALL)
    assert alarms.next_ms == 700 + STALL_MS


def test_the_silence_of_a_stall_is_not_padded_twice() -> None:
    """When the line comes back its gap has been filled already."""
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.speech_started(0)
    hearing.stalled(STALL_MS)

    assert hearing.frame(frame(900), 900) == [HEARD]
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.speech_started(0)
    hearing.stalled(STALL_MS)
    assert hearing.frame(frame(1_520), 1_520) == [c.AppendSilence(500), HEARD]


def test_what_a_stall_delayed_is_still_heard() -> None:
    """The silence was for the model's patience; the words behind it were only held up."""
    hearing = listening()
    hearing.frame(frame(0), 0)
    hearing.speech_started(0)
    hearing.stalled(STALL_MS)

    assert [hearing.frame(frame(at_ms), 900) for at_ms in (20, 40, 60)] == [[HEARD]] * 3
    assert hearing.late_frames == 0


def test_a_caller_who_has_finished_cannot_stall() -> None:
    """Silence is nothing to notice between turns."""
    alarms = Alarms()
    hearing = listening(alarms)
    hearing.speech_started(0)
    hearing.speech_stopped()

    assert not alarms.is_set(Alarm.STALL)


def test_a_silent_line_is_asked_about_every_ten_seconds() -> None:
    """A hang-up whose stop got lost would keep the model line for ever."""
    machine = on_the_phone()
    machine.handle(frame(0), 3_000)

    assert machine.wake(MEDIA_MS) == []
    assert machine.deadline_ms() == 3_000 + MEDIA_MS
    assert machine.wake(3_000 + MEDIA_MS) == [c.VerifyCall()]
    assert machine.handle(e.CallStillUp(), 13_100) == []
    machine.handle(e.ModelAlive(), 13_100)
    assert machine.wake(3_000 + 2 * MEDIA_MS) == [c.VerifyCall()]
    assert machine.handle(e.CallEnded("completed"), 23_100) == [c.EndStream("caller_hangup")]


def test_caller_audio_never_brings_the_deadline_nearer() -> None:
    """The runner does not look at it after a frame."""
    machine = on_the_phone()
    machine.handle(e.SpeechStarted("U"), 0)
    before_ms = machine.deadline_ms()

    for n in range(10):
        machine.handle(frame(n * 100), n * 100)
        assert machine.deadline_ms() == before_ms


NOTICE = CallPlan("Hello.", recording=RecordingPlan("This call is recorded."))


def test_an_announcement_hears_silence_instead_of_the_caller() -> None:
    """What was not announced must not be answered, and an early "hello?" must not cut it."""
    machine = on_the_phone(NOTICE)
    machine.handle(started("R", "notice"), 0)

    assert machine.handle(frame(0), 10) == [c.AppendSilence(20)]


def test_the_caller_is_heard_when_the_announcement_was() -> None:
    """Heard, not generated: the last mark lifts the shield."""
    machine = on_the_phone(NOTICE)
    machine.handle(started("R", "notice"), 0)
    (name,) = say(machine, 50, 0)
    machine.handle(done(), 10)
    machine.handle(frame(0), 20)
    machine.handle(e.MarkReturned(name), 60)

    assert machine.handle(frame(20), 80) == [HEARD]
    assert machine.handle(frame(80), 140) == [c.AppendSilence(40), HEARD]


def test_an_announcement_that_is_said_by_the_next_line_is_shielded_like_the_first() -> None:
    """The line was lost before the caller came: nobody has heard it yet."""
    machine = CallMachine(NOTICE)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    for response_id, purpose in (("R", "notice"), ("R2", "nudge")):
        machine.handle(started(response_id, purpose), 20)
        machine.handle(done(response_id), 30)
    machine.handle(e.StreamStarted("MZ1"), 40)
    machine.handle(frame(0), 50)

    assert HEARD not in machine.handle(e.ModelReady("sess_2"), 60)
    machine.handle(started("R3", "notice"), 70)
    (name,) = say(machine, 50, 80, response_id="R3")
    machine.handle(done("R3"), 90)
    machine.handle(e.MarkReturned(name), 140)
    assert machine.handle(frame(20), 150) == [HEARD]


def test_a_shield_does_not_outlast_an_announcement_that_never_ends() -> None:
    """Silence for ever in place of the caller would be a call with nobody at the other end."""
    machine = on_the_phone(NOTICE)
    machine.handle(started("R", "notice"), 0)
    for now_ms in range(0, SHIELD_MS, 1_000):
        machine.handle(speech(1_000), now_ms)
        machine.wake(now_ms)
        assert not machine.passes(frame(20), now_ms)

    machine.wake(SHIELD_MS)
    assert machine.handle(frame(0), SHIELD_MS + 10) == [HEARD]


@pytest.mark.parametrize("rule", ["none", "dtmf"])
def test_the_caller_is_heard_during_a_greeting_that_nothing_cuts(rule: str) -> None:
    """W23: only what is said before an announcement is over is lost."""
    machine = on_the_phone(CallPlan("Hello.", greeting_interruptible=rule))
    machine.handle(started("R", "greeting"), 0)

    assert machine.handle(frame(0), 10) == [HEARD]


def test_a_lost_line_keeps_what_the_caller_says_for_the_next_one() -> None:
    """The caller does not know that anything happened."""
    machine = on_the_phone()
    machine.handle(frame(0), 0)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 10)

    assert machine.handle(frame(20), 20) == []
    assert machine.handle(frame(40), 40) == []
    out = machine.handle(e.ModelReady("sess_2"), 300)
    assert out[:2] == [HEARD, HEARD]
    assert machine.handle(frame(60), 310) == [HEARD]


def test_a_frame_that_passes_is_what_frame_would_have_answered() -> None:
    """The short way and the long way must lead to the same model, and to the same next frame."""
    short, long = listening(), listening()
    for hearing in (short, long):
        hearing.model_ready()
        hearing.frame(frame(0), 0)

    assert short.passes(frame(20), 21)
    assert long.frame(frame(20), 21) == [HEARD]
    assert not short.passes(frame(60), 61)
    assert short.frame(frame(60), 61) == long.frame(frame(60), 61)
    assert short.take_passed() == Passed(1, 21, 20)
    assert short.take_passed() is None
