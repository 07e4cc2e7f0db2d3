"""What a call knows, for the places in the operator's texts (``app.call.templates``).

Times are the caller's where their number tells the zone, otherwise the line's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from app.call.templates import Values

NAME = "caller_name"
"""The variable that holds it, where somebody knows it."""


@dataclass(frozen=True, slots=True)
class Lore:
    """What is known before there is a call."""

    variables: Mapping[str, object] = field(default_factory=dict)
    """Of the document; None: every call must bring its own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the operator calls their numbers."""
    clock: tzinfo = UTC
    """Of the line."""
    zones: Callable[[str], Sequence[ZoneInfo]] = lambda _number: ()
    """Where a number may be."""
    country_of: Callable[[str], str] = lambda _number: ""

    def missing(self, brought: Mapping[str, object]) -> tuple[str, ...]:
        """What a call should have brought."""
        needed = (name for name, value in self.variables.items() if value is None)
        return tuple(name for name in needed if brought.get(name) is None)

    def values(
        self,
        *,
        ours: str,
        theirs: str,
        direction: str,
        call_id: str = "",
        brought: Mapping[str, object] | None = None,
        now: datetime | None = None,
        form: Mapping[str, object] | None = None,
    ) -> Values:
        """``ours`` and ``theirs``: the numbers at both ends. ``brought``: the variables of the
        call. ``form``: what it has found out."""
        variables = {**self.variables, **(brought or {})}
        local = (now or datetime.now(UTC)).astimezone(self.clock_of(theirs))
        return {
            "variables": {name: "" if one is None else one for name, one in variables.items()},
            "call": {"id": call_id, "direction": direction},
            "caller": {
                "number": theirs,
                "name": variables.get(NAME) or "",
                "country": self.country_of(theirs),
            },
            "line": {"number": ours, "label": self.labels.get(ours, "")},
            "now": f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M}",
            "today": f"{local:%A}, {local.day} {local:%B %Y}",
            "form": form or {},
        }

    def clock_of(self, number: str) -> tzinfo:
        """By which times are told to whoever has this number."""
        zones = self.zones(number)
        return zones[0] if len(zones) == 1 else self.clock


NO_LORE = Lore()
