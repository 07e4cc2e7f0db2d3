"""Several processes and one new call: who is full sends it on, and two do not both take it."""

import asyncio
from pathlib import Path
from typing import LiteralString

import aiohttp
import psycopg
import pytest

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


async def test_a_call_that_comes_to_two_processes_at_once_is_one_call(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """Twilio repeats a webhook, and the proxy brings it elsewhere: one stream serves the caller,
    and one record tells of them."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        both = [await p.start(), await p.start()]
        url = postgres_url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(url) as database, asyncio.timeout(60):
            while await one(database, LISTENING) != 2:  # noqa: ASYNC110 - processes' fact
                await asyncio.sleep(0.05)
        # Connections to the database are there then.
        await asyncio.gather(*(rings(port, port) for port in both))
        for number in range(7_001, 7_010):
            async with await psycopg.AsyncConnection.connect(url) as database:
                before = await one(database, CALLS)

            told = await asyncio.gather(*(rings(port, number) for port in both))

            assert all("<Stream " in twiml for twiml in told)
            if told[0] == told[1]:
                break
            # Who was asked first did not answer in time, so the caller was taken.
        else:
            pytest.fail("of nine calls each was taken twice")
        async with await psycopg.AsyncConnection.connect(url) as database:
            assert await one(database, CALLS) == before + 1


CALLS = "SELECT count(*) FROM calls"
LISTENING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND \
 database = (SELECT oid FROM pg_database WHERE datname = current_database())"
"""How many processes can be asked, as the database knows it."""


async def one(database: psycopg.AsyncConnection, query: LiteralString) -> int:
    """The one number that a query answers with."""
    found = await (await database.execute(query)).fetchone()
    assert found is not None
    await database.rollback()
    return int(found[0])


async def talked_again(port: int) -> str:
    """What a new caller hears once the place is free."""
    async with asyncio.timeout(60):
        number = 2_000
        while "<Stream " not in (told := await rings(port, number)):
            number += 1
            await asyncio.sleep(0.1)
    return told
