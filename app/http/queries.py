"""What may be asked about calls: parameters, each checked, with the fix in the refusal.

Unknown parameters are refused by their names: a filter that is silently passed over shows the
calls of everybody. A refusal never quotes a value, which may be a number.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import HTTPException, Request

from app.runtime.records import Filters

PAGE = 50
MOST = 200
STATUSES = {"queued": "queued", "in_progress": "live", "completed": "ended"}
"""As the record has them, and as the store does."""
_LONGEST_CHARS = 256
_A_TIME = "a time with its zone, like 2026-11-21T12:00:00Z"
# A plus sign that was not written as %2B arrives as a space.
_LOST_PLUS = re.compile(r"^ (?=\d)|(?<=\d) (?=\d\d:\d\d$)")


def only(request: Request, *known: str) -> Mapping[str, str]:
    """The query's parameters, by name. Raises 400 for unknown, empty and repeated ones."""
    given = request.query_params.multi_items()
    for name, value in given:
        if name not in known:
            raise HTTPException(400, _unknown(name, known))
        if not value or (len(value) > _LONGEST_CHARS and name != "cursor"):
            raise HTTPException(400, f"the parameter {name} is empty or too long")
    found = dict(given)
    if len(found) < len(given):
        twice = next(name for name in found if len(request.query_params.getlist(name)) > 1)
        raise HTTPException(400, f"the parameter {twice} is there more than once")
    return found


def _unknown(name: str, known: Sequence[str]) -> str:
    shown = re.sub(r"[^\w.-]", "?", name[:40])
    near = difflib.get_close_matches(name, known, 1)
    fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"
    return f"there is no parameter {shown}: {fix}"


def number(text: str) -> str:
    """A telephone number or another address, as the call has it."""
    return _LOST_PLUS.sub("+", text)


def moment(text: str) -> datetime:
    """A time of RFC 3339. Raises ValueError."""
    found = datetime.fromisoformat(_LOST_PLUS.sub("+", text))
    if found.tzinfo is None:
        raise ValueError
    return found.astimezone(UTC)


def status(text: str) -> str:
    """The store's word for it. Raises ValueError."""
    if text not in STATUSES:
        raise ValueError
    return STATUSES[text]


def limit(text: str) -> int:
    """How many calls a page has. Raises ValueError."""
    found = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= found <= MOST:
        raise ValueError
    return found


def flag(text: str) -> bool:
    """Yes or no. Raises ValueError."""
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


_FILTERS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "number": ("number", number, "a number, on either side"),
    "from": ("from_number", number, "the number that called"),
    "to": ("to_number", number, "the number that was called"),
    "after": ("created_after", moment, _A_TIME),
    "before": ("created_before", moment, _A_TIME),
    "end_reason": ("end_reason", str, "an end reason"),
    "status": ("status", status, f"one of {', '.join(STATUSES)}"),
    "config_version": ("config_version", str, "the version of an agent document"),
    "conversation_id": ("conversation_id", str, "the id of a conversation"),
}
_PAGING = {
    "cursor": "what the page before this one ended with",
    "limit": f"a whole number from 1 to {MOST}",
}


def taken(given: Mapping[str, str], name: str, take: Callable[[str], Any], what: str) -> Any:
    """The value of a parameter; None where it is not there. Raises 400 with the fix."""
    if name not in given:
        return None
    try:
        return take(given[name])
    except (ValueError, OverflowError):
        raise HTTPException(400, f"the parameter {name} must be {what}") from None


def listing(request: Request) -> tuple[Filters, str | None, int]:
    """Which calls are asked for, behind which, and how many. Raises 400."""
    given = only(request, *_FILTERS, *_PAGING)
    wanted = {
        field: taken(given, name, take, what) for name, (field, take, what) in _FILTERS.items()
    }
    most = taken(given, "limit", limit, _PAGING["limit"])
    return Filters(**wanted), given.get("cursor"), most or PAGE


def described(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a query, as OpenAPI has them."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": what,
                "schema": {"type": "integer" if name == "limit" else "string"},
            }
            for name, what in parameters.items()
        ]
    }


LISTING = described({name: what for name, (_, _, what) in _FILTERS.items()} | _PAGING)
