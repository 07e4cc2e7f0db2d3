"""Tool calls that wait for a person: which they are, and the person's word on them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from app.errors import CallerFault, OurFault, StoreFault
from app.http.commands import refusal
from app.http.problems import described
from app.runtime.approvals import Approvals


class WaitingApproval(BaseModel):
    """A tool call that is not carried out before somebody approves of it."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, use_attribute_docstrings=True)

    approval_id: str
    call_id: str
    tool_call_id: str
    name: str
    """Of the tool."""
    arguments: str
    """JSON text as the model wrote it; what was keyed in for tools alone is not in it."""
    requested_at: str
    expires_at: str
    """When it is refused by itself."""


class WaitingApprovals(BaseModel):
    """What waits, oldest first."""

    approvals: list[WaitingApproval]


class Verdict(BaseModel):
    """A person's word."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    approve: bool
    reason: Annotated[str, Field(max_length=500)] = ""
    """Why not; the model is told, and may tell the caller."""


def routes(approvals: Approvals, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``/v1/approvals``: behind the bearer key."""
    router = APIRouter(prefix="/v1/approvals", tags=["operator"], dependencies=[Depends(check)])

    @router.get(
        "",
        operation_id="list_approvals",
        summary="Tool calls that wait for a person",
        responses=described(401, 503),
    )
    async def waiting() -> WaitingApprovals:
        """Of the live calls of all processes."""
        found = await approvals.waiting()
        return WaitingApprovals(approvals=[WaitingApproval.model_validate(one) for one in found])

    @router.post(
        "/{approval_id}",
        status_code=204,
        operation_id="decide_approval",
        summary="Approve of a tool call, or refuse it",
        responses=described(401, 404, 409, 422, 503),
    )
    async def decide(approval_id: Annotated[str, InPath(max_length=100)], verdict: Verdict) -> None:
        """The first word counts; the same word again is no mistake."""
        try:
            await approvals.decide(approval_id, approve=verdict.approve, reason=verdict.reason)
        except StoreFault:
            raise
        except (CallerFault, OurFault) as fault:
            raise refusal(fault) from None

    return router
