"""The routes of call-center-ai, for programs that were written for it.

What they send becomes an order like any other, what they read is our record in their words. Two
things are ours: calls have our ids, and nobody comes in without the key.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.http.exports import call_center_ai
from app.http.outbound import Desk, NewCall, Number
from app.http.problems import described

Find = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""The record of a call by its id; None where there is none."""
CallsOf = Callable[[str], Awaitable[list[str]]]
"""The ids of the calls with a number, newest first."""
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")


class _Theirs(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ClaimField(_Theirs):
    """Something the agent is to find out."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    type: Literal["text", "datetime", "email", "phone_number"]
    description: str | None = Field(default=None, max_length=500)

    def wanted(self) -> dict[str, str]:
        """The same in our words."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, "type": self.type, **described}


def _each_once(fields: list[ClaimField]) -> list[ClaimField]:
    if len({one.name for one in fields}) < len(fields):
        raise ValueError("two fields have the same name")
    return fields


class Initiate(_Theirs):
    """A call to be placed, in the words of call-center-ai."""

    phone_number: Number
    bot_company: str | None = Field(default=None, max_length=200)
    bot_name: str | None = Field(default=None, max_length=200)
    task: str | None = Field(default=None, min_length=1, max_length=3_000)
    agent_phone_number: Number | None = None
    """Kept in the record; people are put through to whom the agent document names."""
    claim: Annotated[list[ClaimField], AfterValidator(_each_once)] = Field(
        default=[], max_length=50
    )
    """The form of this call."""

    def order(self) -> NewCall:
        """The same in our words."""
        named = {"company": self.bot_company, "assistant_name": self.bot_name}
        kept = {"agent_phone_number": self.agent_phone_number} if self.agent_phone_number else {}
        return NewCall.model_validate(
            {
                "to": self.phone_number,
                "task": self.task,
                "form": [one.wanted() for one in self.claim],
                "variables": {name: value for name, value in named.items() if value},
                "custom_data": kept,
            }
        )


def routes(
    desk: Desk, find: Find, calls_of: CallsOf, check: Callable[..., Awaitable[None]]
) -> APIRouter:
    """``/call`` and ``/report``, behind the bearer key."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])

    async def told(call_id: str) -> dict[str, Any]:
        record = await find(call_id)
        if record is None:
            raise HTTPException(404, "no call has this id or number, or it was erased")
        return {**call_center_ai(record), "call_id": call_id}

    @router.post(
        "/call",
        operation_id="initiate_call",
        summary="Place a call, as call-center-ai is asked to",
        status_code=201,
        responses=described(401, 403, 422, 503),
    )
    async def initiate(asked: Initiate) -> dict[str, Any]:
        """The call is queued; see ``POST /v1/calls`` for what else can be said."""
        call = await told(await desk.order(asked.order(), None))
        return {**call, "initiate": asked.model_dump()}

    @router.get(
        "/call/{name}",
        operation_id="get_call_by_id_or_number",
        summary="A call, as call-center-ai tells it",
        responses=described(401, 404, 503),
    )
    async def call(name: str) -> dict[str, Any]:
        """The call with this id, or the newest one with this number."""
        if not _NUMBER.fullmatch(name):
            return await told(name)
        found = await calls_of(name)
        return await told(found[0] if found else name)

    @router.get(
        "/report/{number}",
        operation_id="report_on_number",
        summary="The calls with a number, as call-center-ai tells them",
        responses=described(401, 404, 503),
    )
    async def report(number: Annotated[str, "E.164"]) -> list[dict[str, Any]]:
        """Newest first, at most a hundred."""
        found = await calls_of(number) if _NUMBER.fullmatch(number) else []
        if not found:
            raise HTTPException(404, "no call has this number, or all were erased")
        return [await told(call_id) for call_id in found]

    return router
