"""Calls that are in the store, for the tests of what follows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.call.facts import Fact
from app.call.record import record
from app.call.report import Report
from app.services.store.changes import NewCall
from app.services.store.database import open_engine
from app.services.store.instants import utc_of
from tests.services.stored import a_writer, running

CALLER = "+14155550123"
LINE = "+15005550006"


def said(entry: int, voice: str, text: str, **more: Any) -> Fact:
    """Words of a call."""
    told = {"stream": 1, "entry": entry, "voice": voice, "key": f"item_{entry}"}
    told |= {"began_at_ms": 1000 * entry, "text": text}
    return Fact("transcript.updated", 1000 * entry, told | more)


def heard(entry: int) -> Fact:
    """The caller heard all of it."""
    told = {"stream": 1, "entry": entry, "heard_ms": 900, "sent_ms": 900, "whole": True}
    return Fact("transcript.heard", 1000 * entry + 900, told)


CONVERSATION = (
    said(0, "agent", "Hello, Contoso. How can I help?"),
    heard(0),
    said(1, "caller", "I hit a post yesterday at six. My policy is AB123456."),
    said(2, "agent", "I am sorry to hear", cut=True, heard_ms=400, sent_ms=3000),
    said(3, "caller", "Please call me back tomorrow."),
    said(4, "agent", "We will call you tomorrow at nine."),
    heard(4),
)


async def a_call(
    address: str,
    call_id: str = "call_1",
    words: Sequence[Fact] = CONVERSATION,
    *,
    over: bool = True,
    caller: str = CALLER,
) -> None:
    """A call in the store of this address, told as the server tells it."""
    engine = open_engine(address)
    created_at = datetime.now(UTC)
    party = {"from_number": caller, "to_number": LINE, "call_sid": f"CA{call_id}"}
    facts = [
        Fact("call.created", 0, {**party, "conversation_id": f"conv_{call_id}"}),
        Fact("call.stream_started", 10, {"stream": 1, "stream_sid": "MZ1"}),
        *words,
    ]
    facts += [Fact("call.ended", 9_000, {"reason": "caller_hangup"})] if over else []
    report = Report()
    async with running(a_writer(address)) as writer:
        writer.opened(
            NewCall(
                call_id=call_id,
                conversation_id=f"conv_{call_id}",
                direction="inbound",
                created_at=created_at,
                call_sid=f"CA{call_id}",
                from_number=caller,
                to_number=LINE,
            )
        )
        for seq, fact in enumerate(facts, 1):
            report.learn(fact)
            writer.append(call_id, seq, fact)
        if over:
            told = record(call_id, report, partial(utc_of, created_at.timestamp()))
            writer.closed(call_id, "caller_hangup", datetime.now(UTC), told)
    await engine.dispose()
