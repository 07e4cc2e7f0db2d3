"""Real processes on real databases, for the tests of durable work."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app.jobs.client import DurableJobs
from app.jobs.database import migrate_jobs
from app.jobs.port import JobStatus
from app.services.store.migrate import migrate
from tests.jobs.exchange import ACCOUNT, TOKEN, Exchange

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
LIMIT_S = 60


@dataclass
class House:
    """An exchange, a database, and as many jobs processes as a test wants."""

    exchange: Exchange
    address: str
    jobs: DurableJobs
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def on_sqlite(self) -> bool:
        """One process may work."""
        return self.address.startswith("sqlite")

    async def start(self, **settings: str) -> asyncio.subprocess.Process:
        """Start a process; returns when it has the right to work."""
        process = await self.spawn(**settings)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), LIMIT_S)
        assert line.startswith(b'{"ready": true'), line
        return process

    async def spawn(self, **settings: str) -> asyncio.subprocess.Process:
        """Start a process without waiting."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.jobs.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if settings.pop("told", "") else None,
            cwd=Path(__file__).parents[2],
            env=kept | self.settings | settings,
        )
        self.processes.append(process)
        return process

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """As the machine would."""
        process.send_signal(signal.SIGKILL)
        await process.wait()

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


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with our tables, dropped at the end; skips where no PostgreSQL answers."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/house.db"
        migrate(url)
        yield url
        return
    try:
        admin = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("no PostgreSQL answers")
    name = f"patchline_jobs_{uuid4().hex}"
    admin.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        url = make_url(SERVER).set(database=name).render_as_string(hide_password=False)
        migrate(url)
        yield url
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        admin.close()


@pytest.fixture
async def house(address: str) -> AsyncIterator[House]:
    """Everything but the processes, whose end is seen to. DBOS's tables are there."""
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
        await asyncio.to_thread(migrate_jobs, address)
        try:
            yield made
        finally:
            for process in made.processes:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()
            made.jobs.close()
