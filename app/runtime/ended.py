"""The calls that have ended lately: what a request that comes late must be told about them.

Twilio repeats, reorders and delays; a webhook of a call that is over must open nothing and find
the reason that was true. The record itself is in the store; here is only what an answer needs.
"""

from collections import OrderedDict
from dataclasses import dataclass

MOST_ENDED = 2_000
"""Calls whose last reason is remembered; the oldest are let go of."""


@dataclass(frozen=True, slots=True)
class _Ending:
    call_id: str
    reason: str
    answer: str | None


class Ended:
    """Why the last calls ended, by CallSid."""

    def __init__(self) -> None:
        self._endings: OrderedDict[str, _Ending] = OrderedDict()

    def add(self, call_sid: str, call_id: str, reason: str, answer: str | None = None) -> None:
        """The call is over, or was over for another reason than was thought.

        ``answer``: the TwiML of one that was not taken.
        """
        self._endings[call_sid] = _Ending(call_id, reason, answer)
        while len(self._endings) > MOST_ENDED:
            self._endings.popitem(last=False)

    def reason(self, call_sid: str) -> str | None:
        """Why the call ended; None where it did not, or too long ago."""
        ending = self._endings.get(call_sid)
        return ending.reason if ending is not None else None

    def answer(self, call_sid: str) -> str | None:
        """What a call that was not taken was told; None for any other."""
        ending = self._endings.get(call_sid)
        return ending.answer if ending is not None else None

    def call_id(self, call_sid: str) -> str | None:
        """Our name for the call."""
        ending = self._endings.get(call_sid)
        return ending.call_id if ending is not None else None
