"""Measures the local model's ears on all stored utterances and prints what a test cannot.

    .venv/bin/python -W ignore::DeprecationWarning -m scripts.hearing_report [--held-out]

Thresholds were chosen on the 200 utterances it measures; those held out are for nothing but
telling how it fares with other words in other voices, and are measured in two bands. The tests
assert the same figures on parts of them; this takes minutes. Times are those of the processor, so
that other programs on the machine disturb them less.
"""

import argparse
import asyncio
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.local.grammar import Grammar, grammar_of
from app.local.recogniser import GrammarRecogniser
from tests.local.utterances import Utterance, frames, held_out, intents, turn, utterances, voices


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one utterance was taken for."""

    said: Utterance
    streamed: str | None
    """Before any doubt."""
    believed: str | None


@dataclass(slots=True)
class Tally:
    """What became of the utterances under one condition."""

    grammar: Grammar
    outcomes: list[Outcome] = field(default_factory=list)
    frame_ms: list[float] = field(default_factory=list)
    end_ms: list[float] = field(default_factory=list)

    def told(self, title: str) -> str:
        """The figures in some lines."""
        kinds = {
            "in grammar": [one for one in self.outcomes if self._expected(one)],
            "in other words": [one for one in self.outcomes if self._otherwise(one)],
            "unrelated": [one for one in self.outcomes if not one.said.intent],
        }
        lines = [title]
        for kind, those in kinds.items():
            if those:
                lines.append(f"  {kind}, {len(those)}")
                lines.append(f"    streaming  {_shares(those, [one.streamed for one in those])}")
                lines.append(f"    agreement  {_shares(those, [one.believed for one in those])}")
        return "\n".join([*lines, self._by_voice(kinds["in grammar"]), self._times()])

    def _expected(self, one: Outcome) -> bool:
        return one.said.intent is not None and self.grammar.intent_of(one.said.text) is not None

    def _otherwise(self, one: Outcome) -> bool:
        """They mean an intent, in words that no phrase of it has."""
        return one.said.intent is not None and not self._expected(one)

    def _by_voice(self, expected: Sequence[Outcome]) -> str:
        told = []
        for voice in voices(one.said for one in expected):
            right = [one.believed == one.said.intent for one in expected if one.said.voice == voice]
            told.append(f"{voice} {sum(right)}/{len(right)}")
        return "  believed and right: " + ", ".join(told)

    def _times(self) -> str:
        mean_ms = sum(self.frame_ms) / len(self.frame_ms)
        longest_ms = max(self.frame_ms)
        ends = _percentiles(self.end_ms)
        return f"  20 ms frame: mean {mean_ms:.2f} ms, max {longest_ms:.1f} ms; end: {ends}"

    def missed(self) -> str:
        """Every utterance that was not taken for what it was."""
        return "\n".join(
            f"    {one.said.voice}: {one.said.text!r} is {one.said.intent};"
            f" streamed {one.streamed}, believed {one.believed}"
            for one in self.outcomes
            if {one.streamed, one.believed} != {one.said.intent}
        )


def _shares(outcomes: Sequence[Outcome], heard: Sequence[str | None]) -> str:
    right = wrong = 0
    for one, intent in zip(outcomes, heard, strict=True):
        right += intent == one.said.intent
        wrong += intent not in {None, one.said.intent}
    count = len(outcomes)
    nothing = sum(intent is None for intent in heard)
    return f"right {right / count:.3f} wrong {wrong / count:.3f} nothing {nothing / count:.3f}"


def _percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return ", ".join(f"p{p} {ordered[len(ordered) * p // 100]:.0f} ms" for p in (50, 95))


@dataclass(frozen=True, slots=True)
class Condition:
    """How the utterances come."""

    snr_db: float | None = None
    """Above white noise; None: in silence."""
    narrow: bool = False

    def __str__(self) -> str:
        noise = "quiet" if self.snr_db is None else f"{self.snr_db:g} dB above white noise"
        return f"{noise}, 300 to 3400 Hz sharply" if self.narrow else noise


async def tally(grammar: Grammar, said: Sequence[Utterance], condition: Condition) -> Tally:
    """Every voice is a call of its own."""
    out = Tally(grammar)
    for voice in voices(said):
        recogniser = GrammarRecogniser()
        for one in (one for one in said if one.voice == voice):
            recogniser.begin(grammar)
            for frame in frames(_turn(one, condition)):
                began = time.process_time()
                recogniser.feed(frame)
                out.frame_ms.append(1000 * (time.process_time() - began))
            began = time.process_time()
            understood = await recogniser.end()
            out.end_ms.append(1000 * (time.process_time() - began))
            streamed = grammar.intent_of(recogniser.first)
            out.outcomes.append(Outcome(one, streamed, understood.intent))
    return out


def _turn(one: Utterance, how: Condition) -> bytes:
    return turn(one.audio, snr_db=how.snr_db, seed=len(one.audio), narrow=how.narrow)


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
    parser.add_argument("--held-out", action="store_true", help="those that nothing was tuned on")
    parser.add_argument("--narrow", action="store_true", help="both bands for the others, too")
    parser.add_argument("--misses", action="store_true", help="name what was not understood")
    given = parser.parse_args()
    said = held_out() if given.held_out else utterances()
    bands = (False, True) if given.held_out or given.narrow else (False,)
    grammar = grammar_of(intents())
    print(memory(grammar), flush=True)
    for narrow in bands:
        for snr_db in (None, *(given.snr or [20.0])):
            condition = Condition(snr_db, narrow)
            found = asyncio.run(tally(grammar, said, condition))
            print(found.told(str(condition)), flush=True)
            if given.misses:
                print(found.missed(), flush=True)


if __name__ == "__main__":
    main()
