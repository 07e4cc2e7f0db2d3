"""What a change of a call's row is made of, as the sinks' statements name it."""

from collections.abc import Iterable
from typing import Any, TypeVar

from app.services.store.changes import Answered, Appended, Change, Closed, Opened

Kind = TypeVar("Kind", Opened, Answered, Appended, Closed)
_OPENED = (
    "call_id",
    "call_sid",
    "conversation_id",
    "resumed_from",
    "direction",
    "from_number",
    "to_number",
    "status",
    "created_at",
    "answered_at",
    "owner",
    "config_version",
    "expires_at",
)


def opened(change: Opened) -> dict[str, Any]:
    """A call that begins, by the names of ``INTO_CALLS`` and ``lease_s``."""
    row: dict[str, Any] = {name: getattr(change.call, name) for name in _OPENED}
    return row | {"custom_data": change.custom_data, "lease_s": change.call.lease_s}


def answered(change: Answered) -> dict[str, Any]:
    """Somebody picked up."""
    return {
        "call_id": change.call_id,
        "answered_at": change.answered_at,
        "call_sid": change.call_sid,
        "owner": change.owner,
        "lease_s": change.lease_s,
    }


def closed(change: Closed) -> dict[str, Any]:
    """The end, and ``by``, who may say so."""
    return {
        "call_id": change.call_id,
        "end_reason": change.end_reason,
        "ended_at": change.ended_at,
        "record": change.record,
        "by": change.by,
    }


def of(changes: Iterable[Change], kind: type[Kind]) -> list[Kind]:
    """Those of one kind, in their order."""
    return [change for change in changes if isinstance(change, kind)]


INTO_CALLS = (
    "INSERT INTO calls (call_id, call_sid, conversation_id, resumed_from, direction, from_number,"
    " to_number, status, created_at, answered_at, owner, config_version, expires_at, custom_data,"
    " lease_until)"
)
