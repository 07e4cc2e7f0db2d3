"""Strangers who hold sockets: they push out each other, and nobody who has something to ask."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from app.http.room import LEAST, MOST, Room, places
from app.http.wire import BoundedHttp, Bounds
from tests.http.test_wire import HOST, PATIENCE_S, Client, echo
from tests.waiting import until
from tests.walks.stage import stage

PLACES = 8
STRANGER, HONEST = "127.0.0.1", "127.0.0.2"
ASKS = HOST + b"\r\n"


@dataclass
class Door:
    """A small server with a few places."""

    port: int
    state: ServerState
    clients: list[Client] = field(default_factory=list)

    async def come(self, source: str = STRANGER, says: bytes = b"") -> Client:
        """One more connection from ``source``, which has said that."""
        client = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self.clients.append(client)
        client[1].write(says)
        return client

    async def answer(self, client: Client) -> bytes:
        """The first line that comes back; empty where the other side has closed."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await client[0].readline()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def door(most: int = PLACES) -> AsyncIterator[Door]:
    """Open, and closed with all who came."""
    config = uvicorn.Config(echo, log_config=None, lifespan="off")
    config.load()
    state, room = ServerState(), Room(most)
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedHttp(Bounds(), room, config, state, {}), "127.0.0.1", 0
    )
    made = Door(server.sockets[0].getsockname()[1], state)
    try:
        yield made
    finally:
        for _, writer in made.clients:
            writer.close()
        server.close()


async def test_who_has_something_to_ask_gets_in_past_any_number_who_have_not() -> None:
    """Ten thousand idle sockets cost a stranger nothing; they must not cost Twilio a call."""
    async with door() as d:
        for _ in range(5 * PLACES):
            await d.come()
        asking = await d.come(says=ASKS)

        assert (await d.answer(asking)).startswith(b"HTTP/1.1 200 ")
        await until(lambda: len(d.state.connections) <= PLACES)
        assert await d.answer(d.clients[0]) in (b"", b"HTTP/1.1 503 Service Unavailable\r\n")


async def test_a_stranger_pushes_out_their_own_connections_first() -> None:
    """Twilio keeps connections open between webhooks; a flood from elsewhere leaves them be."""
    async with door() as d:
        kept = await d.come(HONEST, ASKS)
        assert (await d.answer(kept)).startswith(b"HTTP/1.1 200 ")
        await kept[0].readuntil(b"\r\n\r\n0")

        for _ in range(5 * PLACES):
            await d.come(STRANGER)
        last = await d.come(STRANGER, ASKS)
        assert (await d.answer(last)).startswith(b"HTTP/1.1 200 ")
        kept[1].write(ASKS)

        assert (await d.answer(kept)).startswith(b"HTTP/1.1 200 ")


async def test_all_of_one_address_are_not_refused_for_it() -> None:
    """Behind a tunnel everybody is 127.0.0.1, Twilio too: the longest idle goes, not the new."""
    async with door() as d:
        for _ in range(3 * PLACES):
            client = await d.come(says=ASKS)
            assert (await d.answer(client)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begun", [b"GET", HOST, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"])
async def test_a_request_that_is_never_finished_holds_no_place(begun: bytes) -> None:
    """Half a head and half a body have ten seconds each, which is long in a flood."""
    async with door() as d:
        slow = await d.come(says=begun)
        for _ in range(2 * PLACES):
            await d.come()
        asking = await d.come(says=ASKS)

        assert (await d.answer(asking)).startswith(b"HTTP/1.1 200 ")
        assert await d.answer(slow) in (b"", b"HTTP/1.1 503 Service Unavailable\r\n")


async def test_an_answer_that_nobody_reads_holds_no_place() -> None:
    """Closing politely would wait for it to be read, with the file still ours."""
    async with door() as d:
        deaf = await d.come(says=b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: any(one.cycle is not None for one in d.state.connections))  # type: ignore[union-attr]
        (served,) = d.state.connections
        for _ in range(2 * PLACES):
            await d.come()
        assert (await d.answer(await d.come(says=ASKS))).startswith(b"HTTP/1.1 200 ")

        await until(lambda: served not in d.state.connections)
        assert not deaf[0].at_eof()


async def test_a_crowd_is_one_line_in_the_log() -> None:
    """A line for each of them would fill the disk in their place."""
    with capture_logs() as lines:
        async with door() as d:
            for _ in range(3 * PLACES):
                await d.come()
            assert await d.answer(await d.come(says=ASKS))

    (line,) = [one for one in lines if one["event"] == "crowded"]
    assert line["connections"] == PLACES
    assert "127.0.0.1" not in str(line)


class Stranger:
    """A guest that only remembers that it was sent away."""

    def __init__(self) -> None:
        self.gone = False

    def leave(self) -> None:
        self.gone = True


@pytest.mark.parametrize(
    ("many", "few"),
    [
        ([f"2001:db8::{n:x}" for n in range(1, 4)], "2001:db8:0:1::1"),
        (["::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1"], "10.0.0.2"),
    ],
    ids=["a-network-of-IPv6", "both-spellings-of-IPv4"],
)
def test_one_stranger_with_many_addresses_is_one(many: list[str], few: str) -> None:
    """Who has an IPv6 network has more addresses than there are sockets."""
    room, honest = Room(4), Stranger()
    room.enter(honest, few)
    strangers = [Stranger() for _ in range(9)]

    for stranger, host in zip(strangers, itertools.cycle(many), strict=False):
        room.enter(stranger, host)

    assert not honest.gone
    assert [one.gone for one in strangers] == [True] * 6 + [False] * 3


@pytest.mark.parametrize(
    ("files", "calls", "most"), [(768, 100, 304), (20_000, 100, MOST), (256, 100, LEAST)]
)
def test_calls_have_their_files_before_strangers_have(files: int, calls: int, most: int) -> None:
    """768 are left of the usual 1,024 by those that may be accepted in one go."""
    assert places(files, calls) == most


async def test_a_call_goes_through_a_flood(tmp_path: Path) -> None:
    """The whole server: webhook, upgrade, sound, with more idle sockets than there are places."""
    model = RealtimeEmulator(Scenario([Reply("Hello.", 300, 440)]), pace=0)
    async with stage(model, tmp_path) as s:
        idle = [await asyncio.open_connection("127.0.0.1", s.port) for _ in range(MOST + 200)]
        call = await s.twilio.call()
        await call.heard_at_least(200)
        await call.hang_up()
        record = await s.record(call)
        held = len(s.server.server_state.connections)
        for _, writer in idle:
            writer.close()

    assert record["end_reason"] == "caller_hangup"
    assert held <= MOST
