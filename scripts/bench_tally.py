"""What one run of the bench counted: faults, latencies, errors of truncation.

One rule: memory does not grow with the length of the run. Latencies fall into buckets of five
microseconds; the rest are integers, and a handful of floats per interruption.
"""

from dataclasses import dataclass, field, fields
from typing import Any

BUCKET_NS = 5_000
BUCKETS = 200_000


class Spread:
    """A distribution of times up to one second; longer ones share the last bucket."""

    __slots__ = ("buckets", "count", "largest_ns")

    def __init__(self) -> None:
        self.buckets = [0] * (BUCKETS + 1)
        self.count = 0
        self.largest_ns = 0

    def add(self, length_ns: int) -> None:
        """Count one time."""
        bucket = length_ns // BUCKET_NS
        self.buckets[bucket if bucket < BUCKETS else BUCKETS] += 1
        self.count += 1
        self.largest_ns = max(self.largest_ns, length_ns)

    def percentile_ms(self, percent: float) -> float | None:
        """The upper edge of the bucket in which ``percent`` of the times end; None if empty."""
        if not self.count:
            return None
        wanted = self.count * percent / 100
        seen = 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if seen >= wanted:
                return min((bucket + 1) * BUCKET_NS, self.largest_ns) / 1e6
        return self.largest_ns / 1e6

    def summary(self) -> dict[str, float | int | None]:
        """p50, p95, p99 and the largest in milliseconds, and how many there were."""
        return {
            "count": self.count,
            "p50_ms": self.percentile_ms(50),
            "p95_ms": self.percentile_ms(95),
            "p99_ms": self.percentile_ms(99),
            "max_ms": self.largest_ns / 1e6 if self.count else None,
        }


def summary_of(values: list[float]) -> dict[str, float | int | None]:
    """As ``Spread.summary``, exactly, of the magnitudes of a few values in milliseconds."""
    ordered = sorted(abs(value) for value in values)

    def at(percent: float) -> float | None:
        if not ordered:
            return None
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    return {
        "count": len(ordered),
        "p50_ms": at(50),
        "p95_ms": at(95),
        "p99_ms": at(99),
        "max_ms": at(100),
    }


@dataclass(slots=True)
class Faults:
    """Everything that must be zero at the end of a run."""

    calls_failed: int = 0
    """Never became a conversation: refused, not answered, no audio."""
    caller_lines_lost: int = 0
    model_lines_lost: int = 0
    sessions_left: int = 0
    """Model sessions still open three seconds after their caller hung up."""
    caller_frames_lost: int = 0
    speech_pieces_lost: int = 0
    reordered: int = 0
    corrupt: int = 0
    """Pieces whose bytes are not what was sent, or that cannot be told apart any more."""
    leaked: int = 0
    """Audio of one call in another."""
    silence_added_ms: int = 0
    """Milliseconds of caller audio that the generator never sent."""
    spoken_after_clear: int = 0
    """Pieces of an interrupted answer that came behind its ``clear``."""
    clears_missing: int = 0
    truncations_missing: int = 0
    truncations_beyond: int = 0
    """Truncations past the end of the item: the real service answers with an error."""
    queued_items_kept: int = 0
    """Items nobody heard and that the model still believes to have said."""
    twilio_messages_refused: int = 0
    """What Twilio would answer with warning 31950 or 31951."""
    model_messages_refused: int = 0
    """What the model would answer with an ``error`` event."""
    rest_requests: int = 0
    """Nothing in the bench's calls asks for one."""
    generator_faults: int = 0


@dataclass(slots=True)
class Tally:
    """Counts of one run."""

    measuring: bool = False
    """Latencies count only while this is True: not while calls are being set up or ended."""
    faults: Faults = field(default_factory=Faults)
    notes: list[str] = field(default_factory=list)
    """The first few faults in words."""
    caller_to_model: Spread = field(default_factory=Spread)
    model_to_caller: Spread = field(default_factory=Spread)
    lateness: Spread = field(default_factory=Spread)
    """How late the generator itself ran its clock."""
    truncation_errors_ms: list[float] = field(default_factory=list)
    reactions_ms: list[float] = field(default_factory=list)
    greetings_ms: list[float] = field(default_factory=list)
    """Webhook sent until first greeting byte, less the time the model took itself."""
    calls: int = 0
    caller_frames: int = 0
    speech_pieces: int = 0
    answers: int = 0
    interruptions: int = 0
    marks: int = 0
    music_bytes: int = 0
    """Of mu-law, heard on hold."""
    clears_needless: int = 0
    """``clear`` when nobody had interrupted; harmless."""

    def note(self, sentence: str) -> None:
        """Keep ``sentence`` if it is among the first twenty."""
        if len(self.notes) < 20:
            self.notes.append(sentence)

    def summary(self) -> dict[str, Any]:
        """The run as JSON."""
        return {
            "calls_made": self.calls,
            "caller_frames": self.caller_frames,
            "speech_pieces": self.speech_pieces,
            "answers": self.answers,
            "interruptions": self.interruptions,
            "marks": self.marks,
            "music_s": self.music_bytes / 8000,
            "clears_needless": self.clears_needless,
            "caller_to_model": self.caller_to_model.summary(),
            "model_to_caller": self.model_to_caller.summary(),
            "generator_lateness": self.lateness.summary(),
            "truncation_error": summary_of(self.truncation_errors_ms),
            "truncation_bias_ms": _mean(self.truncation_errors_ms),
            "reaction": summary_of(self.reactions_ms),
            "greeting": summary_of(self.greetings_ms),
            "faults": {one.name: getattr(self.faults, one.name) for one in fields(Faults)},
            "notes": self.notes,
        }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
