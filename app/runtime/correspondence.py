"""What a caller writes when nobody is on the line: it joins the record of their last call.

A job then answers it, in whatever process, also when this one is gone. Rule: who has never talked
with the agent, or too long ago, is not written to; and a stranger's number is not asked after
twice.
"""

import re
from datetime import UTC, datetime, timedelta

import structlog

from app.call.correspondence import MOST_CHARS, MOST_RECEIVED
from app.call.written import CALLER, RECEIVED, count
from app.errors import OurFault, StoreFault
from app.jobs.port import Answer, Jobs
from app.protocol.twilio_messages import IncomingMessage
from app.runtime.continuing import NOBODYS
from app.runtime.outbound import OUTBOUND
from app.runtime.roster import Roster
from app.services.store.archive import Archive
from app.services.store.calls import CallRow, Filters

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_CALL = timedelta(hours=24)
_FEW = 20
"""Calls of one person's that are looked at for the one that a text is about."""
_SINCE_EVER = datetime(2020, 1, 1, tzinfo=UTC)

log = structlog.get_logger("correspondence")


class Correspondence:
    """Takes what is written. Belongs to the loop. All raise ``StoreFault``, also where the
    jobs cannot be had: the text is on record then, and may come again."""

    def __init__(self, archive: Archive, jobs: Jobs, roster: Roster) -> None:
        self._archive = archive
        self._jobs = jobs
        self._roster = roster

    async def by_text(self, message: IncomingMessage, text: str) -> str | None:
        """A text message that reaches nobody on the line: the call it belongs to, with ``text`` on
        its record; None where there is none."""
        number, since = message.from_, self._since(message.to)
        if since is None or number in NOBODYS or not _E164.fullmatch(number):
            return None
        # A call that ended just now may have begun long ago.
        begun = Filters(number=number, created_after=since - _LONGEST_CALL)
        page = await self._archive.page(begun, None, _FEW)
        for row in page.calls:
            ours, theirs = ends_on_record(row)
            if row.status == "queued" or theirs != number or not self.concerns(ours, message.to):
                continue
            whole = await self._archive.row(row.call_id)  # A page is without the records.
            if whole is None or not await self.take(whole, message.message_sid, "sms", text):
                return None
            return whole.call_id
        return None

    def concerns(self, ours: str, to: str) -> bool:
        """Whether a text to ``to`` is about a call on the line ``ours``. One to a number that
        another agent answers is not, unless that is where our texts come from."""
        edition = self._roster.edition
        line = edition.answering(ours)
        if to not in edition.numbers.plans or edition.answering(to).agent == line.agent:
            return True
        return line.texts is not None and line.texts.from_ == to

    def open(self, row: CallRow) -> bool:
        """Whether the caller of a call that is over, and was answered, may write."""
        since = self._since(ends_on_record(row)[0])
        moments = (row.record or {}).get("timestamps") or {}
        if row.status != "ended" or row.erased or not moments.get("answered_at"):
            return False
        return since is not None and row.ended_at is not None and row.ended_at >= since

    def _since(self, ours: str) -> datetime | None:
        """What a call must not have ended before; None where the agent of this number does not
        write."""
        line = self._roster.edition.answering(ours)
        if line.texts is None or not (line.texts.answer or line.resume_s):
            return None
        if line.texts.answer:
            return _SINCE_EVER
        return datetime.now(UTC) - timedelta(seconds=line.resume_s)

    async def take(self, row: CallRow, text_id: str, via: str, text: str) -> bool:
        """Put what was written on record, once, and have it answered. False where it comes too
        late, or after too many."""
        if not self.open(row):
            return False
        known = (row.record or {}).get("texts") or ()
        if count(known, CALLER) >= MOST_RECEIVED:
            log.warning("too_much_written", call_id=row.call_id)
            return False
        fact = {"id": text_id, "via": via, "text": text[:MOST_CHARS], "at": _now()}
        if not await self._archive.add(row.call_id, RECEIVED, fact):
            return False
        job = Answer(row.call_id, text_id)
        try:
            await self._jobs.enqueue(job, job_id=job.job_id)
        except OurFault as exc:
            raise StoreFault(exc.reason, "it is on record, and cannot be answered now") from exc
        log.info("text_to_answer", call_id=row.call_id, via=via)
        return True


def ends_on_record(row: CallRow) -> tuple[str, str]:
    """Our number, and that of who was on the line; empty where one is withheld."""
    numbers = (row.from_number or "", row.to_number or "")
    return numbers if row.direction == OUTBOUND else numbers[::-1]


def _now() -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")
