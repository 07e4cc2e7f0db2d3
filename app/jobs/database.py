"""Where the jobs lie: beside the calls, but in a file of their own on SQLite.

Asking for work takes the write lock of its file several times a second, which must never be
the one that a call's record waits for. On PostgreSQL it is the same database, in a schema of
its own (``dbos``).
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from app.services.store.database import (
    check_sqlite,
    database_url,
    is_sqlite,
    make_room,
    postgres_arguments,
)

_BUSY_MS = 30_000


def jobs_file(address: str) -> Path | None:
    """The file of the jobs of an SQLite database; None for PostgreSQL. Raises AddressFault."""
    url = database_url(address)
    if not is_sqlite(url):
        return None
    file = Path(str(url.database))
    return file.with_name(f"{file.stem}-jobs{file.suffix}")


def jobs_url(address: str) -> str:
    """The address of the jobs' database, password included. Raises AddressFault."""
    file = jobs_file(address)
    if file is not None:
        return f"sqlite:///{file}"
    return database_url(address).render_as_string(hide_password=False)


def open_jobs(address: str, *, connections: int) -> sa.Engine:
    """A pool for DBOS, engine or client; nothing is connected yet. Raises AddressFault."""
    file = jobs_file(address)
    if file is None:
        return sa.create_engine(
            jobs_url(address),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=_lenient(postgres_arguments()),
        )
    check_sqlite()
    make_room(database_url(address))
    engine = sa.create_engine(
        f"sqlite:///{file}", hide_parameters=True, connect_args={"timeout": _BUSY_MS / 1000}
    )
    event.listen(engine, "connect", _by_hand)
    event.listen(engine, "begin", _at_once)
    return engine


def migrate_jobs(address: str) -> None:
    """Make or bring up to date the tables of the jobs; blocks, safe in several processes at once.

    Raises AddressFault and what the database raises.
    """
    from dbos import DBOS  # noqa: PLC0415 - a second of importing

    make_room(database_url(address))
    DBOS.migrate(plain(jobs_url(address)))


def plain(url: str) -> str:
    """An address as DBOS knows it, which chooses the driver itself."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _lenient(arguments: dict[str, Any]) -> dict[str, Any]:
    """DBOS sets its own limits for what it asks."""
    return arguments | {"application_name": "patchline-jobs", "options": ""}


def _by_hand(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # what is written down here decides who dials
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA foreign_keys=ON")


def _at_once(connection: sa.Connection) -> None:
    # The driver begins at the first change only: what was read before it would be another's.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
