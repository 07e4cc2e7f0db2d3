"""Tools of an MCP server, against the protocol's own server, which lies, hangs and dies."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from mcp.server import MCPServer

from app.agents.load import check_file, load_document
from app.assembly import listed
from app.tool_kinds import House, registry
from app.tools import mcp_tools
from app.tools.parameters import CallFacts
from app.tools.registry import Registry
from tests.waiting import until

FACTS = CallFacts(call_id="c1", call_sid="CA1", caller="+33612345678", line="+15005550006")
OUR_TOOL = """
  search: {type: python, handler: "mcp_own_search:search"}
"""


def docs() -> MCPServer:
    """A server with some tools."""
    server = MCPServer("docs")

    @server.tool()
    def search(query: str) -> str:
        """Search the documents."""
        return f"found {query}"

    @server.tool()
    def fails(query: str) -> str:
        """Fail."""
        raise ValueError(f"no {query}")

    @server.tool()
    async def hangs() -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return ""

    return server


class Listening(uvicorn.Server):
    """A server that leaves signals to the test."""

    def install_signal_handlers(self) -> None:
        """None."""


@asynccontextmanager
async def serving(server: MCPServer, port: int = 0) -> AsyncIterator[int]:
    """The server, on a port of this machine."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        server.streamable_http_app(stateless_http=True, json_response=True),
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    up = Listening(config)
    task = asyncio.create_task(up._serve([listener]))
    await until(lambda: up.started)
    try:
        yield listener.getsockname()[1]
    finally:
        up.should_exit = True
        await task
        listener.close()


def tools(folder: Path, port: int, more: str = "", others: str = "") -> Registry:
    """The tools of a document with such a server."""
    file = folder / "agent.yaml"
    url = f"server_url: 'http://127.0.0.1:{port}/mcp'"
    file.write_text(f"instructions: x\ntools:\n  docs: {{type: mcp, {url}{more}}}\n{others}")
    return registry(load_document(file), House({"TOKEN": "s3cret"}.get))


@asynccontextmanager
async def connected(made: Registry, *, listing: bool = True) -> AsyncIterator[Registry]:
    """While its servers are kept in touch with."""
    running = [asyncio.create_task(one.run()) for one in made.servers.values()]
    try:
        if listing:
            await until(lambda: any(made.listed().values()), 20)
        yield made
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def run(made: Registry, tool: str, **arguments: object) -> tuple[bool, str]:
    """What a tool says to the model."""
    outcome = await made.run(tool, orjson.dumps(arguments).decode(), FACTS)
    return outcome.ok, outcome.output


async def test_a_servers_tools_are_ours(tmp_path: Path) -> None:
    """O16, local: the model sees function tools named after the server's list, and calls them."""
    async with serving(docs()) as port, connected(tools(tmp_path, port)) as made:
        offered = made.listed()["docs"]

        assert list(offered) == ["search", "fails", "hangs"]
        schema = offered["search"].schema
        assert (schema["type"], schema["description"]) == ("function", "Search the documents.")
        assert schema["parameters"]["required"] == ["query"]
        assert await run(made, "search", query="x") == (True, "found x")
        ok, said = await run(made, "fails", query="x")
        assert (ok, said[:30]) == (False, "The tool failed. It says: Erro")
        assert not (await run(made, "search"))[0]


async def test_allowed_tools_alone_are_offered_and_names_that_clash_get_a_prefix(
    tmp_path: Path,
) -> None:
    """Two tools of one name would be one tool."""
    (tmp_path / "mcp_own_search.py").write_text(
        'def search() -> str:\n    "Ours."\n    return "us"\n'
    )
    made = tools(tmp_path, 0, ", allowed_tools: [search]", OUR_TOOL)
    async with serving(docs()) as port:
        made.servers["docs"]._connect = mcp_tools.over_http(f"http://127.0.0.1:{port}/mcp", {})  # type: ignore[attr-defined]
        async with connected(made):
            assert list(made.listed()["docs"]) == ["docs_search"]
            assert await run(made, "docs_search", query="x") == (True, "found x")
            assert await run(made, "search") == (True, "us")


async def test_what_hangs_ends_with_its_time_and_holds_up_nothing(tmp_path: Path) -> None:
    """D-TAC-6: and the same connection goes on answering."""
    async with (
        serving(docs()) as port,
        connected(tools(tmp_path, port, ", timeout: 300ms")) as made,
    ):
        hanging = asyncio.create_task(run(made, "hangs"))

        assert await run(made, "search", query="y") == (True, "found y")
        assert await hanging == (False, "The tool did not finish within 0.3 seconds.")
        assert await run(made, "search", query="z") == (True, "found z")


async def test_an_answer_is_read_up_to_a_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Parsed whole, it would hold up every call of the process; the server stays connected."""
    server = docs()

    @server.tool()
    def floods() -> str:
        """Answer at length."""
        return "x" * (mcp_tools.MOST_BODY_BYTES + 1)

    async with serving(server) as port, connected(tools(tmp_path, port)) as made:
        ok, said = await run(made, "floods")

        assert (ok, "too large" in caplog.text) == (False, True)
        assert "refused the call" in said
        assert await run(made, "search", query="x") == (True, "found x")


async def test_a_server_that_dies_is_a_sentence_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line answers without it; when it is there again, so are its tools."""
    monkeypatch.setattr(mcp_tools, "_FIRST_PAUSE_S", 0.05)
    async with serving(docs()) as port:
        made = tools(tmp_path, port)
        keeping = connected(made)
        await keeping.__aenter__()
        assert (await run(made, "search", query="x"))[0]
    ok, said = await run(made, "search", query="x")
    assert (ok, said[:35]) == (False, mcp_tools._GONE[:35])

    async with serving(docs(), port):
        async with asyncio.timeout(30):
            while not (await run(made, "search", query="x"))[0]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await keeping.__aexit__(None, None, None)


async def test_a_server_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    """Nor one that never says a word: the tools are those that are known."""
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with connected(tools(tmp_path, port), listing=False) as made:
        assert made.listed() == {"docs": {}}
        assert "no such tool" in (await run(made, "search", query="x"))[1]
    silent.close()


class Told:
    """One tool as a server tells it."""

    def __init__(self, name: str, schema: Any, description: str | None = "Do it.") -> None:
        self.name, self.input_schema, self.description = name, schema, description


def deep(levels: int) -> dict[str, Any]:
    """A schema within a schema …"""
    return {"items": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "told",
    [
        Told("a b", {}),
        Told("x" * 65, {}),
        Told("end_call", {}, None),
        Told("a", {}, " "),
        Told("a", []),
        Told("a", {"type": "array"}),
        Told("a", {"properties": 7}),
        Told("a", {"properties": {"x": {"$ref": "https://evil.test/schema"}}}),
        Told("a", {"properties": {"x": {"enum": ["y" * 20_000]}}}),
        Told("a", {"properties": {"x": deep(200)}}),
    ],
    ids=range(10),
)
def test_a_tool_that_cannot_be_offered_costs_no_other(told: Told) -> None:
    """A server may say anything of its tools."""
    server = mcp_tools.McpServer(mcp_tools.Offer("docs"), _nowhere, lambda _name: False)

    assert list(server._offered([told, Told("good", {"type": "object"})])) == ["good"]


def test_patterns_of_a_server_are_never_tried() -> None:
    """One that takes for ever would stop all calls."""
    server = mcp_tools.McpServer(mcp_tools.Offer("docs"), _nowhere, lambda _name: False)
    schema = {"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}

    [tool] = server._offered([Told("a", schema)]).values()

    assert tool.parameters.read(f'{{"x": "{"a" * 60}!"}}')["arguments"] == {"x": "a" * 60 + "!"}


def _nowhere() -> Any:
    raise AssertionError("nobody connects here")


async def test_a_program_is_a_server_too_and_knows_only_what_it_is_given(tmp_path: Path) -> None:
    """By its standard input and output; our own secrets are not among its environment."""
    program = Path(__file__).with_name("mcp_program.py")
    file = tmp_path / "agent.yaml"
    entry = {
        "type": "mcp",
        "command": sys.executable,
        "args": [str(program)],
        "env": {"KEY": "${TOKEN}"},
        "timeout": "20s",
    }
    file.write_text(f"instructions: x\ntools:\n  here: {orjson.dumps(entry).decode()}\n")
    made = registry(load_document(file), House({"TOKEN": "s3cret"}.get))

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", "sk-ours")
        async with connected(made):
            assert await run(made, "where", name="KEY") == (True, "s3cret")
            assert await run(made, "where", name="OPENAI_API_KEY") == (True, "unset")


async def test_what_is_said_while_it_works_and_who_must_approve(tmp_path: Path) -> None:
    """O14, O19: the same as of any tool."""
    more = ", say_while_running: One moment., approval: always, approval_timeout: 5s"
    async with serving(docs()) as port, connected(tools(tmp_path, port, more)) as made:
        agent = load_document(tmp_path / "agent.yaml").agent

        assert listed(agent, made)["search"].filler == "One moment."
        assert made.approval_ms("search") == 5000


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("type: mcp", "command: or server_url must be there, and not both"),
        (
            "type: mcp, server_url: https://a.test/mcp, command: x",
            "command: or server_url must be there, and not both",
        ),
        (
            "type: mcp, server_url: https://a.test/mcp, execution: hosted",
            'execution: "hosted" is not available yet',
        ),
    ],
)
def test_a_server_is_written_one_way(tmp_path: Path, entry: str, sentence: str) -> None:
    """A sentence with its place."""
    file = tmp_path / "agent.yaml"
    file.write_text(f"instructions: x\ntools:\n  docs: {{{entry}}}\n")

    assert f"{file}:3 tools.docs.{sentence}" in [str(one) for one in check_file(file)]
