"""The flight log: everything a machine was told and answered, without the audio.

One JSON document a line. The first holds the plan, every other one moment: when, what, and
the commands that came of it. Audio is a length, and comes in runs: regular frames of the
caller's are one line as long as each leads to the same, what concerns one part of the model's
speech is another. The two have nothing to do with each other in the machine, but for the mark
that ends a shielded greeting, so their runs lie side by side until something else happens.
Fed to a machine again, the log must lead to the same commands; see ``replay``. It holds what
was said, like the record, and is kept with the same care: mode 600, in the data directory,
the newest thousand. Keys that nobody may know are an ``x`` each: the machine decides by how many
there are.
"""

import asyncio
import contextlib
import glob
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

import orjson

from app.call.hearing import Passed
from app.call.plan import CallPlan
from app.protocol.commands import AppendAudio, AppendSilence, Command, PlayAudio, SendMark
from app.protocol.events import CallerAudio, Event, MarkReturned, SpeechAudio, SpeechText
from app.protocol.units import FRAME_BYTES, FRAME_MS

VERSION = 2
FLUSH_BYTES = 16 * 1024
LONGEST_RUN = 600
MOST_WAITING = 256
MOST_FILES = 1_000
WAKE = "wake"
BEGIN = "begin"
KEY = "CallerDigit"
FRAMES = "frames"
"""A run of regular frames: when the first came, its timestamp, how many; the commands of the
line are those of every one of them."""
SPEECH = "speech"
"""A run of what concerns one part of the model's speech: for a delta its time, its length, the
number of its commands and the commands (a length for audio played, name and ``covers_ms`` for a
mark); for words their time and themselves; for a mark returned its time, null and its name."""

LEFT_OUT = frozenset({"payload_b64", "secret"})
"""Fields that are not written."""
UNSAID = b"x"
"""A key that nobody may know."""
_SPELLED_OUT = b"0123456789"
"""Keys of which it is decided later; the others may be what ends a turn, and say nothing."""

Write = Callable[[str, bytes], None]
"""Append bytes to the log of that name, some time soon, off the loop."""


def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.name not in LEFT_OUT)


def _reader(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """What takes the fields out of a value; ``attrgetter`` gives a tuple only of several."""
    names = _names(kind)
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


_FIELDS = {kind: _reader(kind) for kind in (*get_args(Event), *get_args(Command))}


def plain(value: Any) -> list[Any]:
    """An event or command as its name and fields, audio left out."""
    kind = value.__class__
    return [kind.__name__, *_FIELDS[kind](value)]


def spoken(command: Command) -> Any:
    """A command that came of a delta, as short as it can be told."""
    if isinstance(command, PlayAudio):
        return command.length_bytes
    return [command.name, command.covers_ms] if isinstance(command, SendMark) else plain(command)


def _told(commands: Sequence[Command]) -> list[list[Any]]:
    return [plain(command) for command in commands]


PASSED = _told([AppendAudio("")])
"""All that a frame which passes leads to."""
SHIELDED = _told([AppendSilence(FRAME_MS)])
"""All that a frame during a shielded greeting leads to."""


class FlightLog:
    """One stream's log. ``frame`` is on the audio path and only counts."""

    def __init__(self, name: str, plan: CallPlan, write: Write) -> None:
        self._name = name
        self._write = write
        self._buffer = bytearray(orjson.dumps({"flight": VERSION, "plan": plan}) + b"\n")
        self._run = 0
        self._run_from = (0, 0)
        self._run_until_ms = 0
        self._run_told: list[list[Any]] = []
        self._expected_ms = -1
        self.take_passed: Callable[[], Passed | None] = lambda: None
        """Where regular frames are counted that nobody tells this log about. They came after
        the frames that it was told about."""
        self.private_key: Callable[[], bool | None] = lambda: False
        """Whether the key pressed last may not be written; None while nobody knows."""
        self.private_turn: Callable[[], bool | None] = lambda: False
        """What has become known of such keys; None: nothing."""
        self._undecided: list[int] = []
        """Where in the buffer such keys stand."""
        self._part = ("", "", -1)
        self._speech: list[Any] = []

    def frame(self, now_ms: int, event: CallerAudio, commands: Sequence[Command]) -> None:
        """Caller audio: counted while it is regular, else written like anything else."""
        passed = self.take_passed()
        if passed is not None:
            self._end_runs(passed)
        if len(commands) > 1 or event.length_bytes != FRAME_BYTES:
            self.moment(now_ms, plain(event), commands)
            return
        told = _told(commands)
        if not self._run or event.timestamp_ms != self._expected_ms or told != self._run_told:
            self._end_runs(None)
            self._run_from = (now_ms, event.timestamp_ms)
            self._run_told = told
        self._run += 1
        self._run_until_ms = now_ms
        self._expected_ms = event.timestamp_ms + FRAME_MS

    def speech(self, now_ms: int, event: SpeechAudio, commands: Sequence[Command]) -> None:
        """The model's audio: what concerns one part shares a line, see ``SPEECH``."""
        self._join(event)
        told = self._speech
        told += (now_ms, event.length_bytes, len(commands))
        for command in commands:
            told.append(command.length_bytes if command.__class__ is PlayAudio else spoken(command))

    def event(self, now_ms: int, event: Event, commands: Sequence[Command]) -> None:
        """Anything but audio; words and marks that led to nothing share the line of the speech."""
        if commands:
            self.moment(now_ms, plain(event), commands)
        elif event.__class__ is MarkReturned:
            self._speech += (now_ms, None, event.name)
        elif event.__class__ is SpeechText:
            self._join(event)
            self._speech += (now_ms, event.text)
        else:
            self.moment(now_ms, plain(event), commands)

    def _join(self, event: SpeechAudio | SpeechText) -> None:
        part = (event.response_id, event.item_id, event.content_index)
        if part != self._part or len(self._speech) > LONGEST_RUN:
            self._end_runs(self.take_passed())
            self._part = part

    def _end_runs(self, passed: Passed | None) -> None:
        """Write what runs, ``passed`` included.

        A mark in the run of the speech may have lifted the shield: what was shielded came
        before it, what was heard after it.
        """
        if self._run_told == SHIELDED:
            self._end_run()
        if self._speech:
            self._line([self._speech[0], [SPEECH, *self._part, *self._speech]])
            self._speech.clear()
        self._end_run()
        if passed is not None:
            first_ms = max(0, passed.last_at_ms - (passed.count - 1) * FRAME_MS)
            run = [FRAMES, first_ms, passed.timestamp_ms, passed.count]
            self._line([passed.last_at_ms, run, PASSED])

    def _end_run(self) -> None:
        if self._run:
            run = [FRAMES, *self._run_from, self._run]
            self._line([self._run_until_ms, run, self._run_told])
            self._run = 0

    def moment(self, now_ms: int, what: list[Any], commands: Sequence[Command]) -> None:
        """Something that happened and what it led to."""
        self._end_runs(self.take_passed())
        if what[0] == KEY:
            self._key(now_ms, what, commands)
            return
        if self._undecided:
            self._decide(self.private_turn())
        self._line([now_ms, what, _told(commands)])

    def _key(self, now_ms: int, what: list[Any], commands: Sequence[Command]) -> None:
        private = self.private_key()
        if private is not None:
            self._decide(self.private_turn())
        digit = UNSAID.decode() if private else what[1]
        if private is None:
            head = orjson.dumps([now_ms, [KEY]])
            self._undecided.append(len(self._buffer) + len(head) - len(b"]]") + len(b',"'))
        self._line([now_ms, [KEY, digit], _told(commands)])

    def _decide(self, private: bool | None) -> None:
        """Whether keys of a moment ago may stand where they do, if that is known by now."""
        if not self._undecided or private is None:
            return
        for at in self._undecided if private else ():
            if self._buffer[at] in _SPELLED_OUT:
                self._buffer[at : at + 1] = UNSAID
        self._undecided.clear()

    def _line(self, line: list[Any]) -> None:
        # One buffer, because each result of orjson keeps the kilobytes it was written in.
        self._buffer += orjson.dumps(line)
        self._buffer += b"\n"
        if len(self._buffer) > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is, but for keys that may yet be nobody's to know; safe at any
        moment."""
        until = self._buffer.rfind(b"\n", 0, self._undecided[0]) + 1 if self._undecided else None
        ready = bytes(self._buffer[:until])
        if ready:
            self._write(self._name, ready)
            del self._buffer[:until]
            self._undecided = [at - len(ready) for at in self._undecided]

    def close(self) -> None:
        """The stream is over. Keys that nobody was told are nobody's."""
        self._end_runs(self.take_passed())
        private = self.private_turn()
        self._decide(private is None or private)
        self.flush()


class Hangar:
    """The directory of flight logs, written by one thread of its own.

    Bounded: when the disk is slower than the calls, pieces are dropped and counted rather
    than the loop kept waiting; for every log too many the one goes that was not written to for
    the longest time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flight-log")
        self._waiting = 0
        self._logs: OrderedDict[Path, None] = OrderedDict()
        """By last writing, oldest first; the thread's alone once there is one."""
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        """Calls that were erased lately; the thread's alone."""
        self.dropped = 0

    def open(self) -> None:
        """Make the directory and let go of the oldest logs. Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        logs = sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        self._logs = OrderedDict.fromkeys(logs)
        self._prune()

    def _prune(self) -> None:
        while len(self._logs) > MOST_FILES:
            old, _ = self._logs.popitem(last=False)
            old.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Where the log of that name is."""
        return self._folder / f"{name}.jsonl"

    def write(self, name: str, data: bytes) -> None:
        """Append soon; never blocks."""
        if self._waiting >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting += 1
        self._thread.submit(self._append, name, data)

    def _append(self, name: str, data: bytes) -> None:
        path = self.path(name)
        try:
            if name.rpartition("-")[0] in self._forgotten:
                return
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
            self._logs[path] = None
            self._logs.move_to_end(path)
            self._prune()
        except OSError:
            self.dropped += 1
        finally:
            self._waiting -= 1

    async def forget(self, call_id: str) -> None:
        """Remove every log of a call that is over; what comes later is not written any more."""
        await asyncio.wrap_future(self._thread.submit(self._remove_all, call_id))

    async def calls(self) -> list[str]:
        """The calls that there are logs of, by their ids."""
        return await asyncio.wrap_future(self._thread.submit(self._calls))

    def _calls(self) -> list[str]:
        return sorted({path.stem.rpartition("-")[0] for path in self._folder.glob("*.jsonl")})

    async def expire(self, older_than_s: float) -> None:
        """Remove the logs that were not written to since then, in seconds since 1970."""
        await asyncio.wrap_future(self._thread.submit(self._remove, "*", older_than_s))

    def _remove_all(self, call_id: str) -> None:
        self._forgotten[call_id] = None
        while len(self._forgotten) > MOST_FILES:
            self._forgotten.popitem(last=False)
        self._remove(f"{glob.escape(call_id)}-*")

    def _remove(self, names: str, older_than_s: float = math.inf) -> None:
        for path in list(self._folder.glob(f"{names}.jsonl")):
            # Several processes may share the folder, and be at the same.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than_s:
                    path.unlink()
                    self._logs.pop(path, None)

    def close(self) -> None:
        """Wait until everything is written. Blocks; not for the loop."""
        self._thread.shutdown(wait=True)
