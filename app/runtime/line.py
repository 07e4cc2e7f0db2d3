"""What a call meets: one agent, as its document was when the call came.

Made once for all calls that meet it, and shared by them. Rule: a call keeps the line that it
came in on, whatever the operator writes meanwhile.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.audio.mixing import Sound
from app.call.plan import CallPlan, ToolPlan
from app.protocol.events import ToolDone
from app.runtime.effects import nobody_judges
from app.runtime.ports import Judge, ModelLine
from app.runtime.scripts import Scripts
from app.runtime.values import NO_LORE, Lore
from app.tools.texts import Allowed

SOLE = "agent"
"""The name of an agent that has none of its own."""


async def _no_tool(*_: object) -> ToolDone:
    raise LookupError("this line has no tools")


def _nobody_asked(_tool: str) -> None:
    return None


def _nobody_else(agent: str, _number: str) -> "Line":
    raise LookupError(agent)


async def _no_model(*_: object) -> ModelLine:
    raise LookupError("this line has no model")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One agent's plan, its documents, its version, and who does its work."""

    plan: CallPlan
    scripts: Scripts
    version: str
    """Of the document."""
    agent: str = SOLE
    open_model: Callable[..., Coroutine[Any, Any, ModelLine]] = _no_model
    """``(call, feed, timeout_ms)``."""
    run_tool: Callable[..., Awaitable[ToolDone]] = _no_tool
    """``(call, wish)``."""
    listed: Callable[[], Mapping[str, ToolPlan]] = dict
    """The tools that servers offer now, besides those of the plan."""
    servers: Callable[[], Mapping[str, Collection[str]]] = dict
    """The names of those tools by the names of the servers, those that offer none included."""
    approval: Callable[[str], int | None] = _nobody_asked
    """How long a person is waited for who must approve of the tool of that name; None: nobody
    must."""
    judge: Judge = nobody_judges
    """Says whether a text is against one of its rules."""
    sounds: Mapping[str, Sound] = field(default_factory=dict)
    texts: Allowed | None = None
    """What may be done with text messages; None: nothing."""
    lore: Lore = NO_LORE
    """What its texts may speak of."""
    colleague: Callable[[str, str], "Line"] = _nobody_else
    """The line of another agent of the same document, on one of the operator's numbers."""
    resume_s: float = 0.0
    """Within that time a call that was broken off is continued by the next."""
