"""Reading a local call along, and typing into it: what the softphone shows beside the sound.

Only for pages opened on this machine, and only where there is a local line; of real calls the
operator's API tells. A CallSid is known to nobody but the phone that placed the call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from app.call.captions import Captions
from app.http.problems import described
from app.runtime.book import Book
from app.runtime.capacity import Capacity
from app.runtime.live_call import LiveCall

STILL_HERE_S = 15
LONGEST_CHARS = 500

Local = Callable[[Request], None]
"""Raises 403 or 404 unless the request comes from a page of the local line."""


class TypedLine(BaseModel):
    """What somebody typed instead of saying it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    call_sid: str = Field(alias="callSid", max_length=64)
    text: str = Field(min_length=1, max_length=LONGEST_CHARS)


def routes(book: Book, local: Local) -> APIRouter:
    """``/phone/events`` and ``/phone/text``."""
    router = APIRouter(
        prefix="/phone",
        tags=["phone"],
        dependencies=[Depends(local)],
        responses=described(403, 404, 409, 422, 503),
    )

    def found(call_sid: str) -> LiveCall:
        call = book.call(call_sid)
        if call is None:
            raise HTTPException(404, "no call with this CallSid is going on here")
        return call

    @router.get("/events", response_class=StreamingResponse)
    async def phone_events(
        call_sid: Annotated[str, Query(alias="callSid", max_length=64)],
    ) -> Response:
        """Server-sent events: every caption when it changes, the story so far at first.

        They end with the call, or when the server drains: an open page must not hold its end.
        """
        if book.draining:
            raise HTTPException(503, "the server is about to end")
        return StreamingResponse(
            _story(found(call_sid), book.capacity),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.post("/text", status_code=204, response_class=Response)
    async def phone_text(line: TypedLine) -> Response:
        """The caller typed something: it counts as a turn of theirs."""
        if not found(line.call_sid).typed(line.text):
            raise HTTPException(409, "the call has no stream now: it is with the carrier")
        return Response(status_code=204)

    return router


async def _story(call: LiveCall, capacity: Capacity) -> AsyncIterator[bytes]:
    """Captions until the call is over or the server drains; the reader's leaving cancels it."""
    captions = Captions(call.report)
    with call.readers.bell() as bell, capacity.watchers.ringing(bell):
        while True:
            bell.clear()
            for caption in captions.changes():
                yield b"data: " + orjson.dumps(asdict(caption)) + b"\n\n"
            if call.report.ending is not None or capacity.draining:
                return
            try:
                await asyncio.wait_for(bell.wait(), STILL_HERE_S)
            except TimeoutError:
                yield b": still here\n\n"
