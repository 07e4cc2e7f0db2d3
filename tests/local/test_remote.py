"""Answers of an operator's server as they come: in pieces, without end, nested without sense."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from app.local import remote as remote_module
from app.local.remote import Remote, RemoteFault


@contextlib.asynccontextmanager
async def dripping(pieces: Sequence[bytes]) -> AsyncIterator[Remote]:
    """A server that answers piece by piece, as one does that speaks while it thinks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                await response.write(piece)
                await asyncio.sleep(0.01)
            await response.write_eof()
        return response

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    remote = Remote("LLM_BASE_URL", f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    try:
        yield remote
    finally:
        await remote.close()
        await runner.cleanup()


async def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    """A long answer never comes in one piece: it was cut off after the first."""
    whole = json.dumps({"text": "words " * 100}).encode()

    async with dripping([whole[:10], whole[10:300], whole[300:]]) as remote:
        answer = await remote.json("chat/completions", {})

    assert answer == json.loads(whole)


async def test_a_sound_in_pieces_is_whole() -> None:
    """Ten seconds of speech are half a megabyte, of which a quarter was said."""
    pieces = [b"RIFF" + bytes(60_000), *[bytes(60_000)] * 5]

    async with dripping(pieces) as remote:
        sound = await remote.sound("audio/speech", {})

    assert len(sound) == 4 + 360_000


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not the operator's server's to fill."""
    monkeypatch.setattr(remote_module, "_MOST_BYTES", 1 << 20)

    async with dripping([bytes(1 << 18)] * 8) as remote:
        with pytest.raises(RemoteFault, match="LLM_BASE_URL answered more than 1 MiB"):
            await remote.json("chat/completions", {})


async def test_json_nested_without_sense_is_no_answer() -> None:
    """It is not a ValueError, and would end the call's session."""
    async with dripping([b'{"a":' * 100_000]) as remote:
        with pytest.raises(RemoteFault, match="where JSON was expected"):
            await remote.json("chat/completions", {})
