"""Twilio's webhooks about text messages. Both are signed and idempotent.

Nothing is answered in TwiML: whatever is written back goes out by REST, where it can be refused,
counted and watched like every message.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Twiml, read
from app.protocol import twilio_messages as forms
from app.runtime.texting import MESSAGE_PATH, STATUS_PATH, Texting

NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Response/>'


def routes(texting: Texting, guard: Callable[..., Awaitable[FormPairs]]) -> APIRouter:
    """The routes, behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]

    @router.post(MESSAGE_PATH)
    async def incoming_message(form: Form) -> Response:
        """Somebody sent a text message to a number of yours."""
        await texting.received(read(forms.parse_incoming_message, form))
        return Twiml(NOTHING)

    @router.post(STATUS_PATH, status_code=204)
    async def message_status(
        form: Form,
        call: Annotated[str, Query(description="The call it was sent in.")] = "",
        to: Annotated[str, Query(description="Who it was for, by name.")] = "",
    ) -> Response:
        """A text message arrived, or did not."""
        await texting.status(call, to, read(forms.parse_message_status, form))
        return Response(status_code=204)

    return router
