"""One clock for every emulated call: a wheel of one-millisecond slots.

One rule: no task and no loop timer per call. The caller frames of all calls lie in twenty
phases of the 20 ms frame; everything else waits in the slot of its millisecond.
"""

import asyncio
import time
from collections.abc import Callable

from bench_tally import Tally
from bench_wire import FRAME_MS

SLOTS = 1 << 15
_MASK = SLOTS - 1
NS_PER_MS = 1_000_000

Callback = Callable[[], None]


class Wheel:
    """Runs callbacks at whole milliseconds; late ones run at once and in order."""

    __slots__ = ("_current_ms", "_handle", "_loop", "_phases", "_slots", "_tally")

    def __init__(self, loop: asyncio.AbstractEventLoop, tally: Tally) -> None:
        self._loop = loop
        self._tally = tally
        self._current_ms = time.perf_counter_ns() // NS_PER_MS
        self._slots: list[list[Callback]] = [[] for _ in range(SLOTS)]
        self._phases: list[list[Callback]] = [[] for _ in range(FRAME_MS)]
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to turn."""
        self._current_ms = time.perf_counter_ns() // NS_PER_MS
        self._handle = self._loop.call_later(0.001, self._turn)

    def stop(self) -> None:
        """Stop turning; what is waiting never runs."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def after(self, delay_ms: int, callback: Callback) -> None:
        """Run ``callback`` in ``delay_ms``, between 1 ms and 32 s from now."""
        self._slots[(self._current_ms + min(max(1, delay_ms), _MASK)) & _MASK].append(callback)

    def at(self, due_ns: int, callback: Callback) -> None:
        """Run ``callback`` at the first whole millisecond not before ``due_ns``."""
        self.after(-(-due_ns // NS_PER_MS) - self._current_ms, callback)

    def join(self, phase: int, callback: Callback) -> None:
        """Run ``callback`` every 20 ms, at ``phase`` of the frame, until it leaves."""
        self._phases[phase % FRAME_MS].append(callback)

    def leave(self, phase: int, callback: Callback) -> None:
        """Undo ``join``; harmless when it was undone before."""
        if callback in self._phases[phase % FRAME_MS]:
            self._phases[phase % FRAME_MS].remove(callback)

    def _turn(self) -> None:
        self._handle = self._loop.call_later(0.001, self._turn)
        now_ns = time.perf_counter_ns()
        now_ms = now_ns // NS_PER_MS
        if self._tally.measuring:
            self._tally.lateness.add(max(0, now_ns - (self._current_ms + 1) * NS_PER_MS))
        while self._current_ms < now_ms:
            self._current_ms += 1
            for callback in self._phases[self._current_ms % FRAME_MS]:
                callback()
            slot = self._slots[self._current_ms & _MASK]
            if slot:
                self._slots[self._current_ms & _MASK] = []
                for callback in slot:
                    callback()
