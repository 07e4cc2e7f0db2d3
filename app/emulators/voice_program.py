"""Running a program that speaks: its text goes in as an argument, its sound comes out.

In a thread and not as an asyncio subprocess: one that is cancelled while it starts or writes may
wait for its own end for good, and whoever speaks with it (7 of 60; Python 3.11, 2026-11). Rule:
nothing of it outlives whoever waits for it, at whatever moment that ends, and of our environment
it gets what programs need and nothing secret.
"""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

_SHOWN_CHARS = 200
_GIVEN = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT"),
    "ESPEAK_DATA_PATH",
)
"""What a program needs to run at all. It is handed what strangers say, so it gets no key."""


class VoiceFault(Exception):
    """Something could not be said; the message says why."""


async def sound_of(name: str, command: Sequence[str], *, within_s: float) -> bytes:
    """What ``command`` wrote to its standard output. Raises ``VoiceFault``.

    Cancelling kills the program.
    """
    run = _Run(command, within_s)
    try:
        said = await asyncio.to_thread(run.to_its_end)
    except (OSError, ValueError, RuntimeError) as exc:
        # No program, process or thread any more, or text that no argument can hold.
        raise VoiceFault(f"{name} cannot be run: {exc}") from exc
    except subprocess.TimeoutExpired:
        raise VoiceFault(f"{name} said nothing for {within_s:g} s") from None
    finally:
        run.kill()
    if said.status or not said.sound:
        complaint = said.complaint.decode(errors="replace").strip()
        raise VoiceFault(f"{name} failed: {complaint[:_SHOWN_CHARS]}")
    return said.sound


class _Said(NamedTuple):
    status: int
    sound: bytes
    complaint: bytes


class _Run:
    """One life of a program; ``kill`` comes from another thread, and at any moment.

    Each side says what it did before it looks at what the other did: one of them sees both.
    """

    def __init__(self, command: Sequence[str], within_s: float) -> None:
        self._command = command
        self._within_s = within_s
        self._process: subprocess.Popen[bytes] | None = None
        self._unwanted = False

    def to_its_end(self) -> _Said:
        """Blocks. Raises ``OSError``, ``ValueError``, ``TimeoutExpired``."""
        with subprocess.Popen(
            self._command,
            env={name: os.environ[name] for name in _GIVEN if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            self._process = process
            if self._unwanted:
                process.kill()
            try:
                sound, complaint = process.communicate(timeout=self._within_s)
            finally:
                process.kill()
        return _Said(process.returncode, sound, complaint)

    def kill(self) -> None:
        """End it, also where it has not begun; nothing when it is over."""
        self._unwanted = True
        if self._process is not None:
            self._process.kill()
