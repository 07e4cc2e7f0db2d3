"""What comes after a call, and what is told about it: found in the store, enqueued, once.

Calls end in other processes, which may die in that very moment; so ends are looked for where
they are written, here, where nobody speaks on the telephone. Rule: whatever is enqueued has an
id that its cause determines, so that enqueuing again, by whomever, is enqueuing nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from app.call.analysis import NoAnswer
from app.call.notices import (
    ALWAYS,
    ANALYZED,
    CORRECTED,
    ENDED,
    NOTICES,
    About,
    asked_for,
    notice,
)
from app.errors import CallerFault
from app.jobs.answering import Answering, Writes
from app.jobs.ids import follow_up_id, webhook_id
from app.jobs.port import Deliver, FollowUp, Job, Remind
from app.jobs.texting import Texter
from app.services.store.afterwards import Afterwards, Untold
from app.services.store.calls import CallRow, StoredFact
from app.services.store.instants import utc_of

SMS = "sms.sent"
_SUMMARY = "summary"
"""What the message that follows a call is of."""
REMINDER = "reminder.created"
REMINDER_DUE = "reminder.due"
LOOK_EVERY_S = 1.0
"""How often ends are looked for. Nobody announces them: one indexed question a second, in a
process without calls, is what it costs that none is ever missed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A program of the operator's."""

    url: str
    events: Sequence[str]
    """Globs."""


class Enqueues(Protocol):
    """As far as it is needed here."""

    async def enqueue(self, job: Job, *, job_id: str, after_s: float = 0) -> None:
        """See ``Jobs``."""


class Analyses(Protocol):
    """Whoever finds out what a call came to."""

    async def analyse(self, record: Mapping[str, Any], *, room: int = 1) -> dict[str, Any]:
        """``status``, ``analysis``, ``sms``. Raises ``NoAnswer``."""


class Aftermath:
    """Belongs to the loop of whoever uses it first."""

    def __init__(
        self,
        store: Afterwards,
        jobs: Enqueues,
        endpoints: Sequence[Endpoint],
        analyst: Analyses | str,
        *,
        texter: Texter | None = None,
        penman: Writes | str = "not_wanted",
    ) -> None:
        """Nothing is connected yet. ``analyst``, ``penman``: or why there is none. ``texter``:
        where the caller gets messages."""
        self._texter = texter
        self.answering = Answering(store, penman, texter, self._tell)
        """What is written when a call is over."""
        self._analyst = analyst
        self._store = store
        self._jobs = jobs
        self._endpoints = endpoints
        self._curious = any(
            asked_for(one.events, kind)
            for one in endpoints
            for kind in NOTICES
            if kind not in ALWAYS
        )

    async def look(self) -> int:
        """Enqueue what is due; how much that was. Raises SQLAlchemyError, OSError, OurFault."""
        due = await self._tell_facts(await self._store.untold()) if self._curious else 0
        for call_id in await self._store.ended():
            due += 1
            while self._curious and (rest := await self._store.untold(call_id)):
                await self._tell_facts(rest)
            await self._enqueue(FollowUp(call_id), follow_up_id(call_id))
            await self._store.followed_up(call_id, await self._tell_corrected(call_id))
        return due

    async def _tell_corrected(self, call_id: str) -> int | None:
        """The webhooks of a record that changed after it was told, where it did; the number of
        the fact that says so, which names them."""
        row = await self._store.call(call_id)
        fact = None if row is None else await self._store.last(call_id, CORRECTED)
        if row is None or fact is None:
            return None
        await self._tell(row, fact, str(fact.seq), {**(row.record or {}), **fact.data})
        return fact.seq

    async def tell_ended(self, call_id: str) -> bool:
        """The webhooks of the end; False: there is no such call any more."""
        row = await self._store.call(call_id)
        if row is None:
            return False
        fact = await self._store.last(call_id, ENDED)
        if fact is not None:
            await self._tell(row, fact, ENDED, row.record or {})
        return True

    async def analyse(self, call_id: str, room: int) -> dict[str, Any]:
        """Ask what the call came to, and keep it; ``status``, or ``again`` with the reason.

        What was kept is not asked again, and nothing that was said is in what is returned.
        """
        known = await self._store.last(call_id, ANALYZED)
        if known is not None:
            return {"status": str(known.data["status"])}
        row = await self._store.call(call_id)
        if row is None:
            return {"status": "forgotten"}
        if isinstance(self._analyst, str):
            return await self.settle(call_id, "skipped", self._analyst)
        try:
            told = await self._analyst.analyse(row.record or {}, room=room)
        except NoAnswer as fault:
            return {"again": fault.reason}
        return await self._keep(call_id, told)

    async def settle(self, call_id: str, status: str, reason: str) -> dict[str, Any]:
        """There is no analysis, and why: ``skipped`` or ``failed``."""
        analysis = {"status": status, "reason": reason}
        return await self._keep(call_id, {"status": status, "reason": reason, "analysis": analysis})

    async def _keep(self, call_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
        kept = await self._store.add_once(call_id, ANALYZED, told)
        known = None if kept else await self._store.last(call_id, ANALYZED)
        return {"status": str((told if known is None else known.data)["status"])}

    async def tell_analyzed(self, call_id: str) -> bool:
        """The webhooks of what the call came to; False: there is nothing to tell."""
        row = await self._store.call(call_id)
        fact = None if row is None else await self._store.last(call_id, ANALYZED)
        if row is None or fact is None:
            return False
        await self._tell(row, fact, ANALYZED, fact.data)
        return True

    async def intend_sms(self, call_id: str) -> dict[str, Any]:
        """Who is about to send the caller a message; empty where there is none to send."""
        row, text = await self._message(call_id)
        if self._texter is None or row is None or not text:
            return {}
        return await self._texter.intend(row)

    async def send_sms(self, call_id: str, by: str) -> dict[str, Any]:
        """Send it, once."""
        row, text = await self._message(call_id)
        if self._texter is None or row is None or not text:
            return {"status": "not_sent", "reason": "forgotten"}
        return await self._texter.send(row, text, by)

    async def tell_sms(self, call_id: str, sent: Mapping[str, Any]) -> bool:
        """Keep what became of it, and tell who asked."""
        # Not the only message of the call: the agent may have sent some, and answers follow.
        await self._store.add_once(call_id, SMS, {**sent, "of": _SUMMARY}, by="of")
        row, known = await self._store.call(call_id), await self._store.all_of(call_id, SMS)
        fact = next((one for one in known if one.data.get("of") == _SUMMARY), None)
        if row is None or fact is None:
            return False
        await self._tell(row, fact, SMS, fact.data)
        return True

    async def remind(self, job_json: Mapping[str, Any]) -> bool:
        """The webhooks of a reminder that is due; False where it was changed or forgotten."""
        job = Remind.of(job_json)
        row = await self._store.call(job.call_id)
        notes = [] if row is None else await self._store.all_of(job.call_id, REMINDER)
        of_it = [one for one in notes if one.data.get("id") == job.reminder_id]
        if row is None or not of_it or of_it[-1].data.get("due_at") != job.due_at:
            return False
        fact = of_it[-1]
        due = StoredFact(fact.seq, _now_ms(row), REMINDER_DUE, fact.data)
        await self._tell(row, due, f"due:{fact.seq}", fact.data)
        return True

    async def _message(self, call_id: str) -> tuple[CallRow | None, str]:
        fact = await self._store.last(call_id, ANALYZED)
        text = fact.data.get("sms") if fact is not None else None
        return await self._store.call(call_id), str(text or "")

    async def _tell_facts(self, facts: Sequence[Untold]) -> int:
        last: dict[str, int] = {}
        for one in facts:
            if one.fact.type not in ALWAYS:
                await self._tell(one.call, one.fact, str(one.fact.seq), one.fact.data)
            last[one.call.call_id] = one.fact.seq
        for call_id, seq in last.items():
            await self._store.told(call_id, seq)
        return len(facts)

    async def _tell(
        self, row: CallRow, fact: StoredFact, what: str, more: Mapping[str, Any]
    ) -> None:
        """Enqueue a fact for everybody who asked for its kind; ``what`` names it in the id."""
        asked = [one.url for one in self._endpoints if asked_for(one.events, fact.type)]
        if not asked:
            return
        at = utc_of(row.created_at.timestamp(), fact.at_ms)
        body = orjson.dumps(notice(fact.type, at, fact.seq, _about(row), more)).decode()
        for url in asked:
            await self._enqueue(Deliver(url, body), webhook_id(row.call_id, what, url))

    async def _enqueue(self, job: Job, job_id: str) -> None:
        try:
            await self._jobs.enqueue(job, job_id=job_id)
        except CallerFault:
            # It is there already, in other words: the record was told again since.
            return


def _now_ms(row: CallRow) -> int:
    return max(0, round((time.time() - row.created_at.timestamp()) * 1000))


def _about(row: CallRow) -> About:
    return About(
        row.call_id,
        row.conversation_id,
        row.direction,
        row.from_number,
        row.to_number,
        row.custom_data or {},
    )
