"""Measures a spoken call on this machine, everything in it real, and prints a table.

A browser says forty sentences, each into the answer to the one before, so that every turn is a
latency and an interruption. Times are the page's own; what was heard when it was interrupted is
counted by the page's audio device and compared with what the server told the model. How late the
server's loop is, is measured in it, by ``bench_local_server``, together with what it was late
for: its own work, or a core that somebody else had. Takes less than three minutes.
Neighbours on the machine are in the figures; its load is printed.
"""

import argparse
import asyncio
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic
from typing import Any

from playwright.async_api import Page
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.protocol.units import BYTES_PER_MS
from tests.page.rehearsal import House, Spoken, chromium, hearing, house, microphone

TURNS = 40
_FIRST_MS = 8_000
"""Room for the greeting, and for the recogniser to be warm."""
_EVERY_MS = 3_500
_IDLE_S = 20
_AFTER_S = 2
"""What follows a call is done by then."""
_PAUSE_MS = 400
"""Within a sentence nobody is quiet for longer."""
_SAYINGS = ("what are your opening hours", "where can i park my car", "do you take my insurance")
LATE_MS = 20.0
"""A frame's length: what is later than this keeps one frame waiting for the next."""
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


@dataclass(frozen=True, slots=True)
class Late:
    """How late the loop was at one time, and why; milliseconds."""

    at_s: float
    """Of the system's monotonic clock."""
    late_ms: float
    ran_ms: float
    """Since the time before the loop's thread had a core: its own work."""
    waited_ms: float
    """It was ready, but others had the cores."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the server's probe wrote down."""

    moments: Sequence[Late]
    collections_ms: Sequence[float]
    """How long the collector of garbage took, each time."""
    imported: Sequence[str]
    """Modules that were loaded when it served already: each stops the loop."""
    stacks: Sequence[tuple[str, int]]
    """What the thread was doing when it was late, if that was asked for, and how often."""

    @classmethod
    def read(cls, file: Path) -> "Loop":
        """From the file of a server that has ended. Raises ``OSError``."""
        told = json.loads(file.read_text(encoding="utf-8"))
        columns = (told["moments"][one.name] for one in fields(Late))
        moments = [Late(*values) for values in zip(*columns, strict=True)]
        stacks = [(text, times) for text, times in told["stacks"]]
        return cls(moments, told["collections_ms"], told["imported"], stacks)

    def between(self, window: tuple[float, float]) -> list[Late]:
        """What was in that time."""
        return [one for one in self.moments if window[0] < one.at_s < window[1]]


async def call(page: Page, made: House, seconds: int) -> list[list[Any]]:
    """The page's story of one call."""
    await page.goto(f"{made.url}/phone")
    await page.get_by_label("Raw microphone").check()
    await page.get_by_role("button", name="Call").click()
    for _ in track(range(seconds), "Talking", console=Console(stderr=True), transient=True):
        await asyncio.sleep(1)
    story: list[list[Any]] = await page.evaluate("() => window.ear")
    over = page.locator('body[data-state="idle"]')
    if not await over.count():  # on a machine that has too much to do it may have been given up
        await page.get_by_role("button", name="Hang up").click()
        await over.wait_for()
    return story


@dataclass(frozen=True, slots=True)
class Measured:
    """What one start and one call came to."""

    up_s: float
    story: list[list[Any]]
    believed_ms: list[int | None]
    idle: tuple[float, float]
    """Nobody called between these two seconds of the monotonic clock; the page was open."""
    busy: tuple[float, float]
    """The call, from before it to after its record was written."""
    cpu_percent: dict[str, float]
    load: tuple[float, float, float]


async def measure(
    folder: Path, count: int, command: Sequence[str], model_nice: int | None = None
) -> Measured:
    """Start by ``command``, call, say ``count`` sentences, hang up."""
    length_ms = await _prepare(folder, count)
    seconds = length_ms // 1000
    files = {"AGENT_FILE": f"{folder}/agent.yaml", "LOCAL_SCENARIO": f"{folder}/scenario.yaml"}
    async with chromium(*hearing(folder / "microphone.wav")) as browser:
        page = await browser.new_page(bypass_csp=True)
        await page.add_init_script(path=_EAR)
        async with house(folder, command=command, **files) as made:
            _be_nice(made, model_nice)
            began_s = monotonic()
            await asyncio.sleep(_IDLE_S)
            clocks = {name: Clock(pid) for name, pid in _pids(made).items()}
            called_s = monotonic()
            story = await call(page, made, seconds)
            cpu = {name: clock.percent_of_a_core() for name, clock in clocks.items()}
            await asyncio.sleep(_AFTER_S)
            idle, busy = (began_s, called_s), (called_s, monotonic())
            load = os.getloadavg()
            return Measured(made.up_s, story, believed_ms(made), idle, busy, cpu, load)


async def _prepare(folder: Path, count: int) -> int:
    """Write agent, scenario and what the microphone hears; returns its length in ms."""
    (folder / "agent.yaml").write_text(AGENT, encoding="utf-8")
    (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    said = [Spoken(_FIRST_MS + n * _EVERY_MS, _SAYINGS[n % len(_SAYINGS)]) for n in range(count)]
    length_ms = _FIRST_MS + count * _EVERY_MS + 2_000
    await microphone(folder / "microphone.wav", said, length_ms)
    return length_ms


def _be_nice(made: House, nice: int | None) -> None:
    """Give the local model a lower priority, to compare; None leaves it as the server started it.

    Its niceness alone does nothing where Linux weighs sessions against each other (autogroup):
    it has one of its own. On a busy machine neither helped, 2026-11-21: the loop sleeps nearly
    always and gets a core before the decoder anyway, and what the decoder is slowed by is turn
    latency. So the local model does not lower it itself.
    """
    pid = made.companion("app.local")
    if nice is not None and pid is not None:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


def _pids(made: House) -> dict[str, int]:
    named = {"local model": "app.local", "local carrier": "app.emulators"}
    found = {name: made.companion(module) for name, module in named.items()}
    return {"server": made.pid} | {name: pid for name, pid in found.items() if pid is not None}


def table(made: Measured, loop: Loop, count: int) -> Table:
    """The figures, beside what they must reach."""
    found = list(turns(made.story))
    sounds_s = (one[0] / 1000 for one in made.story if one[1] == "sounds")
    greeted_s = next(sounds_s, math.inf)
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
    lateness(out, "idle", loop.between(made.idle))
    lateness(out, "in the call", loop.between(made.busy))
    out.add_row("collections of garbage", spread(loop.collections_ms), "")
    out.add_row("modules loaded meanwhile", str(len(loop.imported)), "0")
    for name, percent in made.cpu_percent.items():
        out.add_row(f"processor, {name}", f"{percent:.0f} % of a core", "")
    out.add_row("load of the machine", " ".join(f"{one:.2f}" for one in made.load), "")
    return out


def lateness(out: Table, when: str, moments: Sequence[Late]) -> None:
    """Rows about the server's loop at one time."""
    out.add_row(f"loop late, {when}", spread([one.late_ms for one in moments]), "")
    out.add_row("… its own work, between two looks", spread([m.ran_ms for m in moments]), "< 20 ms")
    out.add_row("… no core was free", spread([one.waited_ms for one in moments]), "")
    slept = [one.late_ms - one.ran_ms - one.waited_ms for one in moments]
    out.add_row("… neither: it slept", spread([max(0.0, ms) for ms in slept]), "< 20 ms")
    late = [one for one in moments if one.late_ms > LATE_MS]
    ours = sum(one.late_ms - one.waited_ms > LATE_MS for one in late)
    out.add_row(f"… later than {LATE_MS:.0f} ms", f"{len(late)} times, {ours} by its own doing", "")
    for one in sorted(late, key=lambda late: -late.late_ms)[:3]:
        why = f"ran {one.ran_ms:.1f}, waited for a core {one.waited_ms:.1f} ms"
        out.add_row("", f"{one.late_ms:.1f} ms: {why}", "")


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
    parser.add_argument("--stacks", type=float, help="show what ran when the loop was so late, ms")
    parser.add_argument("--model-nice", type=int, help="the local model's priority, to compare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        moments = folder / "moments.json"
        looking = ("--stacks", str(given.stacks)) if given.stacks else ()
        command = ("scripts.bench_local_server", str(moments), *looking)
        measured = asyncio.run(measure(folder, given.turns, command, given.model_nice))
        (folder / "story.json").write_text(json.dumps(measured.story), encoding="utf-8")
        loop = Loop.read(moments)
    Console().print(table(measured, loop, given.turns))
    for stack, times in loop.stacks:
        print(f"{times} times late here:\n{stack}")


if __name__ == "__main__":
    main()
