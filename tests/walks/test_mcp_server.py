"""The telephone as a tool of other programs' models, asked by the protocol's own client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app.call.notices import ANALYZED
from app.http import mcp as door
from app.http.mcp_calls import ToldCall
from app.services.store.afterwards import Afterwards
from app.services.store.database import open_engine
from tests.walks.stage import AGENT, API_KEY, PUBLIC_URL, VOICE, Stage, heard_tone
from tests.walks.test_outbound import FROM, TO, ended, order, placed, placing

TASK = "Ask whether they can come on Monday."
FORM = {"name": "visit", "complete": True, "values": {"day": "Monday"}, "missing": []}
ANALYSIS = {"status": "completed", "short": "A visit", "long": "They come on Monday.", "form": FORM}
ANALYSED = f"{AGENT}\nanalysis: {{}}\n"


@asynccontextmanager
async def asking(s: Stage, **how: Any) -> AsyncIterator[Client]:
    """An MCP client, with the two lines that it needs: an address and a key."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(f"{s.url}/mcp", http_client=http), **how) as client,
    ):
        yield client


async def analyse(s: Stage, call_id: str) -> None:
    """What the jobs do when a call is over."""
    engine = open_engine(f"sqlite:///{s.folder}/data/patchline.db")
    try:
        told = {"status": "completed", "analysis": ANALYSIS}
        assert await Afterwards(engine).add_once(call_id, ANALYZED, told)
    finally:
        await engine.dispose()


async def picked_up(s: Stage) -> Any:
    """The call, when the one who was called has heard the agent."""
    call = await placed(s)
    await call.stream_started()
    await call.speak(VOICE)
    await call.until(lambda: heard_tone(call.stream, 440) >= 160)
    return call


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_places_a_call_and_is_told_what_came_of_it(
    tmp_path: Path, mode: Any
) -> None:
    """C15: by the protocol with sessions and by the one without: form, summary, end reason, and
    on the way how far it has come."""
    news: list[str | None] = []

    async def told_of(_done: float, _total: float | None, message: str | None) -> None:
        news.append(message)

    async with (
        placing(tmp_path, agent=ANALYSED, mcp_server=True) as (s, _),
        asking(s, mode=mode) as client,
    ):
        asked = asyncio.create_task(
            client.call_tool("place_call", {"to": TO, "task": TASK}, progress_callback=told_of)
        )
        call = await picked_up(s)
        await call.hang_up()
        [row] = (await s.get("/v1/calls"))["calls"]
        await ended(s, row["call_id"])
        over = asyncio.Event()

        async def told_of_the_end(*_news: object) -> None:
            over.set()

        patient = {"call_id": row["call_id"], "wait_s": 60}
        waiting = asyncio.create_task(
            client.call_tool("get_call", patient, progress_callback=told_of_the_end)
        )
        await over.wait()
        await s.get(f"/v1/calls/{row['call_id']}/timeline")
        assert not waiting.done(), "the call is over, and what it came to is not known yet"
        await analyse(s, row["call_id"])
        result, waited = await asked, await waiting
        later = await client.call_tool("get_call", {"call_id": row["call_id"], "words": True})
        listed = await client.call_tool("list_calls", {"status": "completed", "number": TO})

        seeded = next(e for e in s.session.client_events if e["type"] == "conversation.item.create")
    told = result.structured_content
    assert not result.is_error
    ToldCall.model_validate(told)
    assert (told["status"], told["end_reason"]) == ("completed", "caller_hangup")
    assert (told["from"], told["to"]) == (FROM, TO)
    assert (told["summary"], told["form"]) == ("They come on Monday.", FORM)
    assert waited.structured_content == told
    assert TASK in seeded["item"]["content"][0]["text"]
    assert "somebody picked up" in news
    assert news[-1] == "the call is over"
    assert {"by": "agent", "text": "Hello, it is"} in later.structured_content["words"]
    assert [one["call_id"] for one in listed.structured_content["calls"]] == [told["call_id"]]


async def test_a_model_may_do_what_the_key_may_and_no_more(tmp_path: Path) -> None:
    """Destinations, do-not-call and the key of an order are judged as those of the routes."""
    async with placing(tmp_path, mcp_server=True) as (s, jobs), asking(s) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        abroad = await client.call_tool("place_call", {"to": "+33612345678"})
        unclear = await client.call_tool("place_call", {"to": "0612", "colour": "secret-word"})
        unknown = await client.call_tool("get_call", {"call_id": "call_none", "wait_s": 5})
        nothing = await client.call_tool("list_calls", {"cursor": "none"})

        jobs.held.clear()
        once = {"to": TO, "idempotency_key": "k", "wait_s": 0}
        first = (await client.call_tool("place_call", once)).structured_content
        _, by_route = await order(s, key="k")
        other = await client.call_tool("place_call", once | {"task": "Something else."})
        asked = {"call_id": first["call_id"]}
        gone = (await client.call_tool("end_call", asked)).structured_content
        again = (await client.call_tool("end_call", asked)).structured_content

    assert set(tools) == {"place_call", "get_call", "end_call", "list_calls"}
    assert "call_id" in (tools["place_call"].output_schema or {})["properties"]
    refused = [str(one.content) for one in (abroad, unclear, unknown, nothing, other)]
    assert all(one.is_error for one in (abroad, unclear, unknown, nothing, other))
    for sentence, word in zip(
        refused, ("may not be called", "colour", "no call", "cursor", "another order"), strict=True
    ):
        assert word in sentence
    assert "secret-word" not in refused[1]
    assert first["status"] == "queued"
    assert by_route["call_id"] == first["call_id"]
    assert (gone["status"], gone["end_reason"]) == ("completed", "canceled")
    assert again == gone
    assert not s.twilio.calls


async def test_a_model_hangs_up_a_call_that_goes_on(tmp_path: Path) -> None:
    """And is not kept waiting by a server that is to end: the call is told as it is."""
    async with placing(tmp_path, mcp_server=True) as (s, _), asking(s) as client:
        begun = (await client.call_tool("place_call", {"to": TO, "wait_s": 0})).structured_content
        asked = {"call_id": begun["call_id"]}
        await picked_up(s)
        waits = asyncio.Event()

        async def told_of(*_news: object) -> None:
            waits.set()

        longest = asked | {"wait_s": 600}
        waiting = asyncio.create_task(
            client.call_tool("get_call", longest, progress_callback=told_of)
        )
        await waits.wait()
        s.board.book.drain()
        meanwhile = (await waiting).structured_content
        await client.call_tool("end_call", asked)
        gone = await ended(s, begun["call_id"])

    assert meanwhile["status"] == "in_progress"
    assert gone["end_reason"] == "operator_ended"


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
TAKES = {"Accept": "application/json, text/event-stream"}


async def post(s: Stage, headers: dict[str, str], verb: str = "POST") -> tuple[int, str]:
    """A request without a client: status and answer."""
    async with (
        aiohttp.ClientSession(headers=TAKES | headers) as client,
        client.request(verb, f"{s.url}/mcp", json=HELLO) as answer,
    ):
        return answer.status, await answer.text()


async def test_nobody_asks_without_the_key_nor_a_page_of_another_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that reaches this machine under a name of its own is one; and so many wait at once."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    async with placing(tmp_path, mcp_server=True) as (s, _):
        assert (await post(s, key))[0] == 200
        assert (await post(s, key | {"Origin": PUBLIC_URL}))[0] == 200
        assert (await post(s, {}))[0] == 401
        assert (await post(s, {"Authorization": "Bearer wrong"}))[0] == 401
        for origin in ("https://evil.example", "null", PUBLIC_URL + ".evil.example", ""):
            assert (await post(s, key | {"Origin": origin}))[0] == 403
        assert (await post(s, key, "GET"))[0] == 405
        assert (await post(s, key, "DELETE"))[0] == 405
        monkeypatch.setattr(door, "MOST_ASKING", 0)
        assert (await post(s, key))[0] == 503


async def test_without_the_setting_there_is_no_mcp_server(tmp_path: Path) -> None:
    """And the refusal says how to have one."""
    async with placing(tmp_path) as (s, _):
        status, told = await post(s, {"Authorization": f"Bearer {API_KEY}"})

    assert status == 404
    assert "MCP_SERVER" in told
