"""Real processes on real databases, for the tests of durable work."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app.jobs.client import DurableJobs
from app.jobs.database import migrate_jobs
from app.jobs.lease import STALE_S
from app.jobs.port import JobStatus
from app.services.store.migrate import migrate
from tests.jobs.exchange import ACCOUNT, TOKEN, Exchange
from tests.nursery import Born, Errors, born

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
LIMIT_S = 60


_SILENT = "UPDATE processes SET beat_at = beat_at - %s * interval '1 second' WHERE process_id = %s"


@dataclass
class House:
    """An exchange, a database, and as many jobs processes as a test wants."""

    exchange: Exchange
    address: str
    jobs: DurableJobs
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Born] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    """What processes call themselves, by their ids."""

    @property
    def on_sqlite(self) -> bool:
        """One process may work."""
        return self.address.startswith("sqlite")

    async def start(self, **settings: str) -> Born:
        """Start a process; returns when it has the right to work."""
        process = await self.spawn(**settings)
        line = await asyncio.wait_for(process.stdout.readline(), LIMIT_S)
        assert line.startswith(b'{"ready": true'), line
        self.names[process.pid] = json.loads(line)["executor"]
        return process

    async def spawn(self, **settings: str) -> Born:
        """Start a process without waiting."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        errors = Errors.APART if settings.pop("told", "") else Errors.HERE
        process = await born(
            "tests.jobs.worker",
            loaded=("app.jobs.engine", "app.jobs.process"),
            environment=kept | self.settings | settings,
            errors=errors,
        )
        self.processes.append(process)
        return process

    async def kill(self, process: Born) -> None:
        """As the machine would, and so long ago that it counts as dead."""
        process.kill()
        await process.wait()
        if not self.on_sqlite:
            silent = (STALE_S + 1, self.names[process.pid])
            async with await psycopg.AsyncConnection.connect(self.address) as connection:
                await connection.execute(_SILENT, silent)

    async def done(self, job_id: str, *states: str) -> JobStatus:
        """The job when it is over, or when its result has one of these states."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                status = await self.jobs.status(job_id)
                if status is not None and _is_over(status, states):
                    return status
                await asyncio.sleep(0.1)  # the database announces nothing to a test


def _is_over(status: JobStatus, states: tuple[str, ...]) -> bool:
    if states:
        return status.result.get("state") in states
    return status.state in {"done", "failed", "cancelled"}


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with all tables and nothing in them."""
    file = tmp_path_factory.mktemp("tables") / "house.db"
    migrate(f"sqlite:///{file}")
    migrate_jobs(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def empty_database() -> Iterator[str]:
    """The name of a PostgreSQL database with all tables and nothing in them."""
    with _database() as (name, url):
        migrate(url)
        migrate_jobs(url)
        yield name


@contextmanager
def _database(like: str = "template1") -> Iterator[tuple[str, str]]:
    """A new database, its name and address; dropped at the end. Skips where nobody answers."""
    try:
        admin = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("no PostgreSQL answers")
    name = f"patchline_jobs_{uuid4().hex}"
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"'.encode())
    try:
        yield name, make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        admin.close()


@pytest.fixture
def bare_address() -> Iterator[str]:
    """A PostgreSQL database with the tables of calls and nothing else."""
    with _database() as (_, url):
        migrate(url)
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with all tables, dropped at the end; skips where no PostgreSQL answers."""
    if request.param == "sqlite":
        for file in request.getfixturevalue("empty_file").parent.glob("*.db"):
            shutil.copy(file, tmp_path)
        yield f"sqlite:///{tmp_path}/house.db"
        return
    with _database(request.getfixturevalue("empty_database")) as (_, url):
        yield url


@pytest.fixture
async def house(address: str) -> AsyncIterator[House]:
    """Everything but the processes, whose end is seen to."""
    async with Exchange() as exchange:
        settings = {
            "DATABASE_URL": address,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_API_URL": exchange.url,
            "PUBLIC_URL": "https://house.patchline.dev",
            "DIAL_COUNTRIES": "US,FR",
            "CALLING_HOURS": "Mo-Su 00:00-24:00",
            "CALLS_PER_SECOND": "20",
            "WEBHOOK_LOOPBACK": "true",
            "LOG_LEVEL": "warning",
        }
        made = House(exchange, address, DurableJobs(address), settings)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                await process.communicate()
            made.jobs.close()
