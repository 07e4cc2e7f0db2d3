"""Order and phase of a call: which component hears of an event, and in which sequence.

The machine does no I/O, knows no clock, starts no task and does no arithmetic; each subject
has its own file and this one only routes between them. Fed with the same plan, events and
times it answers with the same commands, which is what makes a flight log a replay.

    WAITING ──stream started──▶ LIVE ──leaving on purpose──▶ LEAVING ──stop, close──▶ OVER
       └────────────── nobody came, or the line is gone ────────────────────────────▶
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from app.call import conversation
from app.call.alarms import Alarm, Alarms
from app.call.barge_in import BargeIn
from app.call.digits import Digits
from app.call.farewell import INTERRUPTED, Farewell, Parting
from app.call.faults import FATAL, Severity, severity
from app.call.hearing import Hearing
from app.call.leaving import Leaving
from app.call.model_link import Link, ModelLink
from app.call.overture import Overture
from app.call.plan import CallPlan
from app.call.playout import Playout
from app.call.prompts import RESUMED, TRY_AGAIN, greeting, welcome_back
from app.call.responses import Owed, Responses
from app.call.toolbook import Toolbook
from app.call.transcript import Transcript
from app.call.transfer import TransferDesk
from app.protocol import commands as c
from app.protocol import events as e

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"


class Phase(Enum):
    """Where the stream is in its life."""

    WAITING = auto()
    LIVE = auto()
    LEAVING = auto()
    OVER = auto()


class CallMachine:
    """``handle``, ``deadline_ms``, ``wake``: all a runner needs to know."""

    def __init__(self, plan: CallPlan) -> None:
        self._plan = plan
        self._alarms = Alarms()
        self._phase = Phase.WAITING
        self._playout = Playout()
        self.transcript = Transcript()
        self._responses = Responses(self._alarms, server_interrupts=plan.server_interrupts)
        self._barge_in = BargeIn(self._playout, self._responses, self.transcript)
        self._hearing = Hearing(self._alarms)
        self._overture = Overture()
        self._link = ModelLink(self._alarms)
        self._tools = Toolbook(self._alarms)
        self._transfer = TransferDesk(self._alarms, plan.targets)
        self._farewell = Farewell(self._alarms)
        self._leaving = Leaving(self._alarms)
        self._digits = Digits(self._alarms)
        self._greeted = False
        self.hear: Callable[[e.CallerAudio, int], list[c.Command]] = self._hearing.frame
        """``handle`` for caller audio alone, without the detour; fifty times a second."""
        self._handlers: dict[type, Callable[[Any, int], list[c.Command]]] = {
            e.CallerAudio: self._hearing.frame,
            e.SpeechAudio: self._speech_audio,
            e.MarkReturned: self._mark_returned,
            e.StreamStarted: self._stream_started,
            e.CallerDigit: self._digit,
            e.StreamStopped: self._stream_over,
            e.CallerLineLost: self._line_lost,
            e.CallEnded: self._call_over,
            e.CallStillUp: self._nothing,
            e.ModelReady: self._model_ready,
            e.ModelRefused: self._model_refused,
            e.ModelLineLost: self._model_lost,
            e.SpeechStarted: self._speech_started,
            e.SpeechStopped: self._speech_stopped,
            e.CallerTurnCommitted: self._turn_committed,
            e.CallerTranscribed: self._transcribed,
            e.ResponseStarted: self._response_started,
            e.SpeechAudioDone: self._speech_done,
            e.SpeechText: self._speech_text,
            e.ToolCalled: self._tool_called,
            e.ResponseDone: self._response_done,
            e.ModelError: self._model_error,
            e.ToolDone: self._tool_done,
            e.TransferAccepted: self._transfer_accepted,
            e.TransferRefused: self._transfer_refused,
            e.FailoverDone: self._failover_done,
            e.HangUpDone: self._hang_up_done,
            e.HangUpOrdered: self._hang_up_ordered,
            e.FailoverOrdered: self._failover_ordered,
        }
        self._wakers: dict[Alarm, Callable[[int], list[c.Command]]] = {
            Alarm.PARKED: lambda _now: self._end(self._reason("stream_lost")),
            Alarm.MODEL: self._fail,
            Alarm.MEDIA: self._media_due,
            Alarm.STALL: self._hearing.stalled,
            Alarm.OWED: self._owed_due,
            Alarm.FILLER: self._filler_due,
            Alarm.DIGITS: lambda now: self._typed(self._digits.paused(), now),
            Alarm.ANNOUNCED: self._announcement_due,
            Alarm.STOP: lambda _now: self._end(self._reason("stream_lost")),
        }

    def begin(self, now_ms: int) -> list[c.Command]:
        """The TwiML was answered: open the model line and wait for the stream."""
        self._leaving.park(now_ms)
        if self._plan.greeting_shielded and self._plan.greeting and not self._plan.returning:
            self._hearing.shield()
        return [self._link.open()]

    def handle(self, event: e.Event, now_ms: int) -> list[c.Command]:
        """What an event leads to, in the order in which it must be carried out."""
        if self._phase is Phase.OVER:
            return []
        return self._handlers[type(event)](event, now_ms)

    def deadline_ms(self) -> int | None:
        """The next moment to be woken at. Caller audio never brings it nearer."""
        return self._alarms.next_ms

    def wake(self, now_ms: int) -> list[c.Command]:
        """A moment came; harmless when it did not."""
        out: list[c.Command] = []
        for alarm in self._alarms.due(now_ms):
            if self._phase is not Phase.OVER:
                out += self._wakers[alarm](now_ms)
        return out

    def _stream_started(self, _event: e.StreamStarted, now_ms: int) -> list[c.Command]:
        if self._phase is not Phase.WAITING:
            return []
        self._phase = Phase.LIVE
        self._leaving.arrived()
        self._hearing.stream_started(now_ms)
        if self._link.state is Link.GONE:
            return self._fail(now_ms)
        self._link.caller_waits(now_ms)
        out: list[c.Command] = []
        for audio in self._overture.release():
            out += self._playout.speak(audio, now_ms)
        if self._responses.active is None:
            out += self._playout.finish()
        return out + self._if_line_idle(now_ms)

    def _digit(self, event: e.CallerDigit, now_ms: int) -> list[c.Command]:
        if self._leaving_soon:
            return []
        return self._typed(self._digits.press(event.digit, now_ms), now_ms)

    def _typed(self, turn: str | None, now_ms: int) -> list[c.Command]:
        if turn is None or self._phase is not Phase.LIVE:
            return []
        self.transcript.note(turn, now_ms)
        if self._link.state is not Link.READY:
            return []
        out = self._interrupted(now_ms, by_voice=False)
        out.append(c.AddMessage("user", turn))
        return out + self._responses.ask(c.CreateResponse("digits"), now_ms)

    def _mark_returned(self, event: e.MarkReturned, now_ms: int) -> list[c.Command]:
        if not self._playout.returned(event.name, now_ms):
            return []
        return self._if_line_idle(now_ms)

    def _if_line_idle(self, now_ms: int) -> list[c.Command]:
        """Everything was said and heard: who waited for that may act."""
        if not (self._playout.idle and self._responses.idle) or self._phase is not Phase.LIVE:
            return []
        if self._greeted:
            self._hearing.unshield()
        return self._leave(self._transfer.heard() + self._farewell.heard(), now_ms)

    def _stream_over(self, _event: e.StreamStopped, _now_ms: int) -> list[c.Command]:
        return self._end(self._reason("caller_hangup"))

    def _call_over(self, _event: e.CallEnded, _now_ms: int) -> list[c.Command]:
        """Nobody is left to be put through, even if that was under way."""
        return self._end(self._reason("caller_hangup", call_goes_on=False))

    def _line_lost(self, _event: e.CallerLineLost, _now_ms: int) -> list[c.Command]:
        return self._end(self._reason("stream_lost"))

    def _media_due(self, now_ms: int) -> list[c.Command]:
        return [c.VerifyCall()] if self._hearing.silent_line(now_ms) else []

    def _model_ready(self, _event: e.ModelReady, now_ms: int) -> list[c.Command]:
        if self._phase is Phase.LEAVING:
            self._link.give_up()
        if not self._link.ready():
            return [c.CloseModel()]
        if self._plan.returning and not self._greeted:
            self.transcript.note(f"The caller is back with you: {self._plan.returning}.", now_ms)
        memories = conversation.remember(self._plan.memories, self.transcript.entries)
        out = conversation.seed(memories)
        out += self._hearing.model_ready()
        opening = self._opening()
        return out + (self._responses.ask(opening, now_ms) if opening else [])

    def _opening(self) -> c.CreateResponse | None:
        if self._greeted:
            return RESUMED
        self._greeted = True
        if self._plan.returning:
            return welcome_back(self._plan.returning)
        return greeting(self._plan)

    def _model_refused(self, event: e.ModelRefused, now_ms: int) -> list[c.Command]:
        again = self._link.refused(event)
        if again is not None:
            return [again]
        return self._fail(now_ms) if self._link.state is Link.GONE else []

    def _model_lost(self, _event: e.ModelLineLost | None, now_ms: int) -> list[c.Command]:
        if self._link.state is not Link.READY:
            return []
        self._line_gone()
        if self._phase is Phase.LEAVING:
            self._link.give_up()
            return []
        out = self._playout.finish() if self._phase is Phase.LIVE else []
        again = self._link.lost(now_ms)
        return [*out, c.CloseModel(), again] if again else out + self._fail(now_ms)

    def _line_gone(self) -> None:
        self._barge_in.line_lost()
        self._responses.line_lost()
        self._tools.line_lost()
        self._hearing.model_gone()

    def _speech_started(self, _event: e.SpeechStarted, now_ms: int) -> list[c.Command]:
        self._hearing.speech_started(now_ms)
        self._responses.caller_started()
        if self._leaving_soon:
            return []
        return self._interrupted(now_ms)

    def _interrupted(self, now_ms: int, *, by_voice: bool = True) -> list[c.Command]:
        out = self._barge_in.interrupt(now_ms, by_voice=by_voice)
        if self._farewell.interrupted():
            self._responses.withdraw("goodbye")
            out.append(c.AddMessage("system", INTERRUPTED))
        return out

    def _speech_stopped(self, _event: e.SpeechStopped, _now_ms: int) -> list[c.Command]:
        self._hearing.speech_stopped()
        self._responses.caller_stopped()
        return []

    def _turn_committed(self, event: e.CallerTurnCommitted, now_ms: int) -> list[c.Command]:
        self._hearing.speech_stopped()
        self.transcript.caller_turn(event.item_id, now_ms)
        self._tools.caller_turn()
        self._responses.turn_committed(now_ms)
        return []

    def _transcribed(self, event: e.CallerTranscribed, now_ms: int) -> list[c.Command]:
        self.transcript.caller_said(event.item_id, event.text, now_ms)
        return []

    def _response_started(self, event: e.ResponseStarted, now_ms: int) -> list[c.Command]:
        self._responses.started(event, now_ms)
        return []

    def _speech_audio(self, event: e.SpeechAudio, now_ms: int) -> list[c.Command]:
        if not self._responses.speaking(event.response_id, now_ms):
            return []
        if self._phase is Phase.LIVE:
            return self._playout.speak(event, now_ms)
        if self._phase is Phase.WAITING:
            self._overture.hold(event)
        return []

    def _speech_done(self, _event: e.SpeechAudioDone, _now_ms: int) -> list[c.Command]:
        return self._playout.finish() if self._phase is Phase.LIVE else []

    def _speech_text(self, event: e.SpeechText, now_ms: int) -> list[c.Command]:
        if self._responses.speaking_text(event.response_id, now_ms):
            self.transcript.agent_says(event, now_ms)
        return []

    def _response_done(self, event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        finished, out = self._responses.done(event, now_ms)
        self._tools.response_ended(event.response_id)
        if self._phase is Phase.LIVE:
            out = self._playout.finish() + out
        if event.status == "failed":
            return out + self._response_failed(event, now_ms)
        silent = event.status == "completed" and not finished.spoke
        if silent and finished.purpose != "nudge" and not self._tools.called_in(event.response_id):
            out += self._responses.ask(TRY_AGAIN, now_ms)
        for wanted in (
            self._transfer.finished(finished),
            self._farewell.finished(finished),
            self._tools.due(),
        ):
            if wanted is not None:
                out += self._responses.ask(wanted, now_ms)
        return out + self._if_line_idle(now_ms)

    def _response_failed(self, event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        if event.reason in FATAL:
            return self._fail(now_ms)
        return self._another_chance(self._responses.failed(), now_ms)

    def _model_error(self, event: e.ModelError, now_ms: int) -> list[c.Command]:
        match severity(event.code, event.event_id):
            case Severity.FATAL:
                return self._fail(now_ms)
            case Severity.COLLISION:
                self._responses.already_active(now_ms)
            case Severity.REFUSED:
                return self._another_chance(self._responses.refused(), now_ms)
            case Severity.IGNORE:
                pass
        return []

    def _owed_due(self, now_ms: int) -> list[c.Command]:
        return self._another_chance(self._responses.overdue(now_ms), now_ms)

    def _another_chance(self, owed: Owed, now_ms: int) -> list[c.Command]:
        match owed:
            case Owed.ASK_AGAIN:
                return self._responses.again(TRY_AGAIN, now_ms)
            case Owed.GIVE_UP:
                return self._model_lost(None, now_ms)
            case Owed.NOTHING:
                return []

    def _tool_called(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        if self._tools.known(event.tool_call_id) or self._phase is Phase.LEAVING:
            return []
        self.transcript.tool_called(event.tool_call_id, event.name, event.arguments, now_ms)
        plan = self._plan.tools.get(event.name)
        self._tools.opened(event, plan.filler if plan else None, now_ms)
        if plan is not None:
            return [c.RunTool(event.tool_call_id, event.name, event.arguments)]
        if event.name == TRANSFER_CALL:
            refusal = self._transfer.begin(event, now_ms)
            if refusal is None:
                self._farewell.yields()
                self._responses.withdraw("goodbye")
            return [] if refusal is None else self._answered(event, refusal, ok=False)
        if event.name == END_CALL and not self._transfer.under_way:
            return self._answered(event, self._farewell.begin(event, now_ms), ok=True)
        return self._answered(event, f"there is no tool {event.name!r}", ok=False)

    def _answered(self, call: e.ToolCalled, output: str, *, ok: bool) -> list[c.Command]:
        """A call that is answered on the spot; a good answer needs no words of the model's."""
        done = e.ToolDone(call.tool_call_id, output, ok=ok, background=ok)
        self.transcript.tool_answered(call.tool_call_id, output)
        return self._tools.closed(done)

    def _tool_done(self, event: e.ToolDone, now_ms: int) -> list[c.Command]:
        self.transcript.tool_answered(event.tool_call_id, event.output)
        if self._link.state is not Link.READY:
            self._tools.settled(event.tool_call_id)
            return []
        out = self._tools.closed(event)
        wanted = None if self._phase is Phase.LEAVING else self._tools.due()
        if wanted is None:
            return out
        self._responses.withdraw("filler")
        return out + self._responses.ask(wanted, now_ms)

    def _filler_due(self, now_ms: int) -> list[c.Command]:
        wanted = self._tools.filler()
        busy = self._responses.active is not None and self._responses.spoke
        if wanted is None or busy or not self._playout.idle or self._leaving_soon:
            return []
        return self._responses.ask(wanted, now_ms)

    @property
    def _leaving_soon(self) -> bool:
        return self._transfer.under_way or self._phase is not Phase.LIVE

    def _announcement_due(self, now_ms: int) -> list[c.Command]:
        if self._phase is not Phase.LIVE:
            return []
        return self._leave(self._transfer.overdue() + self._farewell.overdue(), now_ms)

    def _leave(self, out: list[c.Command], now_ms: int) -> list[c.Command]:
        if out:
            self._phase = Phase.LEAVING
            self._leaving.asked(now_ms)
        return out

    def _transfer_accepted(self, _event: e.TransferAccepted, now_ms: int) -> list[c.Command]:
        if self._transfer.accepted():
            self._leaving.accepted(now_ms)
        return []

    def _transfer_refused(self, event: e.TransferRefused, now_ms: int) -> list[c.Command]:
        output = self._transfer.refused(event.reason)
        if output is None or self._farewell.state is Parting.HANGING_UP:
            return []
        self._phase = Phase.LIVE
        self._leaving.stayed()
        if self._link.state is Link.GONE:
            return self._fail(now_ms)
        return self._tool_done(e.ToolDone(self._transfer.tool_call_id, output, ok=False), now_ms)

    def _hang_up_ordered(self, event: e.HangUpOrdered, now_ms: int) -> list[c.Command]:
        return self._leave(self._farewell.order(event.reason), now_ms)

    def _hang_up_done(self, event: e.HangUpDone, now_ms: int) -> list[c.Command]:
        if self._farewell.state is not Parting.HANGING_UP:
            return []
        if event.accepted:
            self._leaving.accepted(now_ms)
            return []
        return self._farewell.refused() or self._end(self._farewell.reason)

    def _fail(self, now_ms: int, reason: str = "model_failed") -> list[c.Command]:
        """The agent cannot go on: a sentence and a person instead, never dead air."""
        self._link.give_up()
        self._line_gone()
        if self._phase is not Phase.LIVE:
            return []
        self._leaving.failure = reason
        return self._leave([c.CloseModel(), c.FailOver()], now_ms)

    def _failover_ordered(self, event: e.FailoverOrdered, now_ms: int) -> list[c.Command]:
        if self._phase is Phase.WAITING:
            return self._end(event.reason)
        return self._fail(now_ms, event.reason)

    def _failover_done(self, event: e.FailoverDone, now_ms: int) -> list[c.Command]:
        if self._leaving.failure is None:
            return []
        if not event.accepted:
            # Closing the socket makes Twilio run the action and the verb behind </Connect>,
            # which say and dial the same.
            return self._end(self._reason("model_failed"))
        self._leaving.accepted(now_ms)
        return []

    def _reason(self, otherwise: str, *, call_goes_on: bool = True) -> str:
        if self._leaving.failure:
            return self._leaving.failure
        if self._farewell.state is Parting.HANGING_UP:
            return self._farewell.reason
        if call_goes_on and self._transfer.under_way and self._phase is Phase.LEAVING:
            return "transferring"
        return otherwise

    def _end(self, reason: str) -> list[c.Command]:
        self._phase = Phase.OVER
        self.hear = _deaf
        self._alarms.clear_all()
        return [c.EndStream(reason)]

    def _nothing(self, _event: e.CallStillUp, _now_ms: int) -> list[c.Command]:
        return []


def _deaf(_audio: e.CallerAudio, _now_ms: int) -> list[c.Command]:
    return []
