"""Twilio's webhooks about the call to a person who is asked whether they take a call.

As for all of them: forms become values, values become documents, and every answer is idempotent.
The token is drawn for each such call; ``for`` is the CallSid of the caller who waits, by which
the process is found that holds their call.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Guard, Twiml, read
from app.protocol import twilio_webhooks as forms
from app.runtime.routing import Routing
from app.runtime.side_calls import News


def routes(routing: Routing, guard: Guard) -> APIRouter:
    """``/twilio/side-call/{token}`` and what is below it, behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]
    For = Annotated[str, Query(alias="for", max_length=64, description="The caller's CallSid.")]

    @router.post("/twilio/side-call/{token}")
    async def person_picked_up(token: str, form: Form, caller: For) -> Response:
        """Somebody picked up: they are told what the call is about."""
        call = read(forms.parse_incoming_call, form)
        return Twiml(await routing.side_call(caller, News("answered", token, call.call_sid)))

    @router.post("/twilio/side-call/{token}/key")
    async def person_pressed_key(token: str, form: Form, caller: For) -> Response:
        """They pressed a key: the one that takes the call, or another."""
        call = read(forms.parse_incoming_call, form)
        pressed = dict(form).get("Digits", "")[:1]
        return Twiml(await routing.side_call(caller, News("key", token, call.call_sid, pressed)))

    @router.post("/twilio/side-call/{token}/status", status_code=204)
    async def person_call_status(token: str, form: Form, caller: For) -> Response:
        """The state of the call to the person changed."""
        news = read(forms.parse_call_status, form)
        await routing.side_call(caller, News("status", token, news.call_sid, news.status))
        return Response(status_code=204)

    @router.post("/twilio/side-call/{token}/machine", status_code=204)
    async def person_detected(token: str, form: Form, caller: For) -> Response:
        """Who picked up: a person, or a machine."""
        found = read(forms.parse_detection, form)
        await routing.side_call(caller, News("machine", token, found.call_sid, found.who))
        return Response(status_code=204)

    return router
