"""Whether the caller is on hold: music instead of the agent, for as long as somebody needs.

The operator's hold lasts until the caller is taken back: the agent hears silence and says nothing
of its own accord. Another one lasts until the agent speaks, who is asked for a turn that needs
nothing of the caller's. And whoever is being put through hears music while the carrier is asked,
or a person is.

    NOBODY ──hold──▶ UNHOLD ──unhold──▶ NOBODY
      ├──hold, with a turn of the agent's──▶ WORDS ──its first sound, unhold──▶ NOBODY
      │                                        └──a person is asked──▶ PERSON
      ├──the carrier is asked──▶ REFUSAL ──not put through──▶ NOBODY
      └──a person is asked──▶ PERSON ──not put through──▶ NOBODY
"""

from enum import Enum, auto

from app.call.background import Background, Layer
from app.call.hearing import Hearing, Hidden
from app.protocol.commands import CallerHeld, CallerReleased, Command

HOLD = "hold"
"""The name of the sound that callers on hold hear."""
TARGET = "target:{name}"
"""The name of the sound on the way to a target."""


class Until(Enum):
    """What the caller on hold waits for."""

    NOBODY = auto()
    """They are not on hold."""
    UNHOLD = auto()
    WORDS = auto()
    REFUSAL = auto()
    PERSON = auto()


class Hold:
    """One hold at a time."""

    def __init__(self, background: Background, hearing: Hearing) -> None:
        self._background = background
        self._hearing = hearing
        self._until = Until.NOBODY
        self._response_id: str | None = None
        """Whose words came before the hold."""

    @property
    def on(self) -> bool:
        """The caller is on hold."""
        return self._until is not Until.NOBODY

    @property
    def silences(self) -> bool:
        """The agent is to say nothing of its own accord."""
        return self._until in {Until.UNHOLD, Until.PERSON}

    def begin(
        self,
        until: Until,
        by: str,
        now_ms: int,
        *,
        sound: str = HOLD,
        response_id: str | None = None,
    ) -> list[Command]:
        """Let the caller hear ``sound``. ``by`` is whose wish it is: operator, agent or transfer;
        ``response_id`` is the response in progress, whose words do not end it. Of a caller on hold
        only a person makes another hold: no words of the agent's end that."""
        longer = self._until is Until.WORDS and until is Until.PERSON
        if self.on and not longer:
            return []
        held: list[Command] = [] if self.on else [CallerHeld(by)]
        self._until = until
        self._response_id = response_id
        if self.silences:
            self._hearing.hide(Hidden.HOLD)
        return [*held, *self._background.play(Layer.HOLD, sound, now_ms)]

    def putting_through(self, target: str, now_ms: int) -> list[Command]:
        """The carrier is asked for a target that has music of its own."""
        sound = TARGET.format(name=target)
        if not self._background.has(sound):
            return []
        return self.begin(Until.REFUSAL, "transfer", now_ms, sound=sound)

    def asking(self, target: str, now_ms: int) -> list[Command]:
        """A person is called, and the caller waits: for music of the target's, or the usual."""
        sound = TARGET.format(name=target)
        if not self._background.has(sound):
            sound = HOLD
        return self.begin(Until.PERSON, "transfer", now_ms, sound=sound)

    def not_through(self, now_ms: int) -> list[Command]:
        """The caller stays with the agent."""
        waited = self._until in {Until.REFUSAL, Until.PERSON}
        return self.end(now_ms) if waited else []

    def end(self, now_ms: int, *, speaking: bool = False) -> list[Command]:
        """The caller is taken back; nothing happens where they are not on hold."""
        if not self.on:
            return []
        if self.silences:
            self._hearing.show(Hidden.HOLD)
        self._until = Until.NOBODY
        stopped = self._background.stop(Layer.HOLD, now_ms, speaking=speaking)
        return [CallerReleased(), *stopped]

    def words(self, response_id: str, now_ms: int) -> list[Command]:
        """The agent is about to be heard. On the audio path while a caller is on hold."""
        if self._until is not Until.WORDS or response_id == self._response_id:
            return []
        return self.end(now_ms, speaking=True)
