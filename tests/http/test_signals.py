"""A signal comes between any two instructions, so nothing is done there but taking note."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Scenario
from tests.walks.raw_stream import invited
from tests.walks.stage import Stage, stage


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that stays until the test is over."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as made:
        yield made


async def test_a_signal_is_noted_and_obeyed_by_the_loop(s: Stage) -> None:
    """A line logged while a line is being logged is a RuntimeError in the middle of a call."""
    await invited(s)

    with capture_logs() as lines:
        s.server.handle_exit(signal.SIGTERM, None)
        assert not lines
        assert not s.board.book.draining
        assert not await s.server.on_tick(1)

    assert [(line["event"], line["calls"]) for line in lines] == [("draining", 1)]
    assert s.board.book.draining


async def test_a_signal_without_a_call_ends_at_the_next_tick(s: Stage) -> None:
    """Nobody waits for nobody."""
    s.server.handle_exit(signal.SIGTERM, None)

    assert await s.server.on_tick(1)
    assert not s.server.force_exit


async def test_a_second_signal_ends_although_a_caller_is_there(s: Stage) -> None:
    """An operator who asks twice means it, also when both signals come before a tick."""
    await invited(s)

    s.server.handle_exit(signal.SIGTERM, None)
    s.server.handle_exit(signal.SIGTERM, None)

    assert await s.server.on_tick(1)
