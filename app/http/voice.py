"""Twilio's webhooks about calls. Every answer is TwiML or nothing; every one is idempotent.

Twilio repeats, reorders and loses requests. What a request means for a call the
routing and signalling say; here forms become values and values become documents.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.protocol import twilio_webhooks as forms
from app.runtime.live_call import CallFacts
from app.runtime.outbound import Outbound
from app.runtime.routing import Routing
from app.runtime.scripts import INCOMING_PATH

log = structlog.get_logger("voice")
T = TypeVar("T")
Pressed = Annotated[
    str | None, Query(pattern="^[0-9]?$", description="The key pressed in the number's menu.")
]
Guard = Callable[..., Awaitable[FormPairs]]


class Twiml(Response):
    """A document; Twilio plays an application error for any other type (12300)."""

    media_type = "text/xml"


def routes(routing: Routing, outbound: Outbound, guard: Guard) -> APIRouter:
    """The routes Twilio calls, all behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]

    @router.get(INCOMING_PATH, operation_id="incoming_call_by_get")
    @router.post(INCOMING_PATH)
    async def incoming_call(
        form: Form,
        elsewhere: Annotated[int, Query(ge=0, le=99, description="Sent here so often.")] = 0,
        pressed: Pressed = None,
    ) -> Response:
        """Somebody calls: TwiML that brings them to the media socket."""
        return Twiml(await routing.admit(facts_of(form, pressed), elsewhere))

    @router.post("/twilio/stream-ended")
    async def stream_ended(
        form: Form,
        again: Annotated[int, Query(ge=0, le=99, description="Asked again so often.")] = 0,
        drawn: Annotated[int, Query(ge=0, description="Which stream it was.")] = 0,
    ) -> Response:
        """The stream is over and Twilio asks what to do next."""
        stream = read(forms.parse_stream_ended, form)
        over = stream.status in forms.FINAL_STATUSES
        return Twiml(
            await routing.stream_ended(
                stream.call_sid, call_over=over, drawn_ms=drawn, asked_before=again
            )
        )

    @router.post("/twilio/stream-status", status_code=204)
    async def stream_status(form: Form) -> Response:
        """A stream began, stopped, or could not be opened."""
        stream = read(forms.parse_stream_status, form)
        if stream.event == "stream-error":
            log.error("stream_error", error=stream.error, call_sid=stream.call_sid)
        elif stream.event == "stream-stopped":
            await routing.stream_stopped(stream.call_sid, stream.stream_sid)
        return Response(status_code=204)

    @router.post("/twilio/call-status", status_code=204)
    async def call_status(
        form: Form,
        call: Annotated[str, Query(description="Our id of a call that we placed.")] = "",
        run: Annotated[str, Query(description="Which attempt it is, as the jobs count.")] = "",
    ) -> Response:
        """The state of a call changed."""
        news = read(forms.parse_call_status, form)
        if news.final:
            await routing.call_over(news.call_sid, news.status)
        await outbound.progressed(call, run, news)
        return Response(status_code=204)

    @router.post("/twilio/dial-result/{token}")
    async def transfer_ended(token: str, form: Form) -> Response:
        """A transfer ended: hang up, or back to the agent."""
        return Twiml(await routing.dialled(token, **dial_result(form)))

    @router.get("/twilio/fallback", operation_id="fallback_by_get")
    @router.post("/twilio/fallback")
    async def fallback(form: Form) -> Response:
        """Twilio could not use another answer of ours: the failure treatment."""
        codes = [value for name, value in form if name == "ErrorCode"]
        log.error("twilio_fell_back", code=codes[0][:8] if codes else None)
        return Twiml(routing.failure())

    return router


def facts_of(form: FormPairs, pressed: str | None = None) -> CallFacts:
    """Whose call it is. ``pressed``: in the menu of the number."""
    call = read(forms.parse_incoming_call, form)
    return CallFacts(
        call.call_sid,
        call.account_sid,
        call.from_,
        call.to,
        call.direction,
        call.caller_name or "",
        call.sip_call_id or "",
        dict(call.sip_headers),
        pressed,
    )


def dial_result(form: FormPairs) -> dict[str, Any]:
    """How an attempt to reach somebody ended, as ``Signalling.dialled`` takes it."""
    result = read(forms.parse_dial_result, form)
    over = dict(form).get("CallStatus") in forms.FINAL_STATUSES
    return {
        "call_sid": result.call_sid,
        "connected": result.connected,
        "status": result.status,
        "talk_s": result.duration_s,
        "call_over": over or result.status == forms.HUNG_UP,
    }


def read(parse: Callable[[FormPairs], T], form: FormPairs) -> T:
    """The form as a value; 400 where it is malformed."""
    try:
        return parse(form)
    except forms.MalformedForm as exc:
        raise HTTPException(400, str(exc)) from None
