"""The server under test as a process: started, pinned, measured from ``/proc``, always ended.

One rule: nothing survives the bench. The child is ended by SIGTERM, then SIGKILL, and the
kernel kills it if the bench itself is killed.
"""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_ERROR_LINE = re.compile(rb'"level": ?"(?:error|critical)"|^Traceback|\[(?:error|critical)', re.M)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process had used and held at one moment."""

    at_s: float
    cpu_s: float
    rss_kib: int
    threads: int
    open_files: int
    waited_s: float
    """Ready to run, but something else had the core: neighbours, not our own cost."""


def usage(pid: int | str = "self") -> Usage:
    """The present usage of a process. Raises OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(
        at_s=time.perf_counter(),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        rss_kib=pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        threads=int(fields[17]),
        open_files=len(os.listdir(f"/proc/{pid}/fd")),
        waited_s=_waited_s(pid),
    )


def _waited_s(pid: int | str) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (FileNotFoundError, IndexError):
        return 0.0


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started inside are pinned to ``core``; None pins nothing."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerProcess:
    """A started server and its log."""

    def __init__(
        self, command: list[str], *, environment: dict[str, str], folder: Path, core: int | None
    ) -> None:
        self.log = folder / "server.log"
        with on_core(core), self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # the parent has one thread here
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ended(self) -> bool:
        """True when the process is gone."""
        return self._process.poll() is not None

    def log_errors(self) -> int:
        """Lines of the log that report an error."""
        return len(_ERROR_LINE.findall(self.log.read_bytes()))

    def log_tail(self) -> str:
        """The end of the log."""
        return self.log.read_bytes()[-4000:].decode(errors="replace")

    async def end(self, patience_s: float = 5.0) -> bool:
        """Stop it; True if it went by itself within ``patience_s`` of SIGTERM."""
        if not self.ended():
            self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Stop it at once, and wait until it is gone."""
        if not self.ended():
            self._process.kill()
        self._process.wait()
