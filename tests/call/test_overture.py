"""Speech that was there before the caller."""

from app.call.overture import LONGEST_MS, Overture
from tests.call.words import speech


def test_speech_waits_in_order_and_is_released_once() -> None:
    """The greeting must not begin with its second word."""
    overture = Overture()
    deltas = [speech(100, "A"), speech(200, "B")]
    for delta in deltas:
        overture.hold(delta)

    assert overture.release() == deltas
    assert overture.release() == []


def test_a_minute_is_all_that_waits() -> None:
    """A model that talks to nobody must not fill the memory."""
    overture = Overture()
    for _ in range(100):
        overture.hold(speech(1_000))

    assert len(overture.release()) * 1_000 == LONGEST_MS
