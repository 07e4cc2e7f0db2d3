"""Which process does the work, and which of them are dead.

SQLite: one process, held by a lock on a file beside the database that the system takes away
with the process, so that a successor knows at once that nobody else lives. PostgreSQL: any
number, each with a heartbeat by the database's clock; who was silent for ``STALE_S`` is dead,
and has to believe that itself (``lost``). Rule: whoever cannot prove that it lives sends nothing.
"""

import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from app.services.store.schema import now, processes

ROLE = "jobs"
BEAT_S = 4.0
STALE_S = 20.0
_TRUSTED_S = 12.0
"""After that long without a beat we send nothing any more, well before others think us dead."""
_TAKE_OVER_LOCK = 0x4A6F6273  # "Jobs": the advisory lock of whoever takes over


def new_executor_id() -> str:
    """An id that no other life of any process has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class OthersAlive(Exception):
    """Somebody else does the work of an SQLite database."""


class Lease(Protocol):
    """This process's part of the work."""

    def beat(self) -> None:
        """Say that we live. Raises ``SQLAlchemyError``."""

    def trusted(self) -> bool:
        """Whether nobody can have taken us for dead."""

    def lost(self) -> bool:
        """Whether somebody may have taken over what is ours."""

    def taking_over(self) -> AbstractContextManager[frozenset[str]]:
        """A block in which nobody else takes over; gives who lives, ourselves included."""

    def end(self) -> None:
        """Say that we are gone, so that nobody waits."""


class AloneLease:
    """Of an SQLite database: all there is, for as long as this process lives."""

    def __init__(self, database: Path, me: str) -> None:
        """Raises ``OthersAlive``."""
        self._me = me
        database.parent.mkdir(parents=True, exist_ok=True)
        self._lock = sqlite3.connect(
            database.with_name(f"{database.name}.lock"),
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._lock.close()
            raise OthersAlive(str(database)) from None

    def beat(self) -> None:
        """Nothing: the lock says it."""

    def trusted(self) -> bool:
        """As long as we run."""
        return True

    def lost(self) -> bool:
        """Never."""
        return False

    @contextmanager
    def taking_over(self) -> Iterator[frozenset[str]]:
        """Only we live."""
        yield frozenset({self._me})

    def end(self) -> None:
        """Let go of the lock."""
        self._lock.close()


class SharedLease:
    """Of a PostgreSQL database: a row with a heartbeat."""

    def __init__(self, engine: sa.Engine, me: str, version: str) -> None:
        self._engine = engine
        self._me = me
        self._version = version
        self._beat_at_s: float | None = None

    def beat(self) -> None:
        """Say that we live, and forget those who are dead for long. Raises ``SQLAlchemyError``."""
        began_at_s = time.monotonic()
        with self._engine.begin() as connection:
            ours = processes.c.process_id == self._me
            moved = connection.execute(sa.update(processes).where(ours).values(beat_at=now()))
            if moved.rowcount == 0:
                connection.execute(
                    sa.insert(processes).values(
                        process_id=self._me,
                        role=ROLE,
                        started_at=now(),
                        beat_at=now(),
                        version=self._version,
                    )
                )
            long_dead = (processes.c.role == ROLE) & (processes.c.beat_at < now(-100 * STALE_S))
            connection.execute(sa.delete(processes).where(long_dead))
        if not self.lost():
            self._beat_at_s = began_at_s

    def trusted(self) -> bool:
        """Whether the last beat is young enough."""
        return self._age_s() < _TRUSTED_S

    def lost(self) -> bool:
        """Whether we were silent for so long that others may have taken over."""
        return self._beat_at_s is not None and self._age_s() >= STALE_S

    def _age_s(self) -> float:
        return float("inf") if self._beat_at_s is None else time.monotonic() - self._beat_at_s

    @contextmanager
    def taking_over(self) -> Iterator[frozenset[str]]:
        """Who lives; nobody else is in such a block meanwhile. Raises ``SQLAlchemyError``."""
        with self._engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TAKE_OVER_LOCK)))
            living = sa.select(processes.c.process_id).where(
                processes.c.role == ROLE, processes.c.beat_at >= now(-STALE_S)
            )
            yield frozenset(connection.execute(living).scalars()) | {self._me}

    def end(self) -> None:
        """Take our row away, so that what we leave is taken over at once."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(processes).where(processes.c.process_id == self._me))
        self._engine.dispose()
