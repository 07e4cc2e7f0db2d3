"""Who said what, and how much of it arrived: the ledgers both emulated ends share.

One rule: every piece of audio is accounted for exactly once, as heard, lost, reordered, strayed
into another call, or excused because the caller interrupted it. Both ends live in one process,
so the ledger knows what was sent without asking the server.
"""

import asyncio
from dataclasses import dataclass, field

from bench_tally import Tally
from bench_wheel import Wheel
from bench_wire import BYTES_PER_MS, FRAME_BYTES, Seal, b64, filler


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does."""

    kind: str
    """``relay`` or ``server``."""
    calls: int
    seconds: float
    ramp_s: float = 5.0
    settle_s: float = 2.0
    """Between the last call's answer and the first measurement."""
    call_seconds: float = 0.0
    """Hang up and dial again after about this long; 0: one call lasts the whole run."""
    piece_ms: int = 100
    """Length of the model's deltas."""
    shortest_ms: int = 3000
    longest_ms: int = 6000
    """Lengths of the model's answers."""
    think_ms: int = 150
    speed: int = 4
    """The model generates this many times faster than the caller hears."""
    interrupt_every: int = 3
    """Every so many answers the caller speaks over one; never over the greeting."""
    held: int = 0
    """So many of the calls are on hold, with music, while it is measured."""
    generator_core: int | None = 1
    server_core: int | None = 0
    command: list[str] | None = None
    """Starts the server under test; None: this project's own."""
    database: str = ""
    """DATABASE_URL of the server under test; empty: its own SQLite file."""

    @property
    def judged(self) -> bool:
        """False for the relay, which neither clears nor truncates nor sends marks."""
        return self.kind != "relay"


class CallerVoice:
    """What a caller said, and what of it a model heard."""

    __slots__ = ("expected", "heard_by", "held", "number", "sent", "tail", "tail_b64")

    def __init__(self, number: int) -> None:
        self.number = number
        self.tail = filler("caller", number, FRAME_BYTES)
        self.tail_b64 = b64(self.tail)
        self.sent = 0
        self.expected = 0
        self.heard_by: int | None = None
        self.held = False
        """On hold: hears music, and is not heard."""

    def heard(self, seal: Seal, tally: Tally) -> None:
        """A whole frame reached a model."""
        if self.held:
            self.expected = seal.sequence + 1
            return
        tally.caller_frames += 1
        if seal.sequence == self.expected:
            self.expected += 1
        elif seal.sequence > self.expected:
            tally.faults.caller_frames_lost += seal.sequence - self.expected
            self.expected = seal.sequence + 1
        else:
            tally.faults.reordered += 1

    def settle(self, tally: Tally) -> None:
        """Nothing more will come: what is missing now is lost."""
        missing = 0 if self.held else self.sent - self.expected
        if missing:
            tally.faults.caller_frames_lost += missing
            tally.note(f"caller {self.number}: the last {missing} frames did not arrive")


@dataclass(slots=True)
class Interruption:
    """A caller who spoke over an answer, and what the server made of it."""

    at_ns: int
    cleared_at_ns: int = 0
    heard_ms: dict[int, float] = field(default_factory=dict)
    """By number of the item that was cut: what the caller truly heard of it."""
    truncated_ms: dict[int, int] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    def settle(self, tally: Tally) -> None:
        """Judge it, when the server has had time enough for all of its messages."""
        tally.interruptions += 1
        if not self.cleared_at_ns:
            tally.faults.clears_missing += 1
            return
        tally.reactions_ms.append((self.cleared_at_ns - self.at_ns) / 1e6)
        for item, heard_ms in self.heard_ms.items():
            self._judge(item, heard_ms, tally)

    def _judge(self, item: int, heard_ms: float, tally: Tally) -> None:
        told = 0 if item in self.deleted else self.truncated_ms.get(item)
        if heard_ms == 0:
            if told != 0:
                tally.faults.queued_items_kept += 1
                tally.note(f"item {item} was never heard; the model was told {told}")
        elif told is None:
            tally.faults.truncations_missing += 1
            tally.note(f"item {item} was cut at {heard_ms:.0f} ms; the model was not told")
        else:
            tally.truncation_errors_ms.append(told - heard_ms)


class ModelVoice:
    """What a model said on one line, and what of it reached a caller."""

    __slots__ = (
        "asked_at_ns",
        "excused_from",
        "excused_to",
        "expected",
        "first_sent_at_ns",
        "gone",
        "heard_by",
        "held",
        "interruption",
        "number",
        "piece_bytes",
        "quiet",
        "sent",
        "tail",
        "tail_b64",
    )

    def __init__(self, number: int, piece_ms: int) -> None:
        self.number = number
        self.piece_bytes = piece_ms * BYTES_PER_MS
        self.tail = filler("model", number, self.piece_bytes)
        self.tail_b64 = b64(self.tail)
        self.sent = 0
        self.expected = 0
        self.heard_by: int | None = None
        self.interruption: Interruption | None = None
        self.excused_from = self.excused_to = 0
        self.asked_at_ns = self.first_sent_at_ns = 0
        self.held = False
        """The caller is on hold: the answer in progress is the last one."""
        self.quiet = False
        """True: the call is about to end; say nothing more."""
        self.gone = asyncio.Event()
        """Set when the server closed this line."""

    def heard(self, seal: Seal, tally: Tally) -> None:
        """A piece reached the caller it was meant for."""
        tally.speech_pieces += 1
        if self.excused_from <= seal.sequence < self.excused_to:
            tally.faults.spoken_after_clear += 1
        elif seal.sequence < self.expected:
            tally.faults.reordered += 1
        if seal.sequence > self.expected:
            tally.faults.speech_pieces_lost += self._lost_before(seal.sequence)
        self.expected = max(self.expected, seal.sequence + 1)

    def cleared(self, now_ns: int, cut: dict[int, float]) -> bool:
        """Twilio threw away what was not heard; False if nobody had interrupted."""
        interruption = self.interruption
        if interruption is None or interruption.cleared_at_ns:
            return False
        interruption.cleared_at_ns = now_ns
        interruption.heard_ms = cut
        self.excused_from, self.excused_to = self.expected, max(self.expected, self.sent)
        return True

    def answer_over(self) -> None:
        """The next piece belongs to another answer; what was interrupted ends here."""
        if self.interruption is not None and self.interruption.cleared_at_ns:
            self.excused_to = max(self.excused_from, self.sent)

    def settle(self, tally: Tally) -> None:
        """Nothing more will come: what is missing now is lost."""
        complete = self.held or self.sent <= self.expected
        missing = 0 if complete else self._lost_before(self.sent)
        if missing:
            tally.faults.speech_pieces_lost += missing
            tally.note(f"model line {self.number}: the last {missing} pieces did not arrive")

    def _lost_before(self, sequence: int) -> int:
        excused_from = max(self.expected, self.excused_from)
        excused = max(0, min(sequence, self.excused_to) - excused_from)
        return sequence - self.expected - excused


@dataclass(slots=True)
class Floor:
    """Everything the two ends of a run share."""

    plan: Plan
    wheel: Wheel
    tally: Tally
    callers: dict[int, CallerVoice] = field(default_factory=dict)
    models: dict[int, ModelVoice] = field(default_factory=dict)
    next_caller: int = 0
    next_model: int = 0

    def new_caller(self) -> CallerVoice:
        """A caller who has not spoken yet."""
        self.next_caller += 1
        voice = self.callers[self.next_caller] = CallerVoice(self.next_caller)
        return voice

    def new_model(self) -> ModelVoice:
        """A model that has not spoken yet."""
        self.next_model += 1
        voice = self.models[self.next_model] = ModelVoice(self.next_model, self.plan.piece_ms)
        return voice
