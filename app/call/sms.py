"""The text messages of a call, as facts tell them: a pure fold for the record.

A message is known by its SID. Twilio's word of how it ended may come before REST's of its having
been taken, and twice; what is final stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

SENT, DELIVERED, FAILED, RECEIVED = "sms.sent", "sms.delivered", "sms.failed", "sms.received"
KINDS = (SENT, DELIVERED, FAILED, RECEIVED)
FINAL = frozenset({"delivered", "undelivered", "failed", "not_sent", "unclear", "received"})
_FIELDS = ("message_sid", "to", "status", "error_code", "at")


def told(known: Sequence[Mapping[str, Any]], kind: str, fact: Mapping[str, Any]) -> list[Any]:
    """``known`` with what a fact of ``KINDS`` says of one message."""
    messages = [dict(one) for one in known]
    direction = "inbound" if kind == RECEIVED else "outbound"
    news = {"direction": direction, **{name: fact.get(name) for name in _FIELDS}}
    sid = news["message_sid"]
    same = [one for one in messages if sid is not None and one["message_sid"] == sid]
    if not same:
        return [*messages, news]
    [before] = same
    for name, value in news.items():
        final = name == "status" and before[name] in FINAL
        if value is not None and not final:
            before[name] = value
    return messages


def is_final(known: Sequence[Mapping[str, Any]], sid: str) -> bool:
    """How this message ended is known."""
    return any(one["message_sid"] == sid and one["status"] in FINAL for one in known)
