"""What the operator's programs ask about calls: lists, records, events, timelines, erasure.

All of it behind the bearer key. The call's id is in the address, numbers only where somebody
filters by them, and neither is ever logged here.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from app.errors import CallerFault, OurFault, StoreFault
from app.http import queries
from app.http.commands import refusal
from app.http.events import Events
from app.http.exports import SHAPES
from app.http.guard import bounded_body
from app.http.kept import DEEPEST, deeper
from app.http.problems import described
from app.http.record import CallPage, CallRecord, CallTimeline, CustomData
from app.runtime.records import CallRow, CursorFault, GoesOn, Records, utc_in

_STATUSES = {kept: told for told, kept in queries.STATUSES.items()}
_SHAPE = {"shape": f"the record in other words: {', '.join(SHAPES)}"}
_RAW = {"raw": "true or false: with the internal figures"}


def routes(records: Records, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1/calls`` and what is below it."""
    router = APIRouter(prefix="/v1", tags=["operator"], dependencies=[Depends(check)])
    _reading(router, records)
    _following(router, records)
    _changing(router, records)
    return router


def _reading(router: APIRouter, records: Records) -> None:
    @router.get(
        "/calls",
        operation_id="list_calls",
        summary="Calls, newest first",
        response_model=None,
        responses={**_answers(CallPage, "A page of calls"), **described(400, 401, 503)},
        openapi_extra=queries.LISTING,
    )
    async def listed(request: Request) -> Response:
        """Calls that are live or over, newest first; erased ones are in no list."""
        filters, cursor, limit = queries.listing(request)
        try:
            page = await records.page(filters, cursor, limit)
        except CursorFault:
            raise HTTPException(
                400, "the parameter cursor is none that a page ended with: ask without it"
            ) from None
        calls = [summary(row) for row in page.calls]
        return _json({"calls": calls, "cursor": page.cursor})

    @router.get(
        "/calls/{call_id}",
        operation_id="get_call",
        summary="The record of a call",
        response_model=None,
        responses={**_answers(CallRecord, "The record"), **described(400, 401, 404, 503)},
        openapi_extra=queries.described(_SHAPE),
    )
    async def call(call_id: str, request: Request) -> Response:
        """The record of a call, live or ended, by its id or CallSid."""
        shape = queries.only(request, *_SHAPE).get("shape")
        if shape is not None and shape not in SHAPES:
            raise HTTPException(400, f"the parameter shape must be one of {', '.join(SHAPES)}")
        record = await records.get(call_id)
        if record is None:
            raise _no_call()
        if shape is None:
            return _json(record)
        media_type, make = SHAPES[shape]
        return _json(make(record), media_type)

    @router.get(
        "/calls/{call_id}/timeline",
        operation_id="get_timeline",
        summary="What happened in a call: sent, played, heard",
        response_model=None,
        responses={**_answers(CallTimeline, "The timeline"), **described(400, 401, 404, 503)},
    )
    async def timeline(call_id: str, request: Request) -> Response:
        """Every thing said and done, in order; of a live call as far as it is written."""
        queries.only(request)
        row = await _found(records, call_id)
        return _json({"call_id": row.call_id, "items": await records.timeline(row)})


def _following(router: APIRouter, records: Records) -> None:
    events = Events(records)

    @router.get(
        "/calls/{call_id}/events",
        operation_id="follow_call",
        summary="What happens in a call, as server-sent events",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            204: {"description": "Nothing more will come"},
            **described(400, 401, 404, 503),
        },
        openapi_extra=queries.described(_RAW),
    )
    async def follow(call_id: str, request: Request) -> Response:
        """From the call's beginning, or behind ``Last-Event-ID``, until it is over."""
        given = queries.only(request, *_RAW)
        raw = queries.taken(given, "raw", queries.flag, "true or false")
        return await events.answer(request, await _found(records, call_id), raw=bool(raw))


def _changing(router: APIRouter, records: Records) -> None:
    @router.delete(
        "/calls/{call_id}",
        operation_id="erase_call",
        summary="Erase everything about a call",
        status_code=204,
        response_class=Response,
        responses=described(400, 401, 404, 409, 503),
    )
    async def erase(call_id: str, request: Request) -> Response:
        """Words, numbers, custom data, facts, record, flight logs; ids and times stay."""
        queries.only(request)
        try:
            if not await records.erase(call_id):
                raise _no_call()
        except GoesOn:
            raise HTTPException(
                409, "the call goes on or is to be placed: end or cancel it, then erase it"
            ) from None
        return Response(status_code=204)

    @router.patch(
        "/calls/{call_id}/custom-data",
        operation_id="merge_custom_data",
        summary="Put custom data to a call",
        response_model=None,
        responses={
            **_answers(CustomData, "All of its custom data"),
            **described(400, 401, 404, 409, 413, 503, 504),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def custom_data(call_id: str, request: Request) -> Response:
        """Keys are merged, the same key is replaced, null or "" deletes one; also afterwards."""
        queries.only(request)
        patch = _object(await bounded_body(request))
        try:
            now = await records.put(call_id, patch)
        except GoesOn:
            raise HTTPException(409, "the call has not begun: ask again when it has") from None
        except StoreFault:
            raise
        except (CallerFault, OurFault) as fault:
            raise refusal(fault) from None
        if now is None:
            raise _no_call()
        return _json({"custom_data": now})


def _answers(model: type, what: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, "description": what}}


def _json(value: Any, media_type: str = "application/json") -> Response:
    return Response(orjson.dumps(value), media_type=media_type)


def _no_call() -> HTTPException:
    return HTTPException(404, "no call has this id, or it was erased")


async def _found(records: Records, call_id: str) -> CallRow:
    row = await records.find(call_id)
    if row is None:
        raise _no_call()
    return row


def summary(row: CallRow) -> dict[str, Any]:
    """A call in a list."""
    return {
        "call_id": row.call_id,
        "call_sid": row.call_sid,
        "conversation_id": row.conversation_id,
        "resumed_from": row.resumed_from,
        "direction": row.direction,
        "status": _STATUSES[row.status],
        "end_reason": row.end_reason,
        "from": {"number": row.from_number},
        "to": {"number": row.to_number},
        "config": {"version": row.config_version},
        "created_at": utc_in(row)(0),
        "ended_at": _ended_at(row.created_at, row.ended_at, utc_in(row)),
    }


def _ended_at(
    created_at: datetime, ended_at: datetime | None, utc: Callable[[int | None], str | None]
) -> str | None:
    if ended_at is None:
        return None
    return utc(round((ended_at - created_at).total_seconds() * 1000))


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object that every database and every reader takes. Raises 400."""
    try:
        found = orjson.loads(body)
        # What is not JSON after all (a number that is none) is not seen by reading it.
        orjson.dumps(found)
    except (ValueError, TypeError):
        raise HTTPException(400, "the body must be a JSON object") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body must be a JSON object")
    if deeper(found, DEEPEST):
        raise HTTPException(400, f"the body has more than {DEEPEST} levels")
    return found
