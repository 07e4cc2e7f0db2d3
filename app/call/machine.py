"""Order and phase of a call: which component hears of an event, and in which sequence.

The machine does no I/O, knows no clock, starts no task and does no arithmetic. This file
routes events and moments; what an event means is decided by phase, in ``connecting``,
``dialogue`` and ``departure``, by components that each know one subject (``parts``). Fed with
the same plan, events and times it answers with the same commands, which is what makes a
flight log a replay.

    WAITING ──stream started──▶ LIVE ──leaving on purpose──▶ LEAVING ──stop, close──▶ OVER
       └────────────── nobody came, or the line is gone ────────────────────────────▶
"""

from collections.abc import Callable
from typing import Any

from app.call.alarms import Alarm
from app.call.answering import Answering
from app.call.connecting import Connecting
from app.call.departure import Departure
from app.call.dialogue import Dialogue
from app.call.guarding import Guarding
from app.call.handing_over import HandingOver
from app.call.keying import Keying
from app.call.model_link import Link
from app.call.navigating import Navigating
from app.call.obeying import Obeying
from app.call.parts import Parts, Phase
from app.call.plan import CallPlan
from app.call.pressing import Pressing
from app.call.pulse import Pulse
from app.call.reaching import Reaching
from app.call.reminding import Reminding
from app.call.silence import Silence
from app.call.texts import Texts
from app.call.transcript import Transcript
from app.call.winding_up import WindingUp
from app.protocol import commands as c
from app.protocol import events as e

ENDS_OF_WORDS = (e.ResponseDone, e.MarkReturned, e.ToolDone, e.CallerTranscribed)
"""After these nobody may have anything to say."""
ENDS_OF_ORDERS = (
    *ENDS_OF_WORDS,
    *(e.SpeechStarted, e.VoiceMeasured, e.CallerDigit, e.CallerTyped),
    *(e.TransferAccepted, e.TransferRefused, e.SideCallOver, e.HangUpDone, e.KeysAnswered),
)
"""After these an order of the operator's may be over, and the next one be begun."""

CALLER_ACTS = (e.CallerDigit, e.CallerTyped, e.TextReceived)
"""Besides what they say."""
BREAK_SILENCE = (
    *ENDS_OF_ORDERS,
    *(e.SpeechStopped, e.CallerTurnCommitted, e.ResponseStarted, e.SpeechAudioDone),
    *(e.ToolCalled, e.TextReceived, e.TextFailed, e.ModelReady, e.SideCallAccepted),
    *(e.HoldOrdered, e.UnholdOrdered, e.SayOrdered, e.MessageOrdered, e.DigitsOrdered),
)
"""What comes before one of these is no silence of the caller's."""

Handler = Callable[[Any, int], list[c.Command]]
Waker = Callable[[int], list[c.Command]]


class CallMachine:
    """``handle``, ``deadline_ms``, ``wake``: all a runner needs to know."""

    def __init__(self, plan: CallPlan) -> None:
        self._parts = Parts(plan)
        self._departure = Departure(self._parts, self._deafen)
        self._answering = Answering(self._parts, self._departure)
        self._connecting = Connecting(self._parts, self._departure, self._answering)
        self._dialogue = Dialogue(self._parts, self._connecting, self._departure, self._answering)
        handing = HandingOver(self._parts, self._connecting, self._dialogue)
        self._keying = Keying(self._parts, self._dialogue)
        self._pressing = Pressing(self._parts, self._dialogue, self._departure, self._keying)
        self._obeying = Obeying(self._parts, self._departure, self._keying, self._pressing)
        self._reaching = Reaching(self._parts, self._dialogue, self._departure, self._keying.digit)
        self._texts = Texts(self._parts)
        self._reminding = Reminding(self._parts)
        self._winding_up = WindingUp(self._parts, self._departure)
        self._guarding = Guarding(self._parts, self._dialogue, self._departure)
        self.passes: Callable[[e.CallerAudio, int], bool] = self._parts.hearing.passes
        """Whether a frame goes to the model as it is; otherwise ``handle`` it."""
        self.take_passed = self._parts.hearing.take_passed
        self._handlers: dict[type, Handler] = {
            e.CallerAudio: self._parts.hearing.frame,
            e.StreamStarted: self._stream_started,
            e.CallStillUp: _nothing,
            e.PickedUp: self._answering.picked_up,
            **_spoken_handlers(self._dialogue),
            **_signs(
                self._parts.pulse, _model_handlers(self._connecting, self._dialogue, self._pressing)
            ),
            **_swap_handlers(self._connecting, handing),
            e.ToolDone: self._dialogue.tool_done,
            e.KeysAnswered: self._pressing.answered,
            **_leaving_handlers(self._dialogue, self._departure),
            **_key_handlers(self._keying),
            **_side_handlers(self._reaching),
            e.TextReceived: self._texts.received,
            e.TextFailed: self._texts.failed,
            e.VoiceMeasured: self._dialogue.voice_measured,
            e.RecordingAnswered: self._parts.recording.answered,
            **_order_handlers(self._obeying),
            e.Judged: self._guarding.judged,
        }
        if self._parts.guards.on:
            self._handlers |= self._guarding.listening(self._handlers)
        self._handlers[e.ResponseDone] = _billed(self._winding_up, self._handlers[e.ResponseDone])
        for kind in (*ENDS_OF_ORDERS, e.SpeechAudioDone):
            self._handlers[kind] = _then_pressed(self._handlers[kind], self._pressing)
        for kind in ENDS_OF_ORDERS:
            self._handlers[kind] = _then_next(self._handlers[kind], self._obeying)
        for kind in (e.ToolDone, e.ResponseDone):
            self._handlers[kind] = _then_still(self._handlers[kind], self._parts)
        for kind in ENDS_OF_WORDS:
            self._handlers[kind] = _then_quiet(self._handlers[kind], self._connecting)
        for sign in BREAK_SILENCE:
            self._handlers[sign] = _then_broken(
                self._handlers[sign], self._parts.silence, by_caller=sign in CALLER_ACTS
            )
        self._wakers = self._all_wakers()

    @property
    def transcript(self) -> Transcript:
        """What has been said and heard on this stream."""
        return self._parts.transcript

    @property
    def echo_guard(self) -> bool:
        """The agent's own voice coming back must be told from the caller's."""
        return self._parts.plan.echo_guard

    def hearing(self, now_ms: int) -> dict[str, int]:
        """What is being played to the caller: how many ms of each item were heard by now."""
        return self._parts.playout.so_far(now_ms)

    @property
    def private_key(self) -> bool | None:
        """Whether the key pressed last must not be written down; None: that is not known yet."""
        return self._parts.keypad.private_key

    @property
    def private_turn(self) -> bool | None:
        """What has become known of keys of which it was not; None: nothing yet."""
        return self._parts.keypad.private_turn

    @property
    def late_frames(self) -> int:
        """Frames of the caller's that came when their time was over, and were not heard."""
        return self._parts.hearing.late_frames

    def _all_wakers(self) -> dict[Alarm, Waker]:
        departure, dialogue = self._departure, self._dialogue
        return {
            Alarm.PARKED: lambda now: departure.end(departure.reason("stream_lost"), now),
            Alarm.ATTEMPT: self._connecting.attempt_due,
            Alarm.SWAP: self._connecting.swap_due,
            Alarm.COMFORT: self._connecting.comfort_due,
            Alarm.MODEL: dialogue.patience_due,
            Alarm.THINKING: dialogue.thinking_due,
            Alarm.MEDIA: self._media_due,
            Alarm.STALL: self._parts.hearing.stalled,
            Alarm.OWED: dialogue.owed_due,
            Alarm.PULSE: self._connecting.pulse_due,
            Alarm.FILLER: dialogue.filler_due,
            Alarm.WORK: self._parts.meanwhile.due,
            Alarm.SOUND: self._parts.background.due,
            Alarm.DIGITS: self._keying.turn_due,
            Alarm.KEYPAD: lambda now: self._keying.due(now) + self._obeying.on(now),
            Alarm.ANNOUNCED: departure.announcement_due,
            Alarm.CALLEE: self._answering.due,
            Alarm.PERSON: lambda now: self._reaching.due(now) + self._obeying.on(now),
            Alarm.SHIELD: self._connecting.shield_due,
            Alarm.RECORDING: self._parts.recording.due,
            Alarm.NOISE: dialogue.noise_due,
            Alarm.SILENCE: self._reminding.due,
            Alarm.LIMIT: self._winding_up.due,
            Alarm.WORDS: self._guarding.words_due,
            Alarm.VOICE: dialogue.voice_due,
            Alarm.STOP: self._pressing.stop_due,
            Alarm.MENU: Navigating(self._parts, departure).due,
            Alarm.PRESS: lambda now: self._pressing.due(now) + self._obeying.on(now),
            Alarm.ORDERED: self._obeying.say_overdue,
        }

    def begin(self, now_ms: int) -> list[c.Command]:
        """The TwiML was answered: open the model line and wait for the stream."""
        return self._connecting.begin(now_ms)

    def handle(self, event: e.Event, now_ms: int) -> list[c.Command]:
        """What an event leads to, in the order in which it must be carried out."""
        if self._parts.phase is Phase.OVER:
            return []
        return self._handlers[type(event)](event, now_ms)

    def deadline_ms(self) -> int | None:
        """The next moment to be woken at. Caller audio never brings it nearer."""
        return self._parts.alarms.next_ms

    def wake(self, now_ms: int) -> list[c.Command]:
        """A moment came; harmless when it did not."""
        out: list[c.Command] = []
        for alarm in self._parts.alarms.due(now_ms):
            if self._parts.phase is not Phase.OVER:
                out += self._wakers[alarm](now_ms)
        return out

    def _stream_started(self, _event: e.StreamStarted, now_ms: int) -> list[c.Command]:
        parts = self._parts
        if parts.phase is not Phase.WAITING:
            return []
        parts.phase = Phase.LIVE
        parts.leaving.arrived()
        parts.hearing.stream_started(now_ms)
        parts.silence.begins(now_ms)
        parts.limits.begins(now_ms)
        if parts.link.state is Link.GONE:
            return self._departure.fail(now_ms)
        self._connecting.caller_came(now_ms)
        waited = parts.overture.release()
        out = parts.recording.begin(now_ms)
        out += parts.background.begin(now_ms, speaking=bool(waited))
        for audio in waited:
            out += self._dialogue.voiced(audio, now_ms)
        if parts.responses.active is None:
            out += parts.playout.finish()
        out += self._answering.ready(now_ms)
        return out + self._departure.if_line_idle(now_ms)

    def _media_due(self, now_ms: int) -> list[c.Command]:
        return [c.VerifyCall()] if self._parts.hearing.silent_line(now_ms) else []

    def _deafen(self) -> None:
        """The stream is over: frames that are still on their way lead to nothing."""
        self.passes = _none


def _model_handlers(
    connecting: Connecting, dialogue: Dialogue, pressing: Pressing
) -> dict[type, Handler]:
    return {
        e.ModelReady: connecting.ready,
        e.ModelRefused: connecting.refused,
        e.ModelLineLost: connecting.lost,
        e.ModelAlive: _nothing,
        e.SpeechAudioDone: dialogue.speech_done,
        e.SpeechStarted: dialogue.speech_started,
        e.SpeechStopped: dialogue.speech_stopped,
        e.CallerTurnCommitted: dialogue.turn_committed,
        e.CallerTranscribed: dialogue.transcribed,
        e.ResponseStarted: dialogue.response_started,
        e.ResponseDone: dialogue.response_done,
        e.ModelError: dialogue.model_error,
        e.ToolCalled: pressing.tool_called,
    }


def _swap_handlers(connecting: Connecting, handing: HandingOver) -> dict[type, Handler]:
    return {
        e.SpareReady: connecting.spare_ready,
        e.SpareRefused: handing.spare_refused,
        e.SpareLost: handing.spare_lost,
        e.SwapOrdered: connecting.swap_ordered,
    }


def _spoken_handlers(dialogue: Dialogue) -> dict[type, Handler]:
    """On the audio path; they keep their own signs of life."""
    return {e.SpeechAudio: dialogue.speech_audio, e.SpeechText: dialogue.speech_text}


def _signs(pulse: Pulse, handlers: dict[type, Handler]) -> dict[type, Handler]:
    """The same handlers, whose events are a sign of life, too."""

    def noticed(handler: Handler) -> Handler:
        def notice(event: e.Event, now_ms: int) -> list[c.Command]:
            pulse.sign(now_ms)
            return handler(event, now_ms)

        return notice

    return {kind: noticed(handler) for kind, handler in handlers.items()}


def _leaving_handlers(dialogue: Dialogue, departure: Departure) -> dict[type, Handler]:
    return {
        e.CallerTyped: dialogue.typed,
        e.StreamStopped: departure.stream_over,
        e.StreamReportedOver: departure.stream_reported,
        e.CallEnded: departure.call_over,
        e.CallerLineLost: departure.line_lost,
        e.TransferRefused: dialogue.transfer_refused,
        e.TransferUnclear: departure.transfer_unclear,
        e.FailoverDone: departure.failover_done,
        e.FailoverOrdered: departure.failover_ordered,
    }


def _key_handlers(keying: Keying) -> dict[type, Handler]:
    return {e.MarkReturned: keying.mark_returned}


def _side_handlers(reaching: Reaching) -> dict[type, Handler]:
    return {
        e.CallerDigit: reaching.digit,
        e.SideCallPlaced: _nothing,
        e.SideCallAnswered: reaching.answered,
        e.SideCallAccepted: reaching.accepted,
        e.SideCallOver: reaching.over,
    }


def _order_handlers(obeying: Obeying) -> dict[type, Handler]:
    return {
        e.HangUpOrdered: obeying.hang_up_ordered,
        e.TransferOrdered: obeying.ordered,
        e.SayOrdered: obeying.ordered,
        e.MessageOrdered: obeying.ordered,
        e.HoldOrdered: obeying.ordered,
        e.UnholdOrdered: obeying.ordered,
        e.DigitsOrdered: obeying.ordered,
        e.KeysOrdered: obeying.ordered,
        e.ConfigureOrdered: obeying.ordered,
        e.RespondOrdered: obeying.ordered,
        e.MuteOrdered: obeying.ordered,
        e.UnmuteOrdered: obeying.ordered,
        e.TransferAccepted: obeying.transfer_accepted,
        e.HangUpDone: obeying.hang_up_done,
    }


def _then_pressed(handler: Handler, pressing: Pressing) -> Handler:
    """The same handler, after which keys may have their moment, or be over."""

    def then(event: e.Event, now_ms: int) -> list[c.Command]:
        out = handler(event, now_ms)
        return out + pressing.go_on(now_ms)

    return then


def _then_next(handler: Handler, obeying: Obeying) -> Handler:
    """The same handler, after which the next order may have its turn."""

    def then(event: e.Event, now_ms: int) -> list[c.Command]:
        out = handler(event, now_ms)
        return out + obeying.on(now_ms)

    return then


def _then_still(handler: Handler, parts: Parts) -> Handler:
    """The same handler, after which the sound of work may have come to its end."""

    def then(event: e.Event, now_ms: int) -> list[c.Command]:
        out = handler(event, now_ms)
        if parts.phase is Phase.OVER:
            return out
        return out + parts.meanwhile.after(event, now_ms, owes=parts.responses.owes)

    return then


def _billed(winding_up: WindingUp, handler: Handler) -> Handler:
    """The same handler, before which it is known what the response has cost."""

    def then(event: e.ResponseDone, now_ms: int) -> list[c.Command]:
        out = winding_up.billed(event, now_ms)
        return out + handler(event, now_ms)

    return then


def _then_broken(handler: Handler, silence: Silence, *, by_caller: bool) -> Handler:
    """The same handler, before which any silence is over."""

    def then(event: e.Event, now_ms: int) -> list[c.Command]:
        silence.broken(now_ms)
        if by_caller:
            silence.caller_acted()
        return handler(event, now_ms)

    return then


def _then_quiet(handler: Handler, connecting: Connecting) -> Handler:
    """The same handler, after which a spare line may find its moment."""

    def then(event: e.Event, now_ms: int) -> list[c.Command]:
        out = handler(event, now_ms)
        return out + connecting.if_quiet(now_ms)

    return then


def _nothing(_event: e.Event, _now_ms: int) -> list[c.Command]:
    return []


def _none(_audio: e.CallerAudio, _now_ms: int) -> bool:
    return False
