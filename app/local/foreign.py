"""The decoder's code and the operator's answers: what they raise cannot all be foreseen.

A fault that nobody named would end the session it happens in, and with it the caller's model.
Rule: it ends the turn or the rung it happened in, is told once for each kind, and is no silence.
"""

import traceback
from pathlib import PurePath
from types import TracebackType

import structlog

UNFORESEEN = "Something failed that nobody foresaw; the log names the place."
"""Why the rung below serves, where no sentence says more."""

log = structlog.get_logger("local_model")

_told: set[tuple[str, str]] = set()
"""Of this process: calls come and go, and the same fault with each of them."""


class Attempt:
    """A ``with`` block that a fault ends and nothing else; what follows it is the other way.

    Cancelling passes through.
    """

    __slots__ = ("_part", "fault")

    def __init__(self, part: str) -> None:
        self._part = part
        self.fault: Exception | None = None

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        fault: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if not isinstance(fault, Exception):
            return False
        self.fault = fault
        kind = (self._part, type(fault).__name__)
        if kind not in _told:
            _told.add(kind)
            # Its message may quote the caller.
            log.error("part_failed", part=kind[0], kind=kind[1], place=_place_of(fault))
        return True


def _place_of(fault: Exception) -> str:
    """File name and line where it was raised."""
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{PurePath(frame.filename).name}:{frame.lineno}"
