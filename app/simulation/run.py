"""`python -m app simulate`: files of simulated calls, played several at a time and judged.

It ends with 0 when all calls went as expected, 1 when one did not, and 2 when they could not
be begun. Rule: every file is read and every agent loaded before anybody is called.
"""

import asyncio
import contextlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.agents.load import AgentDocument
from app.agents.problems import AgentFault
from app.call.analysis import NoAnswer, Wish
from app.companions import CompanionFault
from app.errors import ToolFault
from app.services.analyst import Analyst
from app.settings import Settings, SettingsFault
from app.simulation.cases import Case
from app.simulation.lanes import Lane, LineFault, lane, model_of, staged
from app.simulation.load import Loaded, load
from app.simulation.report import Result
from app.simulation.verdict import Check, Played, judged

NO_KEY = "no OPENAI_API_KEY, so no model can judge"
_JUDGE = "gpt-5.4-mini"


class NothingToPlay(Exception):
    """The simulation cannot begin; the message is for whoever typed it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A case, and the file it is from."""

    loaded: Loaded
    case: Case

    @property
    def file(self) -> str:
        """As it was typed."""
        return str(self.loaded.path)


@dataclass(frozen=True, slots=True)
class _Group:
    """Cases that the same server can answer."""

    document: AgentDocument
    model: str
    waiting: deque[Planned]


def planned(files: Sequence[Path], keyword: str, settings: Settings) -> list[Planned]:
    """All cases whose name or file has ``keyword``. Raises ``NothingToPlay``."""
    found: list[Planned] = []
    wrong: list[str] = []
    for file in files:
        try:
            loaded = load(file)
        except AgentFault as fault:
            wrong += [str(problem) for problem in fault.problems]
            continue
        found += [Planned(loaded, case) for case in loaded.simulations.cases]
    if wrong:
        raise NothingToPlay("\n".join(wrong))
    chosen = [
        one for one in found if keyword.casefold() in f"{one.file} {one.case.name}".casefold()
    ]
    if not chosen:
        raise NothingToPlay(f'no case has "{keyword}" in its name')
    real = next((one for one in chosen if one.loaded.simulations.model == "real"), None)
    if real is not None and settings.openai_api_key is None:
        raise NothingToPlay(f"{real.file} wants the real model: set OPENAI_API_KEY")
    return chosen


async def play(
    chosen: Sequence[Planned],
    settings: Settings,
    *,
    together: int,
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Play them all, ``together`` at a time; results in the order of the files.

    Raises ``NothingToPlay`` where no server could be made.
    """
    results: dict[int, Result] = {}
    judge = _Judge(settings)
    try:
        with contextlib.ExitStack() as open_:
            stage = open_.enter_context(staged())
            folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="patchline-sim-")))
            groups = _groups(chosen)
            kinds = dict.fromkeys(group.model for group in groups)
            models = {kind: open_.enter_context(model_of(kind, settings)) for kind in kinds}
            room = asyncio.Semaphore(together)

            async def worked(group: _Group, own: Path) -> None:
                """One lane: a case after the other, as long as there are any."""
                async with room:
                    if not group.waiting:
                        return
                    scripted, of_model = group.model == "scripted", models[group.model]
                    opening = lane(stage, group.document, of_model, own, scripted=scripted)
                    async with opening as way:
                        while group.waiting:
                            one = group.waiting.popleft()
                            result = results[id(one.case)] = await _played(way, one, judge)
                            told(result)

            async with asyncio.TaskGroup() as tasks:
                for number, group in enumerate(groups):
                    for other in range(min(together, len(group.waiting))):
                        own = _made(folder / f"{number}-{other}")
                        tasks.create_task(worked(group, own), name=own.name)
    except ExceptionGroup as faults:
        known, others = faults.split((LineFault, CompanionFault, SettingsFault, ToolFault))
        if known is None or others is not None:
            raise
        raise NothingToPlay(str(known.exceptions[0])) from None
    except CompanionFault as fault:
        raise NothingToPlay(str(fault)) from None
    return [results[id(one.case)] for one in chosen]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _groups(chosen: Iterable[Planned]) -> list[_Group]:
    groups: dict[tuple[Path, str], _Group] = {}
    for one in chosen:
        document, model = one.loaded.document, one.loaded.simulations.model
        group = groups.setdefault((document.path, model), _Group(document, model, deque()))
        group.waiting.append(one)
    return list(groups.values())


async def _played(way: Lane, one: Planned, judge: "_Judge") -> Result:
    began_s = time.monotonic()
    checks: list[Check] = []
    error = None
    try:
        played = await way.play(one.case)
        checks = [*judged(one.case, played), *await judge.asked(one.case, played)]
    except LineFault as fault:
        error = str(fault)
    return Result(one.file, one.case.name, checks, time.monotonic() - began_s, error)


class _Judge:
    """Asks a model whether a sentence holds of a call, where there is a key for one."""

    def __init__(self, settings: Settings) -> None:
        key = settings.openai_api_key
        self._key = key.get_secret_value() if key is not None else ""
        self._base_url = settings.openai_base_url

    async def asked(self, case: Case, played: Played) -> list[Check]:
        """What it says of the case's sentence; nothing where there is none."""
        if case.judge is None or played.timed_out:
            return []
        what = f"the judge finds: {case.judge}"
        if not self._key:
            return [Check(what, skipped=NO_KEY)]
        if played.record is None:
            return [Check(what, "there is no record to judge")]
        wish = Wish(model=_JUDGE, success=case.judge)
        try:
            found = await Analyst(wish, api_key=self._key, base_url=self._base_url).analyse(
                played.record
            )
        except NoAnswer as fault:
            return [Check(what, f"the judge did not answer: {fault}")]
        analysis = found["analysis"] or {}
        return [Check(what, None if analysis.get("success") is True else _why(analysis))]


def _why(analysis: dict[str, object]) -> str:
    return f"not so: {analysis.get('short') or analysis.get('summary') or 'no reason was given'}"
