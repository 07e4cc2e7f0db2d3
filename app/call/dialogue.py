"""The conversation: turns, responses, interruptions, keys, tools.

Each handler says which component hears of an event, in which sequence. Nothing here knows
how much was heard, whether a response may begin or which tool calls are open: the components
do.
"""

from app.call.answering import Answering
from app.call.attempts import Attempt, Turn
from app.call.built_in import HANDOFF
from app.call.connecting import Connecting
from app.call.departure import Departure
from app.call.failing import Remedy
from app.call.farewell import INTERRUPTED, Parting
from app.call.faults import FATAL, Severity, severity
from app.call.guardrails import NOT_DONE
from app.call.holding import HOLD_TOOL, Holding
from app.call.model_link import Link
from app.call.navigating import Navigating
from app.call.orders import SAY
from app.call.parts import Parts, Phase
from app.call.prompts import GREETING, TRY_AGAIN, resumed
from app.call.responses import Finished, Owed
from app.call.transfer import TRANSFER_CALL, Putting
from app.protocol import commands as c
from app.protocol import events as e

END_CALL = "end_call"
NOT_THROUGH = (
    "Putting the caller through to {target} failed ({reason}). They are still with you: tell "
    "them so in one short sentence, and go on."
)
PUTTING_THROUGH = '{"ok":false,"reason":"a transfer is under way"}'
SPOKEN_OVER = '{"ok":false,"reason":"the caller spoke meanwhile; the call goes on"}'


class Dialogue:
    """What happens between the caller and the model while both are there."""

    def __init__(
        self, parts: Parts, connecting: Connecting, departure: Departure, answering: Answering
    ) -> None:
        self._parts = parts
        self._answering = answering
        self._connecting = connecting
        self._departure = departure
        self._holding = Holding(parts)
        self._navigating = Navigating(parts, departure)

    def typed(self, event: e.CallerTyped, now_ms: int) -> list[c.Command]:
        """A turn in writing."""
        if not (self._parts.live or self._parts.redirecting):
            return []
        self._parts.transcript.caller_wrote(event.text, now_ms)
        return self.written(event.text, "typed", now_ms)

    def written(self, turn: str, purpose: str, now_ms: int) -> list[c.Command]:
        """The model reads what the caller did not say; it counts as an interruption."""
        if self._parts.link.state is not Link.READY:
            return []
        if self._parts.redirecting or self._parts.hold.silences:
            return [c.AddMessage("user", turn)]
        if self._parts.leaving_message:
            return []
        self._parts.changes.caller_turn()
        out = self.key_interrupts(now_ms) if self._parts.attempts.keys_may else []
        out.append(c.AddMessage("user", turn))
        return out + self._parts.responses.ask(c.CreateResponse(purpose), now_ms)

    def key_interrupts(self, now_ms: int) -> list[c.Command]:
        """The caller acts without a word: what is being said is cut."""
        if not self._parts.live or self._parts.link.state is not Link.READY:
            return []
        self._answering.spoke()
        return self._interrupted(now_ms, by_voice=False)

    def mark_returned(self, event: e.MarkReturned, now_ms: int) -> list[c.Command]:
        """Something was heard; perhaps everything was."""
        if not self._parts.playout.returned(event.name, now_ms):
            return []
        self._parts.attempts.heard()
        return self._departure.if_line_idle(now_ms) + self._parts.turn_taking()

    def speech_started(self, _event: e.SpeechStarted, now_ms: int) -> list[c.Command]:
        """The caller speaks: an interruption, unless the call is leaving or it may be none."""
        parts = self._parts
        self._answering.spoke()
        parts.hearing.speech_started(now_ms)
        parts.noise.speech_started(parts.plan, parts.playout.heard_ms(now_ms), now_ms)
        parts.responses.caller_started()
        parts.menus.goes_on()
        parts.comfort.ends()
        if parts.leaving_soon:
            return []
        attempt = parts.attempts.begins(now_ms, busy=parts.busy)
        if attempt is Attempt.WITHHELD:
            return []
        if attempt is Attempt.TRYING:
            return parts.attempts.look(now_ms)
        return self._interrupted(now_ms)

    def voice_due(self, now_ms: int) -> list[c.Command]:
        """It has not been decided yet whether this is an interruption."""
        return self._parts.attempts.look(now_ms)

    def voice_measured(self, event: e.VoiceMeasured, now_ms: int) -> list[c.Command]:
        """There is so much voice: an interruption, or not yet."""
        if self._parts.leaving_soon or not self._parts.attempts.measured(event, now_ms):
            return []
        return self._interrupted(now_ms)

    def _interrupted(self, now_ms: int, *, by_voice: bool = True) -> list[c.Command]:
        out = self._parts.barge_in.interrupt(now_ms, by_voice=by_voice)
        self._parts.hearing.unshield()
        self._parts.attempts.greeting_over()
        out += self._parts.turn_taking()
        if self._parts.farewell.interrupted():
            self._parts.responses.withdraw("goodbye")
            out.append(c.AddMessage("system", INTERRUPTED))
        return out + self._parts.orders.interrupted()

    def speech_stopped(self, _event: e.SpeechStopped, now_ms: int) -> list[c.Command]:
        """The caller paused."""
        self._parts.hearing.speech_stopped()
        self._parts.noise.paused()
        self._parts.attempts.stopped()
        self._parts.responses.caller_stopped(now_ms)
        self._connecting.pause_begins(now_ms)
        return []

    def turn_committed(self, event: e.CallerTurnCommitted, now_ms: int) -> list[c.Command]:
        """What the caller said is an item now; the model owes an answer, unless it was nothing."""
        parts = self._parts
        parts.hearing.speech_stopped()
        parts.hearing.turn_committed(event.item_id, parts.playout.ever_sent)
        match parts.attempts.turn(event.item_id, busy=parts.busy):
            case Turn.ECHO:
                parts.hearing.turn_answered()
                return [c.DeleteItem(event.item_id)]
            case Turn.DOUBTFUL:
                return []
            case Turn.ANSWERED:
                self._turn(event.item_id, now_ms)
                parts.noise.caller_turn()
                if parts.menus.pauses(now_ms):
                    return []
                return parts.responses.turn_committed(now_ms)

    def _turn(self, item_id: str, now_ms: int) -> None:
        self._parts.transcript.caller_turn(item_id, now_ms)
        self._parts.guards.turn(item_id, now_ms)
        self._parts.tools.caller_turn()
        self._parts.changes.caller_turn()
        self._parts.silence.caller_acted()

    def noise_due(self, now_ms: int) -> list[c.Command]:
        """The caller has not paused for long: what never pauses is told so."""
        parts = self._parts
        if parts.leaving_soon or parts.link.state is not Link.READY:
            parts.noise.wait(now_ms)
            return []
        parts.responses.caller_drowned()
        wanted = parts.noise.due(parts.plan, now_ms)
        return parts.responses.ask(wanted, now_ms)

    def transcribed(self, event: e.CallerTranscribed, now_ms: int) -> list[c.Command]:
        """The words of a caller's turn, for the transcript; or none, where nobody spoke."""
        parts, said = self._parts, bool(event.text.strip())
        parts.hearing.turn_known(event.item_id)
        if parts.attempts.echo(event.item_id):
            return []
        doubtful = parts.attempts.doubtful(event.item_id)
        if doubtful and not said:
            return [c.DeleteItem(event.item_id)]
        out: list[c.Command] = []
        if doubtful:
            self._turn(event.item_id, now_ms)
            out = parts.responses.answer_owed(now_ms)
        parts.transcript.caller_said(event.item_id, event.text, now_ms)
        if not said and parts.attempts.for_nothing(event.item_id):
            return self._goes_on(event.item_id, now_ms)
        return out + self._navigating.said(event.text, now_ms)

    def _goes_on(self, item_id: str, now_ms: int) -> list[c.Command]:
        """What cut the agent was nothing: the sentence is taken up where it stopped, unless
        something else is heard by now."""
        parts = self._parts
        if parts.responses.active is None or parts.responses.spoke or not parts.live:
            return []
        out: list[c.Command] = [c.DeleteItem(item_id)]
        out += parts.responses.mute(set(), by_voice=False)
        return out + parts.responses.ask(resumed(parts.transcript.cut_off), now_ms)

    def response_started(self, event: e.ResponseStarted, now_ms: int) -> list[c.Command]:
        """The model begins to answer."""
        yields = not (self._parts.leaving_soon or self._parts.attempts.withheld)
        out = self._parts.responses.started(event, now_ms, yields=yields)
        if self._parts.mute.agent:
            return out + self._parts.responses.mute({event.response_id}, by_voice=False)
        return out + self._answering.response_started(event)

    def speech_audio(self, event: e.SpeechAudio, now_ms: int) -> list[c.Command]:
        """Speech: to the caller, kept until there is one, or to nobody. On the audio path."""
        if not self._parts.responses.speaking(event.response_id, now_ms):
            return []
        if self._parts.live and not self._parts.presses.sounding:
            return self.voiced(event, now_ms)
        if self._parts.phase is Phase.WAITING or self._parts.presses.sounding:
            self._parts.overture.hold(event)
        elif self._parts.redirecting:
            return self.voiced(event, now_ms)
        return []

    def voiced(self, event: e.SpeechAudio, now_ms: int) -> list[c.Command]:
        """Speech on its way to the caller, with what is heard behind it. On the audio path."""
        parts = self._parts
        if parts.background.off and not parts.hold.on:
            return parts.playout.speak(event, now_ms)
        out = parts.hold.words(event.response_id, now_ms) + parts.meanwhile.words(now_ms)
        return out + parts.background.speak(event, now_ms)

    def speech_done(self, _event: e.SpeechAudioDone, now_ms: int) -> list[c.Command]:
        """A part has ended: its last mark is due."""
        out = self._finish()
        self._parts.background.said(now_ms)
        return out

    def _finish(self) -> list[c.Command]:
        listening = self._parts.live or self._parts.redirecting
        return self._parts.playout.finish() if listening else []

    def speech_text(self, event: e.SpeechText, now_ms: int) -> list[c.Command]:
        """Words of the model's, for the transcript; without a word, a sign of life."""
        if self._parts.responses.speaking_text(event.response_id, now_ms) and event.text:
            self._parts.transcript.agent_says(event, now_ms)
        return []

    def response_done(self, event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        """A response ended: who waited for that may ask, or act."""
        finished, out = self._parts.responses.done(event, now_ms)
        silent = not finished.spoke and event.status != "cancelled"
        acted = self._parts.tools.called_in(event.response_id)
        self._parts.tools.response_ended(event.response_id, silent=silent)
        self._parts.guards.finished(finished)
        if finished.spoke and not self._parts.responses.muted(event.response_id):
            self._parts.recording.said(finished.purpose, event.status)
            if finished.purpose == GREETING:
                self._parts.attempts.greeted(event.response_id)
        out = self._finish() + out + self._ordered_words(finished, acted=acted)
        if finished.failed and event.reason in FATAL:
            return out + self._departure.model_gone(now_ms)
        if self._parts.phase is Phase.LEAVING:
            return out
        out += self._answering.response_done(finished.purpose, event, now_ms)
        if self._parts.leaving_message:
            return out + self._departure.if_line_idle(now_ms)
        out += self._navigating.answered(finished)
        owed = self._owed_after(event, finished)
        remedy = self._remedy(event, finished, owed, now_ms)
        if remedy is not Remedy.NONE:
            return out + self._connecting.fails(remedy, now_ms)
        if owed is Owed.GIVE_UP:
            return out + self._another_chance(owed, now_ms)
        wanted = self._wanted_after(finished)
        out += self._ask(wanted, now_ms)
        if owed is Owed.ASK_AGAIN and not wanted:
            out += self._parts.responses.again(self._once_more(finished), now_ms)
        return out + self._departure.if_line_idle(now_ms)

    def after(self, finished: Finished, now_ms: int) -> list[c.Command]:
        """What a response wanted that is over was allowed only now: what is to be said next."""
        return self._ask(self._wanted_after(finished), now_ms)

    def _ask(self, wanted: list[c.CreateResponse], now_ms: int) -> list[c.Command]:
        out: list[c.Command] = []
        for request in wanted:
            out += self._parts.responses.ask(request, now_ms)
        return out

    def _ordered_words(self, finished: Finished, *, acted: bool) -> list[c.Command]:
        responses = self._parts.responses
        muted = responses.muted(finished.response_id)
        cut = muted and not responses.expects(SAY)
        return self._parts.orders.finished(finished, cut=cut, acted=acted)

    def _remedy(self, event: e.ResponseDone, finished: Finished, owed: Owed, now_ms: int) -> Remedy:
        """What a line needs whose response ended like this."""
        failing = self._parts.failing
        if event.status == "completed" and finished.spoke:
            failing.answered()
        if not finished.failed:
            return Remedy.NONE
        remedy = failing.failed(now_ms)
        if remedy is Remedy.NONE and owed is Owed.GIVE_UP:
            return failing.remedy()
        return remedy

    def _owed_after(self, event: e.ResponseDone, finished: Finished) -> Owed:
        """What a response that failed or said nothing leaves to be made good."""
        owed = Owed.NOTHING
        called = self._parts.tools.called_in(event.response_id)
        if finished.failed:
            owed = self._parts.responses.failed()
        elif self._parts.menus.navigating:
            pass  # Who listens to a menu may well say nothing to it.
        elif event.status in {"completed", "incomplete"} and not finished.spoke and not called:
            owed = Owed.GIVE_UP if finished.purpose == "nudge" else Owed.ASK_AGAIN
        # Where a tool was called its output asks for words.
        return Owed.NOTHING if called and owed is Owed.ASK_AGAIN else owed

    def _wanted_after(self, finished: Finished) -> list[c.CreateResponse]:
        """What the end of a response makes the model say next."""
        parts = self._parts
        wanted = (
            parts.transfer.finished(finished),
            parts.farewell.finished(finished),
            parts.tools.due(),
        )
        return [request for request in wanted if request is not None]

    def _once_more(self, finished: Finished) -> c.CreateResponse:
        return finished.asked if finished.failed and finished.asked is not None else TRY_AGAIN

    def model_error(self, event: e.ModelError, now_ms: int) -> list[c.Command]:
        """An error: most mean nothing (``faults``)."""
        match severity(event.code, event.event_id):
            case Severity.FATAL:
                return self._departure.model_gone(now_ms)
            case Severity.COLLISION:
                self._parts.responses.already_active(now_ms)
            case Severity.REFUSED:
                return self._another_chance(self._parts.responses.refused(), now_ms)
            case Severity.SERVER:
                remedy = self._parts.failing.failed(now_ms)
                if remedy is not Remedy.NONE and self._parts.live:
                    return self._connecting.fails(remedy, now_ms)
            case Severity.IGNORE:
                pass
        return []

    def owed_due(self, now_ms: int) -> list[c.Command]:
        """The model owes a response, or the rest of one."""
        owed = self._parts.responses.overdue(now_ms)
        if owed is Owed.GIVE_UP:
            return self._connecting.mute(now_ms)
        return self._another_chance(owed, now_ms)

    def patience_due(self, now_ms: int) -> list[c.Command]:
        """The caller has listened to nothing for long, which may have its reason."""
        parts = self._parts
        if not parts.patience.over() or not parts.live or parts.transfer.asking:
            return []
        if parts.link.state is Link.READY and (parts.mute.agent or not parts.responses.owes):
            return []
        busy_until_ms = parts.responses.busy_until_ms
        if busy_until_ms > now_ms:
            parts.patience.lasts(busy_until_ms)
            return []
        if parts.responses.thinks and parts.patience.once_more(now_ms):
            return parts.responses.retried(TRY_AGAIN)
        return self._departure.model_gone(now_ms)

    def thinking_due(self, now_ms: int) -> list[c.Command]:
        """The caller has waited for long: they hear that the line lives, unless they hear
        something anyway, or nobody owes them words just now."""
        parts = self._parts
        owed = parts.link.state is Link.READY and parts.responses.owes
        if not owed or parts.leaving_soon:
            return []
        first = parts.patience.long(now_ms)
        if first is None:
            return []
        told: list[c.Command] = [c.LatencyHigh()] if first else []
        return told + self._connecting.tone(now_ms)

    def _another_chance(self, owed: Owed, now_ms: int) -> list[c.Command]:
        match owed:
            case Owed.ASK_AGAIN:
                return self._parts.responses.again(TRY_AGAIN, now_ms)
            case Owed.GIVE_UP:
                return self._connecting.lost(None, now_ms)
            case Owed.NOTHING:
                return []

    def tool_called(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """Run it, or decide about the built-ins; once per call."""
        if not self.tool_opened(event, now_ms):
            return []
        guards = self._parts.guards
        if guards.struck(event.response_id):
            self._parts.tools.announced(event.response_id)
            return self._answered(event, NOT_DONE, ok=True)
        if guards.holds(event, self._parts.plan.tools.get(event.name)):
            return []
        return self.tool_allowed(event, now_ms)

    def tool_allowed(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """Nothing stands against a tool call that was noted."""
        if self._parts.phase is Phase.LEAVING and not self._parts.redirecting:
            return []
        if not self._parts.changes.allows(event.name):
            return self._answered(event, f"there is no tool {event.name!r}", ok=False)
        plan = self._parts.plan.tools.get(event.name)
        if plan is not None:
            run = c.RunTool(event.tool_call_id, event.name, event.arguments)
            self._parts.meanwhile.runs(event.tool_call_id, event.name, now_ms)
            return self._parts.tools.hold(run) if self._parts.redirecting else [run]
        return self._leave_asked(event, now_ms)

    def tool_opened(self, event: e.ToolCalled, now_ms: int, *, asks_caller: bool = False) -> bool:
        """Note a tool call; False where nothing is to be done about it."""
        gone = self._parts.phase is Phase.LEAVING and not self._parts.redirecting
        if gone or self._parts.tools.known(event.tool_call_id):
            return False
        self._parts.hearing.turn_answered()
        self._parts.transcript.tool_called(event.tool_call_id, event.name, event.arguments, now_ms)
        plan = self._parts.plan.tools.get(event.name)
        filler = plan.filler if plan else None
        self._parts.tools.opened(event, filler, now_ms, asks_caller=asks_caller)
        return True

    def _leave_asked(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """The model wants to let the caller go, which the caller may have spoken over."""
        if event.name == HOLD_TOOL and self._parts.plan.may_hold:
            return self._holding.asked(event, now_ms)
        handoff = event.name == HANDOFF and bool(self._parts.plan.handoffs)
        if not handoff and event.name not in {END_CALL, TRANSFER_CALL}:
            return self._answered(event, f"there is no tool {event.name!r}", ok=False)
        if self._parts.responses.muted(event.response_id):
            return self._answered(event, SPOKEN_OVER, ok=False)
        if event.name == TRANSFER_CALL:
            refusal = self._parts.transfer.begin(event, now_ms)
            if refusal is None:
                self._parts.farewell.yields()
                self._parts.responses.withdraw("goodbye")
            return [] if refusal is None else self._answered(event, refusal, ok=False)
        if self._parts.transfer.under_way:
            return self._answered(event, PUTTING_THROUGH, ok=False)
        if handoff:
            return self._hand_over(event, now_ms)
        self._parts.tools.announced(event.response_id)
        return self._answered(event, self._parts.farewell.begin(event, now_ms), ok=True)

    def _hand_over(self, event: e.ToolCalled, now_ms: int) -> list[c.Command]:
        """A colleague is to go on: their line is opened, while this agent has the word."""
        parts = self._parts
        refusal = parts.handoff.begin(event, parts.plan.handoffs)
        if refusal is not None:
            return self._answered(event, refusal, ok=False)
        parts.farewell.yields()
        parts.responses.withdraw("goodbye")
        return parts.swap.hand_over(parts.handoff.agent, now_ms)

    def _answered(self, call: e.ToolCalled, output: str, *, ok: bool) -> list[c.Command]:
        """A call that is answered on the spot; a good answer needs no words of the model's."""
        done = e.ToolDone(call.tool_call_id, output, ok=ok, background=ok)
        self._parts.transcript.tool_answered(call.tool_call_id, output)
        return self._parts.tools.closed(done)

    def tool_done(self, event: e.ToolDone, now_ms: int) -> list[c.Command]:
        """An output for the model, and a word about it when it was the last one."""
        self._parts.transcript.tool_answered(event.tool_call_id, event.output)
        if self._parts.link.state is not Link.READY:
            self._parts.tools.settled(event.tool_call_id)
            return []
        out = self._parts.tools.closed(event)
        wanted = None if self._parts.phase is Phase.LEAVING else self._parts.tools.due()
        if wanted is None:
            return out
        self._parts.responses.withdraw("filler")
        return out + self._parts.responses.ask(wanted, now_ms)

    def filler_due(self, now_ms: int) -> list[c.Command]:
        """A tool takes its time; say so as soon as nobody is saying anything."""
        parts = self._parts
        wanted = parts.tools.filler()
        if wanted is None or parts.leaving_soon or parts.hold.on or parts.handoff.agent:
            return []
        busy = parts.responses.active is not None and parts.responses.spoke
        if busy or not parts.playout.idle:
            parts.tools.silence_from(now_ms + parts.playout.unheard_ms(now_ms))
            return []
        return parts.responses.ask(wanted, now_ms)

    def stop_due(self, now_ms: int) -> list[c.Command]:
        """Twilio should have ended the stream by now; where it is unclear whether it was to,
        it was not."""
        transfer = self._parts.transfer
        hanging_up = self._parts.farewell.state is Parting.HANGING_UP
        if hanging_up or transfer.state is not Putting.UNCLEAR:
            return self._departure.end(self._departure.reason("stream_lost"), now_ms)
        return self.transfer_refused(e.TransferRefused(transfer.doubt), now_ms)

    def transfer_refused(self, event: e.TransferRefused, now_ms: int) -> list[c.Command]:
        """REST did not take the redirect: the call goes on and the model knows why."""
        output = self._parts.transfer.refused(event.reason)
        if output is None or self._parts.farewell.state is Parting.HANGING_UP:
            return []
        self._parts.phase = Phase.LIVE
        self._parts.leaving.stayed()
        return self._parts.side.drop() + self.not_through(event.reason, output, now_ms)

    def not_through(self, reason: str, output: str, now_ms: int) -> list[c.Command]:
        """The caller was put through to nobody: the call goes on, and the model is told."""
        if self._parts.link.state is Link.GONE:
            return self._departure.fail(now_ms)
        if self._parts.link.state is Link.OPENING:
            self._parts.patience.line_lost(now_ms)  # Nobody counted while the music played.
        held = self._parts.hold.not_through(now_ms) + self._parts.tools.released(now_ms)
        if not self._parts.transfer.tool_call_id:
            return held + self._order_failed(reason, now_ms)
        refused = e.ToolDone(self._parts.transfer.tool_call_id, output, ok=False)
        return held + self.tool_done(refused, now_ms)

    def _order_failed(self, reason: str, now_ms: int) -> list[c.Command]:
        """The model wished for nothing and is told all the same: the caller was."""
        out = self._parts.orders.done("failed", reason)
        note = NOT_THROUGH.format(target=self._parts.transfer.target, reason=reason)
        self._parts.transcript.note(note, now_ms)
        if self._parts.link.state is not Link.READY:
            return out  # The line that is to come is told what is in the transcript.
        out.append(c.AddMessage("system", note))
        return out + self._parts.responses.ask(c.CreateResponse("not_through"), now_ms)
