"""``/mcp``: the telephone as a tool of other programs' models, by the Model Context Protocol.

Who may ask is judged before a byte of the body is read: the bearer of the operator's key, and no
page of another origin (a name that somebody points at this machine is one). So many wait at once
and no longer than so long; without MCP_SERVER nobody does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from starlette.types import Receive, Scope, Send

from app.http.mcp_calls import LONGEST_WAIT_S, Calls
from app.http.problems import described
from app.http.wire import LEAVE

MOST_ASKING = 32
"""Requests of one process at once: each that waits reads the database now and then."""
LONGEST_S = LONGEST_WAIT_S + 30
"""Of one request: who does not take what was sent is let go of."""
Work = Callable[[], Coroutine[Any, Any, None]]

_BODY = {"type": "object", "description": "A message of JSON-RPC 2.0, as MCP has it."}
_STREAM = {"schema": {"type": "string"}}


def routes(
    calls: Calls | None,
    check: Callable[..., Awaitable[None]],
    *,
    origin: str,
    stand: Callable[[Work, str], None],
) -> APIRouter:
    """``POST /mcp``. ``calls``: None where nobody may ask. ``origin``: ours. ``stand``: has
    something stand from the start of the application to its end."""
    router = APIRouter(tags=["operator"], dependencies=[Depends(check)])
    door = Door(calls, stand) if calls is not None else None

    @router.post(
        "/mcp",
        operation_id="mcp",
        summary="The telephone as tools, for MCP clients",
        response_class=Response,
        responses={
            200: {
                "description": "The answer, or a stream of progress that ends with it",
                "content": {"application/json": {"schema": _BODY}, "text/event-stream": _STREAM},
            },
            202: {"description": "A notification was taken"},
            **described(400, 401, 403, 404, 406, 413, 503),
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}
        },
    )
    async def mcp(
        request: Request, asked_by: Annotated[str | None, Header(alias="Origin")] = None
    ) -> Response:
        """Streamable HTTP without sessions: tools ``place_call``, ``get_call``, ``end_call`` and
        ``list_calls``, by the rules of the routes of these names."""
        if door is None:
            raise HTTPException(404, "there is no MCP server here: set MCP_SERVER=true")
        if asked_by is not None and asked_by != origin:
            raise HTTPException(403, "pages of another origin may not ask: send no Origin")
        return door.opened(request)

    return router


class Door:
    """Lets so many requests in at once. Belongs to the loop."""

    def __init__(self, calls: Calls, stand: Callable[[Work, str], None]) -> None:
        # Half a second of imports that servers without it do without.
        from app.http.mcp_protocol import Protocol  # noqa: PLC0415

        self._protocol = Protocol(calls)
        self._asking = 0
        stand(self._protocol.stand, "mcp")

    def opened(self, request: Request) -> Response:
        """What answers the request. Raises 503."""
        if not self._protocol.stands:
            raise HTTPException(503, "this server begins or ends", {"Retry-After": "2"})
        if self._asking >= MOST_ASKING:
            raise HTTPException(503, "too many ask here now", {"Retry-After": "10"})
        return _Answer(self._answer, request)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._asking += 1
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._protocol.answer(scope, receive, send)
        finally:
            self._asking -= 1


class _Answer(Response):
    """What the protocol answers, in time or not at all."""

    def __init__(
        self, answer: Callable[[Scope, Receive, Send], Awaitable[None]], request: Request
    ) -> None:
        super().__init__()
        self._answer = answer
        self._leave = (request.scope.get("extensions") or {}).get(LEAVE, lambda: None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except TimeoutError:
            self._leave()
