"""Commands of the operator's to a live call, in whatever process it lives."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Body, Depends, Header, HTTPException, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.errors import CallerFault, CarrierFault, OurFault, StoreFault
from app.http.problems import described
from app.http.session_changes import PatchSession, SessionChange
from app.runtime.once import Once
from app.runtime.wishes import Became, Wish

MOST_COMMANDS = 16
LONGEST_MINIMUM_MS = 2_000
Interruptible = Literal["none", "dtmf", "speech", "any"]
_STATUSES = {
    "unknown": 404,
    **dict.fromkeys(("too_long", "too_much"), 413),
    **dict.fromkeys(("unknown_target", "unknown_preset", "unknown_tool", "bad_digits"), 422),
}
"""Of what cannot be carried out; everything else is 409."""


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    def wish(self) -> Wish:
        """The same, without the form it came in."""
        return Wish(**self.model_dump(include={"type"}), fields=self._fields())

    def _fields(self) -> dict[str, str]:
        return self.model_dump(exclude={"type"}, exclude_none=True)


class EndCallCommand(_Command):
    """Hang up; the record says ``operator_ended``. Alone, or first in a list, it waits for
    nothing."""

    type: Literal["end_call"]


class TransferCommand(_Command):
    """Put the caller through, once they have heard that they are."""

    type: Literal["transfer"]
    target: Annotated[str, Field(min_length=1, max_length=200)]
    """A name from the agent document; never a number."""
    announcement: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """What the caller is told before, word for word; absent: in the agent's own words."""
    summary: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """What a person who is asked first, with ``mode: warm``, is told the call is about."""


class TakeoverCommand(_Command):
    """Have a person take the call over from the agent, who is cut off and says nothing of it.
    Alone, or first in a list, it waits for nothing that is being said."""

    type: Literal["takeover"]
    target: Annotated[str, Field(min_length=1, max_length=200)]
    """A name from the agent document; never a number."""


class RespondCommand(_Command):
    """Have the agent speak now, in its own words; completed when they were heard."""

    type: Literal["respond"]
    instructions: Annotated[str, Field(min_length=1, max_length=8_000)] | None = None
    """What the model is told before."""


class MuteCommand(_Command):
    """The caller: the agent hears silence in their place. The agent: the caller hears nothing of
    it, and it answers nothing."""

    type: Literal["mute"]
    who: Literal["caller", "agent"]


class UnmuteCommand(_Command):
    """Let them be heard again; an agent speaks to the caller then."""

    type: Literal["unmute"]
    who: Literal["caller", "agent"]


class SayCommand(_Command):
    """Have the agent say something; completed when it was heard."""

    type: Literal["say"]
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    """Word for word."""
    interruptible: Interruptible | None = None
    """What cuts it short; absent: what the agent is interrupted by."""


class AddMessageCommand(_Command):
    """Tell the model something, without asking it to speak about it."""

    type: Literal["add_message"]
    role: Literal["system", "user"] = "system"
    """user: as if the caller had written it."""
    text: Annotated[str, Field(min_length=1, max_length=8_000)]


class DtmfStartCommand(_Command):
    """Have the caller key something in; completed when they have. Ask them for it before."""

    type: Literal["dtmf.start"]
    preset: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A name from the agent document; absent: keys that are ignored count again."""


class SendDtmfCommand(_Command):
    """Press keys on the caller's line; completed when they were heard, or are being pressed by
    Twilio."""

    type: Literal["send_dtmf"]
    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#wW]{1,32}$")]
    """0-9, *, #, A-D; w waits half a second, W a second."""
    sensitive: bool = False
    """true: neither the model nor the record is told which keys."""

    def _fields(self) -> dict[str, str]:
        return {"digits": self.digits, **({"sensitive": "true"} if self.sensitive else {})}


class HoldCommand(_Command):
    """Let the caller hear music instead of the agent."""

    type: Literal["hold"]
    turn: Annotated[str, Field(min_length=1, max_length=8_000)] | None = None
    """What the model is told, and asked to answer at once: the music ends with its first word.
    Absent: the caller is on hold until ``unhold``, and the agent neither hears nor speaks."""


class UnholdCommand(_Command):
    """Take the caller back from hold; the agent speaks to them."""

    type: Literal["unhold"]


class ConfigureCommand(SessionChange, _Command):
    """What cuts the agent short, for the rest of the call, and what is changed of its Realtime
    session. What is absent stays as it is."""

    type: Literal["configure"]
    interruptible: Interruptible | None = None
    min_interruption: Annotated[str, Field(pattern=r"^([0-9]{1,4}ms|[0-2]s)$")] | None = None
    """So long the caller must be heard: 250ms, up to 2s."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.interruptible is None and self.min_interruption is None and not self.changed:
            raise ValueError("write interruptible, min_interruption or what is to be changed")
        if self._min_ms > LONGEST_MINIMUM_MS:
            raise ValueError("min_interruption must be from 0ms to 2s")
        return self

    @property
    def _min_ms(self) -> int:
        text = self.min_interruption or "0s"
        return int(text[:-2]) if text.endswith("ms") else 1000 * int(text[:-1])

    def _fields(self) -> dict[str, str]:
        given = self.session_fields()
        if self.interruptible is not None:
            given["interruptible"] = self.interruptible
        if self.min_interruption is not None:
            given["min_interruption_ms"] = str(self._min_ms)
        return given


Command = Annotated[
    EndCallCommand
    | TransferCommand
    | TakeoverCommand
    | SayCommand
    | RespondCommand
    | AddMessageCommand
    | DtmfStartCommand
    | SendDtmfCommand
    | HoldCommand
    | UnholdCommand
    | MuteCommand
    | UnmuteCommand
    | ConfigureCommand,
    Field(discriminator="type"),
]


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, dict) else given


Commands = Annotated[
    list[Command],
    Field(min_length=1, max_length=MOST_COMMANDS),
    BeforeValidator(_listed, json_schema_input_type=Command | list[Command]),
]
"""One, or several that are carried out in their order."""


class TakenCommand(BaseModel):
    """What became of a command by the time of the answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    command_id: str
    """Under which the call's events tell how it ended: ``command.ended``."""
    type: str
    state: Literal["accepted", "completed", "failed", "refused", "dropped"]
    """accepted: it goes on, or waits for its turn; dropped: what it stood after failed."""
    reason: str | None
    """Why it was not completed."""


class TakenCommands(BaseModel):
    """What became of them."""

    call_id: str
    commands: list[TakenCommand]


def routes(orders: Once, check: Callable[..., Awaitable[None]]) -> APIRouter:
    """``POST /v1/calls/{id}/commands``: behind the bearer key."""
    router = APIRouter(prefix="/v1", tags=["operator"], dependencies=[Depends(check)])

    @router.post(
        "/calls/{call_id}/commands",
        status_code=202,
        operation_id="command_call",
        summary="Do something with a live call",
        response_model=TakenCommands,
        response_description="Taken; something of it goes on",
        responses={
            200: {"model": TakenCommands, "description": "All of it has been done"},
            **described(401, 404, 409, 413, 422, 502, 503, 504),
        },
    )
    async def command(
        call_id: str,
        commands: Annotated[Commands, Body()],
        response: Response,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> TakenCommands:
        """One command or a list of them, in order; by the call's id or CallSid. The same
        Idempotency-Key with the same commands does nothing more, for 24 hours, and is told what
        became of the first."""
        wishes = [one.wish() for one in commands]
        return await given(call_id, wishes, response, idempotency_key)

    @router.patch(
        "/calls/{call_id}/session",
        status_code=202,
        operation_id="change_session",
        summary="Change the agent's Realtime session in mid-call",
        response_model=TakenCommands,
        response_description="Taken; it waits for the end of a response or of another command",
        responses={
            200: {"model": TakenCommands, "description": "It has been done"},
            **described(401, 404, 409, 413, 422, 502, 503, 504),
        },
    )
    async def change(call_id: str, changes: PatchSession, response: Response) -> TakenCommands:
        """The command ``configure`` by another name. A new model line gets the changed session,
        another agent does not."""
        return await given(call_id, [changes.wish()], response)

    async def given(
        call_id: str, wishes: list[Wish], response: Response, key: str | None = None
    ) -> TakenCommands:
        try:
            taken = await orders.give(call_id, wishes, key)
        except StoreFault:
            raise
        except (CallerFault, CarrierFault, OurFault) as fault:
            raise refusal(fault) from None
        if all(one.state == "completed" for one in taken.commands):
            response.status_code = 200
        return TakenCommands(
            call_id=taken.call_id, commands=[_taken(one) for one in taken.commands]
        )

    return router


def _taken(one: Became) -> TakenCommand:
    reason = one.reason or None
    return TakenCommand.model_validate(
        {"command_id": one.command_id, "type": one.type, "state": one.state, "reason": reason}
    )


def refusal(fault: CallerFault | CarrierFault | OurFault) -> HTTPException:
    """Why an order to a live call was not carried out."""
    if isinstance(fault, CarrierFault):
        return HTTPException(502, f"Twilio did not do it: {fault.reason}")
    if isinstance(fault, OurFault) and fault.reason == "unclear":
        return HTTPException(504, str(fault))  # Not to be asked again unseen.
    if isinstance(fault, OurFault):
        return HTTPException(503, str(fault), {"Retry-After": "2"})
    return HTTPException(_STATUSES.get(fault.reason, 409), str(fault))
