"""The documents that agents look things up in: read beside the calls, searched in the store.

They are read when the process starts and looked at again every ``EVERY_S``, in a thread; what is
in the store already, by its digest, is not read again. A file that cannot be read is a line in the
log and takes no other along. Rule: a call never waits for reading: until its documents are there,
the agent is told that they are not.
"""

import asyncio
import hashlib
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from app.call.wording import beginnings, words
from app.errors import StoreFault
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.effects import contained
from app.runtime.live_call import LiveCall
from app.services.store.archive import Archive
from app.tools import documents
from app.tools.callback import refused
from app.tools.documents import Found, Unreadable
from app.tools.knowledge import NO_QUESTION, NOT_NOW, NOT_READY, Cited, question, quoted

EVERY_S = 900
AGAIN_S = 30
"""After a database that could not be asked."""
WITHIN_S = 5
"""The caller hears nothing meanwhile."""

log = structlog.get_logger("knowledge")


class Library:
    """The documents of an agent."""

    def __init__(self, paths: tuple[str, ...], archive: Archive) -> None:
        self._paths = [Path(path) for path in paths]
        self._archive = archive
        self._names: dict[str, str] = {}
        """By digest: what can be searched now."""
        self._ready = False
        self._seen: dict[Path, tuple[tuple[int, int], str]] = {}
        """Size and time of a file, and the digest that it had then."""
        self._broken: set[str] = set()
        """Digests of what cannot be read."""

    async def run(self, call: LiveCall, wish: RunTool, *, most: int) -> ToolDone:
        """Carry out ``search_knowledge``. Cancelling is safe."""
        asked = beginnings(question(wish.arguments))
        if not asked:
            return ToolDone(wish.tool_call_id, refused(NO_QUESTION), ok=False)
        if not self._ready and not self._names:
            return ToolDone(wish.tool_call_id, refused(NOT_READY), ok=False)
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._archive.quotes(asked, self._names, most)
        except (StoreFault, TimeoutError):
            log.warning("nothing_looked_up", call_id=call.call_id)
            return ToolDone(wish.tool_call_id, refused(NOT_NOW), ok=False)
        cited = [Cited(self._names.get(x.digest, ""), x.place, x.text) for x in found]
        log.info("looked_up", found=len(cited), call_id=call.call_id)
        return ToolDone(wish.tool_call_id, quoted(cited), ok=True)

    async def read(self) -> None:
        """Bring the index up to date. Raises ``StoreFault``."""
        found, wrong = await asyncio.to_thread(documents.listed, self._paths)
        for sentence in wrong:
            log.warning("document_not_read", why=sentence)
        digests: dict[str, Found] = {}
        for one in found:
            digest = await asyncio.to_thread(self._digest, one)
            if digest:
                digests.setdefault(digest, one)
        known = await self._archive.knowledge.known(digests)
        added = 0
        for digest, one in digests.items():
            if digest not in known and digest not in self._broken:
                added += await self._add(digest, one)
        here = {x: one.name for x, one in digests.items() if x not in self._broken}
        if here.keys() != self._names.keys() or not self._ready:
            log.info("documents_read", files=len(here), passages_added=added)
        self._names, self._ready = here, True
        # The first question finds a connection, and its statement known to the driver.
        await self._archive.quotes(("warm",), here, 1)

    def _digest(self, one: Found) -> str:
        """Of a file's bytes and of what it is; empty where it cannot be read. Blocks."""
        try:
            stat = one.path.stat()
            stamp = stat.st_size, stat.st_mtime_ns
            before = self._seen.get(one.path)
            if before is not None and before[0] == stamp:
                return before[1]
            kind = one.path.suffix.lower()
            digest = hashlib.sha256(kind.encode() + b"\0" + documents.content(one.path)).hexdigest()
        except (OSError, Unreadable) as fault:
            log.warning("document_not_read", file=one.name, why=str(fault))
            return ""
        self._seen[one.path] = stamp, digest
        return digest

    async def _add(self, digest: str, one: Found) -> int:
        # Whoever wrote the file wrote it for other readers; what a parser makes of it is anything.
        made = await contained(asyncio.to_thread(_passages, one), None)
        if made is None:
            self._broken.add(digest)
            return 0
        await self._archive.knowledge.add(digest, made)
        return len(made)


class Libraries:
    """Those of all agents; keeps them up to date. Belongs to the loop."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: WeakValueDictionary[tuple[str, ...], Library] = WeakValueDictionary()
        self._wanted = asyncio.Event()

    def of(self, paths: tuple[str, ...]) -> Library:
        """The library of these files and folders; it is read by and by."""
        library = self._known.get(paths)
        if library is None:
            library = self._known[paths] = Library(paths, self._archive)
            self._wanted.set()
        return library

    async def run(self) -> None:
        """Read what is wanted, now and whenever something is or may have changed, until
        cancelled."""
        while True:
            self._wanted.clear()
            again_s = EVERY_S if await contained(self._read(), False) else AGAIN_S
            try:
                async with asyncio.timeout(again_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _read(self) -> bool:
        """Whether the database kept what was read."""
        try:
            for library in list(self._known.values()):
                await library.read()
            await self._archive.knowledge.expire()
        except StoreFault:
            log.warning("documents_not_kept")
            return False
        return True


def _passages(one: Found) -> list[tuple[str, str, str]] | None:
    """Places, texts and their words; None where it cannot be read. Blocks."""
    try:
        made = documents.passages(one.path.suffix.lower(), documents.content(one.path))
    except Unreadable as fault:
        log.warning("document_not_read", file=one.name, why=str(fault))
        return None
    return [(one.place, one.text, " ".join(words(f"{one.place} {one.text}"))) for one in made]
