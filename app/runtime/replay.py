"""Run a machine again from a flight log and compare what it decides.

Audio comes back as zeros of the recorded length, because decisions depend on how long
something was and never on how it sounded. The one rule: the commands must be the same,
moment by moment; the first that differs is the report.
"""

from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import orjson

from app.call.machine import CallMachine
from app.call.plan import (
    BillPlan,
    CallPlan,
    DigitsPreset,
    GuardPlan,
    Memory,
    MenuPlan,
    PressPlan,
    RecordingPlan,
    RulePlan,
    SilencePlan,
    SoundPlan,
    ToolPlan,
    WarmPlan,
)
from app.call.prices import Price
from app.protocol.commands import Command
from app.protocol.events import CallerAudio, Event, MarkReturned, SpeechAudio, SpeechText, Usage
from app.protocol.units import FRAME_BYTES, FRAME_MS
from app.runtime.flight_log import BEGIN, FRAMES, LEFT_OUT, SPEECH, VERSION, WAKE, plain, spoken

_EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}


class FlightFault(ValueError):
    """The file is not a flight log that this version understands."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a log, compared."""

    now_ms: int
    what: list[Any]
    recorded: list[Any]
    replayed: list[Any]

    @property
    def same(self) -> bool:
        """The machine decided as it did then."""
        return self.recorded == self.replayed


def replay(path: Path) -> Iterator[Moment]:
    """Every moment of the log at ``path`` with what the machine decides today.

    Raises ``FlightFault`` where the log cannot be read, naming the line.
    """
    lines = path.read_bytes().splitlines()
    machine = CallMachine(_plan(_load(lines[0] if lines else b"", 1)))
    for number, line in enumerate(lines[1:], 2):
        recorded = _load(line, number)
        try:
            yield _moment(machine, recorded)
        except (KeyError, TypeError, ValueError, IndexError, StopIteration) as exc:
            raise FlightFault(f"line {number}: {type(exc).__name__}") from exc


def _load(line: bytes, number: int) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        raise FlightFault(f"line {number} is not JSON; the log may have been cut") from None


def _plan(head: Any) -> CallPlan:
    if not isinstance(head, dict) or head.get("flight") != VERSION:
        raise FlightFault(f"line 1 does not begin a flight log of version {VERSION}")
    try:
        return _made(dict(head["plan"]))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise FlightFault("line 1 holds a plan of another version") from None


def _made(plan: dict[str, Any]) -> CallPlan:
    plan["tools"] = {name: ToolPlan(**tool) for name, tool in plan["tools"].items()}
    plan["targets"] = tuple(plan["targets"])
    presets = plan.get("presets", {})
    plan["presets"] = {name: DigitsPreset(**preset) for name, preset in presets.items()}
    sounds = plan.get("sounds", {})
    plan["sounds"] = {name: SoundPlan(**sound) for name, sound in sounds.items()}
    warm = plan.get("warm", {})
    plan["warm"] = {name: WarmPlan(**one) for name, one in warm.items()}
    if bill := plan.get("bill"):
        plan["bill"] = BillPlan(**(bill | {"price": Price(**bill["price"])}))
    if silence := plan.get("silence"):
        plan["silence"] = SilencePlan(**(silence | {"say": tuple(silence["say"])}))
    if guard := plan.get("guard"):
        rules = (RulePlan(**(one | {"words": tuple(one["words"])})) for one in guard["rules"])
        plan["guard"] = GuardPlan(**(guard | {"rules": tuple(rules)}))
    if recording := plan.get("recording"):
        pauses = tuple(recording.pop("pause_during"))
        plan["recording"] = RecordingPlan(pause_during=pauses, **recording)
    plan.pop("greeting_shielded", None)  # Until 2026-11, beside the greeting's interruptible.
    if not plan.pop("keys_interrupt", True):  # Its name until 2026-11.
        plan["interruptible"] = "speech"
    closed = plan.get("closed", {})
    plan["closed"] = {name: tuple(map(tuple, spans)) for name, spans in closed.items()}
    if menus := plan.get("menus"):
        plan["menus"] = MenuPlan(**menus)
    plan["handoffs"] = tuple(plan.get("handoffs", ()))
    colleagues = plan.get("colleagues", {})
    plan["colleagues"] = {name: _made(dict(one)) for name, one in colleagues.items()}
    plan["presses"] = PressPlan(**plan.get("presses", {}))
    plan["known"] = tuple(plan.get("known", ()))
    plan["memories"] = tuple(Memory(**memory) for memory in plan["memories"])
    return CallPlan(**plan)


def _moment(machine: CallMachine, line: list[Any]) -> Moment:
    now_ms, what, *rest = line
    if what[0] == FRAMES:
        return Moment(now_ms, what, rest[0], _frames(machine, now_ms, what[1:], rest[0]))
    if what[0] == SPEECH:
        return Moment(now_ms, what, what[4:], _speech(machine, what[1:4], iter(what[4:])))
    if what[0] == BEGIN:
        commands = machine.begin(now_ms)
    elif what[0] == WAKE:
        commands = machine.wake(now_ms)
    else:
        commands = machine.handle(_event(what), now_ms)
    return Moment(now_ms, what, rest[0], _told(commands))


def _told(commands: list[Command]) -> list[Any]:
    told: list[Any] = orjson.loads(orjson.dumps([plain(command) for command in commands]))
    return told


def _frames(machine: CallMachine, last_ms: int, run: list[Any], each: list[Any]) -> list[Any]:
    """A run of regular frames, spread evenly over the time it took.

    Every one must lead to ``each``, or the answer is what the first that does not leads to.
    """
    first_ms, timestamp_ms, n = run
    found = each
    for index in range(n):
        at_ms = last_ms if n == 1 else first_ms + (last_ms - first_ms) * index // (n - 1)
        frame = CallerAudio(_zeros(FRAME_BYTES), FRAME_BYTES, timestamp_ms + index * FRAME_MS)
        told = _told(machine.handle(frame, at_ms))
        found = told if found == each else found
    return found


def _speech(machine: CallMachine, part: list[Any], run: Iterator[Any]) -> list[Any]:
    """A run of deltas, words and marks: what the log would hold of it today."""
    response_id, item_id, index = part
    out: list[Any] = []
    for now_ms in run:
        told = next(run)
        if isinstance(told, int):
            count = next(run)
            for _ in range(count):
                next(run)
            audio = SpeechAudio(response_id, item_id, index, _zeros(told), told)
            commands = machine.handle(audio, now_ms)
            out += (now_ms, told, len(commands), *map(spoken, commands))
        elif isinstance(told, str):
            commands = machine.handle(SpeechText(response_id, item_id, index, told), now_ms)
            out += (now_ms, told, *map(plain, commands))
        else:
            name = next(run)
            out += (now_ms, told, name, *map(plain, machine.handle(MarkReturned(name), now_ms)))
    return out


def _event(what: list[Any]) -> Event:
    kind = _EVENTS[what[0]]
    names = (f.name for f in fields(kind) if f.name not in LEFT_OUT)
    given = dict(zip(names, what[1:], strict=False))  # Later versions add fields at the end.
    if given.get("usage"):
        given["usage"] = Usage(**given["usage"])
    if any(f.name == "payload_b64" for f in fields(kind)):
        given["payload_b64"] = _zeros(given["length_bytes"])
    event: Event = kind(**given)
    return event


def _zeros(length_bytes: int) -> str:
    return b2a_base64(bytes(length_bytes), newline=False).decode()
