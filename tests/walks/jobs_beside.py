"""The jobs in a process of their own, as in production, beside the processes of a walk."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.walks.stage import ACCOUNT, PUBLIC_URL, TOKEN

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def working(database_url: str, twilio_api_url: str) -> AsyncIterator[None]:
    """The jobs process, at work on that database."""
    settings = {
        "DATABASE_URL": database_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_API_URL": twilio_api_url,
        "PUBLIC_URL": PUBLIC_URL,
        "DIAL_COUNTRIES": "US",
        "CALLING_HOURS": "Mo-Su 00:00-24:00",
        "CALLS_PER_SECOND": "20",
        "LOG_LEVEL": "warning",
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.jobs.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=kept | settings,
    )
    try:
        assert process.stdout is not None
        assert (await asyncio.wait_for(process.stdout.readline(), 60)).startswith(b"{")
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 60)
