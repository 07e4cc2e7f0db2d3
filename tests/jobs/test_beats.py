"""Who works says that it lives, whatever it is held up by."""

import asyncio

import psycopg
import pytest

from app.jobs.port import Deliver
from tests.jobs.conftest import LIMIT_S, House

_BEATS = "SELECT count(*) FROM processes WHERE beat_at > started_at"


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_a_launch_that_is_held_up_is_not_taken_for_a_death(house: House) -> None:
    """Somebody's lock, or a busy machine: whoever says nothing meanwhile loses its right to work,
    and so does whoever is started in its place."""
    await house.jobs.enqueue(Deliver("https://10.0.0.1/", "{}"), job_id="deliver-1")
    with (
        psycopg.connect(house.address) as holder,
        psycopg.connect(house.address, autocommit=True) as reader,
    ):
        holder.execute("LOCK TABLE dbos.workflow_status")
        await house.start()
        async with asyncio.timeout(LIMIT_S):
            while reader.execute(_BEATS).fetchone() != (1,):  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.1)
        holder.rollback()

    status = await house.done("deliver-1")

    assert status.result["reason"] == "refused_address"
