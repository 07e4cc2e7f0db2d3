"""Jobs processes without the second of importing that each of them would begin with.

One process that has imported everything forks those that the tests start: each has a memory, a
loop, signals, an input and an output of its own, and dies as a process does. (That the command
starts from nothing is tested where the server starts it.)
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_MOST_BYTES = 65_536


class Born:
    """A process, with as much of ``asyncio.subprocess.Process`` as the tests need."""

    def __init__(self, stdin: int) -> None:
        self.stdin = os.fdopen(stdin, "wb", buffering=0)
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()
        self.pid = 0
        self.returncode: int | None = None
        self.news = asyncio.StreamReader()
        """Its pid, and when it has ended its exit status."""

    def send_signal(self, sign: int) -> None:
        """To a process that may be gone."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As the machine would."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit status, negative for a signal, once it has ended."""
        if self.returncode is None:
            self.returncode = int(await self.news.readline())
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Close its input; what it said and what it logged, once it has ended."""
        self.stdin.close()
        said = await self.stdout.read(), await self.stderr.read()
        await self.wait()
        await self.news.read()
        return said


class Nursery:
    """The process that forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    async def bear(self, environment: Mapping[str, str], *, heard: bool = False) -> Born:
        """A jobs process with this environment; ``heard``: what it logs is kept for us."""
        input_, stdin = os.pipe()
        born = Born(stdin)
        output, errors, report = [
            await _written_to(one) for one in (born.stdout, born.stderr, born.news)
        ]
        theirs = [input_, output, errors if heard else 2, report]
        socket.send_fds(self._control, [json.dumps(dict(environment)).encode()], theirs)
        for one in (input_, output, errors, report):
            os.close(one)
        born.pid = int(await born.news.readline())
        return born


async def _written_to(reader: asyncio.StreamReader) -> int:
    """A pipe that is read here."""
    ours, theirs = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb")
    )
    return theirs


@contextmanager
def nursery() -> Iterator[Nursery]:
    """One for the tests of this worker."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.nursery", str(theirs.fileno())],
            cwd=_ROOT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        try:
            yield Nursery(ours)
        finally:
            ours.close()
            process.wait()


def _fork_for(control: socket.socket) -> None:
    """Fork for whoever asks, until nobody can ask any more; returns in the children only."""
    while True:
        wish, files, _, _ = socket.recv_fds(control, _MOST_BYTES, 4)
        if not wish:
            _bury(0)
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _watched(json.loads(wish), files)
            return
        for one in files:
            os.close(one)
        _bury(os.WNOHANG)


def _bury(how: int) -> None:
    """The wardens that have ended, or with 0 all of them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _watched(environment: dict[str, Any], files: list[int]) -> None:
    """Fork once more: the parent waits and tells the exit status; returns in the child."""
    *standard, report = files
    child = os.fork()
    if child == 0:
        for number, file in enumerate(standard):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        return
    for file in standard:
        os.close(file)
    with suppress(BrokenPipeError):
        os.write(report, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    from tests.jobs.worker import main

    _fork_for(socket.socket(fileno=int(sys.argv[1])))
    main()
