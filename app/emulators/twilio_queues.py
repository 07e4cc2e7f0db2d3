"""Who waits in the queues of an account, in order. Rule: a queue is there while somebody waits."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_words import new_sid


@dataclass(slots=True)
class Queue:
    """Who waits, the longest first."""

    sid: str = field(default_factory=lambda: new_sid("QU"))
    callers: list[EmulatedCall] = field(default_factory=list)


class Queues:
    """The queues of one account, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Queue] = {}

    @contextlib.contextmanager
    def waiting(self, name: str, call: EmulatedCall) -> Iterator[Queue]:
        """The queue, with this caller at its end for as long as that lasts."""
        queue = self.by_name.setdefault(name, Queue())
        queue.callers.append(call)
        call.queue = name
        try:
            yield queue
        finally:
            call.queue = None
            queue.callers.remove(call)
            if not queue.callers and self.by_name.get(name) is queue:
                del self.by_name[name]

    def length(self, name: str) -> int:
        """How many wait there."""
        queue = self.by_name.get(name)
        return 0 if queue is None else len(queue.callers)
