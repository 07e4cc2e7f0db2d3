"""An MCP server's tool, called in a call."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from tests.tools.test_mcp_tools import docs, serving
from tests.waiting import until
from tests.walks.stage import AGENT, heard_tone, stage
from tests.walks.test_tools import ANSWER, GREETING, ask, finish


async def test_the_model_is_offered_a_servers_tools_and_told_their_answers(tmp_path: Path) -> None:
    """O16, local: function tools named after the server's list, proxied; a call that came before
    the list has none of them."""
    script = Scenario(
        [
            GREETING,
            Reply("Let me see.", 200, 660, tools=[ToolUse("search", {"query": "opening"})]),
            Expect(tool_outputs=1, tool_output_contains="found opening", origin="client"),
            ANSWER,
        ]
    )
    async with serving(docs()) as port:
        server = f"{{type: mcp, server_url: 'http://127.0.0.1:{port}/mcp', allowed_tools: search}}"
        agent = f"{AGENT}\ntools: {{docs: {server}}}\n"
        async with stage(RealtimeEmulator(script), tmp_path, agent=agent) as s:
            [line] = s.board.book.roster.edition.lines.values()
            await until(lambda: bool(line.listed()))
            call = await ask(s)
            await call.until(lambda: heard_tone(call.stream, 880) >= 160)

            record = await finish(s, call)

            setup = s.session.client_events.of("session.update")[0]["session"]
            offered = [tool["name"] for tool in setup["tools"] if tool["type"] == "function"]
    story = _story(tmp_path)
    assert "search" in offered
    assert "hangs" not in offered
    assert story["mcp.tools_listed"] == {"server_label": "docs", "tools": ["search"]}
    done = story["tool.completed"]
    assert (done["name"], done["source"]) == ("search", "mcp")
    tools = [r for t in record["turns"] for r in t["responses"] if r["type"] == "tool"]
    assert [tool["name"] for tool in tools] == ["search"]


def _story(folder: Path) -> dict[str, dict[str, Any]]:
    """The last fact of each kind."""
    with closing(sqlite3.connect(folder / "data" / "patchline.db")) as database:
        rows = database.execute("SELECT type, data FROM call_facts ORDER BY seq").fetchall()
    return {kind: json.loads(data) for kind, data in rows}
