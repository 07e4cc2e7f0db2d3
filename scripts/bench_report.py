"""``./scripts/bench``: the server beside a bare relay, in turns, and a table for the README.

One rule: a figure of the server stands beside the same figure of the relay from the same run
of the bench, because machines differ and neighbours come and go; ratios hardly change.
"""

import argparse
import ctypes
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import orjson

HERE = Path(__file__).resolve().parent
KINDS = ("relay", "server")
DIALS_PER_S = 50
"""Calls are begun no faster than this: setting a call up costs more than carrying it."""
LIMIT_MS = 20.0
LIMIT_SHARE = 0.65
GENERATOR_FULL = 0.9
PROBE_S = 15.0
STEP = 100
DISTURBED = 0.03
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Figures = dict[str, Any]


class RunFailedError(Exception):
    """A run gave no figures."""


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _cores() -> dict[str, int | None]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return {"server_core": None, "generator_core": None}
    return {"server_core": cores[0], "generator_core": cores[1]}


def run(kind: str, calls: int, seconds: float, **more: Any) -> Figures:
    """One run in a process of its own. Raises RunFailedError."""
    ramp_s = max(more.pop("ramp_s", 0.0), calls / DIALS_PER_S)
    plan = {"kind": kind, "calls": calls, "seconds": seconds, "ramp_s": ramp_s, **_cores(), **more}
    command = [sys.executable, str(HERE / "bench_load.py"), orjson.dumps(plan).decode()]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            check=True,
            timeout=ramp_s + seconds + 120,
            preexec_fn=_die_with_parent,  # one thread
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        raise RunFailedError(f"{kind} with {calls} calls: {exc}") from exc
    figures: Figures = orjson.loads(done.stdout)
    _say(_brief(figures))
    return figures


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _brief(one: Figures) -> str:
    faults = {name: count for name, count in one["faults"].items() if count}
    return (
        f"{time.strftime('%H:%M:%S')} {one['kind']:6} {one['calls']:4} calls"
        f" · {one['cpu_s_per_call_minute']:.3f} CPU s per call-minute"
        f" · core {one['core_share']:.0%}"
        f" · p99 {_ms(one['caller_to_model']['p99_ms'])} and"
        f" {_ms(one['model_to_caller']['p99_ms'])} ms"
        f" · generator {one['generator_share']:.0%}"
        f" · neighbours {one['core_waited']:.0%} and {one['generator_waited']:.0%}"
        f" · faults {faults or 'none'}" + "".join(f"\n    {note}" for note in one["notes"][:5])
    )


def _more(options: argparse.Namespace) -> Figures:
    return {"ramp_s": options.ramp, "piece_ms": options.piece_ms, "command": options.command}


# -- the comparison ----------------------------------------------------------------------------


def compare(options: argparse.Namespace, runs: list[Figures]) -> None:
    """Relay and server in turns, at each number of calls; figures are added to ``runs``."""
    runs.extend(
        run(kind, calls, options.seconds, **_more(options))
        for calls in options.calls
        for _ in range(options.rounds)
        for kind in options.kinds
    )


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _middle(runs: list[Figures], *path: str) -> float | None:
    values = []
    for one in runs:
        value: Any = one
        for name in path:
            value = value[name]
        if value is not None:
            values.append(value)
    return median(values) if values else None


def _spread(*path: str, figures: tuple[str, ...]) -> Callable[[list[Figures]], str]:
    def show(runs: list[Figures]) -> str:
        parts = []
        for figure in figures:
            if figure == "max_ms":
                values = [v for one in runs if (v := one[path[0]]["max_ms"]) is not None]
                parts.append(_ms(max(values, default=None)))
            else:
                parts.append(_ms(_middle(runs, *path, figure)))
        return " / ".join(parts)

    return show


def _sum(*names: str) -> Callable[[list[Figures]], str]:
    def show(runs: list[Figures]) -> str:
        return " / ".join(str(sum(one["faults"][name] for one in runs)) for name in names)

    return show


def _number(name: str, form: str) -> Callable[[list[Figures]], str]:
    return lambda runs: form.format(_middle(runs, name))


TAILS = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
ROWS: list[tuple[str, Callable[[list[Figures]], str]]] = [
    ("CPU s per call-minute", _number("cpu_s_per_call_minute", "{:.3f}")),
    ("share of the core", _number("core_share", "{:.1%}")),
    (
        "caller → model, ms: p50 / p95 / p99 / max",
        _spread("caller_to_model", figures=TAILS),
    ),
    (
        "model → caller, ms: p50 / p95 / p99 / max",
        _spread("model_to_caller", figures=TAILS),
    ),
    (
        "`speech_started` → `clear`, ms: p50 / p95 / max",
        _spread("reaction", figures=("p50_ms", "p95_ms", "max_ms")),
    ),
    (
        "truncation minus truly heard, ms: p50 / p95 / max",
        _spread("truncation_error", figures=("p50_ms", "p95_ms", "max_ms")),
    ),
    (
        "webhook → first greeting byte beyond the model's own time, ms: p50 / max",
        _spread("greeting", figures=("p50_ms", "max_ms")),
    ),
    ("memory idle, MiB", _number("idle_rss_mib", "{:.0f}")),
    ("memory per call, KiB", _number("kib_per_call", "{:.0f}")),
    ("threads", _number("threads", "{:.0f}")),
    (
        "lost frames / lost speech / reordered / corrupt / in another call",
        _sum("caller_frames_lost", "speech_pieces_lost", "reordered", "corrupt", "leaked"),
    ),
    (
        "calls failed / lines lost: caller, model / model sessions left",
        _sum("calls_failed", "caller_lines_lost", "model_lines_lost", "sessions_left"),
    ),
    (
        "missing clears / truncations missing / too long / queued items kept",
        _sum("clears_missing", "truncations_missing", "truncations_beyond", "queued_items_kept"),
    ),
    (
        "messages refused by Twilio / by the model",
        _sum("twilio_messages_refused", "model_messages_refused"),
    ),
    ("errors in the log", lambda runs: str(sum(one["server_log_errors"] for one in runs))),
    ("the generator's own share of its core", _number("generator_share", "{:.0%}")),
    ("waiting while neighbours had the core: server", _number("core_waited", "{:.1%}")),
    ("waiting while neighbours had the core: generator", _number("generator_waited", "{:.1%}")),
]


def ratio(runs: list[Figures], calls: int) -> float | None:
    """Median over the rounds of the server's CPU over the relay's; None without both."""
    costs = {
        kind: [
            one["cpu_s_per_call_minute"]
            for one in runs
            if one["kind"] == kind and one["calls"] == calls
        ]
        for kind in KINDS
    }
    pairs = zip(costs["server"], costs["relay"], strict=False)
    ratios = [server / relay for server, relay in pairs if relay]
    return median(ratios) if ratios else None


def table(runs: list[Figures]) -> str:
    """The figures as Markdown: medians over the rounds, the largest maximum, sums of faults."""
    columns = sorted({(one["calls"], KINDS.index(one["kind"])) for one in runs})
    of = {
        (calls, kind): [one for one in runs if one["calls"] == calls and one["kind"] == KINDS[kind]]
        for calls, kind in columns
    }
    lines = [
        "| | " + " | ".join(f"{KINDS[kind]}, {calls} calls" for calls, kind in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    costs = []
    for calls, kind in columns:
        found = ratio(runs, calls) if KINDS[kind] == "server" else None
        costs.append("1" if KINDS[kind] == "relay" else f"{found:.2f}" if found else "-")
    for name, show in ROWS:
        lines.append(f"| {name} | " + " | ".join(show(of[one]) for one in columns) + " |")
        if name.startswith("CPU"):
            lines.append("| … as a ratio to the relay | " + " | ".join(costs) + " |")
    return "\n".join(lines)


# -- the limit ---------------------------------------------------------------------------------


def _holds(one: Figures) -> bool:
    tails = [one[way]["p99_ms"] for way in ("caller_to_model", "model_to_caller")]
    return (
        not any(one["faults"].values())
        and one["core_share"] <= LIMIT_SHARE
        and all(tail is not None and tail < LIMIT_MS for tail in tails)
    )


def _disturbed(one: Figures) -> bool:
    return bool(max(one["core_waited"], one["generator_waited"]) > DISTURBED)


def search(options: argparse.Namespace, runs: list[Figures]) -> None:
    """Climb by hundreds until the server gives out, or descend until it holds; then by fifty."""

    def holds(calls: int) -> bool:
        """Two undisturbed failures are a failure; so are four of any kind."""
        fair = 0
        for _ in range(4):
            one = run(options.kinds[-1], calls, PROBE_S, **_more(options))
            runs.append(one)
            fair += not _disturbed(one)
            if _holds(one) or fair == 2:
                return _holds(one)
        return False

    calls = min(options.calls)
    if holds(calls):
        while holds(calls + STEP):
            calls += STEP
    else:
        calls -= STEP
        while calls > 0 and not holds(calls):
            calls -= STEP
    if holds(calls + STEP // 2):
        calls += STEP // 2
    print(_verdict(options.kinds[-1], max(0, calls), runs))


def _verdict(kind: str, calls: int, runs: list[Figures]) -> str:
    text = (
        f"{kind}: {calls} calls on one core with p99 under {LIMIT_MS:.0f} ms both ways,"
        f" nothing lost, at most {LIMIT_SHARE:.0%} of the core"
    )
    if max(one["generator_share"] for one in runs) > GENERATOR_FULL:
        text += "; at the end the load generator's core was full: it may hold more"
    if any(_disturbed(one) and not _holds(one) for one in runs):
        text += "; neighbours took part of the cores: it may hold more"
    return text


# -- the long run ------------------------------------------------------------------------------


def soak(options: argparse.Namespace, runs: list[Figures]) -> None:
    """One long run in which callers hang up after a minute and others call."""
    one = run(
        options.kinds[-1],
        min(options.calls),
        options.soak * 60,
        call_seconds=60.0,
        **_more(options),
    )
    print(
        f"{one['kind']}: {one['calls']} calls at once, {one['calls_made']} in all,"
        f" {options.soak:g} minutes; growth after the first minute:"
        f" {one['rss_growth_kib']} KiB, {one['open_files_growth']} open files,"
        f" {one['threads_growth']} threads; left after the last call:"
        f" {one['open_files_left']} open files\nmemory every 10 s, MiB: {one['rss_mib']}"
    )
    runs.append(one)


# -- the command -------------------------------------------------------------------------------


@contextmanager
def alone() -> Iterator[None]:
    """Only one bench at a time on this machine: two would measure each other."""
    with (Path(tempfile.gettempdir()) / "patchline-bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another bench is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench", description="Measure the server beside a bare relay."
    )
    parser.add_argument("--calls", type=_numbers, default=[20, 100], help="20,100")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, per run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds to set all calls up")
    parser.add_argument("--piece-ms", type=int, default=100, help="length of the model's deltas")
    parser.add_argument("--command", type=shlex.split, help="start this as the server instead")
    parser.add_argument("--only", choices=KINDS, help="leave the other one out")
    parser.add_argument("--search", action="store_true", help="the most calls one core holds")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="a long run with new calls")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run's figures")
    options = parser.parse_args(arguments)
    options.kinds = [options.only] if options.only else list(KINDS)
    return options


def main() -> int:
    """Run what was asked; exit status 1 if a run failed or anything was lost."""
    options = _options(sys.argv[1:])
    if None in _cores().values():
        _say("only one core: the generator shares it with the server, figures mean little")
    job = search if options.search else soak if options.soak else compare
    runs: list[Figures] = []
    failed = False
    try:
        with alone():
            job(options, runs)
    except RunFailedError as exc:
        _say(str(exc))
        failed = True
    except KeyboardInterrupt:
        return 130
    if runs:
        print(table(runs))
    if options.json:
        options.json.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2))
    clean = not any(any(one["faults"].values()) for one in runs)
    return 0 if not failed and (clean or options.search) else 1


if __name__ == "__main__":
    sys.exit(main())
