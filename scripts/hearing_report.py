"""Measures the local model's ears on all stored utterances and prints what a test cannot.

    .venv/bin/python -W ignore::DeprecationWarning -m scripts.hearing_report

The tests assert the same figures on parts of them; this takes minutes. Times are those of the
processor, so that other programs on the machine disturb them less.
"""

import argparse
import asyncio
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.local.grammar import Grammar, grammar_of
from app.local.recogniser import GrammarRecogniser
from tests.local.utterances import frames, intents, turn, utterances

VOICES = ("espeak us-m", "espeak us-f", "espeak gb", "flite slt", "flite rms")


@dataclass(slots=True)
class Tally:
    """What became of the utterances under one condition."""

    outcomes: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    """Intent as wanted, as streamed, as believed."""
    frame_ms: list[float] = field(default_factory=list)
    end_ms: list[float] = field(default_factory=list)

    def told(self, title: str) -> str:
        """The figures in four lines."""
        expected = [one for one in self.outcomes if one[0]]
        others = [one for one in self.outcomes if not one[0]]
        return "\n".join(
            (
                f"{title}: {len(expected)} in grammar, {len(others)} unrelated",
                f"  streaming  {_shares(expected, 1)}; unrelated taken {_taken(others, 1)}",
                f"  agreement  {_shares(expected, 2)}; unrelated taken {_taken(others, 2)}",
                f"  20 ms frame: mean {sum(self.frame_ms) / len(self.frame_ms):.2f} ms,"
                f" max {max(self.frame_ms):.1f} ms; end: {_percentiles(self.end_ms)}",
            )
        )


def _shares(outcomes: Sequence[tuple[str | None, ...]], column: int) -> str:
    right = sum(one[column] == one[0] for one in outcomes) / len(outcomes)
    wrong = sum(one[column] not in {None, one[0]} for one in outcomes) / len(outcomes)
    return f"right {right:.3f} wrong {wrong:.3f}"


def _taken(outcomes: Sequence[tuple[str | None, ...]], column: int) -> str:
    return f"{sum(one[column] is not None for one in outcomes)} of {len(outcomes)}"


def _percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return ", ".join(f"p{p} {ordered[len(ordered) * p // 100]:.0f} ms" for p in (50, 95))


async def tally(grammar: Grammar, snr_db: float | None) -> Tally:
    """Every voice is a call of its own."""
    out = Tally()
    for voice in VOICES:
        recogniser = GrammarRecogniser()
        for one in (one for one in utterances() if one.voice == voice):
            recogniser.begin(grammar)
            for frame in frames(turn(one.audio, snr_db=snr_db, seed=len(one.audio))):
                began = time.process_time()
                recogniser.feed(frame)
                out.frame_ms.append(1000 * (time.process_time() - began))
            began = time.process_time()
            understood = await recogniser.end()
            out.end_ms.append(1000 * (time.process_time() - began))
            streamed = grammar.intent_of(recogniser.first)
            out.outcomes.append((one.intent, streamed, understood.intent))
    return out


def memory(grammar: Grammar) -> str:
    """What a process needs, and what each further call does."""
    peaks = []
    kept = []
    for _ in range(5):
        recogniser = GrammarRecogniser()
        recogniser.begin(grammar)
        kept.append(recogniser)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    each = (peaks[-1] - peaks[0]) / (len(kept) - 1)
    return f"memory: {peaks[0]:.0f} MB with one call's decoder, {each:.1f} MB for each further one"


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snr", type=float, action="append", help="dB above white noise")
    noises = parser.parse_args().snr or [20.0]
    grammar = grammar_of(intents())
    print(memory(grammar), flush=True)
    print(asyncio.run(tally(grammar, None)).told("quiet"), flush=True)
    for snr_db in noises:
        told = asyncio.run(tally(grammar, snr_db)).told(f"{snr_db:g} dB above white noise")
        print(told, flush=True)


if __name__ == "__main__":
    main()
