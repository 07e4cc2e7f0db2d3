"""Every socket of the model is cut at once, in mid-sentence: how long is the silence, what is lost.

The model generates no faster than it is heard here: nothing lies ready that would bridge the gap.
It takes as long to open and to think as over the internet, so these are part of the silence. Calls
whose model is silent at that moment are cut in their next sentence.
"""

import asyncio
import time

from bench_tally import summary_of
from bench_voice import Plan
from chaos_calls import Caller, Model, remembers
from chaos_stage import Row, Stage, shown, stage, until, zero

SILENCE_P95_MS = 2_000
OPENING_MS = 400
"""What a new session takes before its first word on the wire, as over the internet."""
THINKING_MS = 400
"""From the request to the first piece of an answer."""
WITHIN_S = 20.0
"""A call that hears nothing for so long does not go on."""
TURNS_S = 10.0
"""From the last greeting: everybody has been heard once, and is being answered."""


async def run(calls: int) -> list[Row]:
    """The rows of one cut."""
    plan = Plan(
        kind="server",
        calls=calls,
        seconds=0,
        shortest_ms=5_000,
        longest_ms=7_000,
        think_ms=THINKING_MS,
        speed=1,
        interrupt_every=1_000_000,
    )
    async with stage(plan, processes=1) as s:
        return await _cut(s, calls)


async def _cut(s: Stage, calls: int) -> list[Row]:
    callers = await s.calls(calls)
    await asyncio.sleep(TURNS_S)
    lines = {one.voice.heard_by: one for one in s.models if one.voice.heard_by is not None}
    s.opening_ms = OPENING_MS
    at_once = await _cut_all(s, callers, lines)
    await until(lambda: all(one.lines > 1 or one.transport is None for one in callers), WITHIN_S)
    # Time for the last frames that were kept, and for what is said twice.
    await asyncio.sleep(2)
    went_on = [one for one in callers if one.lines > 1 and one.transport is not None]
    await s.part(callers)
    remembering = [one for one in went_on if remembers(s.models, one)]
    silences = [one.silence_ns / 1e6 for one in callers if one.silence_ns is not None]
    return _rows(s, calls, at_once, len(remembering), silences)


async def _cut_all(s: Stage, callers: list[Caller], lines: dict[int, Model]) -> int:
    """Cut those that speak now, and the others as soon as they do; how many spoke."""
    waiting = {one.voice.number: (one, lines[one.voice.number]) for one in callers}
    at_once = sum(line.mid_sentence for _, line in waiting.values())
    deadline = time.monotonic() + WITHIN_S
    while waiting and time.monotonic() < deadline:
        for number, (caller, line) in list(waiting.items()):
            if line.mid_sentence:
                caller.ask_silence(time.perf_counter_ns())
                line.cut()
                del waiting[number]
        await asyncio.sleep(0.02)
    return at_once


def _rows(s: Stage, calls: int, at_once: int, remembering: int, silences: list[float]) -> list[Row]:
    spread = summary_of(silences)
    p95 = spread["p95_ms"]
    counted = s.floor.tally.faults
    for note in (s.refused + s.floor.tally.notes)[:5]:
        print(note)
    return [
        Row("calls cut in the same moment", str(at_once)),
        Row("calls that go on with memory", str(remembering), str(calls), remembering == calls),
        Row(
            "silence at the caller's ear, ms: p50 / p95 / max",
            shown(spread),
            f"p95 ≤ {SILENCE_P95_MS}",
            p95 is not None and p95 <= SILENCE_P95_MS and len(silences) == calls,
        ),
        zero("frames of the callers lost", counted.caller_frames_lost),
        # What the caller said and nobody answered is given to the next line once more.
        Row("… that were given to the next line again", str(counted.reordered)),
        Row("silence put in their place, ms", str(counted.silence_added_ms)),
        zero("calls lost", counted.caller_lines_lost + len(s.refused)),
        Row("faults of audio and messages", s.faults()),
        Row("errors in the log", str(s.errors())),
    ]
