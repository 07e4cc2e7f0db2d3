"""Processes that may not make tables: whoever deploys made them before."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from app.__main__ import cli
from app.errors import OurFault
from app.jobs.client import DurableJobs
from app.jobs.database import migrate_jobs
from app.jobs.port import Deliver
from app.services.store.archive import Archive

JOB = Deliver("https://crm.example.com/hooks", "{}")
_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON SCHEMA dbos TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dbos TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA dbos TO {role}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA dbos TO {role}",
)


@pytest.fixture
def clerk(bare_address: str) -> Iterator[tuple[str, str, str]]:
    """A database, its address for somebody without rights, and who that is."""
    address, role = bare_address, f"clerk_{uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'".encode())
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        url = make_url(address).set(username=role, password="clerk")
        try:
            yield address, url.render_as_string(hide_password=False), role
        finally:
            admin.execute(f"DROP OWNED BY {role}".encode())
            admin.execute(f"DROP ROLE {role}".encode())


async def test_after_migrate_nobody_needs_the_right_to_make_tables(
    clerk: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command makes the tables of calls and of jobs; servers and jobs then find all there."""
    address, theirs, role = clerk
    jobs = DurableJobs(theirs)
    with pytest.raises(OurFault):
        await jobs.enqueue(JOB, job_id="webhook:call_1:1:x")

    monkeypatch.setenv("DATABASE_URL", address)
    done = CliRunner().invoke(cli, ["migrate"])
    with psycopg.connect(address, autocommit=True) as admin:
        for grant in _GRANTS:
            admin.execute(grant.format(role=role).encode())

    assert done.exit_code == 0, done.output
    async with Archive(theirs).opened():
        await jobs.enqueue(JOB, job_id="webhook:call_1:1:x")
        status = await jobs.status("webhook:call_1:1:x")
    migrate_jobs(theirs)  # what a jobs process does first
    jobs.close()
    assert status is not None
    assert status.state == "waiting"
