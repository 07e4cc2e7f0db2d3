"""What a call costs two voice processes on one PostgreSQL, with few calls and with many.

Each process has half of the calls and a generator of its own on the other core. Only the time of
the voice processes counts, not that of the generators or of PostgreSQL. Where the cores are full
the figure says less: calls wait, and work is done in larger pieces.
"""

import asyncio
from statistics import median
from typing import Any

from bench_report import RunFailedError
from bench_report import run as bench
from chaos_stage import SERVER, MissingError, Row, database, zero

STEPS = (8, 2, 1)
"""50, 200 and 400 of 400 calls."""
FLAT = 0.15
ROUNDS = 2
SECONDS = 15.0
CORES = ((0, 1), (1, 0))


async def run(calls: int) -> list[Row]:
    """The rows: one for each number of calls, and how flat they are."""
    done: dict[int, list[dict[str, Any]]] = {calls // step: [] for step in STEPS}
    try:
        with database() as address:
            for _ in range(ROUNDS):
                for number, runs in done.items():
                    runs.append(await _pair(number, address))
    except RunFailedError as exc:
        raise MissingError(str(exc)) from exc
    cost = {number: median(one["cpu"] for one in runs) for number, runs in done.items()}
    few = next(iter(cost.values()))
    rows = [
        Row(f"CPU s per call-minute, {number} calls (cores {_load(runs)})", f"{cost[number]:.3f}")
        for number, runs in done.items()
    ]
    rows += [
        Row(f"{number} calls / {calls // STEPS[0]}", f"{one / few:.2f}", f"≤ {1 + FLAT:.2f}",
            one / few <= 1 + FLAT)
        for number, one in cost.items()
        if one != few
    ]  # fmt: skip
    return [*rows, zero("faults", sum(one["faults"] for runs in done.values() for one in runs))]


async def _pair(calls: int, address: str) -> dict[str, Any]:
    """Two processes with half of the calls each, at the same time."""
    both = await asyncio.gather(
        *(
            asyncio.to_thread(
                bench,
                "server",
                calls // 2,
                SECONDS,
                command=[*SERVER, "on"],
                database=address,
                server_core=server,
                generator_core=generator,
            )
            for server, generator in CORES
        )
    )
    return {
        "cpu": sum(one["cpu_s_per_call_minute"] for one in both) / 2,
        "faults": sum(sum(one["faults"].values()) for one in both),
        "full": max(one["core_share"] + other["generator_share"]
                    for one, other in (both, both[::-1])),
    }  # fmt: skip


def _load(runs: list[dict[str, Any]]) -> str:
    return f"{max(one['full'] for one in runs):.0%}"
