"""Reading a local call along, and typing into it: the real server, the page's own requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Reply, Scenario, ToolUse
from app.runtime.draining import Drain
from tests.walks.stage import AGENT, Stage, stage

LOCAL = {"ticket": "t"}


def brain(*script: Any) -> RealtimeEmulator:
    """A model that follows a script, as fast as it can."""
    return RealtimeEmulator(Scenario(list(script)), pace=0)


async def story(s: Stage, client: aiohttp.ClientSession, sid: str) -> AsyncIterator[dict[str, Any]]:
    """The captions of a call, until its end."""
    async with client.get(f"{s.url}/phone/events", params={"callSid": sid}) as answer:
        assert answer.content_type == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


async def typed(s: Stage, client: aiohttp.ClientSession, sid: str, text: str) -> int:
    """Type a line into a call; the status of the answer."""
    body = {"callSid": sid, "text": text}
    async with client.post(f"{s.url}/phone/text", json=body) as answer:
        return answer.status


async def test_a_call_is_read_along_and_typed_into(tmp_path: Path) -> None:
    """Who cannot speak or hear has the whole conversation in words."""
    model = brain(
        Reply("Hello, this is the test line.", 400),
        Expect(message_contains="When are you open?"),
        Reply("At nine.", 400),
    )
    async with stage(model, tmp_path, local=LOCAL) as s, aiohttp.ClientSession() as client:
        call = await s.twilio.call()
        await call.stream_started()
        told: list[dict[str, Any]] = []
        async for caption in story(s, client, call.call_sid):
            told.append(caption)
            if caption["kind"] == "agent" and caption["text"] == "Hello, this is the test line.":
                assert await typed(s, client, call.call_sid, "When are you open?") == 204
            if caption["kind"] == "agent" and caption["text"] == "At nine.":
                await call.hang_up()
        await call.ended()
        ended = await typed(s, client, call.call_sid, "Too late")

    words = {(one["kind"], one["text"]) for one in told}
    assert ("caller", "When are you open?") in words
    assert told[-1]["kind"] == "end"
    assert told[-1]["text"] == "The call ended: caller_hangup"
    assert ended == 404


async def test_the_last_a_reader_is_rung_for_is_the_end(tmp_path: Path) -> None:
    """The call of a caller who was put through ends without a stream that would tell of it."""
    through = Reply("I put you through.", 200, tools=[ToolUse("transfer_call", {"target": "desk"})])
    agent = f"{AGENT}\ntransfer_targets: {{desk: {{description: A desk., to: '+14155550123'}}}}"
    rung: list[str | None] = []
    async with stage(brain(through), tmp_path, agent=agent) as s:
        call = await s.twilio.call()
        await call.stream_started()
        live = s.board.book.call(call.call_sid)
        assert live is not None
        with live.readers.bell() as bell:
            bell.set = lambda: rung.append(live.report.ending)  # type: ignore[method-assign]
            await s.record(call)

    assert rung[-1] == "transferred"


async def test_a_page_from_elsewhere_reads_nothing(tmp_path: Path) -> None:
    """A CallSid that leaked must not be enough for a page of another origin."""
    async with stage(brain(Reply("Hello.", 400)), tmp_path, local=LOCAL) as s:
        call = await s.twilio.call()
        await call.stream_started()
        foreign = {"Host": "patchline.evil.test"}
        statuses = []
        async with aiohttp.ClientSession(headers=foreign) as client:
            async with client.get(
                f"{s.url}/phone/events", params={"callSid": call.call_sid}
            ) as answer:
                statuses.append(answer.status)
            statuses.append(await typed(s, client, call.call_sid, "hello"))
        await call.hang_up()
        await call.ended()

    assert statuses == [403, 403]


async def test_where_calls_come_from_twilio_there_is_nothing_to_read(tmp_path: Path) -> None:
    """Callers' words are the operator's, behind the operator's key."""
    async with stage(brain(Reply("Hello.", 400)), tmp_path) as s, aiohttp.ClientSession() as client:
        call = await s.twilio.call()
        await call.stream_started()
        status = await typed(s, client, call.call_sid, "hello")
        await call.hang_up()
        await call.ended()

    assert status == 404


async def test_a_line_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    """It says which field is wrong, and the call goes on."""
    async with (
        stage(brain(Reply("Hello.", 400)), tmp_path, local=LOCAL) as s,
        aiohttp.ClientSession() as client,
    ):
        call = await s.twilio.call()
        await call.stream_started()
        statuses = [await typed(s, client, call.call_sid, text) for text in ("", "   ", "x" * 501)]
        async with client.post(f"{s.url}/phone/text", json={"callSid": "CA0"}) as answer:
            statuses.append(answer.status)
        await call.hang_up()
        await call.ended()

    assert statuses == [422, 422, 422, 422]


async def test_readers_are_let_go_when_the_process_drains(tmp_path: Path) -> None:
    """A page left open would hold the end of the process for as long as the call lasts."""
    model = brain(Reply("Hello, this is the test line.", 400))
    async with stage(model, tmp_path, local=LOCAL) as s, aiohttp.ClientSession() as client:
        call = await s.twilio.call()
        await call.stream_started()
        drain = Drain(s.board.book, 600)
        told = []
        async with asyncio.timeout(60):
            async for caption in story(s, client, call.call_sid):
                told.append(caption)
                drain.begin(0.0)
        async with client.get(
            f"{s.url}/phone/events", params={"callSid": call.call_sid}
        ) as refused:
            status = refused.status
        assert not call.over
        await call.hang_up()

    assert told
    assert told[-1]["kind"] != "end"
    assert status == 503
