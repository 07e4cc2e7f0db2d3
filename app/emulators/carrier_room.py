"""<Conference> on the local carrier: a room where two telephones meet.

    waiting -> together -> waiting        over: for everybody, when one leaves who takes it along

There are two extensions, so a third cannot come. Rule: who is in the room hears who else is,
once somebody is there who may start it, and nothing before: there is no music.
"""

import asyncio
from dataclasses import dataclass

from app.emulators.phone import Phone
from app.emulators.twilio_call import EmulatedCall

_SEATS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One call in a room."""

    call: EmulatedCall
    phone: Phone
    starts: bool
    """startConferenceOnEnter."""
    ends: bool
    """endConferenceOnExit."""


class _Room:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self.over = asyncio.Event()
        self._started = False

    def enter(self, member: Member) -> None:
        self.members.append(member)
        self._started = self._started or member.starts
        if self._started and len(self.members) == _SEATS:
            for one, other in zip(self.members, reversed(self.members), strict=True):
                one.call.other_party = other.phone
                one.phone.tell("bridged")
                one.call.pulse.beat()

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        for one in (member, *self.members):
            one.call.other_party = None
            one.phone.clear()
        if member.ends:
            self.over.set()


class Rooms:
    """The rooms of one carrier, by name; one that is empty is gone."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    async def attend(self, name: str, member: Member) -> bool:
        """Be in the room until it is over or this is cancelled; False when it is full."""
        room = self._rooms.setdefault(name, _Room())
        if len(room.members) == _SEATS:
            return False
        room.enter(member)
        try:
            await room.over.wait()
        finally:
            room.leave(member)
            if (room.over.is_set() or not room.members) and self._rooms.get(name) is room:
                del self._rooms[name]
        return True
