"""The account's telephone numbers, as the operator is told of them.

Looked up at Twilio each time, so that what was changed in its console is seen; nothing is kept.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict

from app.errors import CarrierFault
from app.http.problems import described

Listed = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""The numbers, with the fields of ``AccountNumber``. Raises CarrierFault."""


class AccountNumber(BaseModel):
    """A number that one may be called on, or call from."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    number: str
    """E.164."""
    label: str | None
    """What the agent document calls it."""
    voice: bool
    sms: bool
    mms: bool
    leads_here: bool
    """Its calls and, where the agent reads them, its messages come to this server."""
    amiss: list[str]
    """What does not lead here, by Twilio's names; ``python -m app doctor --fix`` writes it."""


class AccountNumbers(BaseModel):
    """The first 200 numbers of the account."""

    numbers: list[AccountNumber]


def routes(listed: Listed, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1/numbers``: behind the bearer key."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])

    @router.get(
        "/v1/numbers",
        operation_id="list_numbers",
        summary="The account's numbers, and where they lead",
        responses=described(401, 503),
    )
    async def numbers() -> AccountNumbers:
        """What one may call from, and be called on; asked of Twilio now."""
        try:
            found = await listed()
        except CarrierFault as fault:
            raise HTTPException(503, f"Twilio did not tell them: {fault.reason}") from None
        return AccountNumbers(numbers=[AccountNumber(**one) for one in found])

    return router
