"""Something has to be heard before something is done."""

import pytest

from app.call.alarms import Alarm, Alarms
from app.call.announcement import WATCHDOG_MS, Announcement, Spoken
from app.call.responses import Finished
from app.protocol.commands import CreateResponse

WANTED = CreateResponse("goodbye", "Say goodbye.", tools=False)


def begun() -> Announcement:
    announcement = Announcement(Alarms(), WANTED)
    announcement.begin("R", 0)
    return announcement


def test_words_in_the_response_that_called_the_tool_are_enough() -> None:
    """A model that said goodbye and called end_call must not say it twice."""
    announcement = begun()

    assert announcement.finished(Finished("R", None, spoke=True)) is None
    assert announcement.state is Spoken.SAID


def test_a_silent_tool_call_is_asked_for_words() -> None:
    """Nobody is put through or hung up on without a word."""
    announcement = begun()

    assert announcement.finished(Finished("R", None, spoke=False)) is WANTED
    assert announcement.state is Spoken.SAYING
    assert announcement.finished(Finished("R2", "goodbye", spoke=True)) is None
    assert announcement.state is Spoken.SAID


@pytest.mark.parametrize("purpose", [None, "tool_result", "filler"])
def test_other_responses_are_no_announcement(purpose: str | None) -> None:
    """The caller asked something in between."""
    announcement = begun()
    announcement.finished(Finished("R", None, spoke=False))

    assert announcement.finished(Finished("R2", purpose, spoke=True)) is None
    assert announcement.state is Spoken.SAYING


def test_only_the_response_that_called_the_tool_can_have_said_it() -> None:
    """An older one may end later."""
    announcement = begun()

    assert announcement.finished(Finished("R0", None, spoke=True)) is None
    assert announcement.state is Spoken.CALLED


def test_an_announcement_that_never_ends_has_a_watchdog() -> None:
    """The model may be silent for ever; the caller must not."""
    alarms = Alarms()
    announcement = Announcement(alarms, WANTED)
    announcement.begin("R", 500)

    assert alarms.next_ms == 500 + WATCHDOG_MS
    announcement.end()
    assert not alarms.is_set(Alarm.ANNOUNCED)
    assert announcement.state is Spoken.NONE
