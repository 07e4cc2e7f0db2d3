"""Call-backs that the agent promises: orders like any other, to nobody but who is on the line.

The model names a moment and a reason, never a number. Whether and when the number may be called
is judged by the operator's rules at once, so that nothing is promised in vain, and by the jobs
again when the call is due. Rule: what was promised is placed also when the caller hangs up
meanwhile; a second wish moves the first.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from app.jobs.port import Retry
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.live_call import LiveCall
from app.runtime.orders import Order
from app.runtime.outbound import OUTBOUND, Outbound
from app.runtime.promises import Spawn, promised
from app.services.store.archive import Archive
from app.services.store.calls import Filters
from app.tools.callback import Callback, Refused, arranged, asked, spoken

AGAIN_S = 900
"""From an attempt that reached nobody to the next."""
SCHEDULED = "callback.scheduled"
_FEW = 20

log = structlog.get_logger("callbacks")

_NO_NUMBER = "There is no number to call back: the caller's is hidden, or none that can be called."
_WHY = {
    "not_e164": _NO_NUMBER,
    "not_valid": _NO_NUMBER,
    "country_not_allowed": "Numbers of that country are not called from here.",
}
_NOT_CALLED = "This number is not called from here."
_DO_NOT_CALL = "This number is on the list of those that must not be called."
_ALREADY = "A call-back to this number is already arranged; it stays as it is."


@dataclass(frozen=True, slots=True)
class Callees:
    """What the operator's rules say of a number."""

    refusal: Callable[[str], str | None]
    """Why it may never be called, as a stable word."""
    zones: Callable[[str], Sequence[ZoneInfo]]
    """The time zones it may be in."""
    opens_at_ms: Callable[[str, int], int | None]
    """The first moment from then on when it may be called, epoch; None: nobody knows."""
    unwanted: Callable[[str], Awaitable[bool]]
    """Whether it is on the do-not-call list; raises ``OurFault``."""


class Callbacks:
    """Carries out ``schedule_callback``. Belongs to the loop."""

    def __init__(
        self,
        outbound: Outbound,
        archive: Archive,
        callees: Callees,
        spawn: Spawn,
        *,
        within: timedelta,
        attempts: int,
    ) -> None:
        """``within``: how far ahead; ``attempts``: how often it is tried, 1 or more."""
        self._outbound = outbound
        self._archive = archive
        self._callees = callees
        self._spawn = spawn
        self._within = within
        self._attempts = attempts

    async def run(self, call: LiveCall, wish: RunTool) -> ToolDone:
        """Arrange it, and tell the model what became of it (``promised``)."""
        work = self._told(call, wish)
        return await promised(work, wish, self._spawn, what="callback", call_id=call.call_id)

    async def _told(self, call: LiveCall, wish: RunTool) -> str:
        return arranged(await self._arranged(call, wish))

    async def _arranged(self, call: LiveCall, wish: RunTool) -> Callback:
        ours, theirs = _ends(call)
        if (reason := self._callees.refusal(theirs)) is not None:
            raise Refused(_WHY.get(reason, _NOT_CALLED))
        now = datetime.now(UTC)
        callback = asked(wish.arguments, now, self._callees.zones(theirs), self._within)
        self._check_hours(theirs, callback)
        if await self._callees.unwanted(theirs):
            raise Refused(_DO_NOT_CALL)
        earlier = call.report.promised.callback
        await self._check_others(theirs, earlier)
        placed = await self._outbound.place(
            self._order(call, ours, theirs, callback),
            f"callback:{call.call_id}:{wish.tool_call_id}",
        )
        await self._note(call, placed, callback)
        if earlier not in {None, placed}:
            await self._outbound.cancel(str(earlier))
        return callback

    def _check_hours(self, number: str, callback: Callback) -> None:
        at_ms = round(callback.at.timestamp() * 1000)
        opens_at_ms = self._callees.opens_at_ms(number, at_ms)
        if opens_at_ms is None:
            raise Refused("Nobody knows when this number may be called, so it is not.")
        if opens_at_ms > at_ms:
            opens = datetime.fromtimestamp(opens_at_ms / 1000, callback.at.tzinfo)
            raise Refused(
                "People are not called at that time of day or week. The next time when it is"
                f" possible is {spoken(opens)}: offer that, or ask for another time."
            )

    async def _check_others(self, number: str, earlier: str | None) -> None:
        """Whoever shows somebody else's number cannot have them called all day long."""
        asked_for = Filters(to_number=number, status="queued")
        page = await self._archive.page(asked_for, None, _FEW)
        if any(row.resumed_from and row.call_id != earlier for row in page.calls):
            raise Refused(_ALREADY)

    def _order(self, call: LiveCall, ours: str, theirs: str, callback: Callback) -> Order:
        again = Retry(self._attempts - 1, AGAIN_S)
        return Order(
            to=theirs,
            from_=ours,
            task=callback.reason,
            continues=call.call_id,
            conversation_id=call.report.party.conversation_id,
            retries={"busy": again, "no-answer": again} if again.times else {},
            at_ms=round(callback.at.timestamp() * 1000),
        )

    async def _note(self, call: LiveCall, placed: str, callback: Callback) -> None:
        """Put it on record that it was promised; also when the call has ended meanwhile."""
        due_at = callback.at.astimezone(UTC).isoformat(timespec="milliseconds")
        told = {"callback_id": placed, "due_at": due_at.replace("+00:00", "Z")}
        if call.report.ending is None:
            call.tell(call.now_ms(), SCHEDULED, told)
        else:
            await self._archive.add(call.call_id, SCHEDULED, told)
        log.info("callback_scheduled", call_id=call.call_id, callback_id=placed)


def _ends(call: LiveCall) -> tuple[str, str]:
    """Our number, and that of who is on the line."""
    facts = call.facts
    if facts.direction == OUTBOUND:
        return facts.from_number, facts.to_number
    return facts.to_number, facts.from_number
