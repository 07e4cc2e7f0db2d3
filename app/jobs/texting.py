"""One text message after a call, never two, whatever dies or does not answer meanwhile.

As with calls (``dial``), Twilio has no idempotency key, so a request whose fate is unknown is
never sent again. Unlike a call, a summary is worth no search: in doubt it counts as sent.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from app.errors import CarrierFault
from app.jobs.destinations import DestinationPolicy
from app.services.store.calls import CallRow

LINE = "line"


class Texts(Protocol):
    """Twilio's REST API; raises ``CarrierFault``."""

    async def message(
        self, to: str, from_: str, body: str, *, status_callback: str | None = None
    ) -> str:
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
        sender: str = LINE,
        told_at: str = "",
    ) -> None:
        """``me``, ``unwanted``, ``alive``: as for ``Dialler``. ``sender``: of answers; the number
        the call was on, or another. ``told_at``: where Twilio reports on them; empty: nowhere."""
        self._carrier = carrier
        self._destinations = destinations
        self._me = me
        self._unwanted = unwanted
        self._alive = alive
        self._sender = sender
        self._told_at = told_at
        self._sent: set[str] = set()

    async def intend(self, row: CallRow) -> dict[str, Any]:
        """Who is about to send it, or ``refused`` with the reason."""
        reason = await self.refusal(row)
        return {"by": self._me} if reason is None else {"refused": reason}

    async def refusal(self, row: CallRow) -> str | None:
        """Why the caller may be sent nothing; None: they may."""
        to, _ = ends_of(row)
        reason = self._destinations.refusal(to)
        if reason is None and await self._unwanted(to):
            reason = "do_not_call"
        return reason

    async def send(self, row: CallRow, text: str, by: str) -> dict[str, Any]:
        """Send what follows the call, for this intent; ``status`` is sent, not_sent, unclear."""
        return await self._send(row, text, by, key="", from_=ends_of(row)[1], told_at=None)

    async def answer(self, row: CallRow, text: str, by: str, *, key: str) -> dict[str, Any]:
        """The same with an answer, for the text of this ``key``."""
        from_ = ends_of(row)[1] if self._sender == LINE else self._sender
        told_at = f"{self._told_at}?call={row.call_sid}&to=caller" if self._told_at else None
        return await self._send(row, text, by, key=key, from_=from_, told_at=told_at)

    async def _send(
        self, row: CallRow, text: str, by: str, *, key: str, from_: str, told_at: str | None
    ) -> dict[str, Any]:
        name = f"{row.call_id} {key}"
        if by != self._me or name in self._sent:
            return {"status": "unclear", "reason": "process_died"}
        if not self._alive():
            return {"status": "not_sent", "reason": "leaving"}
        self._sent.add(name)
        try:
            to, _ = ends_of(row)
            sid = await self._carrier.message(to, from_, text, status_callback=told_at)
        except CarrierFault as fault:
            status = "unclear" if fault.unclear else "not_sent"
            return {"status": status, "reason": fault.reason}
        return {"status": "sent", "message_sid": sid}


def ends_of(row: CallRow) -> tuple[str, str]:
    """The caller's number, and the line's; empty where one is withheld."""
    numbers = (row.from_number or "", row.to_number or "")
    return numbers if row.direction == "inbound" else numbers[::-1]
