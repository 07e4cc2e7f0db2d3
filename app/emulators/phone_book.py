"""Which telephone rings for whom, and how one is rung.

An extension is a place where a phone can be plugged in; the newest phone is the one. Rule:
what rings is the extension, so that a tab that is reloaded while it rings goes on ringing,
and one that is opened then begins to.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.emulators.phone import Answer, Leg, Phone, Voice
from app.emulators.twilio_tasks import Pulse
from app.emulators.twilio_words import monotonic_ms

Rung: TypeAlias = tuple[Answer | None, Phone | None]


class Extension:
    """Where one person's phone is plugged in. ``name`` is the line of the phone socket."""

    def __init__(self, name: Literal["caller", "person"], number: str) -> None:
        self.name = name
        self.number = number
        self.phone: Phone | None = None
        self.changed = Pulse()

    def plug_in(self, phone: Phone) -> Phone | None:
        """The phone takes the place of the one that is returned."""
        older, self.phone = self.phone, phone
        self.changed.beat()
        return older

    def unplug(self, phone: Phone) -> None:
        """The phone is gone; nothing happens if another has taken its place."""
        if self.phone is phone:
            self.phone = None
            self.changed.beat()


@dataclass(frozen=True, slots=True)
class PhoneBook:
    """The telephones of one local carrier."""

    caller: Extension
    person: Extension
    voice: Voice
    """The carrier's own: what <Say> is spoken with."""
    persons_numbers: frozenset[str] | None = None
    """What one dials to reach the person; None: any destination."""
    unattended_ms: int = 6_000
    """How long an extension without a phone rings, where nobody may be expected to come."""

    def called_at(self, number: str) -> Extension:
        """Whom a call of the agent's rings: the person at their number, and while the caller is on
        the telephone, who is asked whether they take the call; else the caller."""
        known = number == self.person.number or number in (self.persons_numbers or ())
        talking = self.caller.phone is not None and not self.caller.phone.free
        return self.person if known or talking else self.caller

    def reached_by(self, destination: str) -> Extension | None:
        """Whom a <Dial> rings: the person, or nobody."""
        numbers = self.persons_numbers
        return self.person if numbers is None or destination in numbers else None


async def rung(
    extension: Extension,
    leg: Leg,
    *,
    call_sid: str,
    from_: str,
    to: str,
    sentence: str,
    patience_ms: float,
    unattended_ms: float = 6_000,
) -> Rung:
    """Ring until somebody answers or declines; an Answer with its phone, None: nobody did.

    A phone that is talking declines. Cancelling ends the ringing.
    """
    deadline_ms = monotonic_ms() + patience_ms
    alone_until_ms = monotonic_ms() + unattended_ms
    while True:
        phone = extension.phone
        try:
            if phone is None:
                left_ms = min(deadline_ms, alone_until_ms) - monotonic_ms()
                async with asyncio.timeout(max(0.0, left_ms) / 1000):
                    await extension.changed.next()
                continue
            if not phone.free:
                return Answer.DECLINED, None
            async with asyncio.timeout(max(0.0, deadline_ms - monotonic_ms()) / 1000):
                answer = await _answer(
                    phone,
                    leg,
                    phone.ring(leg, call_sid=call_sid, from_=from_, to=to, sentence=sentence),
                )
        except TimeoutError:
            return None, None
        if answer is not Answer.GONE:
            return answer, phone if answer is Answer.ANSWERED else None
        alone_until_ms = monotonic_ms() + unattended_ms


async def _answer(phone: Phone, leg: Leg, ringing: "asyncio.Future[Answer]") -> Answer:
    answer: Answer | None = None
    try:
        answer = await ringing
    finally:
        if answer is not Answer.ANSWERED:
            phone.over(leg, "carrier", "not_answered")
    return answer
