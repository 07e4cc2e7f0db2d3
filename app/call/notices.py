"""What the operator's programs are told about a call: which kinds, and in which words. Pure.

The envelope is that of Standard Webhooks: ``type``, ``timestamp``, ``data``. Rule: what is not
in ``NOTICES`` is told to nobody, and words of the call only to who named them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from app.call import written

ENDED = "call.ended"
ANALYZED = "call.analyzed"
CORRECTED = "call.corrected"
ALWAYS = (ENDED, CORRECTED, ANALYZED)
"""Told by the work that follows a call, exactly once; the others are facts as they come."""
_WORDS = "transcript."

NOTICES: dict[str, str] = {
    "call.created": "a call came, or was placed",
    "call.rejected": "nobody answered it: `reason`",
    "call.ringing": "the telephone called rings",
    "call.answered": "somebody picked up: `answered_by`",
    "call.resumed": "the caller is back in an earlier conversation",
    "call.stream_started": "the audio began: `stream_sid`",
    "call.stream_stopped": "the audio ended: `reason`",
    "call.model_connected": "the model listens: `session_id`",
    "call.model_lost": "its connection ended: `close_code`, `reason`",
    "caller.interrupted": "the caller cut the agent short",
    "caller.silent": "the caller said nothing for long and is reminded: `count` in a row",
    "caller.opted_out": "the caller wants no text messages any more: `channel`",
    "dtmf.received": "a key was pressed: `length`, never which",
    "dtmf.collected": "something was keyed in: `preset`, `length`, `digits`, `reason`",
    "dtmf.failed": "it was not, or not as wanted: `preset`, `length`, `digits`, `reason`",
    "dtmf.sent": "keys were pressed for the agent or the operator: `digits`, `length`, `via`",
    "tool.approval_requested": (
        "a tool waits for a person: `approval_id`, `name`, `tool_call_id`, `expires_at`"
    ),
    "tool.approval_answered": "it does no longer: `approval_id`, `state`, `reason`",
    "tool.started": "`tool_call_id`, `name`",
    "tool.completed": "`tool_call_id`, `name`, `source` builtin, python, http or mcp, `ms`",
    "tool.failed": "`tool_call_id`, `name`, `source`, `ms`, `error`",
    "tool.timed_out": "it took too long: the same",
    "mcp.tools_listed": "what a server offers this call: `server_label`, `tools`",
    "mcp.failed": "a server had told of no tools when the call came: `server_label`",
    "guardrail.tripped": "something was said that a rule forbids: `name` of the rule, `direction`, "
    "`type`, `action`; never the words",
    "agent.changed": "another agent has the conversation: `agent` who, `reason`",
    "session.changed": "the session was changed in mid-call: `strategy`, or `restored` where it "
    "was for one turn; `fields` that are changed by now; `lasting` changes",
    "hold.started": "the caller hears music: `by` operator, agent or transfer",
    "hold.ended": "they hear the agent again: `ms` is how long it was",
    "transfer.requested": "with `mode: hangup`, before the call ends: `target`, `to`, `headers`",
    "transfer.started": "`target`, `mode`",
    "transfer.ringing": "a person's telephone rings, with `mode: warm`: `target`, `leg_sid`",
    "transfer.accepted": "they pressed the key: `target`",
    "transfer.connected": "the caller was sent to where they wait: `target`",
    "transfer.failed": "they were not reached: `target`, `reason`, `then`",
    "transfer.ended": "`outcome`, `talk_s`",
    "voicemail.detected": "an answering machine picked up",
    "voicemail.left": "it was told the message",
    "callback.scheduled": "the agent promised to call back: `callback_id`, `due_at`",
    "callback.started": "the telephone of whom it was promised rings: `callback_of` is the call",
    "callback.exhausted": "nobody was reached: `callback_of`, `reason`",
    "reminder.created": "the agent noted or changed one: `id`, `title`, `due_at`",
    "form.updated": (
        "a field of the form was noted or changed: `form`, `field`, `value`, `confirmed`, `missing`"
    ),
    "form.completed": "all that is required was noted, once: `form`, `values`",
    "reminder.due": "the moment of a reminder has come: as it was created",
    "sms.sent": "a text message was sent: `message_sid`, `status`",
    "sms.delivered": "it arrived: `message_sid`",
    "sms.failed": "it was not sent, or did not arrive: `message_sid`, `reason`, `error_code`",
    "sms.received": "one came from the caller: `message_sid`, never its text",
    "text.received": "the caller wrote when the call was over: `id`, `via`, never the text",
    "text.answered": "they were answered in writing: `id` of what they wrote, `via`",
    "recording.started": "the call is recorded: `recording_sid`, `channels`, `announced`",
    "recording.paused": "not while something secret is keyed in: `recording_sid`",
    "recording.resumed": "again: `recording_sid`",
    "recording.stopped": "it could not be paused, and is stopped: `recording_sid`",
    "recording.failed": "it was not started, paused, resumed or stopped: `wish`, `reason`",
    "recording.completed": "it can be fetched: `recording_sid`, `status`, `duration_s`, `channels`",
    "message.taken": "a caller whom nobody answered left one: `recording_sid`, `duration_s`",
    "transcript.updated": "`role`, `text`; only for who names it, or `transcript.*`",
    ENDED: "the record but for `analysis`, exactly once",
    CORRECTED: "it ended otherwise than was told: `reason`, and the record once more",
    ANALYZED: "`status`, `analysis`, exactly once",
}
"""Every kind, with what is in its ``data``; documented in docs."""


@dataclass(frozen=True, slots=True)
class About:
    """The call that a notice is about."""

    call_id: str
    conversation_id: str
    direction: str
    from_number: str | None
    to_number: str | None
    custom_data: Mapping[str, Any]


_PRIVATE = {
    "tool.approval_requested": {"arguments"},
    ENDED: {"analysis"},
    CORRECTED: {"analysis"},
    ANALYZED: {"sms"},
    "transfer.started": {"summary"},
}
"""What is told by another event, or to nobody."""


def asked_for(patterns: Iterable[str], kind: str) -> bool:
    """Whether one of these globs names this kind. ``*`` alone names everything but words."""
    if kind not in NOTICES:
        return False
    named = (one for one in patterns if fnmatchcase(kind, one))
    return any(one.startswith(_WORDS) for one in named) if kind.startswith(_WORDS) else any(named)


def notice(
    kind: str, timestamp: str | None, seq: int, about: About, more: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a webhook. ``seq`` is the number of the fact among those of its call."""
    data = {
        **_told(kind, more),
        "call_id": about.call_id,
        "conversation_id": about.conversation_id,
        "seq": seq,
        "direction": about.direction,
        "from": {"number": about.from_number},
        "to": {"number": about.to_number},
        "agent": None,
        "metadata": {},
        "custom_data": dict(about.custom_data),
    }
    return {"type": kind, "timestamp": timestamp, "data": data}


def _told(kind: str, more: Mapping[str, Any]) -> dict[str, Any]:
    if kind.startswith(_WORDS):
        # Arguments of tools are among the words, and may be what the caller keyed in.
        return {"role": more.get("voice"), "text": more.get("text")}
    private = _PRIVATE.get(kind, frozenset[str]())
    if kind in written.KINDS:
        private = {"text"}
    return {name: value for name, value in more.items() if name not in private}
