"""``./scripts/chaos``: faults under live calls, one experiment after the other, and a table.

One rule: an experiment is a module ``chaos_NAME`` with ``run``, which gets the number of calls
and returns the rows of its table; whoever writes another one adds its name to ``EXPERIMENTS``.
Exit status 0 only where every row has what it must have.
"""

import argparse
import asyncio
import gc
import importlib
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from bench_report import alone
from chaos_stage import MissingError, Row

Experiment = Callable[[int], Coroutine[Any, Any, list[Row]]]
EXPERIMENTS = {
    "cost": "what a call costs two processes on one database, from an eighth of the calls on",
    "database": "the database gone for a minute, and back",
    "drain": "SIGTERM to one of two processes behind HAProxy",
    "kill": "kill -9 to one of two processes behind HAProxy",
    "log": "the audio path with the event log on, against off",
    "model": "every socket of the model cut in mid-sentence",
}
CALLS = {"cost": 400, "database": 20, "log": 200}
"""How many where nobody says, if it is not 50."""


def table(rows: list[tuple[str, Row]]) -> str:
    """The rows as Markdown."""
    lines = ["| experiment | figure | measured | must be | met |", "|---|---|--:|--:|---|"]
    lines += [
        f"| {name} | {row.figure} | {row.measured} | {row.must or '-'} | {_met(row)} |"
        for name, row in rows
    ]
    return "\n".join(lines)


def _met(row: Row) -> str:
    return {True: "yes", False: "**no**", None: ""}[row.met]


def _experiment(name: str) -> Experiment:
    run: Experiment = importlib.import_module(f"chaos_{name}").run
    return run


def _options(arguments: list[str]) -> argparse.Namespace:
    known = "; ".join(f"{name}: {what}" for name, what in EXPERIMENTS.items())
    parser = argparse.ArgumentParser(
        prog="./scripts/chaos", description="Faults under live calls.", epilog=known
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; without any: all")
    parser.add_argument(
        "--calls", type=int, help="live at once (50; cost: 400, database: 20, log: 200)"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in EXPERIMENTS]:
        parser.error(f"there is no experiment {unknown[0]}; {known}")
    return options


def main() -> int:
    """Run what was asked; 0: everything as it must be, 1: not, 2: could not be tried."""
    options = _options(sys.argv[1:])
    rows: list[tuple[str, Row]] = []
    gc.disable()
    try:
        with alone():
            for name in options.names or EXPERIMENTS:
                calls = options.calls or CALLS.get(name, 50)
                print(f"{name}: {EXPERIMENTS[name]}, {calls} calls", file=sys.stderr)
                rows += [(name, row) for row in uvloop.run(_experiment(name)(calls))]
    except MissingError as exc:
        print(exc, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    print(table(rows))
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end.")
    return 0 if all(row.met is not False for _, row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
