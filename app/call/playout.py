"""The ledger of what was sent to the caller and what was heard.

Twilio buffers what we send and plays it in order; a mark comes back when everything before
it was played. Between marks the clock tells: audio plays at 8 bytes a millisecond, never
beyond the next mark that has not come back, never beyond what was sent. The one rule of
this file: ``heard`` never runs backwards and never exceeds ``sent``.

    sent  ────────┬─────────────┬──────────────▶
                 mark n        mark n+1        end of what was sent
    heard ─────────────┤ anchor + time since, up to mark n+1

Audio is kept by (response, item, content part), because one response may bring several
items and each has to be truncated by itself. The ledger forgets when playback is cleared or
the last mark returned, and not when generation ends, which is seconds earlier. ``clear``
brings every outstanding mark back at once, so marks carry a generation in their name and
those of an earlier generation say nothing (Twilio docs, voice/media-streams, 2026-11).
"""

from collections import deque
from dataclasses import dataclass

from app.protocol.commands import Command, PlayAudio, SendMark
from app.protocol.events import SpeechAudio
from app.protocol.units import (
    B64_QUANTUM_BYTES,
    B64_QUANTUM_CHARS,
    BYTES_PER_MS,
    bytes_of_b64,
    bytes_of_ms,
    ms_of_bytes,
)

MARK_EVERY_MS = 200
_MARK_EVERY_BYTES = bytes_of_ms(MARK_EVERY_MS)
_PIECE_QUANTA = _MARK_EVERY_BYTES // B64_QUANTUM_BYTES
_PIECE_BYTES = _PIECE_QUANTA * B64_QUANTUM_BYTES
_PIECE_CHARS = _PIECE_QUANTA * B64_QUANTUM_CHARS
"""198 ms: the longest piece under 200 ms that base64 can be cut into without decoding."""

Part = tuple[str, str, int]
"""(response_id, item_id, content_index)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of one content part the caller heard when playback was cut."""

    response_id: str
    item_id: str
    content_index: int
    heard_ms: int
    sent_ms: int


@dataclass(slots=True)
class _Segment:
    part: Part
    begin: int
    end: int


class Playout:
    """One stream's ledger. Positions are bytes since the last clear."""

    def __init__(self) -> None:
        self._generation = 0
        self._marks_sent = 0
        self._sent = self._sent_before = 0
        self._beside = 0
        self._forget()

    def _forget(self) -> None:
        self._sent_before += self._sent
        self._sent = 0
        self._marked = 0
        self._anchor = 0
        self._anchor_at_ms = 0
        self._marks: deque[tuple[str, int]] = deque()
        self._segments: deque[_Segment] = deque()
        self._before: dict[Part, int] = {}
        self._open: Part | None = None

    @property
    def idle(self) -> bool:
        """Everything that was sent has been confirmed as played."""
        return not self._marks and self._marked == self._sent

    @property
    def at_rest(self) -> bool:
        """Idle, and the part that was played last has come to its end."""
        return self.idle and self._open is None

    @property
    def forming(self) -> bool:
        """The part that is being played, or was last, has not come to its end."""
        return self._open is not None

    @property
    def ever_sent(self) -> int:
        """Bytes of speech sent since the beginning, also those that were cleared."""
        return self._sent_before + self._sent - self._beside

    @property
    def responses(self) -> set[str]:
        """Responses with audio in the ledger."""
        return {segment.part[0] for segment in self._segments}

    def speak(self, audio: SpeechAudio, now_ms: int) -> list[Command]:
        """Send a delta, cut so that marks are never more than 200 ms apart.

        The first piece of a burst is marked at once: its echo tells when the caller began
        to hear, and anchors the clock before anything long is under way.
        """
        marks, sent = self._marks, self._sent
        # A mark before the end that has not come back says by itself: not everything was heard.
        if (not marks or marks[0][1] == sent) and self._heard(now_ms) >= sent:
            self._anchor, self._anchor_at_ms = sent, now_ms
        out: list[Command] = []
        burst = not marks and self._marked == sent
        if audio.length_bytes <= _PIECE_BYTES:
            self._send(out, audio.payload_b64, audio.length_bytes)
        else:
            self._send_pieces(out, audio.payload_b64)
        self._open = part = (audio.response_id, audio.item_id, audio.content_index)
        if self._segments and self._segments[-1].part == part:
            self._segments[-1].end = self._sent
        else:
            self._segments.append(_Segment(part, sent, self._sent))
        if burst and not marks:
            self._mark(out)
        return out

    def _send_pieces(self, out: list[Command], payload_b64: str) -> None:
        for begin in range(0, len(payload_b64), _PIECE_CHARS):
            piece = payload_b64[begin : begin + _PIECE_CHARS]
            self._send(out, piece, bytes_of_b64(piece))

    def _send(self, out: list[Command], payload_b64: str, length_bytes: int) -> None:
        if self._sent - self._marked + length_bytes > _MARK_EVERY_BYTES:
            self._mark(out)
        out.append(PlayAudio(payload_b64, length_bytes))
        self._sent += length_bytes

    def _mark(self, out: list[Command]) -> None:
        self._marks_sent += 1
        name = f"g{self._generation}:{self._marks_sent}"
        self._marks.append((name, self._sent))
        out.append(SendMark(name, ms_of_bytes(self._sent - self._marked)))
        self._marked = self._sent

    def finish(self) -> list[Command]:
        """A part or a response has ended: mark what is still unmarked."""
        out: list[Command] = []
        self._open = None
        if self._sent > self._marked:
            self._mark(out)
        return out

    def fence(self) -> list[Command]:
        """Mark where what was said ends and something begins that is no speech: what is said
        behind it is not heard before the mark comes back."""
        out: list[Command] = []
        self._mark(out)
        return out

    def beside(self, length_bytes: int, now_ms: int) -> list[Command]:
        """So much that is no speech was sent, and has to be heard whole: its mark tells."""
        if self._heard(now_ms) >= self._sent:
            self._anchor, self._anchor_at_ms = self._sent, now_ms
        self._sent += length_bytes
        self._beside += length_bytes
        return self.fence()

    def returned(self, name: str, now_ms: int) -> bool:
        """A mark came back. False if it says nothing: cleared, repeated, or not ours."""
        if not self._marks:
            return False
        if self._marks[0][0] != name and all(name != known for known, _ in self._marks):
            return False
        while self._marks:
            known, position = self._marks.popleft()
            self._anchor, self._anchor_at_ms = position, now_ms
            if known == name:
                break
        self._drop_heard()
        return True

    def _drop_heard(self) -> None:
        """Forget segments that were heard whole, keeping what their parts already counted.

        A part whose audio stutters is heard whole again and again before it ends.
        """
        while self._segments and self._segments[0].end <= self._anchor:
            segment = self._segments.popleft()
            heard = segment.end - segment.begin
            self._before[segment.part] = self._before.get(segment.part, 0) + heard
        if self.idle:
            self._before = {part: n for part, n in self._before.items() if part == self._open}

    def heard_ms(self, now_ms: int) -> int:
        """Milliseconds of the current generation that were heard."""
        return ms_of_bytes(self._heard(now_ms))

    def unheard_ms(self, now_ms: int) -> int:
        """Milliseconds of the current generation that have yet to be heard."""
        return ms_of_bytes(self._sent - self._heard(now_ms))

    def _heard(self, now_ms: int) -> int:
        limit = self._marks[0][1] if self._marks else self._sent
        return min(limit, self._anchor + (now_ms - self._anchor_at_ms) * BYTES_PER_MS)

    def so_far(self, now_ms: int) -> dict[str, int]:
        """The items that are being played or wait to be: how many ms of each were heard by now.

        Asked with every mark.
        """
        heard = self._heard(now_ms)
        items: dict[str, int] = {}
        for segment in self._segments:
            item_id, begin, end = segment.part[1], segment.begin, segment.end
            begun = max(0, (heard if heard < end else end) - begin)
            items[item_id] = items.get(item_id, 0) + begun
        for part, before in self._before.items():
            if part[1] in items:
                items[part[1]] += before
        return {item_id: ms_of_bytes(length) for item_id, length in items.items()}

    def _parts(self, now_ms: int) -> dict[Part, tuple[int, int]]:
        """Bytes heard and sent of each part that was not heard whole, in order."""
        heard = self._heard(now_ms)
        parts: dict[Part, tuple[int, int]] = {}
        for segment in self._segments:
            before = self._before.get(segment.part, 0)
            was_heard, was_sent = parts.get(segment.part) or (before, before)
            parts[segment.part] = (
                was_heard + max(0, min(segment.end, heard) - segment.begin),
                was_sent + segment.end - segment.begin,
            )
        return parts

    def interrupt(self, now_ms: int) -> list[Heard]:
        """Playback is cut here: what was heard of each part not heard whole, in order.

        A part still being made counts as not heard whole: the model knows more of it than
        came here. Afterwards the ledger is empty and a new generation begins.
        """
        parts, going_on = self._parts(now_ms), self._open
        if going_on in self._before and going_on not in parts:
            whole = self._before[going_on]
            parts = {going_on: (whole, whole), **parts}
        self._generation += 1
        self._forget()
        return [
            _in_ms(part, was_heard, was_sent)
            for part, (was_heard, was_sent) in parts.items()
            if was_heard < was_sent or part == going_on
        ]


def _in_ms(part: Part, heard: int, sent: int) -> Heard:
    return Heard(*part, heard_ms=ms_of_bytes(heard), sent_ms=ms_of_bytes(sent))
