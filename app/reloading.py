"""The agent document, looked at again and again: who changes it does not restart the server.

Calls that come after a change meet the new document; calls that are here keep theirs. Rule: a
document that cannot be used changes nothing and is told of, until it is mended.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from app.agents.load import AgentDocument, load_document
from app.agents.problems import AgentFault
from app.errors import ToolFault
from app.runtime import metrics
from app.runtime.effects import contained
from app.runtime.roster import Edition, Roster

Stamps = tuple[tuple[int, int] | None, ...]
"""When each file was changed, in ns, and how large it is; None: it is not there."""

log = structlog.get_logger("reloading")


class Reloading:
    """Keeps a roster as its document is."""

    def __init__(
        self,
        document: AgentDocument,
        roster: Roster,
        edition: Callable[[AgentDocument], Edition],
        *,
        every_s: float,
    ) -> None:
        """``every_s``: 0 for never."""
        self._path = document.path
        self._files = document.files
        self._seen = _stamps(self._files)
        self._roster = roster
        self._edition = edition
        self._every_s = every_s
        self.broken = False
        """The document as it is now cannot be used."""

    async def run(self) -> None:
        """Look until cancelled."""
        while self._every_s:
            await asyncio.sleep(self._every_s)
            await contained(self.look(), None)

    async def look(self) -> None:
        """Take up what has changed since the last look, if it can be used."""
        seen = await asyncio.to_thread(_stamps, self._files)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            document, edition = await asyncio.to_thread(self._read)
        except (AgentFault, ToolFault) as fault:
            self._tell(broken=True)
            log.warning("agent_file_broken", problems=str(fault).splitlines())
            return
        self._files, self._seen = document.files, await asyncio.to_thread(_stamps, document.files)
        self._tell(broken=False)
        if edition.version != self._roster.edition.version:
            self._roster.edition = edition
            log.info("agent_file_changed", version=edition.version)

    def _read(self) -> tuple[AgentDocument, Edition]:
        document = load_document(self._path)
        return document, self._edition(document)

    def _tell(self, *, broken: bool) -> None:
        self.broken = broken
        metrics.AGENT_FILE_BROKEN.set(broken)


def _stamps(files: Iterable[Path]) -> Stamps:
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        told = file.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size
