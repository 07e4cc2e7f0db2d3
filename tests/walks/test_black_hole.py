"""A network that swallows: nobody closes, nothing comes, and only a ping can tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.call import model_link
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist
from app.transports import model
from tests.walks.stage import NUMBER, measured, stage
from tests.walks.steps import GENEROUS_MS, PERSON, SORRY, now_s


class Way:
    """A TCP proxy in front of the model; a black hole once it is told to be."""

    def __init__(self, openai: RealtimeEmulator) -> None:
        self._openai = openai
        self._swallows = False
        self._pumps: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.StreamWriter] = []
        self.url = ""

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Whatever is sent, either way, arrives nowhere, an end included; then all is cut."""
        self._swallows = True
        try:
            yield
        finally:
            for end in self._ends:
                end.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Way"]:
        """Forward what comes, until told otherwise."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self
            await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        if self._swallows:
            return
        port = urlsplit(self._openai.base_url).port
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        self._ends.append(there_writer)
        for begin, end in ((reader, there_writer), (there_reader, writer)):
            self._pumps.append(asyncio.create_task(self._pump(begin, end)))

    async def _pump(self, begin: asyncio.StreamReader, end: asyncio.StreamWriter) -> None:
        while data := await begin.read(65_536):
            if not self._swallows:
                end.write(data)
        if not self._swallows:
            end.close()


def test_a_black_hole_is_looked_for_while_the_caller_still_waits() -> None:
    """The next test is in more of a hurry."""
    assert model.PING_AFTER_S + model.PONG_WITHIN_S <= 4


async def test_a_model_line_that_is_swallowed_is_noticed_and_treated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No close, no reset, no event: without pings the caller would talk to nobody for ever."""
    monkeypatch.setattr(model, "PING_AFTER_S", 0.3)
    monkeypatch.setattr(model, "PONG_WITHIN_S", 0.3)
    monkeypatch.setattr(model_link, "ATTEMPT_MS", 300)
    openai = RealtimeEmulator(Receptionist)
    async with (
        Way(openai).open() as way,
        stage(openai, tmp_path, agent=PERSON, openai_base_url=way.url) as s,
    ):
        call = await s.twilio.call()
        await call.heard_at_least(200)

        with way.swallowing():
            began_s = now_s()
            await call.until(lambda: call.said == [SORRY], timeout=60)
            assert measured("black hole: failure to voice", began_s) < GENEROUS_MS
        await call.until(lambda: call.dialled == [NUMBER])
        record = await s.record(call)
        await s.all_closed()
        await call.ended()

    assert record["end_reason"] == "model_failed"
    assert record["model"]["losses"] == 1
    call.assert_clean()
