"""Tools that wait for a person: who is asked, what they say, and where.

A tool call that needs approval waits here, beside the audio, before it is carried out: the caller
goes on talking, and hears what they hear while any tool works. Rule: it is carried out only after
somebody said so, and once; whatever else happens, a refusal, silence, a hang-up, the end of the
process, it is not. What the caller keyed in for tools alone is not shown to who is asked.

    asked ──approve──▶ approved, carried out
      ├──refuse──▶ refused, with a reason for the model
      ├──nobody says anything──▶ timed_out
      └──the stream ends──▶ canceled
"""

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog

from app.errors import CallerFault, OurFault
from app.protocol.commands import RunTool
from app.runtime.book import Book
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.services.store.archive import Archive

OP = "approve"
ANSWER_S = 1.5
"""For the process that has the call."""
MOST_OPEN = 256
"""Tool calls of this process that wait at a time; one more is refused."""
_KEPT = 1_000
_NAME = re.compile(r"appr_([0-9a-f]{24})_[0-9a-f]{12}")

REFUSED = "A person was asked and has refused this; it was not done.{reason}"
TIMED_OUT = "A person was asked and did not answer in time; it was not done."
TOO_MANY = "Too many decisions wait for a person; it was not done."

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]

log = structlog.get_logger("approvals")


class Bus(Protocol):
    """The way to the other processes."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not in time."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A tool call that waits for a person."""

    approval_id: str
    call_id: str
    tool_call_id: str
    name: str
    arguments: str
    """As the model wrote them."""
    requested_at: str
    expires_at: str


@dataclass(slots=True)
class _Open:
    approval: Approval
    call: LiveCall
    verdict: "asyncio.Future[tuple[bool, str]]" = field(repr=False)


class Approvals:
    """What waits in this process, and what others are told. Belongs to the loop."""

    def __init__(self, book: Book, archive: Archive, bus: Bus, *, me: str) -> None:
        self._book = book
        self._archive = archive
        self._bus = bus
        self._me = me
        self._open: dict[str, _Open] = {}
        self._decided: OrderedDict[str, bool] = OrderedDict()
        """The last verdicts, so that one that is repeated is no mistake."""

    async def asked(self, call: LiveCall, wish: RunTool) -> str | None:
        """Wait until the tool call may be carried out: None, or why not, for the model.

        At once where nobody has to be asked. Cancelling withdraws the question.
        """
        patience_ms = call.met.approval(wish.name)
        if patience_ms is None:
            return None
        if len(self._open) >= MOST_OPEN:
            return TOO_MANY
        one = self._ask(call, wish, patience_ms)
        state, reason = "canceled", ""
        try:
            async with asyncio.timeout(patience_ms / 1000):
                approve, reason = await one.verdict
            state = "approved" if approve else "refused"
        except TimeoutError:
            state = "timed_out"
        finally:
            del self._open[one.approval.approval_id]
            told = {"approval_id": one.approval.approval_id, "name": wish.name}
            told |= {"tool_call_id": wish.tool_call_id, "state": state, "reason": reason}
            call.tell(call.now_ms(), "tool.approval_answered", told)
            log.info("approval_answered", tool=wish.name, state=state, call_id=call.call_id)
        if state == "approved":
            return None
        why = f" They say: {reason}" if reason else ""
        return TIMED_OUT if state == "timed_out" else REFUSED.format(reason=why)

    def _ask(self, call: LiveCall, wish: RunTool, patience_ms: int) -> _Open:
        now = datetime.now(UTC)
        approval = Approval(
            f"appr_{call.call_id.removeprefix('call_')}_{secrets.token_hex(6)}",
            call.call_id,
            wish.tool_call_id,
            wish.name,
            wish.arguments,
            _written(now),
            _written(now + timedelta(milliseconds=patience_ms)),
        )
        one = _Open(approval, call, asyncio.get_running_loop().create_future())
        self._open[approval.approval_id] = one
        told = asdict(approval)
        del told["call_id"]
        call.tell(call.now_ms(), "tool.approval_requested", told)
        log.info("approval_requested", tool=wish.name, call_id=call.call_id)
        return one

    async def waiting(self) -> Sequence[Approval]:
        """What waits in any process, oldest first. Raises ``StoreFault``."""
        ours = [one.approval for one in self._open.values()]
        now = _written(datetime.now(UTC))
        theirs = [
            Approval(call_id=call_id, **told)
            for call_id, told in await self._archive.approvals_asked()
            if self._book.here(call_id) is None and told["expires_at"] > now
        ]
        return sorted([*ours, *theirs], key=lambda one: one.requested_at)

    async def decide(self, approval_id: str, *, approve: bool, reason: str) -> None:
        """Say yes or no, in whatever process it waits; the first word counts, and may be repeated.

        Raises ``CallerFault``, ``unknown`` or ``approval_over``; ``OurFault`` where the process
        that has the call does not answer; ``StoreFault``.
        """
        named = _NAME.fullmatch(approval_id)
        if named is None:
            raise _unknown()
        call_id = f"call_{named[1]}"
        if approval_id in self._decided or self._book.here(call_id) is not None:
            return self._decide(approval_id, approve=approve, reason=reason)
        row = await self._archive.row(call_id)
        if row is None or row.erased:
            raise _unknown()
        if row.status != "live" or row.owner in (None, self._me):
            raise _over()
        args = {"approval_id": approval_id, "approve": approve, "reason": reason}
        told = await self._bus.ask(str(row.owner), OP, args, ANSWER_S)
        if told is None:
            # To be asked again is no harm: whoever has heard it already says the same.
            raise OurFault(
                "no_answer", "the process that has the call does not answer: ask again in a moment"
            )
        if told["over"]:
            raise _over()

    def _decide(self, approval_id: str, *, approve: bool, reason: str) -> None:
        if self._decided.get(approval_id) is approve:
            return
        one = self._open.get(approval_id)
        if one is None or one.verdict.done():
            raise _over()
        one.verdict.set_result((approve, reason))
        self._decided[approval_id] = approve
        while len(self._decided) > _KEPT:
            self._decided.popitem(last=False)

    def or_else(self, otherwise: Answer) -> Answer:
        """What answers the other processes: about approvals here, about anything else there."""

        async def answer(op: str, args: dict[str, Any]) -> dict[str, Any] | None:
            if op == OP:
                return await contained(self._answered(args), None)
            return await otherwise(op, args)

        return answer

    async def _answered(self, args: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._decide(
                str(args["approval_id"]),
                approve=args["approve"] is True,
                reason=str(args["reason"]),
            )
        except CallerFault:
            return {"over": True}
        return {"over": False}


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unknown() -> CallerFault:
    return CallerFault("unknown", "there is no such approval")


def _over() -> CallerFault:
    return CallerFault("approval_over", "nobody waits for this any more, or it was decided")
