"""Commands of the operator's to a live call, in whatever process it lives."""

from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, ConfigDict

from app.errors import CarrierFault
from app.http.problems import described
from app.runtime.routing import Routing


class Command(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    type: Literal["end_call"]
    """end_call: hang up; the record says ``operator_ended``."""


def routes(routing: Routing, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``POST /v1/calls/{id}/commands``: behind the bearer key."""
    router = APIRouter(prefix="/v1", tags=["operator"], dependencies=[Depends(check)])

    @router.post(
        "/calls/{call_id}/commands",
        status_code=202,
        operation_id="command_call",
        summary="Do something with a live call",
        response_class=Response,
        responses=described(401, 404, 422, 502, 503),
    )
    async def command(call_id: str, _wanted: Command) -> Response:
        """Accepted: the call is about to end. By its id or CallSid."""
        try:
            known = await routing.hang_up(call_id)
        except CarrierFault as fault:
            raise HTTPException(502, f"Twilio did not end the call: {fault.reason}") from None
        if not known:
            raise HTTPException(404, "no call of this name goes on")
        return Response(status_code=202)

    return router
