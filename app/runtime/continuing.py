"""A caller who phones again: the conversation goes on where it was left (callcentre C10).

Only for an agent who is told to (``timeouts.resume``), for a number that names one telephone,
and after a call that was broken off: who was said goodbye to, or put through, begins afresh. A
telephone may have several users, so the agent recaps in a sentence and does not tell all.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from app.call.facts import Fact
from app.call.noted import NOTHING, Noted
from app.call.plan import Memory
from app.call.report import Report
from app.errors import PatchlineFault
from app.runtime.adoption import remembered
from app.services.store.archive import UNREACHABLE, Archive

BROKEN_OFF = frozenset(
    {"caller_hangup", "stream_lost", "server_shutdown", "model_failed", "carrier_failed"}
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
NOBODYS = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""What Twilio writes for callers who hide their number: letters on a keypad."""

log = structlog.get_logger("continuing")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The call that is continued."""

    call_id: str
    conversation_id: str
    memories: tuple[Memory, ...]
    gap_s: int
    form: Noted = NOTHING
    """What was noted in it."""

    @property
    def why(self) -> str:
        """What the model is told of it."""
        minutes = max(1, round(self.gap_s / 60))
        return (
            f"they have phoned again, about {minutes} minutes after the conversation above was"
            " broken off. Say in half a sentence where it was left, ask whether to go on there"
        )


async def earlier(
    archive: Archive, number: str, within_s: float, agent: str = ""
) -> Earlier | None:
    """The last call with this number, if it may be continued. ``agent``: who answers now; what
    was said to another, whose number was rung, is not theirs to know. Raises nothing."""
    if within_s <= 0 or number in NOBODYS or not _E164.fullmatch(number):
        return None
    now = datetime.now(UTC)
    try:
        row = await archive.calls.last_of(number, now - timedelta(seconds=within_s))
        if row is None or row.erased or row.end_reason not in BROKEN_OFF or row.ended_at is None:
            return None
        report = Report()
        for told in await archive.all_facts(row.call_id):
            report.learn(Fact(told.type, told.at_ms, told.data))
    except UNREACHABLE as exc:
        log.warning("nothing_to_continue", reason=type(exc).__name__)
        return None
    if agent and report.party.agent not in {"", agent}:
        return None
    memories = remembered(report)
    if not any(memory.role == "user" for memory in memories):
        return None
    gap_s = round((now - row.ended_at).total_seconds())
    return Earlier(row.call_id, row.conversation_id, memories, gap_s, report.form)


async def recalled(archive: Archive, call_id: str | None) -> tuple[Memory, ...]:
    """What was said in a call, for one that continues it; empty where there is none (None), or
    that is not known any more. Raises nothing."""
    if call_id is None:
        return ()
    report = Report()
    try:
        row = await archive.row(call_id)
        if row is None or row.erased:
            return ()
        async for told in archive.story(row.call_id):
            report.learn(Fact(told.type, told.at_ms, told.data))
    except PatchlineFault as fault:
        log.warning("nothing_recalled", reason=fault.reason)
        return ()
    return remembered(report)
