"""A link to a call: a page on which its caller reads along, and goes on in writing.

The link goes to the caller alone, by text message. Rule: whoever has it may read this call and
write to it, and nothing else; only a digest of it is kept, in the facts of the call, so that it
ends with its time and with the call's erasure.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from typing import Any

import structlog

from app.call.facts import Fact
from app.call.record import form_of
from app.call.report import Report
from app.call.transcript import Voice
from app.call.written import AGENT, CALLER
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.book import Book
from app.runtime.live_call import LiveCall
from app.runtime.texting import Texting
from app.services.store.archive import Archive
from app.services.store.calls import CallRow
from app.tools.texts import Text, told_of

SENT = "link.sent"
PATH = "/c/"
PLACE = "{{url}}"
MOST_CHARS = 500
"""Of what is typed at once."""
_KEPT = 1_000
_MOST_IN_A_MINUTE = 10
_MINUTE_S = 60.0

log = structlog.get_logger("links")


class TooMuch(Exception):
    """More is typed than anybody can read."""


class TooLate(Exception):
    """Nobody reads any more what is typed."""


class Links:
    """Carries out ``send_link``, and serves its page. Belongs to the loop. Raises ``StoreFault``
    where the store is needed."""

    def __init__(
        self,
        book: Book,
        archive: Archive,
        texting: Texting,
        *,
        origin: str,
    ) -> None:
        self._book = book
        self._archive = archive
        self._texting = texting
        self._letters = texting.letters
        self._origin = origin
        self._known: OrderedDict[str, float] = OrderedDict()
        """Until when links are good, by their digests: a page asks every two seconds."""
        self._typed: OrderedDict[str, deque[float]] = OrderedDict()
        """When something was typed, by call."""

    async def run(self, call: LiveCall, wish: RunTool, *, text: str, good_for_ms: int) -> ToolDone:
        """Send a link, and tell the model. Cancelling abandons the answer only."""
        token = f"{call.call_id}.{secrets.token_urlsafe(24)}"
        until_s = round(time.time() + good_for_ms / 1000)
        # Before it is sent: a quick thumb finds its page.
        call.tell(call.now_ms(), SENT, {"digest": _digest(token), "expires_at_s": until_s})
        body = text.replace(PLACE, f"{self._origin}{PATH}{token}")
        reason = await self._texting.send(call, Text(body), f"link {wish.tool_call_id}")
        return ToolDone(wish.tool_call_id, told_of(reason), ok=reason is None)

    async def call(self, token: str) -> CallRow | None:
        """The call that a link leads to; None where it leads nowhere, or no longer."""
        call_id, separator, _ = token.partition(".")
        row = await self._archive.row(call_id) if separator else None
        if row is None or row.erased or row.call_id != call_id:
            return None
        until_s = await self._good_until_s(call_id, _digest(token))
        return row if time.time() < until_s else None

    async def _good_until_s(self, call_id: str, digest: str) -> float:
        if digest in self._known:
            return self._known[digest]
        async for fact in self._archive.story(call_id):
            if fact.type == SENT and hmac.compare_digest(str(fact.data["digest"]), digest):
                self._known[digest] = float(fact.data["expires_at_s"])
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
                return self._known[digest]
        return 0.0

    async def conversation(self, row: CallRow, seen: int) -> dict[str, Any] | None:
        """What the page shows; None where nothing came behind the fact ``seen``."""
        live = self._book.here(row.call_id)
        report = live.report if live is not None else await self._told(row, seen)
        if report is None or (live is not None and report.seq <= seen):
            return None
        over = report.ending is not None
        return {
            "seen": report.seq,
            "over": over,
            "open": self._letters.open(row) if over else True,
            "lines": _lines(report),
            "form": _form(form_of(report.analysis, report.form.told)),
        }

    async def _told(self, row: CallRow, seen: int) -> Report | None:
        if seen and not await self._archive.facts(row.call_id, seen, 1):
            return None
        report, last = Report(), 0
        async for fact in self._archive.story(row.call_id):
            report.learn(Fact(fact.type, fact.at_ms, fact.data))
            last = fact.seq
        report.seq = last
        return report

    async def typed(self, row: CallRow, text: str) -> None:
        """The caller wrote on the page. Raises ``TooMuch`` and ``TooLate``."""
        self._count(row.call_id)
        text_id = f"page_{secrets.token_hex(8)}"
        if await self._texting.typed(row, text_id, text):
            return
        if not await self._letters.take(row, text_id, "page", text):
            raise TooLate

    def _count(self, call_id: str) -> None:
        now_s = time.monotonic()
        moments = self._typed.setdefault(call_id, deque())
        while moments and now_s - moments[0] > _MINUTE_S:
            moments.popleft()
        if len(moments) >= _MOST_IN_A_MINUTE:
            raise TooMuch
        moments.append(now_s)
        self._typed.move_to_end(call_id)
        while len(self._typed) > _KEPT:
            self._typed.popitem(last=False)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _lines(report: Report) -> list[dict[str, str]]:
    """Who said and wrote what. What was keyed in, tools and notes are nobody's to read here."""
    by = {Voice.CALLER: CALLER, Voice.AGENT: AGENT}
    said = [
        {"by": by[one.voice], "text": one.heard_text}
        for one in report.passages.values()
        if one.voice in by and one.heard_text
    ]
    return said + [{"by": one["by"], "text": one["text"]} for one in report.written]


def _form(form: Any) -> list[dict[str, str]] | None:
    """The values of the form, where there is one by now."""
    values = form.get("values") if isinstance(form, dict) else None
    if not isinstance(values, dict):
        return None
    return [{"name": str(name), "value": str(value)} for name, value in values.items()]
