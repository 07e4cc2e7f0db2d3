"""A call's facts as server-sent events, as they come; ``Last-Event-ID`` goes on where it broke.

An event's id is the number of its fact, which every process tells alike. The one rule: who reads
holds nobody up. There are so many readers and no more, one who does not take what was sent is
let go of, and all are when the server drains.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from app.errors import StoreFault
from app.http.wire import LEAVE
from app.runtime.records import STILL_HERE_S, CallRow, Records, StoredFact, utc_in

MOST_READERS = 100
"""Of one process: each costs a reading of the database for every piece that is told."""
TAKEN_WITHIN_S = 5.0
_NUMBER = re.compile(r"[0-9]{1,10}")
_LARGEST = 2**31 - 1
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

INTERNAL = frozenset(
    {
        *("call.first_audio", "line.figures", "model.used"),
        *("transcript.heard", "turn.answered", "warning"),
    }
)
"""Told with ``?raw=true`` alone: figures, and how much was heard, several times a second."""


class Events:
    """The streams of events of one process."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._reading = 0

    async def answer(self, request: Request, row: CallRow, *, raw: bool) -> Response:
        """The stream behind ``Last-Event-ID``; 204 where nothing is behind it nor will be, which
        keeps an ``EventSource`` from asking again. Raises 400 and 503."""
        after_seq = _last_event(request)
        if self._records.draining:
            raise HTTPException(503, "this server is about to end", {"Retry-After": "2"})
        if self._reading >= MOST_READERS:
            raise HTTPException(503, "too many read events here now", {"Retry-After": "10"})
        if after_seq and await self._records.told_all(row, after_seq):
            return Response(status_code=204)
        return _Stream(self._events(row, after_seq, raw), request)

    async def _events(self, row: CallRow, after_seq: int, raw: bool) -> AsyncGenerator[bytes]:
        self._reading += 1
        loop = asyncio.get_running_loop()
        sent_at_s = loop.time()
        try:
            async with aclosing(self._records.follow(row, after_seq)) as followed:
                async for facts in followed:
                    shown = [fact for fact in facts if raw or fact.type not in INTERNAL]
                    told = [_event(row, fact, raw) for fact in shown]
                    if told or loop.time() - sent_at_s >= STILL_HERE_S:
                        yield b"".join(told) or KEEPALIVE_COMMENT
                        sent_at_s = loop.time()
        except StoreFault:
            return  # Whoever reads asks again, and goes on behind what they have.
        finally:
            self._reading -= 1


class _Stream(StreamingResponse):
    """Whose pieces are taken in time, or whose reader is let go of.

    Not FastAPI's ``EventSourceResponse``: a route of that class is a generator, which cannot
    answer 204, and knows nothing of readers who do not read.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], request: Request) -> None:
        super().__init__(events, headers=_HEADERS)
        self._events = events
        self._leave = (request.scope.get("extensions") or {}).get(LEAVE, lambda: None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Any) -> None:
            try:
                async with asyncio.timeout(TAKEN_WITHIN_S):
                    await send(message)
            except TimeoutError:
                self._leave()

        async with aclosing(self._events):
            await super().__call__(scope, receive, in_time)


def _last_event(request: Request) -> int:
    given = request.headers.get("last-event-id")
    if not given:
        return 0
    if not _NUMBER.fullmatch(given) or int(given) > _LARGEST:
        raise HTTPException(400, "Last-Event-ID must be the id of an event, a whole number")
    return int(given)


def _event(row: CallRow, fact: StoredFact, raw: bool) -> bytes:
    """As a webhook has it (callcentre 7.1), its type and number beside it."""
    body = {
        "type": fact.type,
        "timestamp": utc_in(row)(fact.at_ms),
        "data": {
            **(fact.data if raw else _public(fact)),
            "call_id": row.call_id,
            "conversation_id": row.conversation_id,
            "seq": fact.seq,
        },
    }
    text = orjson.dumps(body).decode()
    return format_sse_event(data_str=text, event=fact.type, id=str(fact.seq))


def _public(fact: StoredFact) -> dict[str, Any]:
    """What a tool was called with may be what the caller keyed in."""
    told = {name: value for name, value in fact.data.items() if name != "arguments"}
    return {**told, "role": told["voice"]} if "voice" in told else told
