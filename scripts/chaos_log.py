"""The audio path with the event log on, against off: what does it cost that all is on record?

Run by the bench's own generator, in turns, because neighbours come and go. Off means that facts
are made and queued and then not written (``chaos_server``), on SQLite, in the same process.
"""

import asyncio
from statistics import median
from typing import Any

from bench_report import RunFailedError
from bench_report import run as bench
from chaos_stage import SERVER, MissingError, Row, zero

CPU_RATIO = 1.15
P99_RATIO = 1.2
ROUNDS = 3
SECONDS = 20.0
DISTURBED = 0.1
"""A round in which neighbours took more of a core than this says nothing."""
WAYS = ("caller_to_model", "model_to_caller")


async def run(calls: int) -> list[Row]:
    """The rows of all rounds."""
    runs: dict[str, list[dict[str, Any]]] = {"off": [], "on": []}
    try:
        for _ in range(ROUNDS):
            for how, done in runs.items():
                command = [*SERVER, how]
                done.append(
                    await asyncio.to_thread(bench, "server", calls, SECONDS, command=command)
                )
    except RunFailedError as exc:
        raise MissingError(str(exc)) from exc
    fair = [number for number in range(ROUNDS) if not any(map(_disturbed, _round(runs, number)))]
    if not fair:
        raise MissingError("Neighbours took too much of the cores: nothing can be compared here.")
    runs = {how: [done[number] for number in fair] for how, done in runs.items()}
    every = runs["off"] + runs["on"]
    cpu = {how: median(one["cpu_s_per_call_minute"] for one in done) for how, done in runs.items()}
    rows = [_ratio("CPU s per call-minute", cpu["on"], cpu["off"], CPU_RATIO, 3)]
    for way in WAYS:
        p99 = {how: median(one[way]["p99_ms"] for one in done) for how, done in runs.items()}
        rows.append(_ratio(f"p99 ms {way.replace('_', ' ')}", p99["on"], p99["off"], P99_RATIO, 2))
    waited = max(one["core_waited"] for one in every)
    return [
        *rows,
        zero("faults", sum(sum(one["faults"].values()) for one in every)),
        Row("rounds that count", f"{len(fair)} of {ROUNDS}"),
        Row("neighbours took of the server's core, at most", f"{waited:.0%}"),
    ]


def _round(runs: dict[str, list[dict[str, Any]]], number: int) -> list[dict[str, Any]]:
    return [done[number] for done in runs.values()]


def _disturbed(one: dict[str, Any]) -> bool:
    return bool(max(one["core_waited"], one["generator_waited"]) > DISTURBED)


def _ratio(what: str, on: float, off: float, most: float, digits: int) -> Row:
    measured = f"{on:.{digits}f} / {off:.{digits}f} = {on / off:.2f}"
    return Row(f"{what}: on / off", measured, f"≤ {most}", on / off <= most)
