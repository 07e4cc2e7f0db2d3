"""The bench is a judge, and a judge is judged too: what it must notice, and that it runs.

One rule: nothing here asserts a time.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHORT = {
    "calls": 2,
    "seconds": 5,
    "ramp_s": 0.2,
    "settle_s": 0,
    "shortest_ms": 500,
    "longest_ms": 1000,
    "think_ms": 20,
    "interrupt_every": 2,
    "generator_core": None,
    "server_core": None,
}


def bench(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the bench; they import each other from their own folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module(name)


def run(kind: str) -> dict[str, object]:
    """The figures of a run of a few seconds."""
    plan = json.dumps({"kind": kind, **SHORT})
    command = [sys.executable, str(ROOT / "scripts" / "bench_load.py"), plan]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr.decode()
    figures: dict[str, object] = json.loads(done.stdout)
    return figures


@pytest.mark.parametrize("kind", ["relay", "server"])
def test_two_calls_lose_nothing_and_leave_nothing(kind: str) -> None:
    """A bench that loses audio itself, or a server that does, must not yield figures."""
    figures = run(kind)

    assert figures["faults"] == dict.fromkeys(figures["faults"], 0), figures["notes"]
    assert figures["caller_frames"] > 2 * 50 * 4
    assert figures["speech_pieces"] > 20
    assert figures["server_log_errors"] == 0
    assert figures["server_ended_by_itself"]
    assert (figures["interruptions"] > 0) == (kind == "server")


def test_a_frame_that_did_not_arrive_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle and at the end of a call alike."""
    wire, voice, tally = (
        bench(name, monkeypatch) for name in ("bench_wire", "bench_voice", "bench_tally")
    )
    caller, counts = voice.CallerVoice(1), tally.Tally()
    caller.sent = 5

    for sequence in (0, 1, 3):
        caller.heard(wire.Seal(0, 1, sequence, 0), counts)
    caller.settle(counts)

    assert counts.faults.caller_frames_lost == 2


def test_a_damaged_piece_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped bit in the seal, or a seal cut short, is no seal."""
    wire = bench("bench_wire", monkeypatch)
    seal = wire.a2b_base64(wire.seal_b64(3, 7, 9, 123))

    assert wire.read_seal(seal) == wire.Seal(3, 7, 9, 123)
    for place in range(len(seal)):
        damaged = bytearray(seal)
        damaged[place] ^= 1
        assert wire.read_seal(bytes(damaged)) is None
        assert wire.read_seal(seal[:place]) is None


def test_only_what_an_interruption_threw_away_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tail behind a clear is excused; a hole before it, or after it, is not."""
    wire, voice, tally = (
        bench(name, monkeypatch) for name in ("bench_wire", "bench_voice", "bench_tally")
    )
    model, counts = voice.ModelVoice(1, 100), tally.Tally()

    for sequence in (0, 2):
        model.heard(wire.Seal(1, 1, sequence, 0), counts)
    model.interruption, model.sent = voice.Interruption(0), 6
    model.cleared(1, {1: 150.0})
    model.heard(wire.Seal(1, 1, 4, 0), counts)
    model.answer_over()
    for sequence in (6, 8):
        model.heard(wire.Seal(2, 1, sequence, 0), counts)

    assert counts.faults.speech_pieces_lost == 2
    assert counts.faults.spoken_after_clear == 1


def test_the_ear_hears_bytes_at_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Truncation is judged against this clock: two items, cut in the middle of the first."""
    playout = bench("bench_playout", monkeypatch).Playout()
    ms = 1_000_000

    playout.play(1, 800, 0)
    playout.play(1, 800, 300 * ms)
    playout.mark("a", 300 * ms)
    playout.play(2, 800, 300 * ms)
    cut, marks = playout.clear(340 * ms)

    assert cut == {1: 140.0, 2: 0.0}
    assert marks == ["a"]
    assert playout.reached(900 * ms) == []


def test_a_model_that_believes_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item nobody heard must be at 0 or gone; an item cut off must be truncated."""
    voice, tally = (bench(name, monkeypatch) for name in ("bench_voice", "bench_tally"))
    counts = tally.Tally()
    cut = voice.Interruption(0, cleared_at_ns=2_000_000)
    cut.heard_ms = {1: 400.0, 2: 0.0, 3: 0.0, 4: 250.0}
    cut.truncated_ms = {1: 390, 2: 0, 3: 100}

    cut.settle(counts)

    assert counts.truncation_errors_ms == [-10.0]
    assert counts.faults.queued_items_kept == 1
    assert counts.faults.truncations_missing == 1
    assert counts.reactions_ms == [2.0]
