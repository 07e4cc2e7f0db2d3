"""How long calls are kept: the store and the flight logs, with a clock that is given."""

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from app.runtime.flight_log import Hangar
from app.runtime.retention import expire, keep_for
from app.services.store.archive import Archive
from app.services.store.migrate import migrate
from tests.services.stored import MOMENT, a_call, said


async def nothing(_recordings: Sequence[str]) -> None:
    """Nobody is recorded."""


def names(folder: Path) -> list[str]:
    """The files there."""
    return sorted(path.name for path in folder.iterdir())


async def test_what_is_old_goes_with_its_flight_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions, so that nobody waits for a lock; what is young or live stays."""
    monkeypatch.setattr("app.runtime.retention.PORTION", 2)
    monkeypatch.setattr("app.runtime.retention.PAUSE_S", 0)
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(url)
    archive, hangar = Archive(url), Hangar(tmp_path / "flights")
    hangar.open()
    for name in ("call_old-1", "call_young-1"):
        hangar.write(name, b"x")
    async with archive.opened():
        writing = asyncio.create_task(archive.writer.run())
        for number in range(5):
            archive.writer.opened(a_call(f"old_{number}"))
            archive.writer.append(f"old_{number}", 1, said())
            archive.writer.closed(f"old_{number}", "done", MOMENT, {})
        archive.writer.opened(a_call("young"))
        archive.writer.closed("young", "done", MOMENT + timedelta(days=3), {})
        archive.writer.opened(a_call("living"))
        assert await archive.writer.close(5)
        await writing
        await hangar.expire(0)
        for name, days in (("call_old-1", 0), ("call_young-1", 3)):
            at_s = (MOMENT + timedelta(days=days)).timestamp()
            os.utime(hangar.path(name), (at_s, at_s))

        await expire(MOMENT + timedelta(days=1), archive, hangar, nothing)

        assert {row.call_id for row in (await archive.calls.list()).calls} == {"young", "living"}
        assert await archive.calls.facts("old_1") == []
    hangar.close()
    assert names(tmp_path / "flights") == ["call_young-1.jsonl"]


async def test_a_database_that_is_gone_is_for_the_next_time(tmp_path: Path) -> None:
    """The task lives as long as the process; nothing may end it."""
    archive, hangar = Archive(f"sqlite:///{tmp_path}/store.db"), Hangar(tmp_path / "flights")
    hangar.open()
    hangar.write("call_old-1", b"x")

    await expire(MOMENT + timedelta(days=36_500), archive, hangar, nothing)

    hangar.close()
    await archive._engine.dispose()
    assert names(tmp_path / "flights") == []


async def test_a_call_that_was_erased_elsewhere_is_forgotten_here(tmp_path: Path) -> None:
    """Its flight logs are on the machine that it lived on, and say what was said."""
    archive, hangar = Archive(f"sqlite:///{tmp_path}/store.db"), Hangar(tmp_path / "flights")
    hangar.open()
    for name in ("call_1-1", "call_1-2", "call_2-1"):
        hangar.write(name, b"x")
    async with archive.opened():
        writing = asyncio.create_task(archive.writer.run())
        for call_id in ("call_1", "call_2"):
            archive.writer.opened(a_call(call_id))
            archive.writer.closed(call_id, "done", MOMENT, {})
        assert await archive.writer.close(5)
        await writing
        await archive.erase("call_1")
        looking = asyncio.create_task(keep_for(None, archive, hangar, nothing))
        try:
            async with asyncio.timeout(60):
                while len(names(tmp_path / "flights")) > 1:  # noqa: ASYNC110 - a thread's doing
                    await asyncio.sleep(0.01)
        finally:
            looking.cancel()
    hangar.close()
    assert names(tmp_path / "flights") == ["call_2-1.jsonl"]


async def test_what_was_erased_is_not_written_again(tmp_path: Path) -> None:
    """The end of a stream may be noticed after the end of its call."""
    hangar = Hangar(tmp_path)
    hangar.open()
    for name in ("call_1-1", "call_1-2", "call_10-1"):
        hangar.write(name, b"words")

    await hangar.forget("call_1")
    hangar.write("call_1-2", b"more words")
    hangar.close()

    assert names(tmp_path) == ["call_10-1.jsonl"]
