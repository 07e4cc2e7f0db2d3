"""What waits to be written: bounded, and with a policy for when the bound is reached.

At the bound the oldest figure is let go of, and a fact that is to be kept only when no figure
is left. What was lost is itself told, as a ``record.gap`` under the first lost number, in the
first batch that comes to its place. Rows of calls are never let go of: a call makes three of
them, small but for the record, and records over their bound wait without what is in them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import orjson

from app.call.facts import Weight
from app.services.store.changes import Appended, Change, Closed, unwritable

MOST_BYTES = 67_108_864
"""Of the facts that wait, and of the records that wait: few may be very large."""
_TICKET = attrgetter("ticket")


@dataclass(slots=True)
class _Loss:
    """Facts of one call and weight that nobody will read."""

    ticket: int
    at_ms: int
    from_seq: int
    to_seq: int
    dropped: int = 1

    def grow(self, fact: Appended) -> None:
        """One more."""
        self.dropped += 1
        self.from_seq = min(self.from_seq, fact.seq)
        self.to_seq = max(self.to_seq, fact.seq)


class Backlog:
    """Changes in the order of their tickets, and the batch that is being written."""

    def __init__(self, most_facts: int, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_facts
        self._most_bytes = most_bytes
        self._fact_bytes = 0
        self._record_bytes = 0
        self._told: deque[Closed] = deque()
        self._rows: deque[Change] = deque()
        self._kept: deque[Appended] = deque()
        self._figures: deque[Appended] = deque()
        self._losses: dict[tuple[str, Weight], _Loss] = {}
        self._taken = 0
        self.dropped = 0
        """Facts let go of since the start."""

    def __len__(self) -> int:
        return len(self._rows) + len(self._kept) + len(self._figures) + self._taken

    @property
    def waiting(self) -> int:
        """Changes that no batch has taken yet, gaps to be told included."""
        return len(self) - self._taken + len(self._losses)

    def add(self, change: Change) -> None:
        """Let it wait; a fact may push another out, or be let go of itself."""
        if not isinstance(change, Appended):
            self._rows.append(change)
            if isinstance(change, Closed) and change.record is not None:
                self._told.append(change)
                self._record_bytes += len(change.record)
                self._empty_records()
            return
        (self._figures if change.weight is Weight.FIGURE else self._kept).append(change)
        self._fact_bytes += len(change.data)
        while self._full and (queue := self._figures or self._kept):
            self._lose(queue.popleft())

    @property
    def _full(self) -> bool:
        facts = len(self._kept) + len(self._figures) + self._taken
        return facts > self._most or self._fact_bytes > self._most_bytes

    def _empty_records(self) -> None:
        """The oldest first; the facts that were written tell them again."""
        while self._record_bytes > self._most_bytes:
            oldest = self._told.popleft()
            self._record_bytes -= len(oldest.record or "")
            oldest.record = unwritable("too_many_waiting")

    def take(self, most: int) -> list[Change]:
        """The oldest changes, as one batch, and the gaps that belong among them."""
        if most >= len(self._rows) + len(self._kept) + len(self._figures):
            batch: list[Change] = [*self._rows, *self._kept, *self._figures]
            self._empty()
        else:
            batch = self._oldest(most)
        batch.sort(key=_TICKET)
        last = batch[-1].ticket if batch else None
        if self._losses:
            batch.extend(self._gaps(last))
            batch.sort(key=_TICKET)
        self._taken = len(batch)
        return batch

    def _empty(self) -> None:
        for queue in (self._rows, self._kept, self._figures, self._told):
            queue.clear()
        self._fact_bytes = self._record_bytes = 0

    def _oldest(self, most: int) -> list[Change]:
        batch: list[Change] = []
        queues: tuple[deque[Change] | deque[Appended], ...] = (
            self._rows,
            self._kept,
            self._figures,
        )
        while len(batch) < most and (filled := [queue for queue in queues if queue]):
            batch.append(min(filled, key=lambda queue: queue[0].ticket).popleft())
            self._left(batch[-1])
        return batch

    def settle(self) -> None:
        """The batch is written."""
        self._taken = 0

    def _left(self, change: Change) -> None:
        if isinstance(change, Appended):
            self._fact_bytes -= len(change.data)
        elif self._told and change is self._told[0]:
            self._record_bytes -= len(self._told.popleft().record or "")

    def _lose(self, fact: Appended) -> None:
        self.dropped += 1
        self._fact_bytes -= len(fact.data)
        loss = self._losses.get((fact.call_id, fact.weight))
        if loss is None:
            self._losses[fact.call_id, fact.weight] = _Loss(
                fact.ticket, fact.at_ms, fact.seq, fact.seq
            )
        else:
            loss.grow(fact)

    def _gaps(self, last: int | None) -> Iterator[Appended]:
        """Those whose place has come: before it, their call's row may not be there."""
        due = [key for key, loss in self._losses.items() if last is None or loss.ticket <= last]
        for call_id, weight in due:
            loss = self._losses.pop((call_id, weight))
            data = {
                "dropped": loss.dropped,
                "weight": weight.value,
                "from_seq": loss.from_seq,
                "to_seq": loss.to_seq,
            }
            yield Appended(
                loss.ticket,
                call_id,
                loss.from_seq,
                loss.at_ms,
                "record.gap",
                orjson.dumps(data).decode(),
                Weight.KEPT,
            )
