"""Reminders: what the agent notes for the operator's people, with the moment when it is due.

They are facts of the call, so that the record has them; one with the same title takes the place
of the earlier one. Rule: that one is due is a job, which tells the operator's programs and nobody
else: what the agent itself is to do later is a call-back.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import structlog

from app.jobs.port import Jobs, Remind
from app.protocol.commands import RunTool
from app.protocol.events import ToolDone
from app.runtime.live_call import LiveCall
from app.runtime.outbound import OUTBOUND
from app.runtime.promises import Spawn, promised
from app.services.store.archive import Archive
from app.tools.callback import Refused, due, spoken

CREATED = "reminder.created"
DUE = "reminder.due"
WITHIN = timedelta(days=366)
_MOST = 20
"""Of one call."""
_TOO_MANY = "There are too many reminders for this call already."

log = structlog.get_logger("reminders")


class Reminders:
    """Carries out ``set_reminder``. Belongs to the loop."""

    def __init__(
        self,
        archive: Archive,
        jobs: Jobs,
        zones: Callable[[str], Sequence[ZoneInfo]],
        spawn: Spawn,
        *,
        tells: bool,
    ) -> None:
        """``zones``: where a number may be; ``tells``: somebody wants to know when one is due."""
        self._archive = archive
        self._jobs = jobs
        self._zones = zones
        self._spawn = spawn
        self._tells = tells

    async def run(self, call: LiveCall, wish: RunTool) -> ToolDone:
        """Note it, and tell the model (``promised``)."""
        work = self._noted(call, wish.arguments)
        return await promised(work, wish, self._spawn, what="reminder", call_id=call.call_id)

    async def _noted(self, call: LiveCall, arguments: str) -> str:
        facts = call.facts
        theirs = facts.to_number if facts.direction == OUTBOUND else facts.from_number
        now = datetime.now(UTC)
        given, at = due(arguments, now, self._zones(theirs), WITHIN)
        reminder_id = _id_of(call.call_id, given.title)
        known = call.report.promised.reminders
        if reminder_id not in known and len(known) >= _MOST:
            raise Refused(_TOO_MANY)
        due_at = None if at is None else _utc(at)
        if at is not None and due_at is not None and self._tells:
            after_s = max(0.0, (at - now).total_seconds())
            job = Remind(call.call_id, reminder_id, due_at)
            await self._jobs.enqueue(job, job_id=job.job_id, after_s=after_s)
        note = {
            "id": reminder_id,
            "title": given.title,
            "description": given.description,
            "due_at": due_at,
            "owner": "team",
        }
        if call.report.ending is None:
            call.tell(call.now_ms(), CREATED, note)
        else:
            await self._archive.add(call.call_id, CREATED, note)
        log.info("reminder_created", call_id=call.call_id, reminder=reminder_id)
        return orjson.dumps({"ok": True, "due": None if at is None else spoken(at)}).decode()


def _id_of(call_id: str, title: str) -> str:
    """The same for the same title, however it is written."""
    digest = hashlib.sha256(f"{call_id} {title.casefold()}".encode()).hexdigest()
    return f"rem_{digest[:16]}"


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
