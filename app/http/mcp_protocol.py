"""MCP's side of ``/mcp``: the protocol's own server, with our tools in it.

Imported where the operator wants it (half a second, 21 MB), when the server starts and never
later. The one rule: no session. Every request stands for itself, so any process answers it, and
nothing is left of a client that goes away.

Source: the Model Context Protocol, by its official package (mcp 2.x): streamable HTTP, stateless.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import HTTPException
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from app.http import mcp_calls
from app.http.guard import MAX_BODY_BYTES
from app.http.mcp_calls import TOOLS, Calls

_BY_NAME: Mapping[str, mcp_calls.Tool] = {tool.name: tool for tool in TOOLS}
_INSTRUCTIONS = (
    "A telephone: an agent calls people, speaks with them, and tells what came of it. Only call"
    " whom the user wants called."
)


class Protocol:
    """Answers MCP's requests while it stands. Belongs to the loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        server: Server[Any] = Server(
            "patchline",
            title="Patchline",
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        self._manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=MAX_BODY_BYTES
        )
        self.stands = False

    async def stand(self) -> None:
        """Be there to answer until cancelled; once."""
        async with self._manager.run():
            self.stands = True
            try:
                await asyncio.Event().wait()
            finally:
                self.stands = False

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, while it stands."""
        await self._manager.handle_request(scope, receive, send)

    async def _list(
        self, _asking: ServerRequestContext[Any], _page: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def _call(
        self, asking: ServerRequestContext[Any], asked: CallToolRequestParams
    ) -> CallToolResult:
        tool = _BY_NAME.get(asked.name)
        if tool is None:
            return _refused(f"there is no such tool: there are {', '.join(_BY_NAME)}")

        async def tell(after_s: float, words: str) -> None:
            await asking.session.report_progress(after_s, message=words)

        try:
            told = await self._calls.use(tool, asked.arguments or {}, tell)
        except ValidationError as fault:
            return _refused(f"these arguments cannot be taken: {_wrong(fault)}")
        except HTTPException as refusal:
            return _refused(str(refusal.detail))
        # In text as well, for clients that show their model nothing else.
        text = TextContent(type="text", text=orjson.dumps(told).decode())
        return CallToolResult(content=[text], structured_content=told)


def _described(tool: mcp_calls.Tool) -> Tool:
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes.model_json_schema(),
        output_schema=tool.gives.model_json_schema(mode="serialization"),
        annotations=ToolAnnotations(
            read_only_hint=tool.reads, destructive_hint=not tool.reads, open_world_hint=True
        ),
    )


def _refused(why: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)


def _wrong(fault: ValidationError) -> str:
    """What is wrong with which, so that a model can mend it; never what was written."""
    found = fault.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
