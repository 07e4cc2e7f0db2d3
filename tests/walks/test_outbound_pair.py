"""Calls that we place, with several processes: the order here, the jobs beside, Twilio anywhere.

The processes share a PostgreSQL; each of Twilio's requests comes to the one that the front says.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from app.services.store.calls import AFTERWARDS
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.waiting import until
from tests.walks.jobs_beside import working
from tests.walks.stage import API_KEY, VOICE
from tests.walks.test_reentry import Pair, pair

ROOT = Path(__file__).parents[2]
FROM = "+12125550000"
ELSEWHERE, BETWEEN, TWICE, DEAD = (f"+1212555123{number}" for number in range(4))
"""Where Twilio asks: the other process, first that one, both, the other since this one died."""
RINGS = DialOutcome(ring_ms=1_000)
BUSY = "+12125551239"
ONCE = ("call.created", "call.ringing", "call.answered", "call.stream_started", "call.ended")


@asynccontextmanager
async def two(folder: Path, database_url: str) -> AsyncIterator[tuple[Pair, int, int]]:
    """Two voice processes that may call, and the jobs process."""
    settings: dict[str, Any] = {
        "database_url": database_url,
        "dial_countries": "US",
        "dial_from": FROM,
    }
    async with pair(folder, **settings) as p:
        answers = dict.fromkeys((ELSEWHERE, BETWEEN, TWICE, DEAD), RINGS)
        p.twilio.answers = {**answers, BUSY: DialOutcome("busy", ring_ms=200)}
        async with working(database_url, p.twilio.api_url):
            first, second = await asyncio.gather(p.start(), p.start())
            yield p, first, second


async def ordered(port: int, to: str, **more: Any) -> str:
    """An order of the operator's, taken by this process: the id of the call."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"http://127.0.0.1:{port}/v1/calls", json={"to": to, **more}) as answer,
    ):
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["call_id"])


async def ringing(p: Pair, to: str) -> EmulatedCall:
    """The call as Twilio has it, when nobody has to be told any more that it rings."""
    await until(lambda: any(one.to == to for one in p.twilio.calls.values()), 30)
    call = next(one for one in p.twilio.calls.values() if one.to == to)
    await call.until(
        lambda: (
            {"initiated", "ringing"}
            <= {one.form.get("CallStatus") for one in call.requests if one.status_code}
        )
    )
    return call


async def turn_to(p: Pair, *ports: int) -> None:
    """From now on Twilio's requests come to these processes in turns."""
    p.front.to = list(ports)
    await p.front.drop_kept()


async def talked(call: EmulatedCall) -> None:
    """Who picks up says something, is answered, and hangs up."""
    await call.stream_started()
    await call.speak(VOICE)
    await call.heard_at_least(300)
    await call.hang_up()
    await call.ended()


async def busy_at_both(p: Pair, first: int, second: int) -> str:
    """An order whose two attempts are told to one process each; the id of its call."""

    def settled() -> int:
        return sum(one.to == BUSY and one.settled for one in p.twilio.calls.values())

    await turn_to(p, second)
    call_id = await ordered(first, BUSY, retry={"busy": {"times": 1, "after_s": 1}})
    await until(lambda: settled() == 1, 30)
    await turn_to(p, first)
    await until(lambda: settled() == 2, 30)
    return call_id


async def closed(p: Pair, port: int, call_id: str) -> dict[str, Any]:
    """The record, as this process tells it."""
    async with asyncio.timeout(30):
        while True:
            record = await p.get(port, f"/v1/calls/{call_id}")
            if record is not None and record["status"] == "completed":
                return dict(record)
            await asyncio.sleep(0.05)


def kinds(url: str, call_id: str) -> Counter[str]:
    """How often each kind was told of it until its end; no number is missing."""
    with psycopg.connect(url.replace("+psycopg", "")) as database:
        told = database.execute(
            "SELECT seq, type FROM call_facts WHERE call_id = %s AND seq < %s ORDER BY seq",
            (call_id, AFTERWARDS),
        ).fetchall()
    assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
    return Counter(kind for _, kind in told)


async def test_an_order_of_one_process_is_answered_at_another(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """Whoever Twilio asks has the call, once, and the record misses nothing that was told."""
    ids: dict[str, str] = {}
    records = []
    async with two(tmp_path, postgres_url) as (p, first, second):
        engaged = await busy_at_both(p, first, second)
        tried = await closed(p, second, engaged)
        for to in (ELSEWHERE, BETWEEN, TWICE, DEAD):
            await turn_to(p, second)
            ids[to] = await ordered(first, to)
            call = await ringing(p, to)
            if to == BETWEEN:
                await turn_to(p, first)
            elif to == TWICE:
                await turn_to(p, first, second)
                p.twilio.faults.duplicate_webhooks = frozenset({"/twilio/outbound"})
            elif to == DEAD:
                p.twilio.faults.duplicate_webhooks = frozenset()
                await p.kill(first)
            await talked(call)
            records.append(await closed(p, second, ids[to]))
            if to != DEAD:
                assert await closed(p, first, ids[to]) == records[-1]
            call.assert_clean()

    for record in records:
        assert (record["end_reason"], record["direction"]) == ("caller_hangup", "outbound")
    assert tried["end_reason"] == "busy"
    assert kinds(postgres_url, engaged)["call.attempted"] == 2
    for call_id in ids.values():
        told = kinds(postgres_url, call_id)
        assert {kind: told[kind] for kind in ONCE} == dict.fromkeys(ONCE, 1)
    assert [one.to for one in p.twilio.calls.values()] == [BUSY, BUSY, *ids]
