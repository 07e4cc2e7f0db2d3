"""The end of a stream on purpose or by accident: transfer, goodbye, failure, the caller's leaving.

What acts on the call itself is asked for here and nowhere else, and so is the one
``EndStream``. LEAVING begins when REST is asked to take the call away and ends with Twilio's
``stop``, or, where REST refuses a transfer, back in LIVE.
"""

from collections.abc import Callable
from itertools import chain

from app.call.alarms import Alarm
from app.call.farewell import Parting
from app.call.parts import Parts, Phase
from app.call.presses import DONE, PRESSED
from app.protocol import commands as c
from app.protocol import events as e

GOES_ON = frozenset({"transferring", PRESSED})
"""Why a stream ends and the call does not."""
STILL_MS = 3_000
"""An announcement that has not been heard further for this long stands still."""


class Departure:
    """The phase LEAVING, and the ways into it and out of it."""

    def __init__(self, parts: Parts, deafen: Callable[[], None]) -> None:
        self._parts = parts
        self._deafen = deafen
        self.after_words: Callable[[int], None] = lambda _now_ms: None
        """Told when everything was said and heard."""
        self.after_notice: Callable[[int], list[c.Command]] = lambda _now_ms: []
        """Told when that was so while the caller has yet to be told of the recording."""

    def leave(self, out: list[c.Command], now_ms: int) -> list[c.Command]:
        """Ask for what takes the call away; nothing happens while ``out`` is empty."""
        if any(isinstance(one, c.PlaceSideCall) for one in out):
            return out + self._asks(now_ms)
        if any(isinstance(one, c.HangUp | c.FailOver) for one in out):
            out = [*self._nobody_asked("call_ending"), *out]
        if out:
            self._parts.phase = Phase.LEAVING
            self._parts.patience.ends()
            self._parts.leaving.asked(now_ms)
        through = [one for one in out if isinstance(one, c.Transfer)]
        music = [self._parts.hold.putting_through(one.target, now_ms) for one in through]
        return [*out, *chain.from_iterable(music)]

    def _asks(self, now_ms: int) -> list[c.Command]:
        """Somebody else is asked first: the caller stays, and hears music."""
        self._parts.side.rings(now_ms)
        self._parts.patience.ends()
        return self._parts.hold.asking(self._parts.transfer.target, now_ms)

    def _nobody_asked(self, reason: str) -> list[c.Command]:
        """A person who is being asked need not answer any more."""
        dropped = self._parts.side.drop()
        return [*dropped, c.NotReached(self._parts.transfer.target, reason, "")] if dropped else []

    def stream_over(self, _event: e.StreamStopped, now_ms: int) -> list[c.Command]:
        """Twilio's ``stop``."""
        return self.end(self.reason("caller_hangup"), now_ms)

    def stream_reported(self, _event: e.StreamReportedOver, now_ms: int) -> list[c.Command]:
        """The stream has ended; whether the call did too, ``stop`` tells, if it comes."""
        if self._parts.phase is Phase.LEAVING:
            return self.end(self.reason("stream_lost"), now_ms)
        if self._parts.live:
            self._parts.leaving.accepted(now_ms)
        return []

    def call_over(self, _event: e.CallEnded, now_ms: int) -> list[c.Command]:
        """Nobody is left to be put through, even if that was under way."""
        return self.end(self.reason("caller_hangup", call_goes_on=False), now_ms)

    def line_lost(self, _event: e.CallerLineLost, now_ms: int) -> list[c.Command]:
        """The media socket is gone."""
        return self.end(self.reason("stream_lost"), now_ms)

    def announcement_due(self, now_ms: int) -> list[c.Command]:
        """An announcement should have been heard by now: act without it."""
        if self._parts.phase is Phase.WAITING:
            self._parts.alarms.set(Alarm.ANNOUNCED, now_ms + STILL_MS)
        if not self._parts.live:
            return []
        playout = self._parts.playout
        if not playout.idle and playout.heard_ms(now_ms) > playout.heard_ms(now_ms - STILL_MS):
            # It is long, and being heard: only an announcement that stands still is given up.
            self._parts.alarms.set(Alarm.ANNOUNCED, now_ms + STILL_MS)
            return []
        return self.leave(self._parts.transfer.overdue() + self._parts.farewell.overdue(), now_ms)

    def transfer_accepted(self, _event: e.TransferAccepted, now_ms: int) -> list[c.Command]:
        """Twilio took the redirect; ``stop`` is due."""
        if self._parts.transfer.accepted():
            self._parts.leaving.accepted(now_ms)
        return []

    def transfer_unclear(self, event: e.TransferUnclear, now_ms: int) -> list[c.Command]:
        """Twilio may have taken the redirect: ``stop`` tells, by coming or by not coming."""
        if self._parts.transfer.unclear(event.reason):
            self._parts.leaving.accepted(now_ms)
        return []

    def hang_up_ordered(self, event: e.HangUpOrdered, now_ms: int) -> list[c.Command]:
        """Somebody entitled to ends the call."""
        return self.leave(self._parts.farewell.order(event.reason), now_ms)

    def hang_up_done(self, event: e.HangUpDone, now_ms: int) -> list[c.Command]:
        """Twilio took the hang-up, or did not and is asked again."""
        if self._parts.farewell.state is not Parting.HANGING_UP:
            return []
        if event.accepted:
            self._parts.leaving.accepted(now_ms)
            return []
        return self._parts.farewell.refused() or self.end(self._parts.farewell.reason, now_ms)

    def fail(self, now_ms: int, reason: str = "model_failed") -> list[c.Command]:
        """The agent cannot go on: a sentence and a person instead, never dead air."""
        out = self.give_up()
        if not self._parts.live:
            return out
        if self._parts.transfer.asking and reason == "model_failed":
            return out  # They hear music, and a person may yet take the call.
        if self._parts.leaving_message:
            # There is nobody to apologise to, and a machine is put through to nobody.
            return self.leave([*out, *self._parts.farewell.order("voicemail_hangup")], now_ms)
        self._parts.leaving.failure = reason
        return self.leave([*out, c.FailOver()], now_ms)

    def give_up(self) -> list[c.Command]:
        """No model line is wanted any more, nor a spare one."""
        self._parts.comfort.ends()
        self._parts.link.give_up()
        self.line_gone()
        return [*self._parts.swap.line_ends(), c.CloseModel()]

    def model_gone(self, now_ms: int) -> list[c.Command]:
        """Nothing more will be said; who was to be put through or let go is so all the same."""
        if not self._parts.live:
            return self.fail(now_ms)
        acts = self._parts.transfer.overdue() + self._parts.farewell.overdue()
        if not acts:
            return self.fail(now_ms)
        return self.leave([*self.give_up(), *acts], now_ms)

    def failover_ordered(self, event: e.FailoverOrdered, now_ms: int) -> list[c.Command]:
        """This process cannot keep the call."""
        if self._parts.phase is Phase.WAITING:
            return self.end(event.reason, now_ms)
        return self.fail(now_ms, event.reason)

    def failover_done(self, event: e.FailoverDone, now_ms: int) -> list[c.Command]:
        """Twilio took the failure treatment, or has to find it behind the socket."""
        if self._parts.leaving.failure is None:
            return []
        if event.unclear:
            # Twilio obeys within a second, or not at all: who closes first begins the sentence,
            # and the redirect begins it again.
            self._parts.leaving.doubted(now_ms)
            return []
        if not event.accepted:
            # Closing the socket makes Twilio run the action and the verb behind </Connect>,
            # which say and dial the same.
            return self.end(self.reason("model_failed"), now_ms)
        self._parts.leaving.accepted(now_ms)
        return []

    def reason(self, otherwise: str, *, call_goes_on: bool = True) -> str:
        """The end reason, ``otherwise`` where nothing of ours led to the end."""
        if self._parts.leaving.failure:
            return self._parts.leaving.failure
        if self._parts.farewell.state is Parting.HANGING_UP:
            return self._parts.farewell.reason
        if call_goes_on and self._parts.transfer.under_way and self._parts.phase is Phase.LEAVING:
            return "transferring"
        if call_goes_on and self._parts.presses.away and self._parts.phase is Phase.LEAVING:
            return PRESSED
        return otherwise

    def end(self, reason: str, now_ms: int) -> list[c.Command]:
        """The last command of the stream; what was not heard until now never will be."""
        if self._parts.phase is Phase.WAITING:
            self._parts.transcript.clear()
        for part in self._parts.playout.interrupt(now_ms):
            self._parts.transcript.cut(part, now_ms)
        self._parts.phase = Phase.OVER
        self._deafen()
        out = [] if reason in GOES_ON else self._nobody_asked(reason)
        out += self._pressed() if reason == PRESSED else []
        out += self._orders_over(reason)
        taken_on = reason == "transferring" or self._parts.leaving.failure is not None
        out += self._parts.recording.over(taken_on=taken_on)
        self._parts.alarms.clear_all()
        return [*out, c.EndStream(reason)]

    def _orders_over(self, reason: str) -> list[c.Command]:
        """What was ordered and has led to this end is done, the rest never will be."""
        parts, ordered = self._parts, self._parts.orders.current
        through = isinstance(ordered, e.TransferOrdered) and reason == "transferring"
        let_go = isinstance(ordered, e.HangUpOrdered) and reason == parts.farewell.reason
        pressed = isinstance(ordered, e.KeysOrdered) and reason == PRESSED
        out = parts.orders.done() if through or let_go or pressed else []
        return out + parts.orders.over()

    def _pressed(self) -> list[c.Command]:
        """The carrier presses keys; whoever goes on with the call is told that it has."""
        pressed = self._parts.presses.over()
        self._parts.transcript.tool_answered(pressed.tool_call_id, DONE)
        return [pressed.known("play")]

    def if_line_idle(self, now_ms: int) -> list[c.Command]:
        """Everything was said and heard: who waited for that may act."""
        if not (self._parts.playout.idle and self._parts.responses.idle) or not self._parts.live:
            return []
        if self._parts.presses.sounding:
            return []  # What waits behind the keys has yet to be said.
        self.after_words(now_ms)
        noticed = self.after_notice(now_ms) if self._parts.recording.owes else []
        if noticed:
            return noticed
        if self._parts.greeted and not self._parts.leaving_message:
            self._parts.hearing.unshield()
            self._parts.attempts.greeting_over()
        acts = self._parts.transfer.heard() + self._parts.farewell.heard()
        heard = self._parts.orders.heard() + self._parts.turn_taking()
        return heard + self.leave(acts, now_ms)

    def line_gone(self, *, planned: bool = False) -> None:
        """Everything that was under way on the model line went with it.

        ``planned``: another line takes over at a quiet moment.

        Before the caller came nobody has heard anything: the next line begins the call.
        """
        if self._parts.phase is Phase.WAITING:
            self._parts.overture.release()
            self._parts.transcript.clear()
            self._parts.greeted = False
            self._parts.recording.cut()
            self._parts.transfer.forget()
            self._parts.farewell.forget()
        hearing, said = self._parts.hearing, self._parts.playout.ever_sent
        if planned:
            hearing.line_changes()
        else:
            waiting = self._parts.phase is Phase.WAITING
            greets = waiting or self._parts.recording.owes
            hearing.model_gone(answered=not hearing.unanswered(said), shield=greets)
        self._break_off()
        self._parts.barge_in.line_lost()
        self._parts.responses.line_lost()
        self._parts.guards.line_lost()
        self._parts.attempts.over()
        self._parts.tools.line_lost()
        self._parts.pulse.ends()
        self._parts.noise.paused()

    def _break_off(self) -> None:
        """What was being said will be heard as far as it came, and no further."""
        active = self._parts.responses.active
        if active is not None and not self._parts.responses.spoke:
            self._parts.transcript.unsaid(active)
        elif active is not None:
            self._parts.transcript.broke_off(active)
