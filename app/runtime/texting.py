"""Text messages of live calls: sent for the agent, watched until they arrive, and received.

Whom a message goes to is the operator's to say (``Allowed``), and STOP is the last word on it.
Rule: one tool call sends at most one message. Twilio has no idempotency key, so whatever cannot
be known to have failed is never sent again. News of a message, and messages of callers', reach
their call in whatever process it is.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from app.call import sms
from app.errors import CarrierFault, OurFault
from app.protocol.commands import RunTool
from app.protocol.events import TextFailed, TextReceived, ToolDone
from app.protocol.twilio_messages import IncomingMessage, MessageStatus
from app.runtime.book import Book
from app.runtime.correspondence import Correspondence, ends_on_record
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.runtime.outbound import OUTBOUND
from app.services.store.archive import Archive
from app.services.store.calls import CallRow, Filters
from app.tools.callback import Refused, refused
from app.tools.texts import CALLER, Allowed, Text, asked, reason_of, told_of, why

STATUS_PATH = "/twilio/message-status"
MESSAGE_PATH = "/incoming-message"
TOLD_S = 15
"""How long the caller waits: REST may be asked several times."""
ANSWER_S = 1.5
PAGE = "page"
OP, STATUS_OP = "text", "text_status"
_KEPT = 1_000
_FEW = 20
_REFUSED = "refused_"
_NO_NUMBER = frozenset({"not_e164", "not_valid", "no_country", "emergency"})

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]

log = structlog.get_logger("texting")


class Texts(Protocol):
    """Twilio's REST API; raises ``CarrierFault``."""

    async def message(
        self,
        to: str,
        from_: str,
        body: str,
        *,
        media_url: str | None = None,
        status_callback: str | None = None,
    ) -> str:
        """Send one; its SID."""


class Bus(Protocol):
    """The way to the other processes."""

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """What process ``to`` answers; None where it does not in time."""


class Texting:
    """Carries out ``send_sms`` and takes Twilio's messages. Belongs to the loop."""

    def __init__(
        self,
        carrier: Texts,
        archive: Archive,
        book: Book,
        bus: Bus,
        *,
        refusal: Callable[[str], str | None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        letters: Correspondence,
        origin: str,
        me: str,
    ) -> None:
        """``refusal``: why a number may never be sent anything. ``letters`` take what comes when
        nobody is on the line."""
        self._carrier = carrier
        self._archive = archive
        self._book = book
        self._bus = bus
        self._refusal = refusal
        self._spawn = spawn
        self.letters = letters
        self._origin = origin
        self._me = me
        self._under_way: OrderedDict[str, asyncio.Future[str | None]] = OrderedDict()
        """What became of a tool call's message, by call and tool call."""
        self._seen: OrderedDict[str, None] = OrderedDict()
        """Messages that came, which Twilio may bring twice."""

    async def run(self, call: LiveCall, wish: RunTool) -> ToolDone:
        """Send what the model wants sent, and tell it. Cancelling abandons the answer only."""
        allowed = _allowed(call)
        try:
            text = asked(wish.arguments, tuple(allowed.to), allowed.media, allowed.segments)
        except Refused as refusal:
            return ToolDone(wish.tool_call_id, refused(str(refusal)), ok=False)
        reason = await self.send(call, text, wish.tool_call_id)
        return ToolDone(wish.tool_call_id, told_of(reason), ok=reason is None)

    async def send(
        self, call: LiveCall, text: Text, key: str, *, counts: bool = True
    ) -> str | None:
        """Send one message for ``key``, however often it is asked for; None, or why not.

        ``counts``: towards what a call may send. Raises nothing; cancelling abandons the answer.
        """
        name = f"{call.call_id} {key}"
        sending = self._under_way.get(name)
        if sending is None:
            if counts and self._sent_so_far(call) >= _allowed(call).per_call:
                return "too_many"
            sending = asyncio.get_running_loop().create_future()
            self._under_way[name] = sending
            while len(self._under_way) > _KEPT:
                self._under_way.popitem(last=False)
            self._spawn(self._sends(call, text, sending), f"text-{call.call_id}")
        try:
            async with asyncio.timeout(TOLD_S):
                return await asyncio.shield(sending)
        except TimeoutError:
            return "unclear"

    def _sent_so_far(self, call: LiveCall) -> int:
        here = sum(name.startswith(f"{call.call_id} ") for name in self._under_way)
        known = len([one for one in call.report.texts if one["direction"] == "outbound"])
        return max(here, known)

    async def _sends(self, call: LiveCall, text: Text, done: asyncio.Future[str | None]) -> None:
        reason: str | None = "not_sent"
        try:
            reason = await self._sent(call, text)
        except OurFault as fault:
            log.warning("text_not_sent", reason=fault.reason, call_id=call.call_id)
        finally:
            if not done.done():
                done.set_result(reason)

    async def _sent(self, call: LiveCall, text: Text) -> str | None:
        ours, theirs = ends(call)
        number = _allowed(call).to.get(text.to) or theirs
        if (reason := self._unfit(number)) is not None:
            return reason
        if await self._archive.opt_outs.has(number):
            return await self._not_sent(call, text, "opted_out", None)
        if await self._archive.unwanted(number):
            return await self._not_sent(call, text, "do_not_call", None)
        from_ = ours if _allowed(call).from_ == "line" else _allowed(call).from_
        query = f"?call={call.facts.call_sid}&to={text.to}"
        try:
            sid = await self._carrier.message(
                number,
                from_,
                text.body,
                media_url=_allowed(call).media.get(text.media or ""),
                status_callback=f"{self._origin}{STATUS_PATH}{query}",
            )
        except CarrierFault as fault:
            return await self._failed_at_once(call, text, number, fault)
        told = {"message_sid": sid, "to": text.to, "status": "sent", "at": _now()}
        await self._tell(call.call_id, sms.SENT, told)
        log.info("text_sent", message_sid=sid, call_id=call.call_id)
        return None

    def _unfit(self, number: str) -> str | None:
        reason = self._refusal(number)
        if reason is None:
            return None
        if reason in _NO_NUMBER:
            return "no_number"
        return "landline" if reason == "kind_not_allowed" else "country_not_allowed"

    async def _failed_at_once(
        self, call: LiveCall, text: Text, number: str, fault: CarrierFault
    ) -> str:
        code = fault.reason.removeprefix(_REFUSED)
        known = int(code) if fault.reason.startswith(_REFUSED) and code.isdecimal() else None
        reason = "unclear" if fault.unclear else reason_of(known, "not_sent")
        if reason == "opted_out":
            await self._archive.opt_outs.add(number)
        return await self._not_sent(call, text, reason, known)

    async def _not_sent(self, call: LiveCall, text: Text, reason: str, code: int | None) -> str:
        status = "unclear" if reason == "unclear" else "not_sent"
        told = {"message_sid": None, "to": text.to, "status": status, "error_code": code}
        await self._tell(call.call_id, sms.FAILED, told | {"reason": reason, "at": _now()})
        log.warning("text_not_sent", reason=reason, code=code, call_id=call.call_id)
        return reason

    async def _tell(self, call_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """A fact of a call, whether it goes on here or is over. Raises ``StoreFault``."""
        call = self._book.here(call_id)
        if call is not None and call.report.ending is None:
            call.tell(call.now_ms(), kind, data)
        else:
            await self._archive.add(call_id, kind, data)

    async def status(self, call_sid: str, to: str, news: MessageStatus) -> None:
        """How far a message of ours has come. Idempotent. Raises ``StoreFault``."""
        if not (news.failed or news.delivered):
            return
        call = self._book.call(call_sid)
        if call is not None:
            self._progressed(call, to, news)
            return
        row = await self._archive.row(call_sid)
        if row is None or row.erased:
            return
        args = {"sid": news.message_sid, "status": news.status, "code": news.error_code, "to": to}
        if row.status == "live" and await self._elsewhere(row, STATUS_OP, args):
            return
        known = (row.record or {}).get("sms") or ()
        if not sms.is_final(known, news.message_sid):
            kind, told = _news(to, news)
            await self._archive.add(row.call_id, kind, told)

    def _progressed(self, call: LiveCall, to: str, news: MessageStatus) -> None:
        if sms.is_final(call.report.texts, news.message_sid):
            return
        kind, told = _news(to, news)
        call.tell(call.now_ms(), kind, told)
        log.info("text_progressed", status=news.status, code=news.error_code, call_id=call.call_id)
        if news.failed and call.runner is not None and call.runner.reason is None:
            call.runner.feed(TextFailed(to, told["reason"], why(told["reason"])))

    async def received(self, message: IncomingMessage) -> None:
        """A message came: STOP and START are kept, anything else joins the caller's live
        call, or their last one.

        Idempotent. Raises ``StoreFault`` where nobody can be asked; then it may come again.
        """
        if message.message_sid in self._seen:
            return
        if message.opt_out:
            await self._opts(message)
        else:
            await self._joins(message)
        self._seen[message.message_sid] = None
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)

    async def _opts(self, message: IncomingMessage) -> None:
        # Twilio answers these words itself; a second answer would only cost.
        if message.opt_out == "STOP":
            await self._archive.opt_outs.add(message.from_)
            await self._tell_opted_out(message.from_)
        elif message.opt_out == "START":
            await self._archive.opt_outs.remove(message.from_)
        log.info("text_opt_out", word=message.opt_out)

    async def _tell_opted_out(self, number: str) -> None:
        """In their live call, or in their last one; a call of another process learns it when a
        message to them is refused."""
        told = {"channel": "sms"}
        here = [call for call in self._book.all_here() if ends(call)[1] == number]
        if here:
            here[-1].tell(here[-1].now_ms(), "caller.opted_out", told)
            return
        page = await self._archive.page(Filters(number=number, status="ended"), None, 1)
        for row in page.calls:
            await self._archive.add(row.call_id, "caller.opted_out", told)

    async def _joins(self, message: IncomingMessage) -> None:
        args = {"sid": message.message_sid, "text": _readable(message)}
        for call in reversed(list(self._book.all_here())):
            ours, theirs = ends(call)
            concerned = theirs == message.from_ and self.letters.concerns(ours, message.to)
            if concerned and self._reaches(call, args):
                return
        page = await self._archive.page(Filters(number=message.from_, status="live"), None, _FEW)
        for row in page.calls:
            ours, theirs = ends_on_record(row)
            concerned = theirs == message.from_ and self.letters.concerns(ours, message.to)
            if concerned and await self._elsewhere(row, OP, args):
                return
        sid = message.message_sid
        call_id = await self.letters.by_text(message, _readable(message))
        if call_id is None:
            log.info("text_without_a_call", message_sid=sid)
            return
        told = {"message_sid": sid, "to": None, "status": "received", "at": _now()}
        await self._archive.add(call_id, sms.RECEIVED, told)

    def _reaches(self, call: LiveCall, args: Mapping[str, Any]) -> bool:
        """Whether the caller is on a stream here, which then has the message."""
        runner = call.runner
        if runner is None or runner.reason is not None or not runner.has_stream:
            return False
        if call.met.texts is None:
            return False
        if args.get("via") == PAGE:
            runner.feed(TextReceived(str(args["text"]), as_caller=True))
            return True
        if any(one["message_sid"] == args["sid"] for one in call.report.texts):
            return True
        told = {"message_sid": args["sid"], "to": None, "status": "received", "at": _now()}
        call.tell(call.now_ms(), sms.RECEIVED, told)
        runner.feed(TextReceived(str(args["text"]), _allowed(call).as_caller_text))
        return True

    async def typed(self, row: CallRow, text_id: str, text: str) -> bool:
        """The caller of a call wrote on its page: whether the agent on the line reads it."""
        args = {"sid": text_id, "text": text, "via": PAGE}
        call = self._book.here(row.call_id)
        if call is not None:
            return self._reaches(call, args)
        return row.status == "live" and await self._elsewhere(row, OP, args)

    async def _elsewhere(self, row: CallRow, op: str, args: dict[str, Any]) -> bool:
        """Whether the process that has the call has taken it."""
        if row.owner in (None, self._me):
            return False
        asked_of = {**args, "call_id": row.call_id}
        answer = await self._bus.ask(str(row.owner), op, asked_of, ANSWER_S)
        return answer is not None and bool(answer.get("taken"))

    def or_else(self, otherwise: Answer) -> Answer:
        """What answers the other processes: about messages here, about anything else there."""

        async def answer(op: str, args: dict[str, Any]) -> dict[str, Any] | None:
            if op in {OP, STATUS_OP}:
                return await contained(self._answered(op, args), None)
            return await otherwise(op, args)

        return answer

    async def _answered(self, op: str, args: dict[str, Any]) -> dict[str, Any] | None:
        call = self._book.here(str(args["call_id"]))
        if call is None:
            return None
        if op == OP:
            return {"taken": self._reaches(call, args)}
        news = MessageStatus(args["sid"], args["status"], args["code"])
        self._progressed(call, str(args["to"]), news)
        return {"taken": True}


def _allowed(call: LiveCall) -> Allowed:
    """What the agent of this call may do; nothing where its document says nothing."""
    return call.met.texts or Allowed()


def ends(call: LiveCall) -> tuple[str, str]:
    """Our number, and that of who is on the line."""
    facts = call.facts
    if facts.direction == OUTBOUND:
        return facts.from_number, facts.to_number
    return facts.to_number, facts.from_number


def _readable(message: IncomingMessage) -> str:
    """What the agent reads of it; it cannot look at pictures."""
    if not message.media:
        return message.body
    note = "(with a picture or file, which you cannot see)"
    return f"{message.body} {note}".strip()


def _news(to: str, news: MessageStatus) -> tuple[str, dict[str, Any]]:
    told: dict[str, Any] = {
        "message_sid": news.message_sid,
        "to": to or CALLER,
        "status": "delivered" if news.delivered else news.status,
        "error_code": news.error_code,
        "at": _now(),
    }
    if news.delivered:
        return sms.DELIVERED, told
    return sms.FAILED, told | {"reason": reason_of(news.error_code, "undelivered")}


def _now() -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")
