"""What a call was about, for whoever takes it over: asked for with the key that came along.

The key went to the operator's PBX, queue or anchor as a SIP header, a task's attribute or in a
webhook. Rule: the key in the address opens nothing by itself, because addresses are logged by
everybody on the way; it, or the operator's key, must be borne. It is good for an hour.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

from app.http.guard import holder
from app.http.problems import described
from app.runtime.invitations import digest_of
from app.runtime.records import Records

Find = Callable[[str], Awaitable[str | None]]
"""The call that a key stands for, by the key's digest. Raises ``OurFault``."""


class ContextLine(BaseModel):
    """Something that was said."""

    role: str
    """caller or agent."""
    text: str
    at_ms: int
    """Since the call was created."""


class Context(BaseModel):
    """What a call was about."""

    call_id: str
    summary: str | None = Field(description="One sentence, as the agent put it.")
    caller: str | None = Field(description="Their number.")
    line: str | None = Field(description="The number they called, or were called from.")
    target: str | None = Field(description="Whom they were put through to.")
    form: Any = Field(description="What the call found out.")
    transcript: list[ContextLine]
    custom_data: dict[str, Any]


def routes(records: Records, find: Find, key: str) -> APIRouter:
    """``/v1/context/{key}``; ``key`` is the operator's."""
    router = APIRouter(prefix="/v1", tags=["operator"])

    @router.get(
        "/context/{key}",
        operation_id="get_context",
        summary="What a call was about that somebody takes over",
        dependencies=[Depends(holder(key))],
        responses=described(401, 404, 503),
    )
    async def context(key: str) -> Context:
        """Summary, words and form of the call that this key stands for, for an hour."""
        call_id = await find(digest_of(key))
        record = None if call_id is None else await records.get(call_id)
        if record is None:
            raise HTTPException(404, "this key stands for no call, or no more")
        return _context(record)

    return router


def _context(record: dict[str, Any]) -> Context:
    last = record["transfers"][-1] if record["transfers"] else {}
    outbound = str(record["direction"]).startswith("outbound")
    ends = (record["to"]["number"], record["from"]["number"])
    caller, line = ends if outbound else ends[::-1]
    return Context(
        call_id=record["call_id"],
        summary=last.get("summary"),
        caller=caller,
        line=line,
        target=last.get("target"),
        form=record["form"],
        transcript=_transcript(record["turns"]),
        custom_data=record["custom_data"],
    )


def _transcript(turns: list[dict[str, Any]]) -> list[ContextLine]:
    lines = []
    for turn in turns:
        if turn.get("text"):
            lines.append(ContextLine(role="caller", text=turn["text"], at_ms=turn["at_ms"]))
        lines += [
            ContextLine(role="agent", text=said["text"], at_ms=said["at_ms"])
            for said in turn["responses"]
            if said["type"] == "speech" and said.get("text")
        ]
    return lines
