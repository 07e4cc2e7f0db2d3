"""The server, as ``python -m app serve`` starts it; with ``off``, facts of calls go nowhere.

Everything else stays: facts are made and queued, batches are cut, calls have their rows.
"""

import os
import sys
from collections.abc import Sequence

from app.__main__ import cli
from app.services.store import archive
from app.services.store.changes import Appended, Change
from app.services.store.sinks import Sink, sink_for


class Deaf:
    """A sink that takes every fact and writes none."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.faults = sink.faults
        self.poison = sink.poison

    async def write(self, changes: Sequence[Change]) -> None:
        """What is not a fact is written."""
        if rest := [change for change in changes if not isinstance(change, Appended)]:
            await self._sink.write(rest)

    async def close(self) -> None:
        """Let go of what is behind it."""
        await self._sink.close()


def deaf(url: str) -> Sink:
    """Stands where ``sink_for`` does."""
    return Deaf(sink_for(url))


if __name__ == "__main__":
    os.environ["JOBS"] = "none"
    if sys.argv.pop() == "off":
        archive.sink_for = deaf  # type: ignore[attr-defined]  # imported there, not exported
    sys.argv.append("serve")
    cli()
