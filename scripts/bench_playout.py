"""What the caller's ear hears: Twilio's buffer on an exact clock of 8 bytes a millisecond.

One rule: audio is heard in the order it arrived, from the moment it arrived or the moment the
audio before it ended. It knows which item of the model each byte belongs to, which Twilio does
not, so that "how much of this answer had been heard" has one true answer.
"""

from collections import deque

from bench_wire import NS_PER_BYTE


class Playout:
    """The audio of one stream, played, being played and waiting."""

    __slots__ = ("_heard_bytes", "_segments", "ends_at_ns", "marks")

    def __init__(self) -> None:
        self.ends_at_ns = 0
        self.marks: deque[tuple[int, str]] = deque()
        """When each outstanding mark is reached, and its name."""
        self._segments: list[list[int]] = []
        """Item, start, bytes of what is not known to have been heard."""
        self._heard_bytes: dict[int, int] = {}

    def play(self, item: int, length_bytes: int, now_ns: int) -> None:
        """Append audio of ``item``."""
        if self.ends_at_ns <= now_ns:
            self._retire()
            self.ends_at_ns = now_ns
        if self._segments and self._segments[-1][0] == item:
            self._segments[-1][2] += length_bytes
        else:
            self._segments.append([item, self.ends_at_ns, length_bytes])
        self.ends_at_ns += length_bytes * NS_PER_BYTE

    def mark(self, name: str, now_ns: int) -> int:
        """Remember a mark; when it will have been reached."""
        due_ns = max(self.ends_at_ns, now_ns)
        self.marks.append((due_ns, name))
        return due_ns

    def reached(self, now_ns: int) -> list[str]:
        """The marks reached by now; each is told once."""
        names = []
        while self.marks and self.marks[0][0] <= now_ns:
            names.append(self.marks.popleft()[1])
        return names

    def clear(self, now_ns: int) -> tuple[dict[int, float], list[str]]:
        """Empty the buffer: milliseconds heard of each item cut off, and the marks thrown back."""
        cut = {}
        for item, start_ns, length_bytes in self._segments:
            heard = min(max(0.0, (now_ns - start_ns) / NS_PER_BYTE), float(length_bytes))
            if heard < length_bytes:
                cut[item] = (heard + self._heard_bytes.get(item, 0)) * NS_PER_BYTE / 1e6
        names = [name for _, name in self.marks]
        self.marks.clear()
        self._segments.clear()
        self._heard_bytes.clear()
        self.ends_at_ns = now_ns
        return cut, names

    def _retire(self) -> None:
        """The buffer ran empty: everything in it was heard; only the last item may go on."""
        if not self._segments:
            return
        last = self._segments[-1][0]
        heard = sum(length for item, _, length in self._segments if item == last)
        self._heard_bytes = {last: self._heard_bytes.get(last, 0) + heard}
        self._segments.clear()
