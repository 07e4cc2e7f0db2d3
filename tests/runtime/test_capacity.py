"""Capacity: who holds a place, and why a caller is told that all lines are busy."""

import time

from app.runtime.capacity import FRESH_S, Capacity, Fleet


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


def shared(most: int = 1, together: int | None = None) -> Capacity:
    """One process of several; its leases are its places."""
    capacity = Capacity(most, together)
    capacity.shared = True
    return capacity


def test_a_full_process_sends_a_call_on_where_there_is_room() -> None:
    """One of two processes is full, and the caller would have heard that all lines are busy."""
    capacity = shared()
    capacity.hold("a")

    assert not capacity.sends_on
    capacity.fleet = Fleet(calls=5, room=0)
    assert not capacity.sends_on
    capacity.fleet = Fleet(calls=5, room=1)
    assert capacity.sends_on
    capacity.shared = False
    assert not capacity.sends_on


def test_a_draining_process_sends_every_call_on() -> None:
    """Its successor may not have said a word yet."""
    capacity = shared()
    capacity.draining = True

    assert capacity.sends_on
    assert capacity.room == 0


def test_all_processes_together_have_a_limit() -> None:
    """What the account pays for is not what one process can bear; nobody else takes it then."""
    capacity = shared(most=9, together=3)
    capacity.hold("a")

    capacity.fleet = Fleet(calls=1, room=9)
    assert capacity.refusal() is None
    capacity.fleet = Fleet(calls=2, room=9)
    assert capacity.refusal() == "capacity"
    assert not capacity.sends_on


def test_callers_with_a_person_count_for_the_limit_together() -> None:
    """They are up at Twilio, and hold a lease although nobody talks to them here."""
    leases = ["a", "b"]
    capacity = Capacity(9, 2, leased=lambda: len(leases))

    assert capacity.refusal() == "capacity"
    leases.pop()
    assert capacity.refusal() is None


def test_what_was_heard_long_ago_does_not_count() -> None:
    """The database is away: this process counts alone, and goes on answering."""
    capacity = shared(together=2)
    capacity.fleet = Fleet(calls=2, room=9, at_s=time.monotonic() - FRESH_S - 1)

    assert capacity.refusal() is None
    capacity.hold("a")
    assert capacity.refusal() == "capacity"
    assert not capacity.sends_on


def test_what_others_have_on_a_number_counts_while_it_is_fresh() -> None:
    """``max_concurrent`` is over all processes, and over this one where the database is away."""
    capacity = shared()
    assert capacity.others_on("+1") == 0

    capacity.fleet = Fleet(calls=3, room=9, lines={"+1": 2})
    assert (capacity.others_on("+1"), capacity.others_on("+2")) == (2, 0)
    old_s = time.monotonic() - FRESH_S - 1
    capacity.fleet = Fleet(calls=3, room=9, lines={"+1": 2}, at_s=old_s)
    assert capacity.others_on("+1") == 0
