"""Voice processes that can be killed in the middle of the demonstration, and one that is.

As an operator has them: with PostgreSQL (``DATABASE_URL``) two processes behind one address, of
which one is left; without, one on SQLite, which is started again at once, as a service manager
does it. Rule: the process that is killed is the one that has the caller's stream, and nothing
is done for the call but what is done for the process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.emulators.demo_front import Front
from app.emulators.demo_server import running
from app.emulators.demo_story import Screen, Story
from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import monotonic_ms

_RETURNING_S = 40.0
"""For a process to start on a busy machine, and for Twilio to be answered."""


@dataclass(frozen=True, slots=True)
class Death:
    """What the kill was to the caller."""

    heard_ms: int
    """How much of the answer that was cut off the ear had heard."""
    silence_ms: int
    """From the kill to the next word."""
    before_ms: int
    """How much of the call had been heard before that word."""


class Voices:
    """The processes behind ``front``, by their ports."""

    def __init__(self, folder: Path, front: Front, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._front = front
        self._environment = environment
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stack = contextlib.AsyncExitStack()

    async def start(self, port: int) -> int:
        """One more process; its id, once it takes calls. Raises ``ServerFault``."""
        life = running(
            self._folder,
            f"http://127.0.0.1:{port}",
            {**self._environment, "PORT": str(port)},
            log=f"server-{port}.log",
        )
        self._processes[port] = await self._stack.enter_async_context(life)
        return self._processes[port].pid

    async def end(self) -> None:
        """End them all."""
        await self._stack.aclose()

    async def kill(self, call: EmulatedCall, story: Story, screen: Screen) -> Death:
        """``kill -9`` to the process that has the stream; returns when the agent is heard again.

        Raises TimeoutError where it is not, and ``ServerFault``.
        """
        answer, stream, port = story.utterances[-1], call.stream, self._front.carrying
        self._processes[port].kill()
        died_at_ms, heard_ms = monotonic_ms(), call.heard_ms - answer.before_ms
        pid = self._processes[port].pid
        screen.tell("kill", f"-9 {pid}, which has the call, in the middle of the answer:")
        screen.tell("", f"the ear heard {heard_ms:,} of {answer.length_ms:,} ms")
        await self._processes[port].wait()
        await call.until(lambda: stream.end is not None)
        before_ms = call.heard_ms
        if len(self._processes) == 1:
            screen.tell("start", f"{await self.start(port)}, in its place")
        await call.until(lambda: call.over or call.heard_ms > before_ms, _RETURNING_S)
        silence_ms = round(monotonic_ms() - died_at_ms)
        screen.tell("silence", f"of {silence_ms:,} ms is over")
        return Death(heard_ms, silence_ms, before_ms)


@contextlib.asynccontextmanager
async def voices(
    folder: Path, front: Front, environment: Mapping[str, str]
) -> AsyncIterator[Voices]:
    """A process at each port of ``front``. Raises ``ServerFault``."""
    processes = Voices(folder, front, environment)
    try:
        for port in front.ports:
            await processes.start(port)
        yield processes
    finally:
        await processes.end()
