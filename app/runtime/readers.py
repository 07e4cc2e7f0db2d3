"""Who reads along while something is going on, and how they learn that there is more.

Telling costs nothing while nobody reads, and never waits for a reader: a bell is rung, and a
reader who is slow looks once where a quick one looked twice.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Readers:
    """Of one call, or of one fact. Belongs to the loop."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()

    def tell(self) -> None:
        """Something changed."""
        for bell in self._bells:
            bell.set()

    @contextmanager
    def bell(self) -> Iterator[asyncio.Event]:
        """A bell that is rung whenever something changes; whoever hears it clears it."""
        bell = asyncio.Event()
        with self.ringing(bell):
            yield bell

    @contextmanager
    def ringing(self, bell: asyncio.Event) -> Iterator[None]:
        """Somebody else's bell, rung for this as well."""
        self._bells.add(bell)
        try:
            yield
        finally:
            self._bells.discard(bell)
