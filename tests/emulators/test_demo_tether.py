"""A server that was started for one call ends with it, whatever becomes of who started it."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from tests.walks.test_terminal_call import settings, started

LIMIT_S = 60

pytestmark = pytest.mark.skipif(
    not (hasattr(os, "pidfd_open") and Path("/proc/self/task").exists()),
    reason="the system does not tell whose child a process is, nor when it ends",
)


def descendants(pid: int) -> Iterator[int]:
    """The processes it started, and those they started."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


async def all_end(handles: list[int]) -> None:
    """Return when the processes of these pidfds are gone; raises TimeoutError."""
    loop = asyncio.get_running_loop()
    for handle in handles:
        ended = asyncio.Event()
        loop.add_reader(handle, ended.set)
        try:
            async with asyncio.timeout(LIMIT_S):
                await ended.wait()
        finally:
            loop.remove_reader(handle)


async def killed(process: asyncio.subprocess.Process) -> list[int]:
    """Kill it in the middle of its call; the processes it left, once they ended too."""
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        while b"http://127.0.0.1:" not in (line := await process.stdout.readline()):
            assert line, "it ended before it said where its server is"
    with ExitStack() as stack:
        left = sorted(descendants(process.pid))
        handles = [os.pidfd_open(pid) for pid in left]
        for handle in handles:
            stack.callback(os.close, handle)
        process.kill()
        await process.wait()
        await all_end(handles)
    return left


async def test_a_demonstration_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL gives nobody the time to tidy up: no server may stay, nor what it wrote."""
    (scratch := tmp_path / "scratch").mkdir()
    words = ("app.emulators", "demo", "--out", "out")
    process = await started(*words, cwd=tmp_path, TMPDIR=str(scratch))

    assert await killed(process), "there was no server to leave behind"
    assert list(scratch.iterdir()) == []


async def test_a_call_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """Nor the carrier beside the server that was started for it, nor its recording."""
    (scratch := tmp_path / "scratch").mkdir()
    async with RealtimeEmulator(Scenario([Reply("On and on.", 20_000, 440)])) as openai:
        settings(tmp_path, openai)
        words = ("call", "--local", "--agent", "agent.yaml")
        process = await started("app", *words, cwd=tmp_path, TMPDIR=str(scratch))

        assert len(await killed(process)) >= 2
    assert list(scratch.iterdir()) == []
