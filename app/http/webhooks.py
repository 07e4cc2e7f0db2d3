"""Deliveries that were given up: which they are, and beginning one anew.

What is in them is told to nobody here, because it is personal; who repaired the receiver needs
no more than to know that something was missed. Rule: nothing here waits for a receiver.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict

from app.errors import OurFault
from app.http.problems import described
from app.jobs.port import Jobs, Parked

MOST_LISTED = 1_000


class ParkedDelivery(BaseModel):
    """A delivery that was given up."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    id: str
    """What the receiver saw, or would have, as ``webhook-id``."""
    url: str
    state: str
    """``parked`` after the last try; ``gone`` where the answer was 410, ``disabled`` after one."""
    status: int | None
    """Of the last answer; null where there was none."""
    reason: str
    """Why there was none: ``timed_out``, ``unreachable``, ``refused_address`` …"""
    given_up_at: str | None


class ParkedDeliveries(BaseModel):
    """Deliveries that were given up, newest first."""

    deliveries: list[ParkedDelivery]


class Replayed(BaseModel):
    """It is begun anew."""

    id: str


def routes(jobs: Jobs, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1/webhooks``: behind the bearer key."""
    router = APIRouter(prefix="/v1/webhooks", tags=["operator"], dependencies=[Depends(check)])

    @router.get(
        "/parked",
        operation_id="list_parked_webhooks",
        summary="Webhooks that were given up",
        responses=described(401, 422, 503),
    )
    async def parked(
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    ) -> ParkedDeliveries:
        """Webhooks that no receiver took, until they are begun anew, or for 30 days."""
        try:
            found = await jobs.parked(limit)
        except OurFault:
            raise HTTPException(503, "the jobs cannot be reached just now") from None
        return ParkedDeliveries(deliveries=[_told(one) for one in found])

    @router.post(
        "/{webhook_id}/replay",
        operation_id="replay_webhook",
        summary="Deliver a webhook again",
        status_code=202,
        responses=described(401, 404, 422, 503),
    )
    async def replay(webhook_id: Annotated[str, InPath(max_length=300)]) -> Replayed:
        """Begin a webhook anew that was given up; under the same ``webhook-id``."""
        try:
            begun = await jobs.replay(webhook_id)
        except OurFault:
            raise HTTPException(503, "the jobs cannot be reached just now") from None
        if not begun:
            raise HTTPException(404, "no webhook that is over has this id")
        return Replayed(id=webhook_id)

    return router


def _told(one: Parked) -> ParkedDelivery:
    at_ms = one.given_up_at_ms
    at = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    return ParkedDelivery(
        id=one.job_id,
        url=one.url,
        state=one.state,
        status=one.status,
        reason=one.reason,
        given_up_at=None if at is None else at.isoformat(timespec="milliseconds")[:-6] + "Z",
    )
