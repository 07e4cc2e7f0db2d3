"""Where a batch goes: SQLite or PostgreSQL, in one transaction, twice without harm.

Rows first, then facts, then ends. A fact of an erased or unknown call is not written; one that
is there already stays as it is.
"""

from collections.abc import Sequence
from typing import Protocol

from app.services.store.changes import Change
from app.services.store.database import database_url, is_sqlite
from app.services.store.sqlite_sink import SqliteSink


class Sink(Protocol):
    """Takes a batch whole, or raises and takes nothing."""

    faults: tuple[type[BaseException], ...]
    """All that ``write`` and ``close`` raise."""

    async def write(self, changes: Sequence[Change]) -> None:
        """Make it durable. What it raises, ``poison`` sorts."""

    def poison(self, fault: BaseException) -> str | None:
        """Why the database would refuse the same row for ever; None where it may take it later."""

    async def close(self) -> None:
        """Let go of the connection."""


def sink_for(url: str) -> Sink:
    """The sink of this database. Nothing is connected before the first batch."""
    address = database_url(url)
    if is_sqlite(address):
        return SqliteSink(address)
    # Ten megabytes that a process on SQLite does without.
    from app.services.store.postgres_sink import PostgresSink  # noqa: PLC0415

    return PostgresSink(address)
