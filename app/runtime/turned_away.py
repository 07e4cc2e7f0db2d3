"""Callers whom the agent does not answer and who are put through to somebody else: how that ended.

Nobody holds such a call, and its record has closed. Rule: the record alone says what was asked
for, so that any process may be told; the caller is answered, whatever becomes of the record.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from app.call.facts import Fact
from app.call.notices import CORRECTED
from app.call.report import Report
from app.protocol import twiml
from app.runtime.deadline import within
from app.runtime.effects import contained
from app.runtime.invitations import digest_of
from app.runtime.signalling import Signalling, why_not
from app.services.store.archive import FRESH_S, UNREACHABLE, Archive
from app.services.store.calls import CallRow

KNOW_S = 2.0
"""For what the caller waits for."""

log = structlog.get_logger("turned_away")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that is over, and whom it was put through to."""

    row: CallRow
    target: str
    open: bool
    """How that ended is not in the record yet."""


class TurnedAway:
    """Twilio's word on these dials. Holds nothing between requests."""

    def __init__(
        self,
        signalling: Signalling,
        archive: Archive,
        spawn: Callable[[Coroutine[Any, Any, None], str], Any],
    ) -> None:
        """``spawn`` owns what is written behind the answer."""
        self._signalling = signalling
        self._archive = archive
        self._spawn = spawn

    async def dialled(
        self,
        token: str,
        *,
        call_sid: str,
        connected: bool,
        status: str,
        talk_s: int | None,
        call_over: bool,
    ) -> str:
        """The TwiML for a caller whose dial has ended: a sentence, where they reached nobody.

        Idempotent. Cancelling is safe.
        """
        asked = await self._asked_for(call_sid, digest_of(token))
        if asked is not None and asked.open:
            outcome = "connected" if connected else why_not(status)
            told = {"outcome": outcome, "talk_s": talk_s if connected else None}
            amending = self._amend(asked.row, told)
            self._spawn(contained(amending, None), f"turned-away-{asked.row.call_id}")
        if connected or call_over:
            return twiml.hangup()
        if asked is None:
            return self._signalling.failure()
        row = asked.row
        return self._signalling.unreached(row.to_number or "", row.from_number or "", asked.target)

    async def _asked_for(self, call_sid: str, digest: str) -> _Asked | None:
        """What became of the call; None where no record has this token, or none can be read."""
        try:
            return await within(KNOW_S, self._found(call_sid, digest), self._spawn)
        except UNREACHABLE as exc:
            log.warning("call_not_looked_up", reason=type(exc).__name__, call_sid=call_sid)
            return None

    async def _found(self, call_sid: str, digest: str) -> _Asked | None:
        await self._archive.writer.flush(within_s=FRESH_S)
        row = await self._archive.calls.get(call_sid)
        if row is None or row.erased:
            return None
        report = Report()
        for fact in await self._archive.all_facts(row.call_id):
            report.learn(Fact(fact.type, fact.at_ms, fact.data))
        last = report.transfers[-1] if report.transfers else None
        if last is None or last.token_digest != digest:
            return None
        return _Asked(row, last.target, last.open)

    async def _amend(self, row: CallRow, told: dict[str, Any]) -> None:
        """Put it into the record, and have that told once more; the call ended as it did."""
        if await self._archive.add(row.call_id, "transfer.ended", told):
            await self._archive.add(row.call_id, CORRECTED, {"reason": row.end_reason})
            log.info("turned_away_dialled", outcome=told["outcome"], call_id=row.call_id)
