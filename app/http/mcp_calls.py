"""The telephone as tools for other programs' models: what they may ask, and what they are told.

Rule: a model that calls by these tools may do what the bearer of the key may do by the routes, by
the same judges (``Desk``, ``Once``), and nothing beside it. Nothing of MCP is known here.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.errors import CallerFault, CarrierFault, OurFault, StoreFault
from app.http.commands import refusal
from app.http.outbound import Desk, NewCall
from app.http.queries import STATUSES
from app.http.record import CallPage
from app.http.records import summary
from app.runtime.once import Once
from app.runtime.records import LOOK_S, CursorFault, Filters, Records
from app.runtime.wishes import Wish

LONGEST_WAIT_S = 600
USUAL_WAIT_S = 45
"""Many clients give a tool a minute."""
MOST_LISTED = 50

Tell = Callable[[float, str], Awaitable[None]]
"""How far it has come: seconds since it was asked, and a few words; never what was said."""
Id = Annotated[str, Field(min_length=1, max_length=64)]
Wait = Annotated[int, Field(ge=0, le=LONGEST_WAIT_S)]

_NEWS = {
    "call.ringing": "the telephone rings",
    "call.answered": "somebody picked up",
    "call.attempted": "nobody picked up at this attempt",
    "voicemail.detected": "an answering machine picked up",
    "transfer.connected": "they were put through to a person",
    "call.ended": "the call is over",
}
"""What is told on the way, by the kinds of facts."""
_OF_THE_RECORD = (
    *("call_id", "status", "end_reason", "answered_by", "disposition", "failure"),
    *("form", "analysis", "reminders"),
)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PlaceCall(NewCall):
    """A call to be placed by another program's model."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The same key with the same order is the same call, for 24 hours: repeat it when in doubt
    whether the call was placed."""
    wait_s: Wait = USUAL_WAIT_S
    """Seconds to wait for the end of the call and its analysis; 0: it is only ordered."""


class GetCall(_Asked):
    """A call that is asked for."""

    call_id: Id
    wait_s: Wait = 0
    """Seconds to wait for the end of the call and its analysis."""
    words: bool = False
    """true: with what was said."""


class EndCall(_Asked):
    """A call that is to end."""

    call_id: Id


class ListCalls(_Asked):
    """Which calls are asked for."""

    number: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """On either side."""
    status: Literal["queued", "in_progress", "completed"] | None = None
    end_reason: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    after: AwareDatetime | None = None
    before: AwareDatetime | None = None
    limit: int = Field(default=20, ge=1, le=MOST_LISTED)
    cursor: Annotated[str, Field(max_length=2_000)] | None = None
    """What the page before this one ended with."""


class Word(BaseModel):
    """Something that was said, as far as it was heard."""

    by: Literal["caller", "agent"]
    text: str


class ToldCall(BaseModel):
    """A call, as far as it has come."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    call_id: str
    status: Literal["queued", "in_progress", "completed"]
    """queued: to be placed, or its telephone rings."""
    end_reason: str | None
    answered_by: str | None
    """human, machine, fax or unknown; null where nobody asked."""
    disposition: str | None
    failure: dict[str, Any] | None
    from_: str = Field(alias="from")
    to: str
    created_at: str | None
    ended_at: str | None
    summary: str | None
    """What the call came to; null until it was analysed, or where the agent has no analysis."""
    form: Any
    """What the call was to find out."""
    analysis: dict[str, Any] | None
    reminders: list[Any]
    words: list[Word] | None
    """What was said, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, as it is described to a model."""

    name: str
    title: str
    description: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    reads: bool
    """It changes nothing."""


TOOLS = (
    Tool(
        "place_call",
        "Place a telephone call",
        "Have the agent call a number and do a task, in its own voice. Waits up to wait_s for the"
        " end of the call; where status is not yet completed, ask get_call with wait_s.",
        PlaceCall,
        ToldCall,
        reads=False,
    ),
    Tool(
        "get_call",
        "Look at a call",
        "How far a call has come, why it ended, what it found out (form) and came to (summary).",
        GetCall,
        ToldCall,
        reads=True,
    ),
    Tool(
        "end_call",
        "End a call",
        "Hang up a call that goes on, or take back one that is still to be placed.",
        EndCall,
        ToldCall,
        reads=False,
    ),
    Tool("list_calls", "List calls", "Calls, newest first.", ListCalls, CallPage, reads=True),
)


class Calls:
    """What the tools do. All raise ``HTTPException`` with a sentence for the model."""

    def __init__(self, records: Records, orders: Once, desk: Desk, *, analysed: bool) -> None:
        """``analysed``: whether calls are analysed when they are over."""
        self._desk = desk
        self._records = records
        self._orders = orders
        self._analysed = analysed
        self._tools: dict[str, Callable[[Any, Tell], Awaitable[dict[str, Any]]]] = {
            "place_call": self._place,
            "get_call": self._get,
            "end_call": self._end,
            "list_calls": self._list,
        }

    async def use(self, tool: Tool, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """What a tool tells: its ``gives`` as JSON. Raises ``ValidationError`` as well.

        Cancelling is safe: a call that was ordered goes on.
        """
        asked = tool.takes.model_validate(arguments)
        try:
            return await self._tools[tool.name](asked, tell)
        except StoreFault as fault:
            raise HTTPException(503, f"{fault}: ask again in a moment") from None
        except (CallerFault, CarrierFault, OurFault) as fault:
            raise refusal(fault) from None

    async def _place(self, asked: PlaceCall, tell: Tell) -> dict[str, Any]:
        call_id = await self._desk.order(asked, asked.idempotency_key)
        await self._until_over(call_id, asked.wait_s, tell)
        return await self._told(call_id)

    async def _get(self, asked: GetCall, tell: Tell) -> dict[str, Any]:
        await self._until_over(asked.call_id, asked.wait_s, tell)
        return await self._told(asked.call_id, words=asked.words)

    async def _end(self, asked: EndCall, _tell: Tell) -> dict[str, Any]:
        record = await self._record(asked.call_id)
        if record["status"] == "queued" and await self._taken_back(asked.call_id):
            return await self._told(asked.call_id)
        if record["status"] != "completed":
            await self._orders.give(asked.call_id, [Wish("end_call")])
        return await self._told(asked.call_id)

    async def _taken_back(self, call_id: str) -> bool:
        try:
            await self._desk.cancel(call_id)
        except HTTPException as refused:
            if refused.status_code != 409:
                raise
            return False  # It is being placed, or was: a live call is hung up.
        return True

    async def _list(self, asked: ListCalls, _tell: Tell) -> dict[str, Any]:
        filters = Filters(
            number=asked.number,
            status=STATUSES[asked.status] if asked.status else None,
            end_reason=asked.end_reason,
            created_after=asked.after,
            created_before=asked.before,
        )
        try:
            page = await self._records.page(filters, asked.cursor, asked.limit)
        except CursorFault:
            raise HTTPException(400, "cursor is none that a page ended with") from None
        return {"calls": [summary(row) for row in page.calls], "cursor": page.cursor}

    async def _until_over(self, call_id: str, wait_s: int, tell: Tell) -> None:
        """Wait for the end of a call and for what it came to, or until the server drains."""
        row = await self._records.find(call_id) if wait_s else None
        if row is None:
            return
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(wait_s), aclosing(self._records.follow(row, 0)) as followed:
                async for facts in followed:
                    news = [_NEWS[fact.type] for fact in facts if fact.type in _NEWS]
                    if news or not facts:
                        words = news[-1] if news else "it goes on"
                        await tell(time.monotonic() - began_s, words)
                await self._until_analysed(call_id)
        except TimeoutError:
            return

    async def _until_analysed(self, call_id: str) -> None:
        """The analysis is told by another process, which announces nothing."""
        while self._analysed and not self._records.draining:
            record = await self._records.get(call_id)
            if record is None or record["analysis"] or not record["timestamps"]["answered_at"]:
                return
            await asyncio.sleep(LOOK_S)

    async def _record(self, call_id: str) -> Mapping[str, Any]:
        record = await self._records.get(call_id)
        if record is None:
            raise HTTPException(404, "no call has this id, or it was erased")
        return record

    async def _told(self, call_id: str, *, words: bool = False) -> dict[str, Any]:
        record = await self._record(call_id)
        analysis = record["analysis"] or {}
        return {
            **{name: record[name] for name in _OF_THE_RECORD},
            "from": record["from"]["number"],
            "to": record["to"]["number"],
            "created_at": record["timestamps"]["created_at"],
            "ended_at": record["timestamps"]["ended_at"],
            "summary": analysis.get("long") or analysis.get("short"),
            "words": _words(record) if words else None,
        }


def _words(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was said, in order."""
    said: list[dict[str, str]] = []
    for turn in record["turns"]:
        if turn["type"] == "speech" and turn["text"]:
            said.append({"by": "caller", "text": turn["text"]})
        said += [
            {"by": "agent", "text": one["text"]}
            for one in turn["responses"]
            if one["type"] == "speech" and one["text"]
        ]
    return said
