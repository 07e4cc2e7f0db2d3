"""Recordings: what Twilio says of them, and their sound for the operator.

Twilio's routes are signed and idempotent. The sound passes through in small pieces; where it lies
is in no answer, and no recording is given out that is not of a call in our record.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from app.errors import CarrierFault
from app.http import queries
from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Twiml, read
from app.protocol import twilio_recordings as forms
from app.protocol.twiml import hangup
from app.runtime.recording import STATUS_PATH, Recordings
from app.runtime.scripts import MESSAGE_LEFT_PATH, MESSAGE_PATH

Known = Callable[[str], Awaitable[bool]]
"""Whether this recording is of a call in our record. Raises CarrierFault and StoreFault."""
Fetch = Callable[[str, str | None], AsyncIterator[Any]]
"""The head, with ``status`` and ``headers``, then the sound. Raises CarrierFault."""
MOST_AT_ONCE = 8
_RANGE = re.compile(r"bytes=\d{0,15}-\d{0,15}")
_SOUND = {"audio/x-wav": {"schema": {"type": "string", "format": "binary"}}}
_NONE = "there is no such recording of a call in our record, or it was erased"


def twilio_routes(recordings: Recordings, guard: Callable[..., Awaitable[FormPairs]]) -> APIRouter:
    """What Twilio tells, behind ``guard``."""
    router = APIRouter(tags=["twilio"], responses=described(400, 403, 413, 503))
    Form = Annotated[FormPairs, Depends(guard)]

    @router.post(STATUS_PATH, status_code=204)
    async def recording_status(form: Form) -> Response:
        """The recording of a call began or is complete."""
        await recordings.status(read(forms.parse_recording_status, form))
        return Response(status_code=204)

    @router.post(MESSAGE_PATH, status_code=204)
    async def message_recorded(form: Form) -> Response:
        """A caller whom nobody answered has left a message."""
        await recordings.message(read(forms.parse_recording_status, form))
        return Response(status_code=204)

    @router.post(MESSAGE_LEFT_PATH, response_class=Twiml)
    async def message_left(form: Form) -> Response:
        """They have said what they wanted to: the call is over."""
        del form
        return Twiml(hangup())

    return router


def routes(known: Known, fetch: Fetch | None, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1/recordings``: behind the bearer key. ``fetch``: None where there is no account."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])
    under_way: set[object] = set()

    @router.get(
        "/v1/recordings/{recording_sid}",
        operation_id="get_recording",
        summary="The sound of a recording",
        response_class=StreamingResponse,
        responses={
            200: {"description": "The recording, as WAV", "content": _SOUND},
            206: {"description": "The part that was asked for by Range", "content": _SOUND},
            **described(400, 401, 404, 416, 502, 503),
        },
    )
    async def recording(recording_sid: str, request: Request) -> Response:
        """Of a call, or a message that was left; fetched from Twilio as it is listened to."""
        queries.only(request)
        if fetch is None or not forms.is_recording_sid(recording_sid):
            raise HTTPException(404, _NONE)
        if len(under_way) >= MOST_AT_ONCE:
            raise HTTPException(503, f"{MOST_AT_ONCE} recordings are being fetched already")
        part = request.headers.get("range")
        try:
            if not await known(recording_sid):
                raise HTTPException(404, _NONE)
            # A range of any other kind is passed over, as HTTP has it.
            sound = fetch(recording_sid, part if part and _RANGE.fullmatch(part) else None)
            head = await anext(sound)
        except CarrierFault as fault:
            raise _problem(fault) from None
        if head.status == 416:
            raise HTTPException(416, "the recording has no such part")
        return StreamingResponse(_counted(sound, under_way), head.status, dict(head.headers))

    return router


async def _counted(sound: AsyncIterator[Any], under_way: set[object]) -> AsyncIterator[bytes]:
    place = object()
    under_way.add(place)
    try:
        async for piece in sound:
            yield piece
    finally:
        under_way.discard(place)


def _problem(fault: CarrierFault) -> HTTPException:
    if fault.reason in {"no_recording", "call_over"}:
        return HTTPException(404, "Twilio does not have this recording any more")
    return HTTPException(502, f"Twilio did not give it out: {fault.reason}")
