"""Documents are read once by whoever comes first, and a call never waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from app.protocol.commands import RunTool
from app.runtime.knowledge import Libraries, Library
from app.services.store.archive import Archive
from app.tools import documents
from tests.runtime.test_verification import a_call
from tests.services.conftest import postgres_url, sqlite_url, url
from tests.waiting import until

__all__ = ["postgres_url", "sqlite_url", "url"]


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Archive]:
    """The store of a process."""
    archive = Archive(address)
    async with archive.opened():
        yield archive


async def asked(library: Library, query: str, most: int = 4) -> dict[str, Any]:
    """What the model is told."""
    arguments = orjson.dumps({"query": query}).decode()
    done = await library.run(a_call(), RunTool("T", "search_knowledge", arguments), most=most)
    told: dict[str, Any] = orjson.loads(done.output)
    assert done.ok == told["ok"]
    return told


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Two files, and one that is broken."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nDamaged goods are replaced.")
    (folder / "hours.txt").write_text("Open from nine to six.")
    (folder / "broken.pdf").write_bytes(b"no")
    return folder


async def test_c16_a_question_is_answered_with_a_citation(url: str, docs: Path) -> None:
    """C16: and not before the documents are there; a broken one is a line in the log."""
    async with opened(url) as archive:
        library = Libraries(archive).of((str(docs),))
        early = await asked(library, "damaged goods")
        with capture_logs() as logs:
            await library.read()
        told = await asked(library, "What if my goods are damaged?")
        nothing = await asked(library, "bicycles")
        empty = await asked(library, "?")

    assert "still being read" in early["reason"]
    assert told["quotes"] == [
        {
            "file": "docs/returns.md",
            "place": "Returns",
            "quote": "Damaged goods are replaced.",
        }
    ]
    assert nothing["quotes"] == []
    assert not empty["ok"]
    assert [x["file"] for x in logs if x["event"] == "document_not_read"] == ["docs/broken.pdf"]


async def test_c16_only_what_changed_is_read_anew(
    url: str, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what another process has read; what is gone is not quoted any more."""
    read: list[str] = []
    whole = documents.passages

    def reading(kind: str, data: bytes) -> list[documents.Passage]:
        read.append(kind)
        return whole(kind, data)

    monkeypatch.setattr(documents, "passages", reading)
    async with opened(url) as here, opened(url) as there:
        first, second = Library((str(docs),), here), Library((str(docs),), there)
        await first.read()
        await first.read()
        at_first = sorted(read)
        await second.read()
        by_other = await asked(second, "damaged")
        read.clear()
        (docs / "returns.md").write_text("# Returns\n\nDamaged goods are thrown away, sadly.")
        (docs / "hours.txt").unlink()
        await first.read()
        changed = await asked(first, "damaged")
        gone = await asked(first, "open")
        still = await asked(second, "damaged")

    assert at_first == [".md", ".pdf", ".txt"]
    assert by_other["quotes"][0]["quote"] == "Damaged goods are replaced."
    assert read == [".md"]
    assert changed["quotes"][0]["quote"].endswith("sadly.")
    assert gone["quotes"] == []
    assert still["quotes"][0]["quote"] == "Damaged goods are replaced."


async def test_c16_libraries_are_read_as_they_are_wanted(sqlite_url: str, docs: Path) -> None:
    """At the start, and when a document that changed names others."""
    async with opened(sqlite_url) as archive:
        libraries = Libraries(archive)
        first = libraries.of((str(docs / "returns.md"),))
        reading = asyncio.create_task(libraries.run())
        await until(lambda: first._ready)
        second = libraries.of((str(docs / "hours.txt"),))
        await until(lambda: second._ready)
        reading.cancel()
        await asyncio.wait([reading])

        assert libraries.of((str(docs / "returns.md"),)) is first
        assert (await asked(second, "open"))["quotes"]
        assert not (await asked(first, "open"))["quotes"]


async def test_c16_a_parser_that_breaks_ends_nothing(
    sqlite_url: str, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries for files raise what they do not announce; the server has calls to hold."""
    (docs / "broken.pdf").unlink()

    def breaks(kind: str, data: bytes) -> list[documents.Passage]:
        if kind == ".txt":
            raise ZeroDivisionError
        return documents_passages(kind, data)

    documents_passages = documents.passages
    monkeypatch.setattr(documents, "passages", breaks)
    async with opened(sqlite_url) as archive:
        library = Libraries(archive).of((str(docs),))
        with capture_logs() as logs:
            await library.read()
            await library.read()

        assert (await asked(library, "damaged goods"))["quotes"]
        assert [one["event"] for one in logs].count("call_failed") == 1
