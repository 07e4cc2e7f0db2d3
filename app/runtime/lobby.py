"""Callers who wait with Twilio for a place: what they are asked for, and when they may enter.

Of who waits nothing is remembered here but, for seconds, whom a place is kept for. Rule: between
Twilio being told that a caller may enter and the caller entering, nobody else takes the place.
"""

import asyncio

import structlog

from app.call import lobby
from app.call.lobby import Place
from app.call.reception import LinePlan, Lobby, Refusal
from app.runtime.book import Book
from app.runtime.dials import put_through
from app.runtime.live_call import CallFacts
from app.runtime.scripts import Scripts

KEPT_S = 10.0
"""From being told to leave the queue to entering: two requests of Twilio's."""
LEFT = "left_queue"
_SERVED = frozenset({"bridged", "bridging-in-process", "redirected", "redirected-from-bridged"})
"""Somebody else has taken the caller out of the queue."""

log = structlog.get_logger("lobby")


class Waiting:
    """The waiting callers of this server. Belongs to the loop."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._called: dict[str, str] = {}
        """CallSids of those who may enter, and the number they rang."""

    def _line(self, number: str) -> LinePlan | None:
        """What the operator wrote about a number, as it is now."""
        return self._book.roster.edition.numbers.of(number)

    def asked(self, facts: CallFacts, position: int, waited_s: int) -> str:
        """What a waiting caller hears next, as TwiML. Idempotent."""
        line = self._line(facts.to_number)
        plan = line.lobby if line is not None and line.lobby is not None else Lobby(longest_s=0)
        found = lobby.place(
            plan,
            position=position,
            waited_s=waited_s,
            room=facts.call_sid in self._called or self._room(facts.to_number, line),
        )
        scripts = self._scripts(facts)
        if found is Place.WAITS:
            return scripts.waiting(lobby.news(position, waited_s), lobby.pause_s(position))
        if found is Place.ENTERS:
            self._keep(facts)
        return scripts.leave_queue()

    def _room(self, number: str, line: LinePlan | None) -> bool:
        capacity = self._book.capacity
        if capacity.refusal() is not None:
            return capacity.sends_on
        if line is None or line.max_concurrent is None:
            return True
        called = sum(1 for rang in self._called.values() if rang == number)
        return self._book.on_line(number) + called < line.max_concurrent

    def _keep(self, facts: CallFacts) -> None:
        if facts.call_sid in self._called:
            return
        self._called[facts.call_sid] = facts.to_number
        self._book.capacity.hold(_name(facts.call_sid))
        asyncio.get_running_loop().call_later(KEPT_S, self._release, facts.call_sid)

    def _release(self, call_sid: str) -> bool:
        self._book.capacity.release(_name(call_sid))
        return self._called.pop(call_sid, None) is not None

    def left(self, facts: CallFacts, result: str, waited_s: int) -> str | None:
        """A caller is in the queue no longer: the TwiML for them; None where they may enter, and
        are answered like everybody else. Idempotent."""
        entered = self._release(facts.call_sid)
        line = self._line(facts.to_number)
        if result == "leave" and (entered or self._may_enter(facts, line, waited_s)):
            return None
        if self._book.lives(facts.call_sid) or result in _SERVED:
            return self._scripts(facts).hang_up()
        answer = self._book.ended.answer(facts.call_sid)
        if answer is not None:
            return answer
        reason = LEFT if result == "hangup" else "capacity"
        twiml, dial = self._scripts(facts).hang_up(), None
        if reason == "capacity":
            plan = line.lobby if line is not None else None
            refused = Refusal("line_full", (plan or Lobby()).otherwise)
            dial = put_through(refused)
            twiml = self._scripts(facts).instead(refused, dial)
        log.info("queue_left", result=result, waited_s=waited_s, call_sid=facts.call_sid)
        self._book.refused(facts, reason, "queue", twiml, dial)
        return twiml

    def _may_enter(self, facts: CallFacts, line: LinePlan | None, waited_s: int) -> bool:
        """Whoever was told to leave the queue, perhaps by another process that keeps a place for
        them, or has entered already; only of who has waited for long it may be that they gave up,
        and where there is a place by now they get it."""
        if self._book.lives(facts.call_sid) or line is None or line.lobby is None:
            return True
        return waited_s < line.lobby.longest_s or self._room(facts.to_number, line)

    def _scripts(self, facts: CallFacts) -> Scripts:
        return self._book.roster.edition.answering(facts.to_number).scripts


def _name(call_sid: str) -> str:
    """What a kept place is held by; no call has such an id."""
    return f"queue:{call_sid}"
