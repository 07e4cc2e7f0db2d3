"""What an ``error`` of the model's means for the call.

Most errors leave the session alive, so an unknown one is counted and survived: a bridge that
takes every error for the end goes silent on a harmless one. Codes: openai_realtime 2.5, as
collected from the types and from live captures, 2026-11.
"""

from enum import Enum, auto

FATAL = frozenset(
    {
        "invalid_api_key",
        "insufficient_quota",
        "account_deactivated",
        "billing_hard_limit_reached",
        "model_not_found",
        "beta_api_shape_disabled",
    }
)
"""Another connection would meet the same refusal."""


class Severity(Enum):
    """What to do about an error."""

    IGNORE = auto()
    COLLISION = auto()
    """Our ``response.create`` met an active response: ask again when that is done."""
    REFUSED = auto()
    """Our ``response.create`` itself was wrong: nothing will come of it."""
    SERVER = auto()
    """The server slipped; a session may be stuck in slipping (``failing``)."""
    FATAL = auto()


def severity(code: str, event_id: str | None) -> Severity:
    """The meaning of an error ``code`` that answers our message ``event_id``."""
    if code == "conversation_already_has_active_response":
        return Severity.COLLISION
    if code in FATAL:
        return Severity.FATAL
    if event_id is not None and event_id.startswith("create:"):
        return Severity.REFUSED
    if code == "server_error":
        return Severity.SERVER
    return Severity.IGNORE
