"""The address of a database, and how one is opened; a password is never shown.

SQLite: write-ahead log, so that readers and the one writer do not wait for each other; local
disk only. PostgreSQL: psycopg 3, with a dead server noticed within seconds, not within hours.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process's transaction before it gives up."""
_OLDEST_SQLITE = (3, 42)
_POSTGRES: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "patchline",
    # What waits longer than this waits for something that will not come.
    "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000",
}


class AddressFault(ValueError):
    """An address that names no database we can use; the sentence shows no password."""


def database_url(text: str) -> URL:
    """``sqlite:///…``, ``postgresql://…`` or ``postgres://…`` as an address of SQLAlchemy's.

    Raises AddressFault for anything else, and for SQLite without a file, which every
    connection would have to itself.
    """
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise AddressFault("is not the URL of a database") from None
    if kind in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database and url.database != ":memory:" and not url.host:
        return url.set(drivername="sqlite")
    raise AddressFault("must name a PostgreSQL server or a file for SQLite")


def is_sqlite(url: URL) -> bool:
    """True where the database is a file."""
    return url.get_backend_name() == "sqlite"


def make_room(url: URL) -> None:
    """Make the folder of an SQLite file. Raises OSError."""
    if is_sqlite(url) and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def open_engine(text: str) -> AsyncEngine:
    """A pool for queries; nothing is connected yet. The caller disposes of it."""
    url = database_url(text)
    shared: dict[str, Any] = {
        "hide_parameters": True,  # numbers and words of callers have no place in an exception
        "json_serializer": to_json,
        "json_deserializer": orjson.loads,
    }
    if not is_sqlite(url):
        return create_async_engine(
            url, pool_pre_ping=True, pool_size=5, connect_args=_POSTGRES, **shared
        )
    make_room(url)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
        **shared,
    )
    event.listen(engine.sync_engine, "connect", _pragmas)
    return engine


def open_file(url: URL) -> sqlite3.Connection:
    """A connection to an SQLite file, past the pool; transactions are begun by hand.

    ``?timeout=`` in the address, in seconds, is how long it waits for others; for a thread that
    may be kept so long. Raises sqlite3.Error.
    """
    wait_s = float(str(url.query.get("timeout", BUSY_TIMEOUT_MS / 1000)))
    connection = sqlite3.connect(url.database or "", timeout=wait_s, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def open_blocking(text: str) -> sa.Engine:
    """An engine for migrations: blocking, and on SQLite without foreign keys, because a table
    is changed there by copying it and dropping the old one."""
    url = database_url(text)
    if not is_sqlite(url):
        return sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool)
    make_room(url)
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": 60})
    event.listen(engine, "connect", _by_hand)
    event.listen(engine, "begin", _alone)
    return engine


def conninfo(url: URL) -> str:
    """The address as libpq wants it, password included."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def lasting(url: URL) -> str:
    """The same, for a connection that mostly listens: a server that is gone without a word is
    noticed within seconds, too."""
    # Ten megabytes that a process on SQLite does without.
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    return make_conninfo(conninfo(url), **_POSTGRES)


def postgres_arguments() -> dict[str, Any]:
    """What every connection to PostgreSQL is opened with."""
    return dict(_POSTGRES)


def to_json(value: Any) -> str:
    """``value`` as JSON text. Raises TypeError for what JSON cannot say."""
    return orjson.dumps(value).decode()


def check_sqlite(
    python: tuple[int, ...] = sys.version_info[:2],
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info,
) -> None:
    """Raises AddressFault where this Python's SQLite is too old for durable work.

    For who starts the jobs on SQLite: DBOS fails to launch on Python 3.12 and newer with an
    SQLite older than 3.42 (Debian 12 has 3.40); our own tables do not mind.
    """
    if python >= (3, 12) and sqlite < _OLDEST_SQLITE:
        raise AddressFault(
            f"SQLite {'.'.join(map(str, sqlite))} is too old for jobs on Python"
            f" {python[0]}.{python[1]}: use Python 3.11, an SQLite of 3.42 or newer, or"
            " PostgreSQL by DATABASE_URL."
        )


def _pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _by_hand(connection: Any, _record: object) -> None:
    # The driver would begin a transaction before a change of data only, not before one of tables.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")


def _alone(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN EXCLUSIVE")
