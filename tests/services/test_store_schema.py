"""The tables: made once by whoever comes first, and what the code believes them to be."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from app.services.store.calls import Calls
from app.services.store.database import (
    AddressFault,
    check_sqlite,
    database_url,
    open_blocking,
    open_engine,
)
from app.services.store.migrate import HEAD, configuration, migrate


def test_the_migrations_make_what_the_code_believes(url: str) -> None:
    """A column that only the code knows is found by its first user; and whether a database was
    made at once or from version to version can nobody tell."""
    engine = open_blocking(url)
    with engine.begin() as connection:
        at_once = _tables(connection)
        command.downgrade(configuration(connection), "base")
        command.upgrade(configuration(connection), "head")
        command.check(configuration(connection))
        step_by_step = _tables(connection)
    engine.dispose()

    assert at_once == step_by_step


def _tables(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """What the database says of its tables, in no order of columns or constraints."""
    inspector = sa.inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            },
            "key": inspector.get_pk_constraint(table),
            "foreign": _sorted(inspector.get_foreign_keys(table)),
            "indexes": _sorted(inspector.get_indexes(table)),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "checks": _sorted(inspector.get_check_constraints(table)),
        }
        for table in inspector.get_table_names()
    }


def _sorted(found: Iterable[Any]) -> list[str]:
    return sorted(str({name: _plain(value) for name, value in one.items()}) for one in found)


def _plain(value: Any) -> Any:
    return {name: str(one) for name, one in value.items()} if isinstance(value, dict) else value


def test_the_newest_migration_is_known_by_name(sqlite_url: str) -> None:
    """Else a new one would never be run."""
    with open_blocking(sqlite_url).connect() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))

    assert scripts.get_current_head() == HEAD


def test_migrations_go_back_and_forth(tmp_path: Path) -> None:
    """A deploy that is taken back needs yesterday's tables."""
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(url)
    engine = open_blocking(url)

    with engine.begin() as connection:
        command.downgrade(configuration(connection), "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()

    migrate(url)


def test_tables_of_a_later_version_are_left_alone(sqlite_url: str) -> None:
    """A deploy that is taken back, and a pod of yesterday that starts again meanwhile: processes
    of this version went on over those tables, too."""
    engine = open_blocking(sqlite_url)
    later = sa.text("UPDATE alembic_version SET version_num = 'r9999'")
    with engine.begin() as connection:
        connection.execute(later)

    migrate(sqlite_url)

    with engine.begin() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    assert found == "r9999"


async def test_of_many_processes_one_migrates(tmp_path: Path) -> None:
    """All of them start at once and call it; tables are made once, and nobody fails."""
    url = f"sqlite:///{tmp_path}/deep/er/store.db"

    await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(4)))


async def test_of_many_processes_one_migrates_a_server(postgres_url: str) -> None:
    """The same over a server, where the one who waits sees what the other made."""
    admin = sa.create_engine(database_url(postgres_url), isolation_level="AUTOCOMMIT")
    name = f"{make_url(postgres_url).database}_race"
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        try:
            await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(4)))
        finally:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


async def test_sqlite_is_opened_for_readers_beside_a_writer(sqlite_url: str) -> None:
    """The defaults would make readers wait, and leave facts behind without their call."""
    engine = open_engine(sqlite_url)
    async with engine.connect() as connection:
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]
    await engine.dispose()

    assert pragmas == ["wal", 1, 10_000, 1]


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///data/x.db", "sqlite"),
        ("sqlite:////var/x.db", "sqlite"),
        ("postgres://u:p@h/db", "postgresql+psycopg"),
        ("postgresql://u:p@h:5433/db?sslmode=require", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg"),
    ],
)
def test_an_address_becomes_the_driver_we_have(text: str, driver: str) -> None:
    """Hosters hand out ``postgres://``, which SQLAlchemy does not take."""
    assert database_url(text).drivername == driver


@pytest.mark.parametrize(
    "text",
    ["", "data/x.db", "sqlite://", "sqlite:///:memory:", "sqlite://host/x", "mysql://u:geheim@h/x"],
)
def test_other_addresses_are_refused_without_being_quoted(text: str) -> None:
    """The sentence ends up in a log; the address has a password in it."""
    with pytest.raises(AddressFault) as refused:
        database_url(text)

    assert "geheim" not in str(refused.value)


async def test_queries_survive_a_server_that_restarts(postgres_url: str) -> None:
    """Connections of a pool die in their sleep; the next query must not be the one to notice."""
    engine = open_engine(postgres_url)
    calls = Calls(engine)
    assert await calls.counts_live() == 0

    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert await calls.counts_live() == 0
    await engine.dispose()


@pytest.mark.parametrize(
    ("python", "sqlite", "refused"),
    [
        ((3, 11, 2), (3, 40, 1), False),
        ((3, 12, 0), (3, 42, 0), False),
        ((3, 12, 0), (3, 40, 1), True),
    ],
)
def test_jobs_need_a_newer_sqlite_on_a_newer_python(
    python: tuple[int, int, int], sqlite: tuple[int, int, int], refused: bool
) -> None:
    """Found at the start, with what to do, and not as a failure deep in a library."""
    if not refused:
        check_sqlite(python, sqlite)
        return
    with pytest.raises(AddressFault, match=r"SQLite 3\.40\.1 is too old for jobs on Python 3\.12"):
        check_sqlite(python, sqlite)
