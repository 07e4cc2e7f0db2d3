"""Tools of an MCP server, asked on the model's behalf, so that our limits and records apply.

One coroutine owns the connection: it connects, lists what there is, lists it again from time to
time or when a call went wrong, and connects anew with growing pauses when nobody answers. Nothing
waits for it: a call comes to whatever is listed by then. The one rule: what a server says of its
tools is believed no further than it can be checked, and one tool that cannot be offered costs no
other.

Source: the Model Context Protocol, by its official client (mcp 2.x).
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from app.tools.foreign import Attempt
from app.tools.parameters import CallFacts
from app.tools.registry import MAX_DESCRIPTION_CHARS, Tool, ToolProblem
from app.tools.schemas import BadSchema, SchemaArguments, checked_schema

CONNECT_S = 10.0
"""For connecting and the first list, together."""
LIST_S = 10.0
MOST_BODY_BYTES = 1 << 20
"""Of an answer that is one JSON text; the client bounds each event of a stream the same."""
MOST_TOOLS = 64
MOST_PAGES = 8
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_GONE = "The tool's server cannot be reached at the moment."
_FAILED = "The tool's server cannot be reached, or refused the call."

log = structlog.get_logger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True, slots=True)
class Offer:
    """How the tools of a server are offered."""

    label: str
    """What the operator calls it."""
    allowed: frozenset[str] | None = None
    """Names of its tools; None: all of them."""
    timeout_ms: int = 10_000
    background: bool = False
    approval_ms: int | None = None
    list_again_s: float = 300.0


class _Bounded(httpx2.AsyncByteStream):
    """An answer's body, up to a bound. Raises StreamError beyond it, which the client expects."""

    def __init__(self, whole: httpx2.AsyncByteStream) -> None:
        self._whole = whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BODY_BYTES
        async for piece in self._whole:
            left -= len(piece)
            if left < 0:
                raise httpx2.StreamError("the answer is too large and was not read")
            yield piece

    async def aclose(self) -> None:
        await self._whole.aclose()


class _Transport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # What is packed would be small here and large when it is read.
        request.headers["Accept-Encoding"] = "identity"
        reply = await super().handle_async_request(request)
        if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
            await reply.aclose()
            raise httpx2.RemoteProtocolError("the answer is packed and was not read")
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        whole = reply.stream
        if kind != "text/event-stream" and isinstance(whole, httpx2.AsyncByteStream):
            reply.stream = _Bounded(whole)
        return reply


def over_http(url: str, headers: Mapping[str, str]) -> Connect:
    """A server at an address, by streamable HTTP. Redirects stay within its origin."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        limits = httpx2.Timeout(CONNECT_S, read=None)
        async with (
            httpx2.AsyncClient(
                headers=dict(headers), timeout=limits, trust_env=False, transport=_Transport()
            ) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield client

    return connect


def over_stdio(
    command: str, arguments: Sequence[str], environment: Mapping[str, str], folder: str
) -> Connect:
    """A program beside this one, which knows nothing of our environment but what it is given."""
    program = StdioServerParameters(
        command=command, args=list(arguments), env=dict(environment), cwd=folder
    )
    return lambda: Client(program)


class McpServer:
    """One server and what it offers now. ``run`` it once; it ends by being cancelled, or within
    one time between two lists when nobody owns it any more."""

    def __init__(
        self,
        offer: Offer,
        connect: Connect,
        taken: Callable[[str], bool],
        *,
        owned: Callable[[], bool] = lambda: True,
    ) -> None:
        """``taken``: whether a name belongs to another tool already."""
        self._owned = owned
        self.offer = offer
        self._connect = connect
        self._taken = taken
        self._client: Client | None = None
        self._look = asyncio.Event()
        self.tools: Mapping[str, Tool] = {}
        """By the names the model knows; those of the last list, also while nobody answers."""
        self.listed = 0
        """So often it has told what it has."""

    async def run(self) -> None:
        """Keep connected. Raises nothing but CancelledError."""
        pause_s = _FIRST_PAUSE_S
        while self._owned():
            before = self.listed
            with Attempt(asyncio.CancelledError) as attempt:
                await self._stay()
            if _cancelled():
                raise asyncio.CancelledError
            if not self._owned():
                return
            pause_s = _FIRST_PAUSE_S if self.listed > before else pause_s
            log.warning(
                "mcp.lost",
                server=self.offer.label,
                error=type(attempt.fault).__name__,
                again_in_s=round(pause_s),
            )
            if attempt.fault is not None:
                attempt.fault.__traceback__ = None
            # Processes that lost the same server do not all come back at once.
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _stay(self) -> None:
        """Be connected until it fails."""
        try:
            async with asyncio.timeout(CONNECT_S) as limit, self._connect() as client:
                await self._list(client)
                limit.reschedule(None)
                self._client = client
                while self._owned():
                    await self._until_next()
                    async with asyncio.timeout(LIST_S):
                        await self._list(client)
        finally:
            self._client = None

    async def _until_next(self) -> None:
        try:
            async with asyncio.timeout(self.offer.list_again_s):
                await self._look.wait()
        except TimeoutError:
            return
        # A call went wrong: whether the server is there is asked once a second at most.
        await asyncio.sleep(_FIRST_PAUSE_S)
        self._look.clear()

    async def _list(self, client: Client) -> None:
        found: list[Any] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_TOOLS:
                break
        self.tools = self._offered(found[:MOST_TOOLS])
        self.listed += 1
        if self.listed == 1:
            log.info("mcp.tools_listed", server=self.offer.label, tools=len(self.tools))

    def _offered(self, found: Sequence[Any]) -> dict[str, Tool]:
        offered: dict[str, Tool] = {}
        for one in found:
            if self.offer.allowed is not None and one.name not in self.offer.allowed:
                continue
            try:
                tool = self._tool(one, offered)
            except BadSchema as fault:
                if not self.listed:
                    name = one.name if _NAME.fullmatch(one.name) else "?"
                    log.warning(
                        "mcp.tool_refused", server=self.offer.label, tool=name, why=str(fault)
                    )
                continue
            offered[tool.name] = tool
        return offered

    def _tool(self, one: Any, offered: Mapping[str, Tool]) -> Tool:
        """One of its tools as one of ours. Raises BadSchema."""
        name = one.name
        if self._taken(name) or name in offered:
            name = f"{self.offer.label}_{name}"
        if not _NAME.fullmatch(name) or self._taken(name) or name in offered:
            raise BadSchema("has a name that cannot be offered")
        if not (one.description or "").strip():
            raise BadSchema("does not say what it does")
        theirs = one.name

        async def call(arguments: Mapping[str, Any], facts: CallFacts) -> object:
            return await self._call(theirs, arguments)

        return Tool(
            name=name,
            description=one.description.strip()[:MAX_DESCRIPTION_CHARS],
            function=call,
            # Its patterns may take for ever to try; the server judges its arguments itself.
            parameters=SchemaArguments(checked_schema(one.input_schema), judged=False),
            timeout_ms=self.offer.timeout_ms,
            background=self.offer.background,
            approval_ms=self.offer.approval_ms,
            source="mcp",
        )

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> object:
        client = self._client
        if client is None:
            raise ToolProblem("unreachable", _GONE)
        with Attempt(asyncio.CancelledError) as attempt:
            attempt.value = await client.call_tool(name, dict(arguments))
        if attempt.fault is not None:
            self._look.set()
            # An unreachable server and one that refuses are the same exception to the client.
            raise ToolProblem(type(attempt.fault).__name__, _FAILED)
        result: Any = attempt.value
        said = _said(result)
        if result.is_error:
            raise ToolProblem("tool_error", f"The tool failed. It says: {said[:1000]}")
        return said


def _said(result: Any) -> str:
    """What a result says, in text: a voice can say nothing else."""
    said = [block.text if block.type == "text" else f"[{block.type}]" for block in result.content]
    return "\n".join(said) or "The tool did it, and had nothing to say."


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
