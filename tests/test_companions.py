"""Processes beside the server: they start, come back, and never outlive it."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from app.companions import Companion, CompanionFault, Programme

LIMIT_S = 60


class Starts:
    """Hears of every start of a companion, and of its end: the socket closes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(LIMIT_S)
        self._lives: list[socket.socket] = []

    @property
    def programme(self) -> Programme:
        """A double that tells this listener."""
        port = self._server.getsockname()[1]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return Programme("double", ("tests.companion_double", str(port)), environment)

    def next(self) -> dict[str, Any]:
        """What the next life says of itself; raises TimeoutError."""
        life, _ = self._server.accept()
        life.settimeout(LIMIT_S)
        self._lives.append(life)
        with life.makefile() as lines:
            return dict(json.loads(lines.readline()))

    def last_is_over(self) -> bool:
        """Whether the latest life has ended; waits for it, raises TimeoutError."""
        return self._lives[-1].recv(1) == b""

    def close(self) -> None:
        """Hear of nothing more."""
        for one in (self._server, *self._lives):
            one.close()


@pytest.fixture
def starts() -> Iterator[Starts]:
    """A listener for one test."""
    listening = Starts()
    yield listening
    listening.close()


def test_a_companion_lives_as_long_as_the_server(starts: Starts) -> None:
    """A model that is left behind would hold its port against the next start."""
    with Companion(starts.programme) as companion:
        life = starts.next()
        assert companion.ready == {"ready": True, "port": 1234}
        assert companion.pid == life["pid"]

    assert starts.last_is_over()


def test_a_companion_that_dies_comes_back_on_its_port(starts: Starts) -> None:
    """The page and the settings of the server know the port of its first life."""
    with Companion(starts.programme):
        first = starts.next()
        os.kill(first["pid"], signal.SIGKILL)
        second = starts.next()

        assert second["pid"] != first["pid"]
        assert second["port"] == first["port"]

    assert starts.last_is_over()


def test_what_a_companion_says_of_itself_later_is_known(starts: Starts) -> None:
    """It may have stepped down since its start; what is no news is passed over."""
    with Companion(starts.programme) as companion:
        starts.next()

    assert companion.newest == {"ready": True, "port": 1234, "hear": "less"}
    assert companion.ready == {"ready": True, "port": 1234}


def test_a_companion_that_does_not_start_is_named(starts: Starts) -> None:
    """A server without the model it announced would take calls into silence."""
    programme = starts.programme
    mute = Programme(programme.name, (*programme.arguments, "--mute"), programme.environment)

    with pytest.raises(CompanionFault, match="local double did not start"), Companion(mute):
        pytest.fail("it is not there")
