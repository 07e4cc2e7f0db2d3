"""O23, L6: who waits for a place, how long, and what they are told."""

import pytest

from app.call.lobby import LATER, NEXT, Place, news, pause_s, place
from app.call.reception import Lobby

LOBBY = Lobby(longest_s=60)


@pytest.mark.parametrize(
    ("position", "waited_s", "room", "becomes"),
    [
        (1, 5, False, Place.WAITS),
        (1, 5, True, Place.ENTERS),
        (2, 5, True, Place.WAITS),
        (1, 60, True, Place.ENTERS),
        (1, 60, False, Place.GIVES_UP),
        (7, 61, True, Place.GIVES_UP),
    ],
)
def test_only_the_first_enters_and_nobody_waits_for_ever(
    position: int, waited_s: int, room: bool, becomes: Place
) -> None:
    """The oldest first, over all processes: it is Twilio who counts."""
    assert place(LOBBY, position=position, waited_s=waited_s, room=room) is becomes


def test_the_first_is_asked_for_soonest() -> None:
    """A place that is free is not free for long; those behind cost a question less often."""
    assert [pause_s(position) for position in (1, 2, 5, 50)] == [2, 4, 10, 10]


def test_who_waits_is_told_where_they_stand_again_and_again() -> None:
    """At once, and then three times a minute, whatever the pauses come to."""
    assert news(3, 0) == LATER.format(position=3)
    assert news(1, 1) == NEXT
    for position in (1, 2, 9):
        waited_s, told = 0, 0
        while waited_s < 120:
            said = news(position, waited_s) is not None
            told += said
            waited_s += pause_s(position) + (4 if said else 0)
        assert 5 <= told <= 12
