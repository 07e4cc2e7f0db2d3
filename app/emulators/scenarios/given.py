"""The demonstration in scenarios: several at a time, a table of what was heard, and a verdict.

Each has a server and two companies of its own, so that none can help or hinder another. Rule: a
scenario that could not be given has failed, with the reason, and the others go on.
"""

import asyncio
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.emulators.demo_server import ServerFault
from app.emulators.demo_story import Screen
from app.emulators.demo_verdict import Check
from app.emulators.scenarios import doors, keying, texting, transfers
from app.emulators.scenarios.stage import Play, staged

PLAYS: tuple[Play, ...] = (*transfers.PLAYS, *keying.PLAYS, *texting.PLAYS, *doors.PLAYS)
ALL = "all"
_AT_A_TIME = 4
_LIMIT_S = 60.0
_NAME_COLUMNS = 18


@dataclass(frozen=True, slots=True)
class Given:
    """A scenario that was given."""

    play: Play
    heard: tuple[str, ...]
    checks: tuple[Check, ...]
    files: tuple[Path, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What was not as it has to be."""
        return [f"{one.what}: {one.fault}" for one in self.checks if one.fault is not None]


def chosen(names: Sequence[str]) -> list[Play]:
    """The scenarios of these names; of ``all``, every one. Raises ValueError with a sentence."""
    if ALL in names:
        return list(PLAYS)
    known = {one.name: one for one in PLAYS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f'no scenario "{unknown[0]}": one of {ALL}, {", ".join(known)}')
    return [known[name] for name in dict.fromkeys(names)]


def listed(screen: Screen) -> None:
    """Their names, and what happens in them."""
    for play in PLAYS:
        screen.write(f"{play.name:<{_NAME_COLUMNS}} {play.about}")


async def give(plays: Sequence[Play], out: Path, screen: Screen) -> bool:
    """Give them; whether all of them went as they have to."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def one(play: Play) -> Given:
        async with places:
            done = await _given(play, out / play.name)
        screen.tell("call", f"{play.name} is over")
        return done

    screen.begin()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(play), name=play.name) for play in plays]
    given = [task.result() for task in tasks]
    screen.write()
    for done in given:
        _tell(screen, done)
    failed = sum(bool(done.faults) for done in given)
    screen.write(f"\nAll that was heard: {out}")
    verdict = (
        f"Not as it has to be: {failed} of {len(given)}." if failed else "All as it has to be."
    )
    screen.write(screen.painted("bad" if failed else "good", verdict))
    return not failed


async def _given(play: Play, folder: Path) -> Given:
    try:
        async with asyncio.timeout(_LIMIT_S), staged(play) as stage:
            trouble: list[Check] = []
            try:
                await play.act(stage)
            except (TimeoutError, AssertionError, ServerFault) as fault:
                stories = "; ".join(call.story() for call in stage.twilio.calls.values())
                trouble = [Check("it came to its end", f"{fault}; {stories}")]
            await stage.close()
            files = await asyncio.to_thread(stage.keep, folder)
            return Given(play, tuple(stage.heard), (*stage.checks, *trouble), tuple(files))
    except (TimeoutError, ServerFault, OSError) as fault:
        return Given(play, (), (Check("it could be given", str(fault) or "not in time"),))


def _tell(screen: Screen, done: Given) -> None:
    colour, word = ("bad", "FAIL") if done.faults else ("good", "ok  ")
    heard, *more = textwrap.wrap("; ".join(done.heard) or "nothing", 88)
    screen.write(f"{screen.painted(colour, word)} {done.play.name:<{_NAME_COLUMNS}} {heard}")
    for line in more:
        screen.write(" " * (_NAME_COLUMNS + 6) + line)
    for fault in done.faults:
        screen.write(f"     {fault}")
