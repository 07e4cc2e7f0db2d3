"""The part of JSONPath (RFC 9535) that names one value: ``$.holder.name``, ``$.slots[0].day``."""

import re
from typing import Any

Path = tuple[str | int, ...]

_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(-?[0-9]{1,6})\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]""")
MISSING = object()
"""What is found where there is nothing."""


def path(text: str) -> Path:
    """The steps from ``$``. Raises ValueError."""
    if not text.startswith("$"):
        raise ValueError("must begin with $")
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError("must name one value, as $.holder.name or $.slots[0] do")
        name, index, single, double = step.groups()
        steps.append(
            int(index)
            if index is not None
            else next(one for one in (name, single, double) if one is not None)
        )
        at = step.end()
    return tuple(steps)


def found(value: Any, steps: Path) -> Any:
    """The value at the end of the steps, or MISSING."""
    for step in steps:
        fits = isinstance(value, dict) if isinstance(step, str) else isinstance(value, list)
        try:
            value = value[step] if fits else MISSING
        except LookupError:
            return MISSING
    return value
