"""Measures a spoken call on this machine, everything in it real, and prints a table.

A browser says forty sentences, each into the answer to the one before, so that every turn is a
latency and an interruption. Times are the page's own; what was heard when it was interrupted is
counted by the page's audio device and compared with what the server told the model. How long the
server's loop makes others wait is asked from outside, by a process that does nothing else.
Takes less than three minutes. Neighbours on the machine are in the figures.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from playwright.async_api import Page
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.protocol.units import BYTES_PER_MS
from tests.page.rehearsal import ROOT, House, Spoken, chromium, hearing, house, microphone

TURNS = 40
_FIRST_MS = 8_000
"""Room for the greeting, and for the recogniser to be warm."""
_EVERY_MS = 3_500
_IDLE_S = 4
_PAUSE_MS = 400
"""Within a sentence nobody is quiet for longer."""
_SAYINGS = ("what are your opening hours", "where can i park my car", "do you take my insurance")
AGENT = """
instructions: You answer the phone for the bench.
greeting: Hello.
turn_detection: {type: server_vad, silence_duration_ms: 500}
"""
SCENARIO = """
intents:
  hours:
    say_like: ["what are your opening hours"]
    reply: We are open from nine in the morning until five in the afternoon, from Monday to Friday.
  parking:
    say_like: ["where can i park my car"]
    reply: There are six places in the yard behind the house, and some more along the river.
  insurance:
    say_like: ["do you take my insurance"]
    reply: We take every insurance there is in this country, and we send the bill for you.
"""
_EAR = Path(__file__).with_name("bench_local_ear.js")


@dataclass(frozen=True, slots=True)
class Turn:
    """One sentence of the caller and what became of it; page milliseconds."""

    ended_at_ms: float
    answered_at_ms: float
    """The first of the answer came to the page."""
    sounded_at_ms: float | None
    """It was heard."""
    heard_ms: float | None
    """Of the answer, when it was cleared; None when it was not."""

    @property
    def latency_ms(self) -> float:
        """From the caller's last sound to the answer's first."""
        return self.answered_at_ms - self.ended_at_ms


def turns(story: Sequence[Sequence[Any]]) -> Iterator[Turn]:
    """The turns of the page's story, in order; sentences without an answer are left out."""
    ends = list(_sentence_ends(story))
    position = 0
    places = []
    for at_ms, what, *rest in story:
        if what == "came":
            places.append((at_ms, position))
            position += int(rest[0])
    for end, until in zip(ends, [*ends[1:], float("inf")], strict=True):
        came = next(((at, place) for at, place in places if end < at < until), None)
        if came is None:
            continue
        later = [one for one in story if came[0] <= one[0] < until]
        sounds = next((one[0] for one in later if one[1] == "sounds"), None)
        cleared = next((one[2] for one in later if one[1] == "cleared"), None)
        heard_ms = None if cleared is None else (cleared - came[1]) / BYTES_PER_MS
        yield Turn(end, came[0], sounds, heard_ms)


def _sentence_ends(story: Sequence[Sequence[Any]]) -> Iterator[float]:
    last: float | None = None
    for at_ms, what, *_ in story:
        if what == "spoke":
            last = at_ms
        elif what == "kept quiet" and last is not None and at_ms - last > _PAUSE_MS:
            yield last
            last = None


def believed_ms(house_: House) -> list[int | None]:
    """``audio_end_ms`` of every clear, from the server's flight log; None: nothing was cut."""
    (flight,) = (house_.folder / "data" / "flights").glob("*.jsonl")
    told: list[int | None] = []
    for line in flight.read_text(encoding="utf-8").splitlines():
        moment = json.loads(line)
        commands = moment[2] if isinstance(moment, list) and len(moment) > 2 else []
        if ["ClearPlayback"] in commands:
            cut = [one[3] for one in commands if one[0] == "TruncateItem"]
            told.append(cut[0] if cut else None)
    return told


class Clock:
    """Processor time of a process, since it was made."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/stat")
        self._began_s, self._used_s = monotonic(), self._seconds()

    def percent_of_a_core(self) -> float:
        """Of the time since then."""
        return 100 * (self._seconds() - self._used_s) / (monotonic() - self._began_s)

    def _seconds(self) -> float:
        fields = self._file.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


async def answer_times(url: str, seconds: float) -> list[float]:
    """Milliseconds until ``/health`` answered, asked every 20 ms by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.bench_local_probe", url, str(seconds)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    times: list[float] = json.loads(told)
    return times


async def call(page: Page, made: House, seconds: int) -> list[list[Any]]:
    """The page's story of one call."""
    await page.goto(f"{made.url}/phone")
    await page.get_by_label("Raw microphone").check()
    await page.get_by_role("button", name="Call").click()
    for _ in track(range(seconds), "Talking", console=Console(stderr=True), transient=True):
        await asyncio.sleep(1)
    story: list[list[Any]] = await page.evaluate("() => window.ear")
    await page.get_by_role("button", name="Hang up").click()
    await page.locator('body[data-state="idle"]').wait_for()
    return story


@dataclass(frozen=True, slots=True)
class Measured:
    """What one start and one call came to."""

    up_s: float
    story: list[list[Any]]
    believed_ms: list[int | None]
    idle_ms: list[float]
    busy_ms: list[float]
    cpu_percent: dict[str, float]


async def measure(folder: Path, count: int) -> Measured:
    """Start, call, say ``count`` sentences, hang up."""
    length_ms = await _prepare(folder, count)
    seconds = length_ms // 1000
    files = {"AGENT_FILE": f"{folder}/agent.yaml", "LOCAL_SCENARIO": f"{folder}/scenario.yaml"}
    async with chromium(*hearing(folder / "microphone.wav")) as browser:
        page = await browser.new_page(bypass_csp=True)
        await page.add_init_script(path=_EAR)
        async with house(folder, **files) as made:
            idle_ms = await answer_times(made.url, _IDLE_S)
            clocks = {name: Clock(pid) for name, pid in _pids(made).items()}
            asking = asyncio.create_task(answer_times(made.url, seconds))
            story = await call(page, made, seconds)
            cpu = {name: clock.percent_of_a_core() for name, clock in clocks.items()}
            busy_ms = await asking
            return Measured(made.up_s, story, believed_ms(made), idle_ms, busy_ms, cpu)


async def _prepare(folder: Path, count: int) -> int:
    """Write agent, scenario and what the microphone hears; returns its length in ms."""
    (folder / "agent.yaml").write_text(AGENT, encoding="utf-8")
    (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    said = [Spoken(_FIRST_MS + n * _EVERY_MS, _SAYINGS[n % len(_SAYINGS)]) for n in range(count)]
    length_ms = _FIRST_MS + count * _EVERY_MS + 2_000
    await microphone(folder / "microphone.wav", said, length_ms)
    return length_ms


def _pids(made: House) -> dict[str, int]:
    named = {"local model": "app.local", "local carrier": "app.emulators"}
    found = {name: made.companion(module) for name, module in named.items()}
    return {"server": made.pid} | {name: pid for name, pid in found.items() if pid is not None}


def table(made: Measured, count: int) -> Table:
    """The figures, beside what they must reach."""
    found = list(turns(made.story))
    greeted_s = next(one[0] for one in made.story if one[1] == "sounds") / 1000
    heard_ms = [turn.heard_ms for turn in found if turn.heard_ms is not None]
    pairs = zip(heard_ms, made.believed_ms, strict=False)
    off_ms = [believed - heard for heard, believed in pairs if believed is not None]
    out = Table("figure", "measured", "must reach")
    out.add_row("command → first answer of /health", f"{made.up_s:.1f} s", "")
    out.add_row("page opened → greeting heard", f"{greeted_s:.1f} s", "")
    out.add_row("both", f"{made.up_s + greeted_s:.1f} s", "< 5 s")
    out.add_row("turns answered", f"{len(found)} of {count}", "")
    latency_ms = [turn.latency_ms for turn in found]
    out.add_row("end of speech → first audio at the page", spread(latency_ms), "p95 < 900 ms")
    sounded_ms = [one.sounded_at_ms - one.ended_at_ms for one in found if one.sounded_at_ms]
    out.add_row("… → heard", spread(sounded_ms), "")
    out.add_row("interruptions", f"{len(heard_ms)}; told to the model {len(made.believed_ms)}", "")
    out.add_row("audio_end_ms minus really heard", _signed(off_ms), "± 60 ms")
    out.add_row("/health, idle", spread(made.idle_ms), "")
    out.add_row("/health, while it talks and listens", spread(made.busy_ms), "< 20 ms")
    for name, percent in made.cpu_percent.items():
        out.add_row(f"processor, {name}", f"{percent:.0f} % of a core", "")
    return out


def spread(values: Sequence[float]) -> str:
    """Percentiles of milliseconds."""
    if not values:
        return "nothing"
    ordered = sorted(values)
    at = {p: ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99)}
    shown = ", ".join(f"p{p} {value:.1f}" for p, value in at.items())
    return f"{shown}, max {ordered[-1]:.1f} ms ({len(ordered)})"


def _signed(values: Sequence[float]) -> str:
    if not values:
        return "nothing"
    middle = sorted(values)[len(values) // 2]
    away = spread([abs(value) for value in values])
    return f"median {middle:+.1f} ms; away from 0: {away}"


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--keep", type=Path, help="a folder for the page's story and the log")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        measured = asyncio.run(measure(folder, given.turns))
        (folder / "story.json").write_text(json.dumps(measured.story), encoding="utf-8")
    Console().print(table(measured, given.turns))


if __name__ == "__main__":
    main()
