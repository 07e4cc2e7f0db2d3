"""Moments of a call as clients read them."""

from datetime import UTC, datetime


def utc_of(created_at: float, at_ms: int | None) -> str | None:
    """``at_ms`` after ``created_at`` (seconds since 1970) as RFC 3339, UTC with milliseconds.

    None where the moment has not come.
    """
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(created_at + at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
