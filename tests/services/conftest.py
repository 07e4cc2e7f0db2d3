"""Databases for the tests of the store: an SQLite file each, and a PostgreSQL database a run."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.services.store.database import open_engine
from app.services.store.migrate import migrate

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
"""Where the tests may make a database of their own; it is dropped at the end."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database with our tables on the server; skips where none answers, fails so in CI."""
    try:
        admin = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("no PostgreSQL answers")
    name = f"patchline_test_{uuid4().hex}"
    admin.execute(f'CREATE DATABASE "{name}"'.encode())
    url = make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    try:
        migrate(url)
        yield url
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        admin.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new file with our tables."""
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    chosen: str = request.getfixturevalue(f"{request.param}_url")
    if request.param == "postgres":
        with psycopg.connect(chosen, autocommit=True) as connection:
            connection.execute(
                "TRUNCATE calls, processes, idempotency_keys, do_not_call, knowledge_files CASCADE"
            )
    return chosen


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """A pool on that database."""
    engine = open_engine(url)
    yield engine
    await engine.dispose()
