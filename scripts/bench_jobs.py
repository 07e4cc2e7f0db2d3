"""Outbound calls while the process that places them is killed: once each, never twice, in pace.

    .venv/bin/python scripts/bench_jobs.py --calls 1000 --per-second 20
    .venv/bin/python scripts/bench_jobs.py --per-second 1 --database postgresql://user@host/empty

Jobs are put in, a jobs process works on them, and is killed with SIGKILL three times, each
time started again. The exchange is the strict double of the tests, with an account of its own.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from app.jobs.client import DurableJobs  # noqa: E402
from app.jobs.database import migrate_jobs  # noqa: E402
from app.jobs.port import Dial  # noqa: E402
from app.services.store.migrate import migrate  # noqa: E402
from tests.jobs.exchange import ACCOUNT, TOKEN, Exchange  # noqa: E402

FROM = "+12125550000"


def number(one: int) -> str:
    """A number that may be called: 212 of New York, exchanges from 200 on."""
    return f"+1212{200 + one // 10_000}{one % 10_000:04}"


async def start(address: str, exchange: Exchange, per_second: float) -> asyncio.subprocess.Process:
    """A jobs process, as soon as it has the right to work."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "jobs"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=kept
        | {
            "DATABASE_URL": address,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_API_URL": exchange.url,
            "PUBLIC_URL": "https://house.patchline.dev",
            "DIAL_COUNTRIES": "US",
            "CALLING_HOURS": "Mo-Su 00:00-24:00",
            "CALLS_PER_SECOND": str(per_second),
            "MAX_OUTBOUND_CALLS": str(max(10, round(10 * per_second))),
            "LOG_LEVEL": "warning",
        },
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def placed(exchange: Exchange, calls: int, within_s: float) -> bool:
    """Whether so many calls were placed in time."""
    try:
        async with asyncio.timeout(within_s), exchange.placed:
            await exchange.placed.wait_for(lambda: len(exchange.calls) >= calls)
    except TimeoutError:
        return False
    return True


async def measure(address: str, calls: int, per_second: float, kills: int) -> bool:
    """Print the figures; whether every one is as it has to be."""
    await asyncio.to_thread(migrate, address)
    await asyncio.to_thread(migrate_jobs, address)
    async with Exchange() as exchange:
        process = await start(address, exchange, per_second)
        jobs = DurableJobs(address)
        began_s = time.monotonic()
        for one in range(calls):
            job = Dial(number(one), FROM, "https://house.patchline.dev/x", ask_after_s=2)
            await jobs.enqueue(job, job_id=f"bench-{one}")
        print(f"enqueued {calls} in {time.monotonic() - began_s:.1f} s", flush=True)
        limit_s = calls / per_second + 60
        gaps: list[float] = []
        for kill in range(kills):
            await placed(exchange, calls * (kill + 1) // (kills + 1), limit_s)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            killed_s, before = time.monotonic(), len(exchange.calls)
            process = await start(address, exchange, per_second)
            await placed(exchange, before + 1, 120)
            gaps.append(time.monotonic() - killed_s)
        await placed(exchange, calls, limit_s)
        await asyncio.sleep(5)  # what would be placed twice, is placed now
        states = await results(jobs, calls)
        good = report(exchange, calls, per_second, gaps, states)
        jobs.close()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
    return good


async def results(jobs: DurableJobs, calls: int) -> Counter[str]:
    """How the jobs ended, waiting for those that still ask after their call."""
    states: Counter[str] = Counter()
    deadline_s = time.monotonic() + 60
    for one in range(calls):
        status = await jobs.status(f"bench-{one}")
        while status and status.state in {"waiting", "running"} and time.monotonic() < deadline_s:
            await asyncio.sleep(0.5)
            status = await jobs.status(f"bench-{one}")
        states[str(status.result.get("state", status.state)) if status else "unknown"] += 1
    return states


def report(
    exchange: Exchange, calls: int, per_second: float, gaps: list[float], states: Counter[str]
) -> bool:
    """Print what was found."""
    times = Counter(one.to for one in exchange.calls)
    at_s = sorted(one.at_s for one in exchange.calls)
    spaces = sorted(later - sooner for sooner, later in pairwise(at_s))
    busiest = max(sum(1 for one in at_s if t <= one < t + 1) for t in at_s)
    once = sum(1 for one in range(calls) if times[number(one)] == 1)
    twice = sum(1 for count in times.values() if count > 1)
    print(f"dialled exactly once {once} of {calls}, twice {twice}, never {calls - len(times)}")
    print("results", dict(states))
    p1, p50, p99 = (spaces[min(len(spaces) - 1, int(len(spaces) * p))] for p in (0.01, 0.5, 0.99))
    print(f"spacing p1 {p1:.3f}  p50 {p50:.3f}  p99 {p99:.3f} s, set {1 / per_second:.3f} s")
    working_s = at_s[-1] - at_s[0] - sum(gaps)
    print(f"rate {len(at_s) / working_s:.2f}/s while alive, busiest second {busiest}")
    print("from a kill to the next call", ", ".join(f"{gap:.1f}" for gap in gaps), "s")
    return once == calls and not twice


def main() -> None:
    """Measure with the settings of the command line; exit 1 where a call is missing or double."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--calls", type=int, default=1_000)
    asks.add_argument("--per-second", type=float, default=20.0)
    asks.add_argument("--kills", type=int, default=3)
    asks.add_argument("--database", default="", help="an empty one; without it, SQLite")
    given = asks.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = given.database or f"sqlite:///{folder}/bench.db"
        good = asyncio.run(measure(address, given.calls, given.per_second, given.kills))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
