"""What callers on hold cost, and what they cost the others: the same calls, with and without.

``python scripts/bench_hold.py`` runs the server alone, in turns: all calls talking, then some of
them on hold with music. What a held call costs is what is left of the CPU when the others are
given what a talking call took in the run beside it.
"""

import argparse
import sys
from statistics import median

from bench_report import Figures, RunFailedError, alone, run

MOST_P99_RATIO = 1.3
MOST_CPU_RATIO = 3.0


def held_to_talking(talking: Figures, mixed: Figures, held: int) -> float:
    """CPU of a call on hold, of that of one that talks; from two runs of as many calls."""
    calls = mixed["calls"]
    of_one = talking["cpu_s_per_call_minute"]
    of_held = (mixed["cpu_s_per_call_minute"] * calls - of_one * (calls - held)) / held
    return float(of_held / of_one)


def p99_ratio(talking: Figures, mixed: Figures, way: str) -> float:
    """Latency of the calls that talk, with and without others on hold. Raises RunFailedError."""
    for one in (talking, mixed):
        if not one[way]["p99_ms"]:
            raise RunFailedError(
                f"a run with {one['calls']} calls is unusable: too little went {way} for a p99."
                " Give it more --calls or --seconds, on a machine that is quiet."
            )
    return float(mixed[way]["p99_ms"] / talking[way]["p99_ms"])


def main() -> int:
    """Run and print; exit status 1 if audio was lost or a ratio is too high."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--held", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if not 0 < given.held < given.calls:
        parser.error("some of the calls have to be on hold, and some to talk")
    rounds: list[tuple[Figures, Figures]] = []
    try:
        with alone():
            for _ in range(given.rounds):
                talking = run("server", given.calls, given.seconds)
                rounds.append((talking, run("server", given.calls, given.seconds, held=given.held)))
        ways = ("caller_to_model", "model_to_caller")
        p99 = {way: median(p99_ratio(*one, way) for one in rounds) for way in ways}
    except RunFailedError as exc:
        print(exc, file=sys.stderr)
        return 1
    cpu = median(held_to_talking(*one, given.held) for one in rounds)
    music_s = sum(mixed["music_s"] for _, mixed in rounds) / given.rounds / given.held
    print(f"{given.calls} calls, {given.held} of them on hold, {music_s:.1f} s of music each")
    print(f"CPU of a held call, of a talking one: {cpu:.2f} (at most {MOST_CPU_RATIO})")
    for way, ratio in p99.items():
        print(f"p99 {way}, of the run without hold: {ratio:.2f} (at most {MOST_P99_RATIO})")
    lost = any(any(one["faults"].values()) for pair in rounds for one in pair)
    reached = cpu <= MOST_CPU_RATIO and max(p99.values()) <= MOST_P99_RATIO
    return 0 if reached and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
