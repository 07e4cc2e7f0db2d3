"""One agent hands the conversation to another: what the model may wish, and how far it has come.

The other agent has a voice, a model and tools of their own, so they get a model line of their
own (``line_swap``): it is opened while this agent still has the word, and told everything that
was said. Rule: until it takes over nothing has changed. Where it cannot be had, this agent is
told so and goes on.

    NONE ──the model wishes──▶ under way ──their line takes over──▶ the other agent, NONE
                                   └──their line cannot be had──▶ this agent, NONE
"""

from collections.abc import Collection

import orjson

from app.protocol.commands import CreateResponse
from app.protocol.events import ToolCalled

HANDED = (
    '{{"ok":true,"note":"The conversation was handed over to {agent}, who is you from now on."}}'
)
NOT_HANDED = '{"ok":false,"reason":"they cannot be reached now: go on yourself"}'
_UNDER_WAY = '{"ok":false,"reason":"the conversation is being handed over already"}'
_UNKNOWN = '{{"ok":false,"reason":"unknown agent; known: {known}"}}'
LONGEST_REASON = 200

TAKES_OVER = CreateResponse(
    "handoff",
    "The conversation has just been handed to you by a colleague, and this is the first the caller "
    "hears of you. Say in a few words who you are, in the caller's language, and go on with what "
    "they want. Do not ask again what they have said already.",
)


class Handoff:
    """The one handoff there may be under way."""

    def __init__(self) -> None:
        self.agent = ""
        """Who is to have the conversation; empty: nobody else is."""
        self.reason = ""
        self.tool_call_id = ""

    def begin(self, call: ToolCalled, known: Collection[str]) -> str | None:
        """The model names a colleague. The refusal it is told, None when the handoff begins."""
        agent, reason = _wished(call.arguments)
        if self.agent:
            return _UNDER_WAY
        if agent not in known:
            return _UNKNOWN.format(known=", ".join(known) or "none")
        self.agent, self.reason, self.tool_call_id = agent, reason, call.tool_call_id
        return None

    def over(self) -> None:
        """They have the conversation, or never will."""
        self.agent = self.reason = self.tool_call_id = ""


def _wished(arguments: str) -> tuple[str, str]:
    """Whom the model wishes for, and why; empty where that cannot be read."""
    try:
        wish = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(wish, dict):
        return "", ""
    agent, reason = wish.get("agent"), wish.get("reason")
    shown = reason[:LONGEST_REASON] if isinstance(reason, str) else ""
    return agent if isinstance(agent, str) else "", shown
