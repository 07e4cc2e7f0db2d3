"""A process that is full sends a caller on to one that has room, while there is one."""

import asyncio
from pathlib import Path

import aiohttp

from app.emulators.twilio_signing import signature
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.walks.stage import ACCOUNT, PUBLIC_URL, TOKEN
from tests.walks.test_reentry import pair, talked


async def rings(port: int, number: int, elsewhere: int = 0) -> str:
    """What a process answers to a new call, the ``number``-th."""
    path = f"/incoming-call?elsewhere={elsewhere}" if elsewhere else "/incoming-call"
    form = {"AccountSid": ACCOUNT, "CallSid": f"CA{number:032x}", "CallStatus": "ringing"}
    form |= {"From": "+14155550100", "To": "+14155550199", "Direction": "inbound"}
    seal = signature(TOKEN, PUBLIC_URL + path, form.items())
    async with (
        aiohttp.ClientSession(headers={"X-Twilio-Signature": seal}) as client,
        client.post(f"http://127.0.0.1:{port}{path}", data=form) as answer,
    ):
        assert answer.status == 200
        return await answer.text()


async def test_a_full_process_sends_a_caller_to_one_with_room(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """One caller each; the third hears that all lines are busy, wherever it comes."""
    async with pair(tmp_path, database_url=postgres_url, max_concurrent_calls=1) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [second]
        call = await talked(p)

        async with asyncio.timeout(60):
            tried = 1
            while "elsewhere=1</Redirect>" not in (told := await rings(second, tried)):
                # It has not looked round yet.
                assert "All lines are busy" in told
                tried += 1
                await asyncio.sleep(0.1)
        assert "<Stream " in await rings(first, tried, elsewhere=1)

        assert "All lines are busy" in await rings(second, 1_000, elsewhere=3)
        await call.hang_up()
        assert "<Stream " in await talked_again(second)


async def talked_again(port: int) -> str:
    """What a new caller hears once the place is free."""
    async with asyncio.timeout(60):
        number = 2_000
        while "<Stream " not in (told := await rings(port, number)):
            number += 1
            await asyncio.sleep(0.1)
    return told
