"""Capacity: who holds a place, and why a caller is told that all lines are busy."""

from app.runtime.capacity import Capacity


def test_the_last_place_is_given_and_the_next_caller_refused() -> None:
    """One caller too many hears a sentence; one too few pays for an idle line."""
    capacity = Capacity(2)

    capacity.hold("a")
    assert capacity.refusal() is None
    capacity.hold("b")

    assert capacity.refusal() == "capacity"
    capacity.release("a")
    assert capacity.refusal() is None


def test_a_call_holds_one_place_however_often_it_says_so() -> None:
    """It opens a new line before the old one is over, and ends by more than one witness."""
    capacity = Capacity(2)

    capacity.hold("a")
    capacity.hold("a")
    assert len(capacity) == 1

    capacity.release("a")
    capacity.release("a")
    assert len(capacity) == 0


def test_a_draining_process_takes_nobody_and_says_why() -> None:
    """A full process may have room in a minute, this one never will."""
    capacity = Capacity(1)
    capacity.hold("a")

    capacity.draining = True

    assert capacity.refusal() == "draining"
