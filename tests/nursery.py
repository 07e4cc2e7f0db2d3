"""Processes of ours without the second of importing that each of them would begin with.

A process that has imported everything forks those that the tests start: each has a memory, a
loop, signals, an input and an output of its own, and dies as a process does. (That the commands
start from nothing is tested elsewhere.)
"""

import asyncio
import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


class Errors(Enum):
    """Where a process writes what it logs."""

    HERE = auto()
    """Where the tests write."""
    APART = auto()
    WITH_OUTPUT = auto()


async def born(
    module: str,
    *arguments: str,
    loaded: tuple[str, ...],
    folder: Path = ROOT,
    environment: Mapping[str, str],
    errors: Errors = Errors.HERE,
) -> Born:
    """``python -m module arguments`` in ``folder`` with this environment and no other, forked
    off a process that has ``loaded`` these modules."""
    input_, stdin = os.pipe()
    made = Born(stdin)
    pipes = [await _written_to(one) for one in (made.stdout, made.stderr, made.news)]
    output, apart, report = pipes
    where = {Errors.HERE: 2, Errors.APART: apart, Errors.WITH_OUTPUT: output}[errors]
    wish = [module, arguments, str(folder), dict(environment)]
    theirs = [input_, output, where, report]
    socket.send_fds(_nursery(*loaded), [json.dumps(wish).encode()], theirs)
    for one in (input_, *pipes):
        os.close(one)
    made.pid = int(await made.news.readline())
    return made


async def _written_to(reader: asyncio.StreamReader) -> int:
    """A pipe that is read here."""
    ours, theirs = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb")
    )
    return theirs


@cache
def _nursery(*loaded: str) -> socket.socket:
    """The way to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.nursery", str(theirs.fileno()), *loaded],
        cwd=ROOT,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _forked(control: socket.socket) -> tuple[str, list[str]]:
    """Fork for whoever asks, until nobody can ask any more; returns in the children only, what
    each of them is to be."""
    while True:
        wish, files, _, _ = socket.recv_fds(control, _MOST_BYTES, 4)
        if not wish:
            _bury(0)
            os._exit(0)
        if os.fork() == 0:
            control.close()
            module, arguments, folder, environment = json.loads(wish)
            _watch(files)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            sys.path.insert(0, folder)
            return module, arguments
        for one in files:
            os.close(one)
        _bury(os.WNOHANG)


def _bury(how: int) -> None:
    """The wardens that have ended, or with 0 all of them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _watch(files: list[int]) -> None:
    """Fork once more: the parent waits and tells the exit status; returns in the child."""
    *standard, report = files
    child = os.fork()
    if child == 0:
        for number, file in enumerate(standard):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        return
    for file in standard:
        os.close(file)
    with suppress(BrokenPipeError):
        os.write(report, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    wanted, given = _forked(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[1:] = given
    runpy.run_module(wanted, run_name="__main__", alter_sys=True)
