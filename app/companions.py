"""The local model and the local carrier: processes beside the server, in an account's place.

A process each, because a recogniser holds the interpreter's lock and because they stand for
other companies: the server talks to them over the same sockets, with the same secrets, as to
the real ones. Rule: a companion never outlives the server (its standard input is a pipe from
here, and it ends when that closes), and one that dies is started again on the same port.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import structlog

READY_WITHIN_S = 20
END_WITHIN_S = 5
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 60
_ROOT = Path(__file__).parents[1]

log = structlog.get_logger("companions")


class CompanionFault(Exception):
    """A companion did not start; the message is one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class Programme:
    """How a companion is started."""

    name: str
    """What it stands for: ``model``, ``carrier``."""
    arguments: tuple[str, ...]
    """Behind ``python -m``; they may depend on the port of an earlier life (``with_port``)."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All of it; what is secret goes this way and not by the arguments."""

    def with_port(self, ready: Mapping[str, Any]) -> tuple[str, ...]:
        """The arguments of a later life, on the ports of the first."""
        ports = {name: value for name, value in ready.items() if name.endswith("port")}
        out = list(self.arguments)
        for name, value in ports.items():
            out += [f"--{name.replace('_', '-')}", str(value)]
        return tuple(out)


class Companion:
    """One process, started again when it dies. Use it with ``with``."""

    def __init__(self, programme: Programme) -> None:
        self._programme = programme
        self._process: subprocess.Popen[str] | None = None
        self._leaving = threading.Event()
        self._watch: threading.Thread | None = None
        self.ready: dict[str, Any] = {}
        """What it said of itself when it first was ready."""
        self.newest: dict[str, Any] = {}
        """What it said of itself since: every name's newest value."""

    def begin(self) -> Self:
        """Start it without waiting; ``with`` must follow."""
        self._process = self._spawn(self._programme.arguments)
        return self

    def __enter__(self) -> Self:
        """Start it, unless that was done, and wait until it is ready. Raises ``CompanionFault``."""
        process = self._process or self._spawn(self._programme.arguments)
        self._process = process
        self.ready = self.newest = self._first_word(process)
        self._watch = threading.Thread(
            target=self._keep, name=f"companion-{self._programme.name}", daemon=True
        )
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it: its input is closed, and it is killed if that does not help."""
        self._leaving.set()
        self._end()
        if self._watch is not None:
            self._watch.join(END_WITHIN_S)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None else None

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=dict(self._programme.environment),
            start_new_session=True,  # Ctrl-C is for the server, which drains first
        )

    def _first_word(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """The line that says it is ready."""
        alarm = threading.Timer(READY_WITHIN_S, process.kill)
        alarm.start()
        try:
            line = process.stdout.readline() if process.stdout else ""
        finally:
            alarm.cancel()
        ready = _said(line)
        if ready is None:
            process.kill()
            _bury(process)
            raise CompanionFault(
                f"The local {self._programme.name} did not start: what it said is above."
            )
        return ready

    def _keep(self) -> None:
        """Start it again whenever it ends, until we leave."""
        pause_s = FIRST_PAUSE_S
        while not self._leaving.is_set():
            began_at = monotonic()
            self._outlive()
            if self._leaving.is_set():
                return
            pause_s = FIRST_PAUSE_S if monotonic() - began_at > HEALTHY_S else 2 * pause_s
            if self._leaving.wait(min(LONGEST_PAUSE_S, pause_s)):
                return
            self._start_again()
        # It was started again just when we began to leave.
        self._end()
        self._outlive()

    def _outlive(self) -> None:
        """Read what it says until it is gone, so that it never waits for a reader."""
        process = self._process
        if process is None or process.stdout is None:
            return
        with contextlib.suppress(ValueError):  # closed by whoever leaves
            for line in process.stdout:
                log.debug("companion_said", name=self._programme.name, line=line.rstrip())
                # Another whole, never changed in place: others read it from their threads.
                self.newest = {**self.newest, **(_said(line) or {})}
        status = _bury(process)
        if not self._leaving.is_set():
            log.error("companion_died", name=self._programme.name, status=status)

    def _start_again(self) -> None:
        try:
            self._process = self._spawn(self._programme.with_port(self.ready))
            self.newest = self._first_word(self._process)
        except (CompanionFault, OSError) as fault:
            log.warning("companion_not_started", name=self._programme.name, reason=str(fault))
            self._process = None
        else:
            log.info("companion_started", name=self._programme.name)

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _said(line: str) -> dict[str, Any] | None:
    """The JSON object in a line; None where there is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _bury(process: subprocess.Popen[str]) -> int:
    """Wait for its end and give back its pipes; returns its exit status."""
    status = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    return status
