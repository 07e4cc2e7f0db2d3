"""Taking over a call of another process: the live half made again from what is on record.

What was said is known as it was heard; what the other process was doing when it went is not.
A tool that had not answered may have acted: the model is told so, and does not do it again by
itself.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.call import line_menu
from app.call.conversation import remember
from app.call.facts import Fact
from app.call.lookup import known_of
from app.call.plan import Memory
from app.call.report import Passage, Report
from app.call.transcript import Entry, Voice
from app.runtime.live_call import CallFacts, LiveCall
from app.runtime.orders import Order
from app.services.store.calls import CallRow, StoredFact

INTERRUPTED = "interrupted"
"""The outcome of a transfer for which a person was still being asked."""
UNKNOWN_OUTCOME = (
    '{"ok":null,"note":"The connection was interrupted before the result came. It may have been'
    ' done or not: find out or ask before doing it again."}'
)


def adopted(
    row: CallRow, told: Iterable[StoredFact], keep: Callable[[str, int, Fact], None]
) -> LiveCall:
    """The call of ``row`` with the story of its facts, in their order."""
    report, told_ms = Report(), 0
    for numbered in told:
        report.learn(Fact(numbered.type, numbered.at_ms, numbered.data))
        report.seq = numbered.seq  # A number may be missing where facts were lost.
        told_ms = max(told_ms, numbered.at_ms)
    party = report.party
    order = Order.of(report.order) if report.order is not None else None
    created_at = row.created_at.timestamp()
    # Two machines agree about the time within a second, or an hour; the story never goes back.
    age_ms = max(told_ms, int((time.time() - created_at) * 1000))
    call = LiveCall(
        call_id=row.call_id,
        facts=CallFacts(
            row.call_sid or party.call_sid,
            party.account_sid,
            row.from_number or "",
            row.to_number or "",
            row.direction,
            party.caller_name,
            party.sip_call_id,
            party.sip_headers,
        ),
        keep=keep,
        report=report,
        memories=line_menu.memories(party.language)
        + (order.memories() if order else known_of(party.variables))
        + remembered(report),
        outset=order.outset() if order else {},
        streams=report.last_stream,
        created_at=created_at,
        began_ns=time.monotonic_ns() - age_ms * 1_000_000,
    )
    if report.transfers and report.transfers[-1].open and not report.transfers[-1].token_digest:
        # Nobody of the carrier's tells how that ends: who asked the person for it is gone.
        call.transfer_ended(INTERRUPTED)
    return call


def remembered(report: Report) -> tuple[Memory, ...]:
    """The conversation so far, as it was heard, and written when nobody was on the line."""
    said = map(_entry, report.passages.values())
    return remember((), [*said, *map(_letter, report.written)])


def _letter(one: Mapping[str, Any]) -> Entry:
    return Entry(Voice(one["by"]), one["id"], 0, text=one["text"])


def _entry(passage: Passage) -> Entry:
    cut = passage.voice is Voice.AGENT and not passage.whole
    lost = passage.voice is Voice.TOOL and not passage.text
    return Entry(
        passage.voice,
        passage.key,
        passage.at_ms,
        text=UNKNOWN_OUTCOME if lost else passage.heard_text,
        heard_ms=passage.heard_ms or 0 if cut else None,
        name=passage.name,
        arguments=passage.arguments,
    )
