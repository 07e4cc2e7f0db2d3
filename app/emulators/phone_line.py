"""The telephone as an ear hears it: what was played, when, and what never was.

Twilio queues what a server sends and plays it at exactly 8,000 bytes a second; a server may
send faster, and then what was *sent* and what was *heard* part ways. This file keeps the
truth about the second. Rule: one clock in whole bytes. A moment is a tick, the number of
bytes that could have been played since the line opened, so nothing drifts and no rounding
adds up. The line reads no clock itself: every method is told the time.
"""

from collections import deque
from dataclasses import dataclass

from app.protocol.units import BYTES_PER_MS, MULAW_SILENCE, bytes_of_ms

BUFFER_LIMIT_MS = 10 * 60 * 1000
"""Twilio discards what is sent beyond ten minutes of unplayed audio (warning 31931)."""

_TICK_TOLERANCE = 1e-3
"""Of a byte: a moment computed from a tick must find that tick again despite floats."""


@dataclass(slots=True)
class SentChunk:
    """One piece of audio a server sent, and how much of it reached the ear so far."""

    received_at_ms: float
    started_at_ms: float | None
    """When its first byte was played; None as long as, or if, none was."""
    length_bytes: int
    heard_bytes: int = 0


@dataclass(slots=True)
class _Queued:
    chunk: SentChunk
    audio: bytes
    start_tick: int

    @property
    def end_tick(self) -> int:
        return self.start_tick + len(self.audio)


class PhoneLine:
    """Play-out of one stream. All times are milliseconds on one rising clock of the caller's.

    A time earlier than one already given counts as that one. ``keep_audio=False`` remembers
    totals only, for lines that stay open for hours.
    """

    def __init__(
        self,
        *,
        now_ms: float,
        buffer_limit_ms: int = BUFFER_LIMIT_MS,
        keep_audio: bool = True,
    ) -> None:
        self.opened_at_ms = now_ms
        self.chunks: list[SentChunk] = []
        self.heard_bytes = 0
        self.discarded_bytes = 0
        self._limit_bytes = bytes_of_ms(buffer_limit_ms)
        self._keep_audio = keep_audio
        self._timeline = bytearray()
        self._queue: deque[_Queued] = deque()
        self._marks: deque[tuple[int, str]] = deque()
        self._tick = 0
        self._end_tick = 0

    @property
    def heard(self) -> bytes:
        """Mu-law heard from the opening of the line to the last moment given, silences kept."""
        missing = self._tick - len(self._timeline) if self._keep_audio else 0
        return bytes(self._timeline) + bytes([MULAW_SILENCE]) * missing

    @property
    def heard_ms(self) -> int:
        """Milliseconds of sent audio that were heard so far; the silences between do not count."""
        return self.heard_bytes // BYTES_PER_MS

    @property
    def outstanding_marks(self) -> list[str]:
        """Names of the marks not yet returned, oldest first."""
        return [name for _, name in self._marks]

    @property
    def playing(self) -> bool:
        """True while audio is left to be played."""
        return bool(self._queue)

    def buffered_ms(self, now_ms: float) -> float:
        """Audio received and not yet heard, in ms."""
        return max(0, self._end_tick - max(self._tick, self._tick_of(now_ms))) / BYTES_PER_MS

    def play(self, mulaw: bytes, now_ms: float) -> int:
        """Queue audio behind what is there; returns how many bytes were discarded (0: none).

        Call ``advance`` for the same moment first where marks may be due.
        """
        tick = self._move(now_ms)
        start = max(tick, self._end_tick)
        room = max(0, self._limit_bytes - (start - tick))
        taken = mulaw[:room]
        discarded = len(mulaw) - len(taken)
        self.discarded_bytes += discarded
        chunk = SentChunk(now_ms, None, len(mulaw))
        if self._keep_audio:
            self.chunks.append(chunk)
        if taken:
            self._queue.append(_Queued(chunk, taken, start))
            self._end_tick = start + len(taken)
        return discarded

    def mark(self, name: str, now_ms: float) -> list[str]:
        """Ask for ``name`` when everything queued so far was heard; returns the marks due now.

        With nothing left to play the mark is among them.
        """
        due = self.advance(now_ms)
        if self._end_tick <= self._tick:
            return [*due, name]
        self._marks.append((self._end_tick, name))
        return due

    def clear(self, now_ms: float) -> list[str]:
        """Throw away what was not heard; returns every outstanding mark, in order."""
        self._move(now_ms)
        self._queue.clear()
        self._end_tick = self._tick
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def advance(self, now_ms: float) -> list[str]:
        """Play up to ``now_ms``; returns the marks whose audio was heard to its end."""
        tick = self._move(now_ms)
        due: list[str] = []
        while self._marks and self._marks[0][0] <= tick:
            due.append(self._marks.popleft()[1])
        return due

    def next_mark_at_ms(self) -> float | None:
        """The moment the next mark falls due; None when none is outstanding."""
        return self._time_of(self._marks[0][0]) if self._marks else None

    def _tick_of(self, now_ms: float) -> int:
        return int((now_ms - self.opened_at_ms) * BYTES_PER_MS + _TICK_TOLERANCE)

    def _time_of(self, tick: int) -> float:
        return self.opened_at_ms + tick / BYTES_PER_MS

    def _move(self, now_ms: float) -> int:
        tick = max(self._tick, self._tick_of(now_ms))
        while self._queue and self._queue[0].start_tick < tick:
            queued = self._queue[0]
            self._hear(queued, tick)
            if queued.end_tick > tick:
                break
            self._queue.popleft()
        self._tick = tick
        return tick

    def _hear(self, queued: _Queued, tick: int) -> None:
        """Count, and keep, what of this piece is heard by ``tick``."""
        chunk = queued.chunk
        if chunk.started_at_ms is None:
            chunk.started_at_ms = self._time_of(queued.start_tick)
        heard = min(tick, queued.end_tick) - queued.start_tick
        fresh = queued.audio[chunk.heard_bytes : heard]
        self.heard_bytes += len(fresh)
        if self._keep_audio and fresh:
            gap = queued.start_tick + chunk.heard_bytes - len(self._timeline)
            self._timeline += bytes([MULAW_SILENCE]) * gap + fresh
        chunk.heard_bytes = heard
