"""The command ``python -m app serve`` with a probe on its loop, which is how late the loop is.

    python -m scripts.bench_local_server moments.json [--stacks 10]

Every 5 ms the loop is asked to come back; how late it comes is what a frame would have waited.
For each time the kernel says what this thread did since the last one: how long it had a core,
and how long it was ready and had none, because somebody else had it. Where it had neither it
slept, in a system call or for the interpreter's lock, which is ours as well. Rule: nothing of the
server is replaced but the class that runs it, by one that starts the probe and writes it down.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from array import array
from collections import Counter
from pathlib import Path
from socket import socket
from typing import Any

from app import server
from app.__main__ import cli
from app.server import DrainingServer

EVERY_MS = 5
FIELDS = ("at_s", "late_ms", "ran_ms", "waited_ms")


class Probe:
    """How late the loop of this thread is, and what the thread did meanwhile."""

    def __init__(self) -> None:
        self.columns = {name: array("d") for name in FIELDS}
        """One entry a tick; arrays, so that there is nothing for the collector."""
        self.due_s = time.monotonic()
        """When the loop is to come back; others may look."""
        self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._loop = asyncio.get_running_loop()
        self._thread_s = self._waited_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._tick()

    def close(self) -> None:
        """No more ticks."""
        if self._alarm is not None:
            self._alarm.cancel()
        os.close(self._schedule)

    def _tick(self) -> None:
        now_s, thread_s = time.monotonic(), time.thread_time()
        waited_s = int(os.pread(self._schedule, 64, 0).split()[1]) / 1e9
        moment = (
            now_s,
            1000 * (now_s - self.due_s),
            1000 * (thread_s - self._thread_s),
            1000 * (waited_s - self._waited_s),
        )
        for name, value in zip(FIELDS, moment, strict=True):
            self.columns[name].append(value)
        self._thread_s, self._waited_s = thread_s, waited_s
        self.due_s = now_s + EVERY_MS / 1000
        self._alarm = self._loop.call_later(EVERY_MS / 1000, self._tick)


class Collections:
    """How long the collector of garbage stopped everything, each time."""

    def __init__(self) -> None:
        self.took = array("d")
        """Milliseconds."""
        self._began_s = 0.0
        gc.callbacks.append(self._told)

    def _told(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.monotonic()
        else:
            self.took.append(1000 * (time.monotonic() - self._began_s))


class Watcher(threading.Thread):
    """Looks at what the loop's thread is doing whenever the loop is late. Disturbs it a little."""

    def __init__(self, probe: Probe, late_ms: float) -> None:
        super().__init__(name="watcher", daemon=True)
        self.seen: Counter[str] = Counter()
        self._probe = probe
        self._late_s = late_ms / 1000
        self._watched = threading.get_ident()
        self._over = threading.Event()

    def run(self) -> None:
        """Look until ``close``."""
        while not self._over.wait(0.002):
            if time.monotonic() - self._probe.due_s > self._late_s:
                frame = sys._current_frames().get(self._watched)
                self.seen["".join(traceback.format_stack(frame)[-8:])] += 1

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


class Probed(DrainingServer):
    """Serves as ever; the probe begins with it and is written down at its end."""

    file = Path()
    late_ms: float | None = None
    """From which lateness on to look at the stack; None: never."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin, also to measure."""
        await super().startup(sockets)
        self._known = frozenset(sys.modules)
        self._probe, self._collections = Probe(), Collections()
        self._watcher = Watcher(self._probe, self.late_ms) if self.late_ms else None
        if self._watcher is not None:
            self._watcher.start()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End, and tell."""
        self._probe.close()
        if self._watcher is not None:
            self._watcher.close()
        self.file.write_text(json.dumps(self._told()), encoding="utf-8")
        await super().shutdown(sockets)

    def _told(self) -> dict[str, Any]:
        return {
            "moments": {name: list(values) for name, values in self._probe.columns.items()},
            "collections_ms": list(self._collections.took),
            "imported": [name for name in sys.modules if name not in self._known],
            "stacks": self._watcher.seen.most_common(20) if self._watcher is not None else [],
        }


def main() -> None:
    """Serve, and write ``file`` when told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--stacks", type=float, help="look at the stack when so many ms late")
    given = parser.parse_args()
    Probed.file, Probed.late_ms = given.file.resolve(), given.stacks
    server.DrainingServer = Probed  # type: ignore[misc]
    cli(["serve"])


if __name__ == "__main__":
    main()
