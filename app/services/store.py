"""Records in memory: the newest thousand, gone with the process.

The durable store comes behind the same two methods (``runtime.ports.RecordStore``). A record
is kept as JSON: a thousand of them as Python objects took thirty megabytes.
"""

from collections import OrderedDict
from typing import Any

import orjson

MOST_RECORDS = 1_000


class MemoryStore:
    """The newest records by ``call_id``; the oldest are let go of."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, bytes] = OrderedDict()

    def put(self, record: dict[str, object]) -> None:
        """Keep a record, replacing what was there under its ``call_id``."""
        call_id = str(record["call_id"])
        # Copied, because a result of orjson keeps the kilobytes it was written in.
        self._records[call_id] = memoryview(orjson.dumps(record)).tobytes()
        self._records.move_to_end(call_id)
        while len(self._records) > MOST_RECORDS:
            self._records.popitem(last=False)

    def get(self, call_id: str) -> dict[str, object] | None:
        """The record, or None."""
        kept = self._records.get(call_id)
        if kept is None:
            return None
        record: dict[str, Any] = orjson.loads(kept)
        return record
