"""Twilio's webhooks about calls that we placed: who picked up, and what they are connected to.

As for all of them: forms become values, values become documents, and every answer is idempotent.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Guard, Twiml, read
from app.protocol import twilio_webhooks as forms
from app.protocol.events import PickedUp
from app.runtime.live_call import CallFacts
from app.runtime.outbound import OUTBOUND, Outbound


def routes(outbound: Outbound, guard: Guard) -> APIRouter:
    """``/twilio/outbound/{call_id}`` and ``/twilio/amd``, behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]

    @router.post("/twilio/outbound/{call_id}")
    async def picked_up(
        call_id: str, form: Form, run: Annotated[str, Query(description="The attempt.")] = ""
    ) -> Response:
        """A call that we placed was picked up: TwiML that brings them to the media socket."""
        del run  # for the log of who reads Twilio's debugger
        call = read(forms.parse_incoming_call, form)
        facts = CallFacts(call.call_sid, call.account_sid, call.from_, call.to, OUTBOUND)
        over = call.status in forms.FINAL_STATUSES
        return Twiml(await outbound.answered(call_id, facts, call_over=over))

    @router.post("/twilio/amd", status_code=204)
    async def detected(
        form: Form, call: Annotated[str, Query(description="Our id of the call.")] = ""
    ) -> Response:
        """Who picked up a call that we placed."""
        found = read(forms.parse_detection, form)
        who = PickedUp(found.who, found.records)
        await outbound.picked_up(call, found.call_sid, who, found.answered_by)
        return Response(status_code=204)

    return router
