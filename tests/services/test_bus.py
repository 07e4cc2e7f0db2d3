"""The bus: what is asked of another process, and that silence is an answer, too."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from app.services.bus import MOST_BYTES, PostgresBus, _channel
from app.services.no_bus import NoBus
from app.services.store.database import conninfo, database_url, lasting


class Process:
    """One place on the bus, with a handler that says what it was asked."""

    def __init__(self, url: str, name: str) -> None:
        self.bus = PostgresBus(lasting(database_url(url)), name)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.slow = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def answer(self, op: str, args: dict[str, Any]) -> Any:
        self.asked.append((op, args))
        if op == "slow":
            await self.slow.wait()
        return None if op == "unknown" else {"op": op, **args}

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._tasks is not None
        self._tasks.create_task(work, name=name)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Process"]:
        async with asyncio.TaskGroup() as self._tasks:
            running = self._tasks.create_task(self.bus.run(self.answer, self.spawn))
            try:
                await asyncio.wait_for(self.bus.listening.wait(), 20)
                yield self
            finally:
                self.slow.set()
                running.cancel()
                await self.bus.close()


async def test_another_process_answers(postgres_url: str) -> None:
    """Question and answer are plain JSON; each process hears its own."""
    async with (
        Process(postgres_url, "a").listening() as a,
        Process(postgres_url, "b").listening() as b,
        Process(postgres_url, "c").listening() as c,
    ):
        answers = await asyncio.gather(
            *(a.bus.ask("b", "echo", {"n": n, "text": "Grüße"}, 10) for n in range(20))
        )

        assert answers == [{"op": "echo", "n": n, "text": "Grüße"} for n in range(20)]
        assert len(b.asked) == 20
        assert not c.asked


async def test_nobody_answers(postgres_url: str) -> None:
    """A process that is gone, slow, or does not know: whoever asked goes on without it."""
    async with Process(postgres_url, "a").listening() as a:
        assert await a.bus.ask("gone", "echo", {}, 0.2) is None
        async with Process(postgres_url, "b").listening() as b:
            assert await a.bus.ask("b", "slow", {}, 0.2) is None
            assert await a.bus.ask("b", "unknown", {}, 10) is None
            assert await a.bus.ask("b", "echo", {"x": 1}, 10) == {"op": "echo", "x": 1}
            assert b.asked[0] == ("slow", {})


async def test_nobody_waits_for_a_process_that_is_gone(postgres_url: str) -> None:
    """Callers of a process that died wait for this: they hear nothing until then."""
    async with Process(postgres_url, "a").listening() as a:
        async with Process(postgres_url, "b").listening():
            pass

        async with asyncio.timeout(20):
            assert await a.bus.ask("b", "echo", {}, 60) is None


async def test_a_long_question_and_its_answer_arrive_whole(postgres_url: str) -> None:
    """PostgreSQL takes less than 8,000 bytes at once; several may be under way together."""
    async with (
        Process(postgres_url, "a").listening() as a,
        Process(postgres_url, "b").listening() as b,
    ):
        texts = [(f'{n} Grüße\0\u20ac\U0001f600"\\ ' * 7_000)[:60_000] for n in range(3)]

        answers = await asyncio.gather(*(a.bus.ask("b", "echo", {"x": x}, 20) for x in texts))

        assert answers == [{"op": "echo", "x": text} for text in texts]
        assert not b.bus._partly


async def test_it_is_known_who_hears(postgres_url: str) -> None:
    """Who hangs hears and does not answer; who died does neither."""
    async with Process(postgres_url, "a").listening() as a:
        async with Process(postgres_url, "b").listening():
            assert await a.bus.hears("b")
        async with asyncio.timeout(20):
            while await a.bus.hears("b"):
                pass


async def test_a_question_too_long_is_refused(postgres_url: str) -> None:
    """Memory is bounded; nothing is cut."""
    async with Process(postgres_url, "a").listening() as a:
        with pytest.raises(ValueError, match="too long"):
            await a.bus.ask("b", "echo", {"text": "x" * MOST_BYTES}, 1)
        assert await a.bus.ask("a", "echo", {}, 10) == {"op": "echo"}


NONSENSE = (
    *("", "no JSON", "[]", "{}", '"op"', '{"id":7,"answer":1}', '{"id":"x"}'),
    *(
        '{"op":"echo"}',
        '{"op":"echo","id":"x","args":{}}',
        '{"op":1,"id":"x","args":{},"from":"a"}',
    ),
    '{"op":"echo","id":"x","args":[],"from":"a"}',
    *("+", "+x 0", "+x 0 2", "+x y z {}", "+x 0 1 no JSON"),
)
"""What anybody with a password to the database may say on any channel, or a later version."""


async def test_nonsense_is_passed_over(postgres_url: str) -> None:
    """A process ends with the bus that fails in it, and every call with the process."""
    async with (
        Process(postgres_url, "a").listening() as a,
        Process(postgres_url, "b").listening() as b,
    ):
        with psycopg.connect(conninfo(database_url(postgres_url)), autocommit=True) as somebody:
            for text in NONSENSE:
                somebody.execute("SELECT pg_notify(%s, %s)", (_channel("b"), text))

        assert await a.bus.ask("b", "echo", {"x": 1}, 20) == {"op": "echo", "x": 1}
        assert b.asked == [("echo", {"x": 1})]


async def test_a_server_that_is_gone_without_a_word_is_noticed(postgres_url: str) -> None:
    """By keepalives of our own: the system's begin after two hours, in which nothing is heard."""
    async with Process(postgres_url, "a").listening() as a:
        async with asyncio.timeout(60):
            while a.bus._mouth is None:
                await a.bus.ask("a", "echo", {}, 20)

        with socket.socket(fileno=a.bus._mouth.fileno()) as line:
            idle_s = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            line.detach()

        assert idle_s == 10


async def test_a_lost_connection_is_made_again(postgres_url: str) -> None:
    """The database was restarted; questions of that moment have no answer, later ones do."""
    async with (
        Process(postgres_url, "a").listening() as a,
        Process(postgres_url, "b").listening() as b,
    ):
        assert await a.bus.ask("b", "echo", {}, 10) == {"op": "echo"}
        with psycopg.connect(conninfo(database_url(postgres_url)), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        async with asyncio.timeout(20):
            while await a.bus.ask("b", "echo", {"again": 1}, 0.5) is None:
                pass
        assert b.bus.listening.is_set()


async def test_alone_there_is_nobody_to_ask() -> None:
    """One process on a file."""
    assert await NoBus("a").ask("b", "echo", {}, 10) is None
    assert not await NoBus("a").hears("b")
