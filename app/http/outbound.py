"""Placing calls: what an order may say, and what becomes of it.

Rule: what the operator's program writes is judged here, field by field, with the names of what is
wrong; who may be called when is judged by the jobs, and shows in the call's state. Unknown fields
are refused.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Response
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from app.errors import CallerFault, OurFault
from app.http.kept import kept
from app.http.problems import described
from app.jobs.port import Retry
from app.runtime.orders import Order
from app.runtime.outbound import Outbound

LONGEST_WAIT_S = 60
LONGEST_AHEAD_S = 365 * 86_400
EXAMPLE: dict[str, Any] = {
    "to": "+12125550100",
    "task": "Ask whether they can come on Monday at nine.",
    "variables": {"customer": "Alex Doe"},
    "machine": {"message": "This is Contoso. Please call us back."},
    "retry": {"busy": {"times": 2, "after_s": 600}},
}
_E164 = r"^\+[1-9]\d{6,14}$"
Record = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""The record of a call by its id, wherever it lives; None where there is none."""
Number = Annotated[str, Field(pattern=_E164)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class RetryRule(_Asked):
    """How often a call that ended in a certain way is placed again."""

    times: int = Field(ge=1, le=10)
    after_s: int = Field(ge=1, le=7 * 86_400)
    """From one attempt to the next; calling hours may make it longer."""


class MachineRule(_Asked):
    """What becomes of an answering machine."""

    detect: bool = True
    """Find out who picks up, beside the conversation; Twilio charges for it."""
    message: str | None = Field(default=None, min_length=1, max_length=1_000)
    """Said word for word after the beep; without it a machine is hung up on."""


class WantedField(_Asked):
    """Something that a call is to find out."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    type: Literal["text", "datetime", "email", "phone_number", "number", "boolean", "enum"]
    description: str | None = Field(default=None, min_length=1, max_length=500)
    required: bool = False
    values: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[], max_length=50
    )
    """What an enum may be."""
    confirm: bool = False
    """The agent reads it back; it holds once the other side has said yes."""

    @model_validator(mode="after")
    def _of_an_enum(self) -> Self:
        if (self.type == "enum") != bool(self.values):
            raise ValueError("values belong to type: enum, which needs them")
        return self


def _each_once(fields: list[WantedField]) -> list[WantedField]:
    if len({one.name for one in fields}) < len(fields):
        raise ValueError("two fields have the same name")
    return fields


class NewCall(_Asked):
    """A call to be placed."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    to: Number
    """E.164."""
    from_: Number | None = Field(default=None, alias="from")
    """A number of your account; absent: DIAL_FROM."""
    agent: str | None = Field(default=None, min_length=1, max_length=64)
    """Which agent of the document speaks; absent: who answers the number it is placed from."""
    task: str | None = Field(default=None, min_length=1, max_length=4_000)
    """What the call is about, for the agent."""
    greeting: str | None = Field(default=None, min_length=1, max_length=1_000)
    """The agent's first words, where it speaks first."""
    greeting_mode: Literal["callee_first", "agent_first"] = "callee_first"
    """callee_first: who is called speaks first; after two seconds of silence the agent does."""
    variables: Annotated[
        dict[str, Annotated[str, Field(max_length=2_000)]], AfterValidator(kept)
    ] = Field(default={}, max_length=50)
    """What the agent must know, by name."""
    custom_data: Annotated[dict[str, Any], AfterValidator(kept)] = Field(default={}, max_length=100)
    """For the record alone: the agent does not see it."""
    form: Annotated[list[WantedField], AfterValidator(_each_once)] = Field(
        default=[], max_length=50
    )
    """What this call is to find out, field by field, instead of the agent's own form."""
    machine: MachineRule = MachineRule(detect=False)
    retry: dict[Literal["busy", "no-answer", "failed", "canceled"], RetryRule] = {}
    """By how an attempt ended."""
    ring_timeout_s: int | None = Field(default=None, ge=5, le=600)
    schedule_at: AwareDatetime | None = None
    """Not before; a time in the next 365 days. Absent: at once."""

    def order(self, dial_from: str) -> Order:
        """What it means."""
        machine = self.machine
        return Order(
            to=self.to,
            from_=self.from_ or dial_from,
            greeting=self.greeting,
            agent_first=self.greeting_mode == "agent_first",
            agent=self.agent,
            task=self.task,
            variables=self.variables,
            custom_data=self.custom_data,
            detect=machine.detect or machine.message is not None,
            message=machine.message,
            retries={why: Retry(rule.times, rule.after_s) for why, rule in self.retry.items()},
            ring_timeout_s=self.ring_timeout_s,
            form=[one.model_dump() for one in self.form] or None,
            at_ms=round(self.schedule_at.timestamp() * 1000) if self.schedule_at else None,
        )


class CallState(BaseModel):
    """A call that was ordered, as far as it has come."""

    call_id: str
    status: Literal["queued", "in_progress", "completed"]
    end_reason: str | None
    answered_by: str | None
    """human, machine, fax or unknown; null where nobody asked, or not yet."""
    failure: dict[str, Any] | None


class Desk:
    """Takes orders, by whatever route they come."""

    def __init__(
        self, outbound: Outbound, record: Record, *, dial_from: str | None, allowed: bool
    ) -> None:
        """``allowed``: the operator has said where the agent may call."""
        self._outbound = outbound
        self._record = record
        self._dial_from = dial_from
        self._allowed = allowed

    async def order(self, asked: NewCall, key: str | None) -> str:
        """Place a call; its id. Raises 403, 409, 422 or 503."""
        if not self._allowed:
            raise HTTPException(403, "the agent may call nobody: set DIAL_COUNTRIES")
        dial_from = asked.from_ or self._dial_from
        if dial_from is None:
            raise HTTPException(
                422, "from is missing: name a number of your account or set DIAL_FROM"
            )
        at = asked.schedule_at
        if at is not None and at.timestamp() > time.time() + LONGEST_AHEAD_S:
            # What nobody could live to see is a mistake, and would wait for ever.
            raise HTTPException(422, "schedule_at must be a time in the next 365 days")
        try:
            return await self._outbound.place(asked.order(dial_from), key)
        except CallerFault as fault:
            raise _refusal(fault) from None
        except OurFault as fault:
            raise HTTPException(503, f"the order could not be kept: {fault.reason}") from None

    async def cancel(self, call_id: str) -> CallState:
        """Take an order back. Raises 404, 409 or 503."""
        try:
            taken_back = await self._outbound.cancel(call_id)
        except CallerFault:
            raise _no_call() from None
        except OurFault as fault:
            raise HTTPException(503, f"the order could not be reached: {fault.reason}") from None
        if not taken_back:
            raise HTTPException(
                409, "the call is being placed, goes on or is over: a live call ends by end_call"
            )
        return await self.state(call_id)

    async def state(self, call_id: str, wait_s: float = 0) -> CallState:
        """How far the call has come, after waiting for somebody to pick up."""
        if wait_s:
            await self._outbound.settled(call_id, wait_s)
        found = await self._record(call_id)
        if found is None:
            raise _no_call()
        return CallState.model_validate(found)


def _no_call() -> HTTPException:
    return HTTPException(404, "no call has this id, or it was erased")


def _refusal(fault: CallerFault) -> HTTPException:
    if fault.reason in {"key_in_use", "job_id_in_use"}:
        return HTTPException(409, "this Idempotency-Key was used for another order")
    if fault.reason in {"unknown_agent", "variables_missing"}:
        return HTTPException(422, str(fault))
    return HTTPException(422, f"to may not be called: {fault.reason}")


def routes(desk: Desk, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``POST /v1/calls`` and what takes it back, behind the bearer key."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": CallState, "description": "Somebody picked up, nobody will, or time is over"}
    }

    @router.post(
        "/v1/calls",
        operation_id="place_call",
        summary="Place a call",
        status_code=202,
        response_model=CallState,
        responses={**answers, **described(401, 403, 409, 422, 503)},
    )
    async def place_call(
        asked: NewCall,
        response: Response,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
        wait: Annotated[
            Literal["answered"] | None,
            Query(description=f"answered: wait for somebody to pick up, {LONGEST_WAIT_S} s."),
        ] = None,
    ) -> CallState:
        """The call is queued; its record is there at once. The same Idempotency-Key with the same
        order is the same call, for 24 hours."""
        call_id = await desk.order(asked, idempotency_key)
        response.headers["Location"] = f"/v1/calls/{call_id}"
        if wait is None:
            return await desk.state(call_id)
        response.status_code = 200
        return await desk.state(call_id, LONGEST_WAIT_S)

    @router.post(
        "/v1/calls/{call_id}/cancel",
        operation_id="cancel_call",
        summary="Take an order back",
        response_model=CallState,
        responses=described(401, 404, 409, 503),
    )
    async def cancel_call(call_id: str) -> CallState:
        """A call that is still to be placed is not placed, and ends as ``canceled``; also between
        two attempts. 409 where somebody is just being called, or was. Repeating it is harmless."""
        return await desk.cancel(call_id)

    return router
