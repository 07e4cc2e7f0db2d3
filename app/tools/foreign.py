"""Running code that somebody else wrote, so that nothing it does is a surprise.

A tool is the operator's program inside ours: it may raise anything, call sys.exit or never
return. The one rule: what foreign code did comes back as a value, never as an exception, and
a thread it keeps stays counted until it is really free.
"""

import asyncio
import contextlib
import contextvars
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from types import TracebackType


class Attempt:
    """A ``with`` block around foreign code: either ``value`` or ``fault`` is its outcome.

    Everything raised inside becomes ``fault``, except what ``passes`` names.
    """

    __slots__ = ("_passes", "fault", "value")

    def __init__(self, *passes: type[BaseException]) -> None:
        self._passes = passes
        self.value: object = None
        self.fault: BaseException | None = None

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        fault: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if fault is None or isinstance(fault, self._passes):
            return False
        self.fault = fault
        return True


def place_of(fault: BaseException) -> str:
    """File name and line where ``fault`` was raised: what may be logged of a stranger's error.

    Its message may quote arguments. Empty when there is no trace.
    """
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


class ThreadsBusy(Exception):
    """As many threads as there may be are running tools, finished for the caller or not."""


class ToolThreads:
    """Threads for tools that block, ``limit`` of them at most and one for each run.

    There is no queue: a caller on the telephone cannot wait for somebody else's hung tool,
    so one too many raises ThreadsBusy. The threads are daemons, because a pool's would be
    joined at exit and a tool that never returns would keep the process alive.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._running = 0
        self._closed = False

    @property
    def running(self) -> int:
        """Threads in use, those included whose result nobody waits for any more."""
        return self._running

    async def run(self, function: Callable[[], object]) -> Attempt:
        """Call ``function`` in a thread, with the caller's context variables.

        Raises ThreadsBusy. Cancelling stops the waiting; the thread goes on and stays counted.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Attempt] = loop.create_future()
        with self._lock:
            if self._closed or self._running >= self._limit:
                raise ThreadsBusy
            self._running += 1
        work = partial(contextvars.copy_context().run, function)
        thread = threading.Thread(target=self._work, args=(work, loop, done), daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            # The system has no thread to give.
            with self._lock:
                self._running -= 1
            raise ThreadsBusy from exc
        return await done

    def close(self) -> None:
        """Start no further thread; those that run are left to themselves."""
        self._closed = True

    def _work(
        self,
        function: Callable[[], object],
        loop: asyncio.AbstractEventLoop,
        done: "asyncio.Future[Attempt]",
    ) -> None:
        with Attempt() as attempt:
            attempt.value = function()
        with self._lock:
            self._running -= 1
        # The loop is closed when a tool outlives the server.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver, done, attempt)


def _deliver(done: "asyncio.Future[Attempt]", attempt: Attempt) -> None:
    if not done.done():
        done.set_result(attempt)
