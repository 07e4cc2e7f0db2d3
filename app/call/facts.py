"""Facts: what is known about a call, one after the other, and never changed.

A fact is written once, under the call's id and a number that only grows (``seq``, from 1).
Everything else that is told about a call, its record, its transcript, its timeline, is a fold
over its facts (``app.call.report``), so that a process which never saw the call can tell the
same story as the one that held it. Names are those of the events a client may read
(callcentre 7.2). Words come as ``transcript.updated``, the whole
entry each time, what was heard of them as ``transcript.heard``: the last one counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

TIMED_OUT = "timed_out"
"""Why a tool failed that took too long."""


class Weight(Enum):
    """What may be let go of when facts come faster than they can be written."""

    KEPT = "kept"
    """State, words, tools: never before every figure is gone."""
    FIGURE = "figure"
    """Latencies, usage, counts: the first to go. Their loss is a fact, too."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that became known about one call."""

    type: str
    """A name of ``FACTS``."""
    at_ms: int
    """Since the call was created; the process that writes it answers for the clock."""
    data: Mapping[str, Any]
    """Plain JSON values. Numbers and words of the caller's are in here and nowhere else."""


FACTS: dict[str, Weight] = {
    "call.created": Weight.KEPT,
    "call.rejected": Weight.KEPT,
    "call.looked_up": Weight.KEPT,
    "call.ringing": Weight.KEPT,
    "call.attempted": Weight.KEPT,
    "call.answered": Weight.KEPT,
    "call.resumed": Weight.KEPT,
    "call.returned": Weight.KEPT,
    "call.stream_awaited": Weight.KEPT,
    "call.stream_started": Weight.KEPT,
    "call.stream_stopped": Weight.KEPT,
    "call.model_connected": Weight.KEPT,
    "call.model_refused": Weight.KEPT,
    "call.model_lost": Weight.KEPT,
    "call.ended": Weight.KEPT,
    "call.corrected": Weight.KEPT,
    "call.analyzed": Weight.KEPT,
    "call.custom_data": Weight.KEPT,
    "transcript.updated": Weight.KEPT,
    "transcript.heard": Weight.KEPT,
    "transcript.cleared": Weight.KEPT,
    "caller.interrupted": Weight.FIGURE,
    "caller.silent": Weight.KEPT,
    "call.first_audio": Weight.FIGURE,
    "turn.answered": Weight.FIGURE,
    "dtmf.received": Weight.KEPT,
    "dtmf.collected": Weight.KEPT,
    "dtmf.failed": Weight.KEPT,
    "variables.saved": Weight.KEPT,
    "dtmf.sent": Weight.KEPT,
    "tool.approval_requested": Weight.KEPT,
    "tool.approval_answered": Weight.KEPT,
    "tool.started": Weight.KEPT,
    "tool.completed": Weight.KEPT,
    "tool.failed": Weight.KEPT,
    "tool.timed_out": Weight.KEPT,
    "mcp.tools_listed": Weight.KEPT,
    "mcp.failed": Weight.KEPT,
    "agent.changed": Weight.KEPT,
    "session.changed": Weight.KEPT,
    "hold.started": Weight.KEPT,
    "hold.ended": Weight.KEPT,
    "transfer.started": Weight.KEPT,
    "transfer.dialling": Weight.KEPT,
    "transfer.answered": Weight.KEPT,
    "transfer.ringing": Weight.KEPT,
    "transfer.accepted": Weight.KEPT,
    "transfer.connected": Weight.KEPT,
    "transfer.failed": Weight.KEPT,
    "transfer.ended": Weight.KEPT,
    "command.received": Weight.KEPT,
    "command.ended": Weight.KEPT,
    "voicemail.detected": Weight.KEPT,
    "voicemail.left": Weight.KEPT,
    "callback.scheduled": Weight.KEPT,
    "callback.started": Weight.KEPT,
    "callback.exhausted": Weight.KEPT,
    "caller.opted_out": Weight.KEPT,
    "reminder.created": Weight.KEPT,
    "form.updated": Weight.KEPT,
    "form.completed": Weight.KEPT,
    "form.continued": Weight.KEPT,
    "sms.sent": Weight.KEPT,
    "sms.delivered": Weight.KEPT,
    "sms.failed": Weight.KEPT,
    "sms.received": Weight.KEPT,
    "link.sent": Weight.KEPT,
    "text.received": Weight.KEPT,
    "text.answered": Weight.KEPT,
    "recording.started": Weight.KEPT,
    "recording.paused": Weight.KEPT,
    "recording.resumed": Weight.KEPT,
    "recording.stopped": Weight.KEPT,
    "recording.failed": Weight.KEPT,
    "recording.completed": Weight.KEPT,
    "message.taken": Weight.KEPT,
    "guardrail.tripped": Weight.KEPT,
    "model.used": Weight.FIGURE,
    "line.figures": Weight.FIGURE,
    "warning": Weight.FIGURE,
    "record.gap": Weight.KEPT,
}
"""Every kind of fact. ``record.gap`` says how many could not be kept, and of which weight."""
