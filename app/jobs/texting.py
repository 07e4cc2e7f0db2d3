"""One text message after a call, never two, whatever dies or does not answer meanwhile.

As with calls (``dial``), Twilio has no idempotency key, so a request whose fate is unknown is
never sent again. Unlike a call, a summary is worth no search: in doubt it counts as sent.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from app.errors import CarrierFault
from app.jobs.destinations import DestinationPolicy
from app.services.store.calls import CallRow


class Texts(Protocol):
    """Twilio's REST API; raises ``CarrierFault``."""

    async def message(self, to: str, from_: str, body: str) -> str:
        """Send one; its SID."""


class Texter:
    """The steps of it, for one life of one process."""

    def __init__(
        self,
        carrier: Texts,
        destinations: DestinationPolicy,
        *,
        me: str,
        unwanted: Callable[[str], Awaitable[bool]],
        alive: Callable[[], bool],
    ) -> None:
        """``me``, ``unwanted``, ``alive``: as for ``Dialler``."""
        self._carrier = carrier
        self._destinations = destinations
        self._me = me
        self._unwanted = unwanted
        self._alive = alive
        self._sent: set[str] = set()

    async def intend(self, row: CallRow) -> dict[str, Any]:
        """Who is about to send it, or ``refused`` with the reason."""
        to, _ = ends_of(row)
        reason = self._destinations.refusal(to)
        if reason is None and await self._unwanted(to):
            reason = "do_not_call"
        return {"by": self._me} if reason is None else {"refused": reason}

    async def send(self, row: CallRow, text: str, by: str) -> dict[str, Any]:
        """Send it for this intent; ``status`` is sent, not_sent or unclear."""
        if by != self._me or row.call_id in self._sent:
            return {"status": "unclear", "reason": "process_died"}
        if not self._alive():
            return {"status": "not_sent", "reason": "leaving"}
        self._sent.add(row.call_id)
        to, from_ = ends_of(row)
        try:
            sid = await self._carrier.message(to, from_, text)
        except CarrierFault as fault:
            status = "unclear" if fault.unclear else "not_sent"
            return {"status": status, "reason": fault.reason}
        return {"status": "sent", "message_sid": sid}


def ends_of(row: CallRow) -> tuple[str, str]:
    """The caller's number, and the line's; empty where one is withheld."""
    numbers = (row.from_number or "", row.to_number or "")
    return numbers if row.direction == "inbound" else numbers[::-1]
