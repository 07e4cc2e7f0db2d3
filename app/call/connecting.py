"""Getting a model line, getting another one, and what it is told first.

A line that is ready is seeded with what happened before, hears what the caller said meanwhile,
and is asked to speak: the greeting on the first line, where it left off on a later one.
"""

from app.call import conversation
from app.call.alarms import Alarm
from app.call.departure import Departure
from app.call.model_link import Link
from app.call.parts import Parts, Phase
from app.call.prompts import RESUMED, greeting, welcome_back
from app.call.pulse import Sign
from app.protocol import commands as c
from app.protocol import events as e

SHIELD_MS = 20_000
"""From the stream's start; a greeting that is still not over then must bear the caller."""


class Connecting:
    """The comings and goings of the call's model lines."""

    def __init__(self, parts: Parts, departure: Departure) -> None:
        self._parts = parts
        self._departure = departure
        self._sent_when_mute: int | None = None
        """What the caller had been sent when a line was last given up."""

    def begin(self, now_ms: int) -> list[c.Command]:
        """The TwiML was answered: open the model line and wait for the stream."""
        self._parts.leaving.park(now_ms)
        if self._shields:
            self._parts.hearing.shield()
        return [self._parts.link.open()]

    def caller_came(self, now_ms: int) -> None:
        """The stream is there: what has not been heard yet is waited for from now on."""
        self._parts.patience.caller_came()
        if self._shields:
            self._parts.alarms.set(Alarm.SHIELD, now_ms + SHIELD_MS)
        if self._parts.link.state is Link.OPENING or self._parts.responses.owes:
            self._parts.patience.begins(now_ms)

    @property
    def _shields(self) -> bool:
        plan = self._parts.plan
        return plan.greeting_shielded and bool(plan.greeting) and not plan.returning

    def shield_due(self, _now_ms: int) -> list[c.Command]:
        """Whatever became of the greeting, the caller is heard from now on."""
        self._parts.hearing.unshield()
        return []

    def ready(self, _event: e.ModelReady, now_ms: int) -> list[c.Command]:
        """A line may carry audio: seed it, let it hear what waited, ask it to speak."""
        if self._parts.phase is Phase.LEAVING:
            self._parts.link.give_up()
        if not self._parts.link.ready():
            return [c.CloseModel()]
        if self._parts.plan.returning and not self._parts.greeted:
            self._parts.transcript.note(
                f"The caller is back with you: {self._parts.plan.returning}.", now_ms
            )
        self._parts.pulse.begins(now_ms)
        memories = conversation.remember(self._parts.plan.memories, self._parts.transcript.entries)
        out = conversation.seed(memories)
        out += self._parts.hearing.model_ready()
        opening = self._opening()
        if opening is None:
            self._parts.patience.ends()
            return out
        return out + self._parts.responses.ask(opening, now_ms)

    def _opening(self) -> c.CreateResponse | None:
        if self._parts.greeted:
            return RESUMED
        self._parts.greeted = True
        if self._parts.plan.returning:
            return welcome_back(self._parts.plan.returning)
        return greeting(self._parts.plan)

    def refused(self, event: e.ModelRefused, now_ms: int) -> list[c.Command]:
        """An attempt failed: another one, or the failure treatment."""
        again = self._parts.link.refused(event)
        if again is not None:
            return [again]
        gone = self._parts.link.state is Link.GONE
        return self._departure.model_gone(now_ms) if gone else []

    def lost(self, _event: e.ModelLineLost | None, now_ms: int) -> list[c.Command]:
        """The line is gone: another one, or the failure treatment."""
        if self._parts.link.state is not Link.READY:
            return []
        self._departure.line_gone()
        if self._parts.phase is Phase.LEAVING:
            self._parts.link.give_up()
            return [c.CloseModel()]
        out = self._parts.playout.finish() if self._parts.live else []
        again = self._parts.link.lost(now_ms)
        if again is None:
            return out + self._departure.model_gone(now_ms)
        self._parts.patience.line_lost(now_ms)
        return [*out, c.CloseModel(), again]

    def mute(self, now_ms: int) -> list[c.Command]:
        """The line owes words and brings none: another one, unless that has been tried already."""
        sent, self._sent_when_mute = self._sent_when_mute, self._parts.playout.ever_sent
        if sent == self._sent_when_mute and self._parts.phase is not Phase.LEAVING:
            return self._departure.model_gone(now_ms)
        return self.lost(None, now_ms)

    def pulse_due(self, now_ms: int) -> list[c.Command]:
        """Nothing has been heard of the model for long: is it there?"""
        if not self._parts.live:
            self._parts.pulse.begins(now_ms)
            return []
        match self._parts.pulse.due(now_ms, last_speech_ms=self._parts.responses.last_sign_ms):
            case Sign.ASK:
                return [c.AskAlive()]
            case Sign.MUTE:
                return self.mute(now_ms)
            case Sign.ALIVE:
                return []
