"""A call that we placed: who speaks first, and what becomes of an answering machine.

Somebody who is called says "hello" first. Who says nothing for a while is spoken to. That the
other end is a machine becomes known seconds later, beside the conversation: then everything that
is being said is taken back, the message is said to the end, the line is left open for a moment,
and only then is hung up. A machine without a message, and a fax, are hung up on.

    SILENT ──a voice, a key──▶ OPEN ──machine records──▶ SAYING ──said──▶ SAID ──heard──▶ LINGERS
       └──silence: the agent speaks──▶ OPEN
"""

from enum import Enum, auto

from app.call.alarms import Alarm
from app.call.departure import STILL_MS, Departure
from app.call.model_link import Link
from app.call.parts import Parts, Phase
from app.call.prompts import first_words, verbatim
from app.protocol.commands import Command, CreateResponse
from app.protocol.events import PickedUp, ResponseDone, ResponseStarted

VOICEMAIL = "voicemail"
"""The purpose of the message to a machine."""
LEFT = "voicemail_left"
HUNG_UP = "voicemail_hangup"
LINGERS_MS = 500
"""From the end of the message to the hang-up: a machine cuts off what comes last."""
MESSAGE_MS = 15_000
"""Until a message must have begun to be heard; later, one that stands still is given up."""
MOST_TRIES = 3


class Callee(Enum):
    """How far it has come with whoever was called."""

    OPEN = auto()
    SILENT = auto()
    SAYING = auto()
    SAID = auto()
    LINGERS = auto()


class Answering:
    """The first words of a placed call, and the last ones to a machine."""

    def __init__(self, parts: Parts, departure: Departure) -> None:
        self._parts = parts
        self._departure = departure
        self._state = Callee.OPEN
        self._known: PickedUp | None = None
        """A verdict that came before there was anybody to act on it."""
        self._tries = 0
        departure.after_words = self.heard
        if self._listens_first:
            self._state = Callee.SILENT

    @property
    def _listens_first(self) -> bool:
        plan, recording = self._parts.plan, self._parts.recording
        return plan.speaks_after_ms is not None and not plan.returning and not recording.owes

    @property
    def waits(self) -> bool:
        """Nobody has spoken yet, and it is not the agent's turn."""
        return self._state is Callee.SILENT

    def ready(self, now_ms: int) -> list[Command]:
        """Callee and model are both there, perhaps not for the first time."""
        parts = self._parts
        if parts.phase is not Phase.LIVE or parts.link.state is not Link.READY:
            return []
        if self._state is Callee.SILENT and parts.plan.speaks_after_ms is not None:
            parts.alarms.set(Alarm.CALLEE, now_ms + parts.plan.speaks_after_ms)
        known, self._known = self._known, None
        if known is not None:
            return self.picked_up(known, now_ms)
        return self._say(now_ms) if self._state in {Callee.SAYING, Callee.SAID} else []

    def spoke(self) -> None:
        """The callee made themselves heard: the conversation goes its way."""
        if self._state is Callee.SILENT:
            self._state = Callee.OPEN
            self._parts.alarms.clear(Alarm.CALLEE)

    def due(self, now_ms: int) -> list[Command]:
        """The callee says nothing, or the message has taken its time."""
        match self._state:
            case Callee.SILENT:
                return self._speak_first(now_ms)
            case Callee.SAYING | Callee.SAID:
                return self._stands_still(now_ms)
            case Callee.LINGERS:
                return self._hang_up(LEFT, now_ms)
            case Callee.OPEN:
                return []

    def _speak_first(self, now_ms: int) -> list[Command]:
        parts = self._parts
        self._state = Callee.OPEN
        if parts.leaving_soon or parts.link.state is not Link.READY:
            return []
        return parts.responses.ask(first_words(parts.plan), now_ms)

    def picked_up(self, event: PickedUp, now_ms: int) -> list[Command]:
        """Twilio has found out who picked up; a second verdict changes nothing."""
        parts = self._parts
        if event.who not in {"machine", "fax"} or parts.leaving_message or parts.transfer.under_way:
            return []
        if parts.phase is Phase.WAITING:
            self._known = event
            return []
        if parts.phase is not Phase.LIVE:
            return []
        if event.who == "fax" or not parts.plan.message:
            return self._hang_up(HUNG_UP, now_ms)
        if not event.records:
            return []
        if parts.link.state is not Link.READY:
            self._known = event
            return []
        self.spoke()
        parts.leaving_message = True
        parts.farewell.forget()
        parts.tools.line_lost()
        parts.alarms.set(Alarm.CALLEE, now_ms + MESSAGE_MS)
        return self._say(now_ms)

    def _say(self, now_ms: int) -> list[Command]:
        """The whole message, from its beginning."""
        parts = self._parts
        self._state = Callee.SAYING
        self._tries += 1
        if self._tries > MOST_TRIES:
            return self._hang_up(HUNG_UP, now_ms)
        # What the machine plays and records is not for the model to answer.
        parts.hearing.shield()
        out = parts.barge_in.interrupt(now_ms, by_voice=False)
        parts.responses.forget()
        parts.responses.caller_drowned()
        words = CreateResponse(VOICEMAIL, verbatim(parts.plan.message or ""), tools=False)
        return out + parts.responses.ask(words, now_ms)

    def response_started(self, event: ResponseStarted) -> list[Command]:
        """The server answers what the machine said: nobody wants to hear that."""
        if self._parts.leaving_message and event.purpose != VOICEMAIL:
            return self._parts.responses.mute({event.response_id}, by_voice=False)
        return []

    def response_done(self, purpose: str | None, event: ResponseDone, now_ms: int) -> list[Command]:
        """The message has been said, or was cut short by the server and is said again."""
        if self._state is not Callee.SAYING or purpose != VOICEMAIL:
            return []
        if event.status == "completed":
            self._state = Callee.SAID
            return []
        return self._say(now_ms)

    def heard(self, now_ms: int) -> None:
        """Everything that was sent has been heard."""
        if self._state is Callee.SAID:
            self._state = Callee.LINGERS
            self._parts.alarms.set(Alarm.CALLEE, now_ms + LINGERS_MS)

    def _stands_still(self, now_ms: int) -> list[Command]:
        playout = self._parts.playout
        if not playout.idle and playout.heard_ms(now_ms) > playout.heard_ms(now_ms - STILL_MS):
            self._parts.alarms.set(Alarm.CALLEE, now_ms + STILL_MS)
            return []
        return self._hang_up(HUNG_UP, now_ms)

    def _hang_up(self, reason: str, now_ms: int) -> list[Command]:
        if self._parts.phase is not Phase.LIVE:
            return []
        self._parts.alarms.clear(Alarm.CALLEE)
        return self._departure.leave(self._parts.farewell.order(reason), now_ms)
