"""Who of the two is muted: the caller, whom the agent does not hear then, or the agent, whom
nobody hears.

A muted caller is silence to the model, on the same timeline; their keys count. A muted agent is
told what the caller says and answers nothing: whatever it begins to say is cancelled. Rule: it
lasts until the operator ends it, and a hold that begins or ends meanwhile changes nothing of it.

    heard ──mute──▶ muted ──unmute──▶ heard        the agent, and the caller, each by itself
"""

from app.call.hearing import Hearing, Hidden

AGENT = "agent"
CALLER = "caller"


class Mute:
    """What is muted in this stream."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._muted: set[str] = set()

    @property
    def agent(self) -> bool:
        """Nobody hears the agent."""
        return AGENT in self._muted

    def begin(self, who: str) -> bool:
        """Mute the agent or the caller; False where they are muted already."""
        if who in self._muted:
            return False
        self._muted.add(who)
        if who == CALLER:
            self._hearing.hide(Hidden.MUTE)
        return True

    def end(self, who: str) -> bool:
        """They are heard again; False where they were not muted."""
        if who not in self._muted:
            return False
        self._muted.remove(who)
        if who == CALLER:
            self._hearing.show(Hidden.MUTE)
        return True
