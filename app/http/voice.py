"""Twilio's webhooks about calls. Every answer is TwiML or nothing; every one is idempotent.

Twilio repeats, reorders and loses requests. What a request means for a call is the book's to
say; here forms become values and values become documents.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import structlog
from fastapi import APIRouter, Depends, HTTPException, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.protocol import twilio_webhooks as forms
from app.runtime.book import Book
from app.runtime.live_call import CallFacts

log = structlog.get_logger("voice")
T = TypeVar("T")
Guard = Callable[..., Awaitable[FormPairs]]


class Twiml(Response):
    """A document; Twilio plays an application error for any other type (12300)."""

    media_type = "text/xml"


def routes(book: Book, guard: Guard) -> APIRouter:
    """The routes Twilio calls, all behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]

    @router.get("/incoming-call", operation_id="incoming_call_by_get")
    @router.post("/incoming-call")
    async def incoming_call(form: Form) -> Response:
        """Somebody calls: TwiML that brings them to the media socket."""
        call = _read(forms.parse_incoming_call, form)
        return Twiml(
            book.admit(
                CallFacts(call.call_sid, call.account_sid, call.from_, call.to, call.direction)
            )
        )

    @router.post("/twilio/stream-ended")
    async def stream_ended(form: Form) -> Response:
        """The stream is over and Twilio asks what to do next."""
        stream = _read(forms.parse_stream_ended, form)
        over = stream.status in forms.FINAL_STATUSES
        return Twiml(book.stream_ended(stream.call_sid, call_over=over))

    @router.post("/twilio/stream-status", status_code=204)
    async def stream_status(form: Form) -> Response:
        """A stream began, stopped, or could not be opened."""
        stream = _read(forms.parse_stream_status, form)
        if stream.event == "stream-error":
            log.error("stream_error", error=stream.error, call_sid=stream.call_sid)
        elif stream.event == "stream-stopped":
            book.stream_stopped(stream.call_sid, stream.stream_sid)
        return Response(status_code=204)

    @router.post("/twilio/call-status", status_code=204)
    async def call_status(form: Form) -> Response:
        """The state of a call changed."""
        call = _read(forms.parse_call_status, form)
        if call.final:
            book.call_over(call.call_sid, call.status)
        return Response(status_code=204)

    @router.post("/twilio/dial-result/{token}")
    async def dial_result(token: str, form: Form) -> Response:
        """A transfer ended: hang up, or back to the agent."""
        result = _read(forms.parse_dial_result, form)
        return Twiml(
            book.dialled(
                token,
                call_sid=result.call_sid,
                connected=result.connected,
                status=result.status,
                talk_s=result.duration_s,
                call_over=dict(form).get("CallStatus") in forms.FINAL_STATUSES,
            )
        )

    @router.get("/twilio/fallback", operation_id="fallback_by_get")
    @router.post("/twilio/fallback")
    async def fallback(form: Form) -> Response:
        """Twilio could not use another answer of ours: the failure treatment."""
        codes = [value for name, value in form if name == "ErrorCode"]
        log.error("twilio_fell_back", code=codes[0][:8] if codes else None)
        return Twiml(book.failure())

    return router


def _read(parse: Callable[[FormPairs], T], form: FormPairs) -> T:
    try:
        return parse(form)
    except forms.MalformedForm as exc:
        raise HTTPException(400, str(exc)) from None
