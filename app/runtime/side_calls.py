"""Side calls: asking a person whether they take a call, while the caller hears music.

Each has an unguessable token in its URLs and tells the machine that asked for it, and no other,
what becomes of it; once. Twilio repeats, reorders and loses: a side call that was dropped, taken
or never known answers the person politely and tells nobody.

    wanted ──key──▶ taken ──the caller's call ends, or the person leaves──▶ dropped
       └──declined, machine, over, nobody wants it any more──▶ dropped
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from app.errors import CarrierFault, OurFault
from app.protocol.commands import PlaceSideCall
from app.protocol.events import (
    Event,
    SideCallAccepted,
    SideCallAnswered,
    SideCallOver,
    SideCallPlaced,
)
from app.protocol.twilio_webhooks import FINAL_STATUSES
from app.protocol.twiml import hangup, say_and_hangup
from app.runtime.book import Spawn
from app.runtime.dials import Dials
from app.runtime.effects import contained
from app.runtime.invitations import TOKEN_BYTES, digest_of
from app.runtime.live_call import LiveCall
from app.runtime.ports import Carrier, Feed
from app.runtime.scripts import NOT_WANTED, rest_address
from app.runtime.ways import Ways

MOST_KEPT = 1_000
"""Side calls that are over are remembered for callbacks that come late; the oldest go first."""
ALONE_S = 3.0
"""From the end of the person's call to the word of how the caller's stay in the room ended."""
STATUSES = ["ringing", "answered", "completed"]
_MACHINES = frozenset({"machine", "fax"})

log = structlog.get_logger("side_calls")


class State(Enum):
    """Whether anybody wants it."""

    WANTED = auto()
    TAKEN = auto()
    DROPPED = auto()


@dataclass(slots=True, eq=False)
class SideCall:
    """One call to one person."""

    call: LiveCall
    wish: PlaceSideCall
    feed: Feed
    token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    room: str = field(default_factory=lambda: f"room-{secrets.token_urlsafe(TOKEN_BYTES)}")
    leg_sid: str = ""
    answered: bool = False
    over: bool = False
    state: State = State.WANTED

    @property
    def dropped(self) -> bool:
        """Nobody wants it any more."""
        return self.state is State.DROPPED


@dataclass(frozen=True, slots=True)
class News:
    """What Twilio tells of a side call."""

    what: str
    """answered, key, status or machine."""
    token: str
    leg_sid: str
    said: str = ""
    """The key, the status, or who picked up."""


class SideCalls:
    """The calls to people beside those of callers. Belongs to the loop."""

    def __init__(
        self,
        carrier: Carrier,
        spawn: Spawn,
        back: Callable[[LiveCall], str],
        ways: Ways | None = None,
    ) -> None:
        """``back``: the document for a caller who sits alone in a room."""
        self._back = back
        self._ways = ways or Ways()
        self._carrier = carrier
        self._spawn = spawn
        self._known: OrderedDict[str, SideCall] = OrderedDict()

    def asked(self, call: LiveCall, wish: PlaceSideCall, feed: Feed) -> SideCall:
        """A person is to be called; from now on the wish may be dropped. ``feed`` is told what
        becomes of it."""
        side = SideCall(call, wish, feed)
        self._known[digest_of(side.token)] = side
        for digest in list(self._known)[: max(0, len(self._known) - MOST_KEPT)]:
            if self._known[digest].state is State.DROPPED:
                del self._known[digest]
        return side

    async def place(self, side: SideCall) -> Event:
        """Call the person. Raises nothing of Twilio's: what went wrong is the outcome."""
        call, wish = side.call, side.wish
        if side.dropped:
            return SideCallOver(wish.attempt, "canceled")
        try:
            side.leg_sid = await self._placed(side)
        except (CarrierFault, OurFault) as fault:
            # Where that is unclear the telephone may ring: it is hung up, now or when a callback
            # says that it does.
            self._drop(side)
            log.warning("side_call_refused", reason=fault.reason, call_id=call.call_id)
            return SideCallOver(wish.attempt, fault.reason)
        if side.dropped:
            self._let_go(side)
        return SideCallPlaced(wish.attempt, wish.target, side.leg_sid)

    async def _placed(self, side: SideCall) -> str:
        target, wish = side.call.scripts.destinations[side.wish.target], side.wish
        await self._ways.find(side.call, wish.target, wish.summary)
        way = self._ways.of(side.call, wish.target, wish.summary)
        more: dict[str, object] = {
            "timeout": target.ring_timeout_s,
            "status_callback": self._url(side, "status"),
            "status_callback_event": STATUSES,
        }
        if target.reject_machines:
            more |= {
                "machine_detection": "Enable",
                "async_amd": "true",
                "async_amd_status_callback": self._url(side, "machine"),
            }
        from_ = target.caller_id or side.call.line_number
        return await self._carrier.place(rest_address(way.to), from_, self._url(side), more)

    def _url(self, side: SideCall, what: str = "") -> str:
        return side.call.scripts.side_call_url(side.token, side.call.facts.call_sid, what)

    def drop(self, call: LiveCall, attempt: int) -> None:
        """Nobody wants this one any more; the person's telephone stops ringing."""
        for side in self._of(call):
            if side.wish.attempt == attempt:
                self._drop(side)

    def call_over(self, call: LiveCall) -> None:
        """The caller's call has ended, whatever had become of its side calls."""
        for side in self._of(call):
            self._drop(side)

    def of(self, call: LiveCall, dials: Dials) -> "Asked":
        """Those of one stream of a call."""
        return Asked(self, call, dials)

    def join_twiml(self, call: LiveCall, dials: Dials, target: str, attempt: int) -> str:
        """The document that brings the caller to who waits. Raises ``KeyError``."""
        return call.scripts.transfer(dials.draw(call, target, self.room(call, attempt)))

    def room(self, call: LiveCall, attempt: int) -> str:
        """Where the person of this attempt waits. Raises ``KeyError``."""
        for side in self._of(call):
            if side.wish.attempt == attempt and side.state is State.TAKEN:
                return side.room
        raise KeyError(attempt)

    def _of(self, call: LiveCall) -> list[SideCall]:
        mine = [one for one in self._known.values() if one.call is call]
        return [one for one in mine if one.state is not State.DROPPED]

    def _drop(self, side: SideCall) -> None:
        side.state = State.DROPPED
        self._let_go(side)

    def _let_go(self, side: SideCall) -> None:
        if side.leg_sid and not side.over:
            work = contained(self._hung_up(side), None)
            self._spawn(work, f"side-call-{side.call.call_id}")

    async def _hung_up(self, side: SideCall) -> None:
        """Who has picked up is told why; where that fails the call just ends."""
        if side.answered and await self._done(
            self._carrier.redirect(side.leg_sid, say_and_hangup(NOT_WANTED)), side
        ):
            return
        await self._done(self._carrier.hang_up(side.leg_sid), side)

    async def _done(self, request: Awaitable[None], side: SideCall) -> bool:
        try:
            await request
        except CarrierFault as fault:
            if fault.reason != "call_over":
                log.warning("side_call_not_ended", reason=fault.reason, call_id=side.call.call_id)
                return False
        return True

    def told(self, news: News) -> str:
        """What Twilio tells of a side call, and the document for the person, where one is asked
        for. Idempotent: what comes late or again changes nothing."""
        side = self._known.get(digest_of(news.token))
        if side is None or side.leg_sid not in {"", news.leg_sid}:
            return say_and_hangup(NOT_WANTED)
        side.leg_sid = news.leg_sid
        match news.what:
            case "answered":
                return self._answered(side)
            case "key":
                return self._keyed(side, news.said)
            case "machine":
                self._detected(side, news.said)
            case _:
                self._progressed(side, news.said)
        return hangup()

    def _answered(self, side: SideCall) -> str:
        if side.state is not State.WANTED:
            return self._waits(side)
        if not side.answered:
            side.answered = True
            side.feed(SideCallAnswered(side.wish.attempt))
        wish, scripts = side.wish, side.call.scripts
        words = self._ways.whisper(side.call, wish.target, wish.summary)
        return scripts.whisper(wish.target, words, self._url(side, "key"))

    def _waits(self, side: SideCall) -> str:
        """For somebody who may have decided before."""
        if side.state is State.TAKEN:
            return side.call.scripts.room(side.room)
        return say_and_hangup(NOT_WANTED)

    def _keyed(self, side: SideCall, key: str) -> str:
        if side.state is not State.WANTED:
            return self._waits(side)
        side.answered = True
        if key != side.call.scripts.destinations[side.wish.target].accept_key:
            self._over(side, "declined")
            return hangup()
        side.state = State.TAKEN
        side.feed(SideCallAccepted(side.wish.attempt))
        return self._waits(side)

    def _detected(self, side: SideCall, who: str) -> None:
        if side.state is State.WANTED and who in _MACHINES:
            side.answered = False  # Nothing is said to a machine.
            self._over(side, "machine")
            self._let_go(side)

    def _progressed(self, side: SideCall, status: str) -> None:
        side.over = side.over or status in FINAL_STATUSES
        if side.state is State.DROPPED and not side.over:
            self._let_go(side)  # It rings, although its placing seemed to fail.
        elif side.state is State.WANTED and side.over:
            picked_up = status == "completed"
            self._over(side, "not_accepted" if picked_up else status.replace("-", "_"))
        elif side.state is State.TAKEN and side.over:
            side.state = State.DROPPED
            loop = asyncio.get_running_loop()
            loop.call_later(ALONE_S, self._look_into_room, side)

    def _look_into_room(self, side: SideCall) -> None:
        """Who leaves ends it for both. A caller who came later sits there alone, in silence."""
        if _in_room(side):
            self._spawn(contained(self._fetched(side), None), f"alone-{side.call.call_id}")

    async def _fetched(self, side: SideCall) -> None:
        """Twilio knows whether the caller is there at all; nothing is told of one who is not."""
        call_sid = side.call.facts.call_sid
        status = await self._carrier.call_status(call_sid)
        if status == "in-progress" and _in_room(side):
            await self._carrier.redirect(call_sid, self._back(side.call))

    def _over(self, side: SideCall, reason: str) -> None:
        side.state = State.DROPPED
        log.info("person_not_reached", reason=reason, call_id=side.call.call_id)
        side.feed(SideCallOver(side.wish.attempt, reason))


def _in_room(side: SideCall) -> bool:
    """The caller was sent there, has not come back, and is nobody else's."""
    call = side.call
    return (
        call.dial is not None
        and call.dial.room == side.room
        and call.at_carrier
        and call.report.ending is None
        and not call.given_away
    )


class Asked:
    """The people that one stream of a call may ask."""

    def __init__(self, desk: SideCalls, call: LiveCall, dials: Dials) -> None:
        self._desk = desk
        self._call = call
        self._dials = dials
        self._wishes: dict[int, SideCall] = {}

    def asked(self, wish: PlaceSideCall, feed: Feed) -> None:
        """One is to be called; ``feed`` is told what becomes of it."""
        self._wishes[wish.attempt] = self._desk.asked(self._call, wish, feed)

    async def place(self, wish: PlaceSideCall) -> Event:
        """Call them, after ``asked``."""
        return await self._desk.place(self._wishes.pop(wish.attempt))

    def drop(self, attempt: int) -> None:
        """This one is not wanted any more."""
        self._desk.drop(self._call, attempt)

    def join_twiml(self, target: str, attempt: int) -> str:
        """The document that brings the caller to who waits. Raises ``KeyError``."""
        return self._desk.join_twiml(self._call, self._dials, target, attempt)
