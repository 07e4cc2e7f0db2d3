"""What the caller hears while a lost line is replaced."""

from app.call.comfort import COMFORT_AFTER_MS, COMFORT_EVERY_MS
from app.call.patience import PATIENCE_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, marks, on_the_phone, speech, started

LOST = e.ModelLineLost(1006, "abnormal")
TONE = [c.PlayComfort()]


def test_after_a_second_of_silence_there_is_a_sound() -> None:
    """Dead air is a call that was cut off, to the ear; and nobody is there who could speak."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)

    assert machine.deadline_ms() == 2_000 + COMFORT_AFTER_MS
    assert machine.wake(3_000) == TONE
    assert machine.wake(3_000 + COMFORT_EVERY_MS) == TONE
    assert machine.wake(2_000 + PATIENCE_MS) == [c.CloseModel(), c.FailOver()]


def test_what_still_plays_is_no_silence() -> None:
    """The reply was made faster than it sounds."""
    machine = on_the_phone()
    machine.handle(started(), 2_000)
    names = marks(machine.handle(speech(1_500), 2_000) + machine.handle(LOST, 2_100))
    for n, name in enumerate(names):
        machine.handle(e.MarkReturned(name), 2_000 + 1_500 * (n + 1) // len(names))

    assert machine.wake(3_100) == []
    assert machine.wake(4_499) == []
    assert machine.wake(4_500) == TONE


def test_nobody_hears_it_when_the_next_line_speaks() -> None:
    """Most lines are replaced in less than a second."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    machine.handle(e.ModelReady("sess_2"), 2_300)
    machine.handle(started("R", "resume"), 2_400)
    machine.handle(speech(100), 2_500)

    assert machine.wake(3_000) == []


def test_words_do_not_wait_for_its_end() -> None:
    """What is left of it is taken back; else the words would count as heard before they were."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    machine.wake(3_000)
    machine.handle(e.ModelReady("sess_2"), 3_050)
    machine.handle(started("R", "resume"), 3_060)

    assert machine.handle(speech(100), 3_100)[0] == c.ClearPlayback()
    assert c.ClearPlayback() not in machine.handle(speech(100), 3_110)


def test_nobody_hears_it_into_their_own_sentence() -> None:
    """The next line hears the caller speak."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    machine.handle(e.ModelReady("sess_2"), 2_300)
    machine.handle(e.SpeechStarted("U"), 2_400)

    assert machine.wake(3_000) == []


def test_it_ends_no_wait() -> None:
    """It is not what the caller waits for: the failure treatment comes as if it had not been."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    machine.wake(3_000)
    machine.handle(e.ModelReady("sess_2"), 3_500)
    machine.handle(started("R", "resume"), 3_600)
    machine.handle(done("R", "failed", "server_error"), 3_700)

    assert c.FailOver() in machine.wake(2_000 + PATIENCE_MS)
