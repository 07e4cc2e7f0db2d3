"""The lobby: callers who wait for a place with the carrier, when the house is full. Pure.

Twilio keeps them in its queue, in their order over all processes, and asks again and again what
they are to hear; so nothing of ours has to remember who waits, and a process that dies loses
nobody. Rule: only the first in the queue may enter, and only into a place that is kept for them.

    waiting ──the first, and there is a place──▶ entering ──▶ answered like any other call
       ├──too long, or too many wait already──▶ what the document has otherwise
       └──hangs up──▶ ``left_queue``
"""

from enum import Enum, auto

from app.call.reception import Lobby

TOLD_EVERY_S = 20
"""Of where they stand; whoever hears nothing for longer takes the line for dead."""
SOONEST_S = 2
LATEST_S = 10
"""Between two questions: the first in the queue is asked for soonest."""
_SAYING_S = 4
"""How long it takes to say so; between two questions it passes, too."""
NEXT = "You are next. Please stay on the line."
LATER = "You are number {position} in the queue. Please stay on the line."


class Place(Enum):
    """What becomes of a caller who waits."""

    WAITS = auto()
    ENTERS = auto()
    GIVES_UP = auto()
    """It took too long."""


def place(lobby: Lobby, *, position: int, waited_s: int, room: bool) -> Place:
    """``position`` counts from 1; ``room``: there is a place for one more."""
    if position == 1 and room:
        return Place.ENTERS
    return Place.GIVES_UP if waited_s >= lobby.longest_s else Place.WAITS


def pause_s(position: int) -> int:
    """How long to wait before asking again."""
    return min(SOONEST_S * position, LATEST_S)


def news(position: int, waited_s: int) -> str | None:
    """What a caller is told now; None: nothing."""
    if waited_s % TOLD_EVERY_S >= pause_s(position) + _SAYING_S:
        return None
    return NEXT if position == 1 else LATER.format(position=position)
