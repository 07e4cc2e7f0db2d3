"""What the caller hears while a tool is at work: keys of a keyboard, or music.

It begins when the tool has taken a moment, goes on under what the agent says to bridge the wait,
and ends with the first sound of the answer, or as soon as none is to come.
"""

from collections.abc import Mapping

from app.call.alarms import Alarm, Alarms
from app.call.background import Background, Layer
from app.call.plan import SoundPlan
from app.protocol.commands import Command
from app.protocol.events import Event, ToolDone

BEGINS_AFTER_MS = 300
"""A quick tool makes no sound: half a second of music is a fault on the line, to the ear."""
TOOL = "tool:{name}"
"""The name of a tool's sound."""


class Meanwhile:
    """The tools at work that have a sound."""

    def __init__(
        self, alarms: Alarms, background: Background, sounds: Mapping[str, SoundPlan]
    ) -> None:
        self._alarms = alarms
        self._background = background
        self._sounds = sounds
        self._running: dict[str, str] = {}
        """The sound of each tool call that is open."""
        self._playing = False

    def runs(self, tool_call_id: str, name: str, now_ms: int) -> None:
        """A tool begins to work."""
        sound = TOOL.format(name=name)
        if sound not in self._sounds:
            return
        self._running[tool_call_id] = sound
        if not self._playing and not self._alarms.is_set(Alarm.WORK):
            self._alarms.set(Alarm.WORK, now_ms + BEGINS_AFTER_MS)

    def due(self, now_ms: int) -> list[Command]:
        """It has taken a moment."""
        if not self._running:
            return []
        self._playing = True
        return self._background.play(Layer.WORK, next(iter(self._running.values())), now_ms)

    def after(self, event: Event, now_ms: int, *, owes: bool) -> list[Command]:
        """A tool is done, or a response. ``owes``: words of the agent's are to come, with which
        the sound ends by itself."""
        if isinstance(event, ToolDone):
            self._running.pop(event.tool_call_id, None)
        if self._running:
            return []
        self._alarms.clear(Alarm.WORK)
        return self._stop(now_ms) if self._playing and not owes else []

    def words(self, now_ms: int) -> list[Command]:
        """The agent is about to be heard. On the audio path while a tool's sound is heard."""
        if not self._playing or self._running:
            return []
        return self._stop(now_ms, speaking=True)

    def _stop(self, now_ms: int, *, speaking: bool = False) -> list[Command]:
        self._playing = False
        return self._background.stop(Layer.WORK, now_ms, speaking=speaking)
