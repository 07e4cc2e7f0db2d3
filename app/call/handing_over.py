"""Handing the conversation to another agent: which component hears of it, in which order."""

from app.call.connecting import Connecting
from app.call.dialogue import Dialogue
from app.call.handoff import NOT_HANDED
from app.call.parts import Parts
from app.protocol import commands as c
from app.protocol import events as e


class HandingOver:
    """What becomes of a handoff whose line does not come. The rest is any swap's."""

    def __init__(self, parts: Parts, connecting: Connecting, dialogue: Dialogue) -> None:
        self._parts = parts
        self._connecting = connecting
        self._dialogue = dialogue

    def spare_refused(self, event: e.SpareRefused, now_ms: int) -> list[c.Command]:
        """Their line cannot be had: this agent goes on."""
        return self._stays(now_ms) or self._connecting.spare_refused(event, now_ms)

    def spare_lost(self, event: e.SpareLost, now_ms: int) -> list[c.Command]:
        """Their line was lost before it was used."""
        return self._stays(now_ms) or self._connecting.spare_lost(event, now_ms)

    def _stays(self, now_ms: int) -> list[c.Command]:
        handoff = self._parts.handoff
        if not handoff.agent:
            return []
        refused = e.ToolDone(handoff.tool_call_id, NOT_HANDED, ok=False)
        handoff.over()
        return self._parts.swap.stays() + self._dialogue.tool_done(refused, now_ms)
