"""The local carrier as a process: what it says, and that it never outlives who started it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.walks.telephone import TICKET

COMMAND = [sys.executable, "-m", "app.emulators", "carrier", "--server", "http://127.0.0.1:9"]
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "PHONE_TICKET": TICKET}
LIMIT_S = 60


@contextlib.contextmanager
def started(*more: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The process, gone afterwards."""
    options = {"stdin": subprocess.PIPE, "env": ENVIRONMENT} | options
    process = subprocess.Popen(
        [*COMMAND, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line it says when it is there."""
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def test_it_says_where_it_listens_and_on_this_machine_only() -> None:
    """Another process starts it and connects to what this line says."""
    with started() as process:
        told = ready(process)

        assert told["ready"] is True
        assert told["phone"] == f"ws://127.0.0.1:{told['port']}/phone"
        assert told["api"] == f"http://127.0.0.1:{told['api_port']}"
        assert "ticket" not in told


def test_a_ticket_nobody_gave_is_made_up_and_told() -> None:
    """Without one the socket would be open to every page."""
    with started(env={"PATH": ENVIRONMENT["PATH"]}) as process:
        assert len(ready(process)["ticket"]) > 20


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(sign: signal.Signals) -> None:
    """No traceback, and nothing left."""
    with started() as process:
        ready(process)
        process.send_signal(sign)
        _, complaints = process.communicate(timeout=LIMIT_S)

        assert (process.returncode, complaints) == (0, "")


def test_it_ends_when_its_input_is_closed() -> None:
    """The pipe of a parent that was killed closes by itself."""
    with started() as process:
        ready(process)
        _, complaints = process.communicate(timeout=LIMIT_S)

        assert (process.returncode, complaints) == (0, "")


def test_it_goes_on_without_an_input() -> None:
    """A service has none from the beginning."""
    with started(stdin=subprocess.DEVNULL) as process:
        ready(process)

        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the system does not tell")
def test_it_ends_when_its_parent_is_killed() -> None:
    """Even if the input stays open: here the pipe is the test's, and the parent another."""
    reading, writing = os.pipe()
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({COMMAND!r}, stdin={reading}, env={ENVIRONMENT!r})\n"
        "print(child.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent],
        pass_fds=[reading],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        child = os.pidfd_open(int(process.stderr.readline()))
        ready(process)
        process.kill()
        process.wait()
        ended, _, _ = select.select([child], [], [], LIMIT_S)
        os.close(child)

        assert ended
    finally:
        process.kill()
        process.communicate()
        os.close(reading)
        os.close(writing)


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    """And the process ends with 1, without a traceback."""
    with started() as first:
        port = ready(first)["port"]
        with started("--port", str(port)) as second:
            _, complaints = second.communicate(timeout=LIMIT_S)

            assert second.returncode == 1
            assert complaints.startswith("The carrier cannot listen: ")
            assert "LOCAL_LINE_PORT" in complaints
            assert "Traceback" not in complaints
