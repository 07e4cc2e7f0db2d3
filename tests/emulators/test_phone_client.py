"""A program as a telephone: what the socket refuses is a sentence, what it breaks is an end."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from app.audio import mulaw
from app.emulators.carrier_voice import StudioVoice
from app.emulators.demo_voice import CALLER, Studio
from app.emulators.phone_client import LineFault, LineSetup, PhoneClient
from app.emulators.phone_script import CallRecording, Pause, ScriptedPhone, Write

VOICE = StudioVoice(Studio(None), CALLER)
CALLING = {"event": "calling", "callSid": "CA1"}
START = {"event": "start", "callSid": "CA1", "streamSid": "MZ1"}
TONE = {"event": "media", "media": {"payload": "AAAA" * 40}}
"""120 bytes: 15 ms."""
HUNGUP = {"event": "hungup", "by": "agent", "reason": "rest"}


@asynccontextmanager
async def carrier(*messages: Any, leaves: bool = False) -> AsyncIterator[tuple[str, list[Any]]]:
    """A carrier that says these words to who dials, and then listens, or leaves."""
    got: list[Any] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.query.get("ticket") != "t":
            raise web.HTTPForbidden
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                continue
            got.append(json.loads(message.data))
            if got[-1]["event"] == "dial":
                for one in messages:
                    await ws.send_str(one if isinstance(one, str) else json.dumps(one))
                if leaves:
                    await ws.close()
            if got[-1]["event"] == "hangup":
                await ws.send_json({"event": "hungup", "by": "caller", "reason": "caller"})
        return ws

    application = web.Application()
    application.router.add_get("/phone", serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/phone", got
    finally:
        await runner.cleanup()


async def placed(url: str, *steps: Any) -> CallRecording:
    """One call there."""
    phone = ScriptedPhone(steps, voice=VOICE, quiet_ms=60, patience_ms=200)
    async with PhoneClient(LineSetup(url, "t")) as line:
        return await phone.place(line)


async def test_a_wrong_ticket_and_nobody_are_a_sentence() -> None:
    """The server's ticket changes with every start."""
    async with carrier() as (url, _):
        with pytest.raises(LineFault, match="does not answer: 403"):
            async with PhoneClient(LineSetup(url, "x")):
                pass
    with pytest.raises(LineFault, match="does not answer"):
        async with PhoneClient(LineSetup(url, "t")):
            pass


async def test_a_carrier_that_does_not_dial_says_why() -> None:
    """Its own words are better than ours."""
    busy = {"event": "problem", "code": "busy", "sentence": "There is a call already."}
    async with carrier(busy) as (url, _):
        with pytest.raises(LineFault, match=r"There is a call already\."):
            await placed(url)


async def test_a_script_sends_text_messages() -> None:
    """W75: a caller may be told to answer by one."""
    async with carrier(CALLING, START, TONE) as (url, got):
        recording = await placed(url, Write("12 Main Street"))

    assert [one["body"] for one in got if one["event"] == "text"] == ["12 Main Street"]
    assert {"text": "12 Main Street"} in [one.fields for one in recording.events]


async def test_marks_come_back_when_they_were_heard_or_cleared_and_in_order() -> None:
    """What the agent believes was heard depends on nothing else."""
    marks = [{"event": "mark", "mark": {"name": name}} for name in ("first", "after", "cleared")]
    long = {"event": "media", "media": {"payload": "AAAA" * 4000}}
    words = (CALLING, START, marks[0], TONE, marks[1], long, marks[2], {"event": "clear"}, HUNGUP)
    async with carrier(*words) as (url, got):
        recording = await placed(url)

    assert [one["mark"]["name"] for one in got if one["event"] == "mark"] == [
        *("first", "after", "cleared")
    ]
    assert recording.ended_by == "agent"


async def test_a_mark_is_returned_when_its_sound_was_heard_and_not_before() -> None:
    """120 ms of sound take 120 ms, however fast they came."""
    sound = {"event": "media", "media": {"payload": "AAAA" * 320}}
    async with carrier(CALLING, START, sound, {"event": "mark", "mark": {"name": "m"}}) as (
        url,
        got,
    ):
        await placed(url, Pause(300))

    before = got.index({"event": "mark", "mark": {"name": "m"}})
    frames = sum(one["event"] == "media" for one in got[:before])
    assert 4 <= frames <= 14


async def test_a_line_that_breaks_ends_the_call() -> None:
    """The recording is kept, and who ended it is known."""
    async with carrier(CALLING, START, TONE, leaves=True) as (url, _):
        recording = await placed(url)

    assert recording.ended_by == "carrier"
    (over,) = [one.fields for one in recording.events if one.name == "hungup"]
    assert over["reason"] == "line_lost"
    assert mulaw.rms(recording.agent) > 0


async def test_words_that_mean_nothing_change_nothing() -> None:
    """A newer carrier may say more, and a broken one anything."""
    noise = ["no json", "[]", '{"event":"media"}', '{"event":"mark","mark":7}', '{"event":"new"}']
    bad = {"event": "media", "media": {"payload": "%%%"}}
    async with carrier(CALLING, START, *noise, bad, HUNGUP) as (url, _):
        recording = await placed(url)

    assert recording.ended_by == "agent"
