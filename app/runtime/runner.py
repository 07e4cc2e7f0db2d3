"""One stream's life: feeds the machine, carries out its commands, keeps its one alarm.

``feed`` is synchronous, so that events are never interleaved and a frame crosses from socket
to socket in one call. The only TaskGroup of the project lives here: it owns the opening of
the model line and the effects, and ends with the stream. The record does not end with it.
"""

import asyncio
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns
from typing import Any, get_args

import structlog

from app.audio.mixing import Mixer, Sound
from app.audio.presence import Presence
from app.audio.tones import COMFORT_TONE
from app.call.chronicle import Chronicle, Tell
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.errors import ModelFault
from app.protocol import commands as c
from app.protocol.events import (
    CallerAudio,
    Event,
    MarkReturned,
    ModelLineLost,
    ModelReady,
    ModelRefused,
    SpareLost,
    SpareReady,
    SpareRefused,
    SpeechAudio,
    SpeechStarted,
    SpeechText,
    StreamStarted,
    VoiceMeasured,
)
from app.runtime import metrics
from app.runtime.effects import ABANDONED, Beside, Effects
from app.runtime.flight_log import BEGIN, WAKE, FlightLog
from app.runtime.metrics import BARGE_IN_SECONDS
from app.runtime.ports import CallerLine, ModelLine, OpenModelLine

FINISH_WITHIN_S = 15
COMFORT = c.PlayAudio(b2a_base64(COMFORT_TONE, newline=False).decode(), len(COMFORT_TONE))
_NO_SOUNDS: Mapping[str, Sound] = {}
OK = 1000
INTERNAL_ERROR = 1011

_TO_MODEL: tuple[type, ...] = get_args(c.ToModel)

log = structlog.get_logger("runner")


def _nowhere(_command: c.Command | str) -> None:
    """The hand of a line that is not there: what was meant for it is nobody's loss."""


def _nobody_else(agent: str) -> None:
    raise LookupError(agent)


class Runner:
    """The live half of a call. ``run`` it once; it ends when the machine says so."""

    def __init__(
        self,
        plan: CallPlan,
        *,
        call_id: str,
        began_ns: int,
        open_model: OpenModelLine,
        effects: Effects,
        tell: Tell,
        stream: int,
        flight: FlightLog,
        sounds: Mapping[str, Sound] = _NO_SOUNDS,
        hand_over: Callable[[str], None] = _nobody_else,
    ) -> None:
        self.machine = CallMachine(plan)
        self._call_id = call_id
        self._began_ns = began_ns
        self._open_model = open_model
        self._call_handed_to = hand_over
        self._effects = effects
        self._chronicle = Chronicle(self.machine, tell, stream)
        self._flight = flight
        self._caller: CallerLine | None = None
        self._model: ModelLine | None = None
        self._group: asyncio.TaskGroup | None = None
        self._opening: asyncio.Task[None] | None = None
        self._spare: ModelLine | None = None
        """Opened beside ``_model``; carries nothing until it takes its place."""
        self._opening_spare: asyncio.Task[None] | None = None
        self._abandoned: set[asyncio.Task[None]] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._early: list[c.Effect] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_ms: int | None = None
        self._fed_at_us: int | None = None
        """When the caller's interruption reached us."""
        self._over = asyncio.Event()
        self.has_stream = False
        """The caller's line has come."""
        self.reason: str | None = None
        """Why the stream ended; None while it lives."""
        self._mixer = Mixer(sounds)
        self._sounding = False
        """Something is heard behind the speech."""
        self._append: Callable[[str], None] = _nowhere
        self._guards = plan.echo_guard
        self._presence = None if plan.server_takes_turns else Presence()
        """The caller's sound, where it has to be measured."""
        flight.take_passed = self.machine.take_passed
        flight.private_key = lambda: self.machine.private_key
        flight.private_turn = lambda: self.machine.private_turn
        self._hands: dict[type, Callable[[Any], None]] = {
            **dict.fromkeys(_TO_MODEL, _nowhere),
            c.PlayAudio: _nowhere,
            c.SendMark: _nowhere,
            c.PlayComfort: self._comfort,
            c.SetSound: self._set_sound,
            c.PlaySound: self._play_sound,
            c.PlayKeys: self._play_keys,
            c.MeasureVoice: self._measure,
            c.CallerHeld: _nowhere,
            c.CallerReleased: _nowhere,
            c.CallerSilent: _nowhere,
            c.ModelBilled: _nowhere,
            c.LatencyHigh: _nowhere,
            c.OrderDone: _nowhere,
            c.DigitsCollected: _nowhere,
            c.AskRecording: self._perform,
            c.NotRecorded: _nowhere,
            c.KeepDigits: effects.keep,
            c.ClearPlayback: self._clear,
            c.OpenModel: self._open,
            c.CloseModel: self._close_model,
            c.OpenSpare: self._open_spare,
            c.CloseSpare: self._close_spare,
            c.SwitchModel: self._switch_model,
            c.HandOver: self._hand_over,
            c.RunTool: self._perform,
            c.Transfer: self._perform,
            c.RedirectKeys: self._perform,
            c.KeysPressed: _nowhere,
            c.MenuRepeated: _nowhere,
            c.AskJudge: self._perform,
            c.GuardrailTripped: metrics.tripped,
            c.GuardrailFailed: metrics.unjudged,
            c.PlaceSideCall: self._ask_person,
            c.DropSideCall: effects.drop,
            c.Join: self._perform,
            c.NotReached: _nowhere,
            c.FailOver: self._perform,
            c.HangUp: self._perform,
            c.VerifyCall: self._perform,
            c.EndStream: self._end,
        }

    def _clock(self) -> int:
        """Milliseconds since the call was admitted; the machine's only idea of time."""
        return (monotonic_ns() - self._began_ns) // 1_000_000

    def begin(self) -> None:
        """The TwiML is being answered. Effects wait for ``run``, which must follow."""
        now_ms = self._clock()
        self._answer(now_ms, [BEGIN], None, self.machine.begin(now_ms))

    async def run(self) -> str:
        """Live until the stream is over; returns why. Cancelling closes both lines."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                early, self._early = self._early, []
                for effect in early:
                    self._hands[effect.__class__](effect)
                await self._over.wait()
                await self._settle()
        finally:
            self._close_lines(self.reason or "server_shutdown")
            self._chronicle.over(self._clock(), self.reason or "server_shutdown")
            self._flight.close()
        return self.reason or "server_shutdown"

    async def _settle(self) -> None:
        """Tools are abandoned; what acts on the call is finished, within bounds."""
        for task in self._abandoned:
            task.cancel()
        if self._finishing:
            _, late = await asyncio.wait(self._finishing, timeout=FINISH_WITHIN_S)
            for task in late:
                task.cancel()

    def attach(self, caller: CallerLine, stream_sid: str) -> None:
        """The caller's line has come; its events follow by ``feed``."""
        self._caller = caller
        self.has_stream = True
        self._hands |= {c.PlayAudio: self._send_audio, c.SendMark: caller.send}
        self.feed(StreamStarted(stream_sid))

    def feed(self, event: Event) -> None:
        """Something happened. Synchronous; on the audio path."""
        now_ms = (monotonic_ns() - self._began_ns) // 1_000_000
        if event.__class__ is CallerAudio:
            if self.machine.passes(event, now_ms):
                self._append(event.payload_b64)
                return
            commands = self.machine.handle(event, now_ms)
            for command in commands:
                self._hands[command.__class__](command)
            self._flight.frame(now_ms, event, commands)
            if len(commands) > 1:  # silence for what was missing before the frame
                self._chronicle.saw(now_ms, event, commands)
            return
        if event.__class__ is SpeechStarted or event.__class__ is VoiceMeasured:
            self._fed_at_us = monotonic_ns() // 1000
        commands = self.machine.handle(event, now_ms)
        for command in commands:
            self._hands[command.__class__](command)
        self._chronicle.saw(now_ms, event, commands)
        if event.__class__ is SpeechAudio:
            # Neither audio nor words set an alarm, but for a sound behind them.
            self._flight.speech(now_ms, event, commands)
            if self._sounding:
                self._rearm(now_ms)
            return
        self._flight.event(now_ms, event, commands)
        if event.__class__ is SpeechText and not commands:
            return
        self._chronicle.settle(now_ms)
        self._measured(event)
        self._rearm(now_ms)

    def _measured(self, event: Event) -> None:
        if event.__class__ is MarkReturned:
            self._tell_turn()
        elif event.__class__ is SpeechStarted or event.__class__ is VoiceMeasured:
            self._fed_at_us = None  # It interrupted nothing; a key that does is another matter.

    def _tell_turn(self) -> None:
        turn = self._chronicle.take_turn()
        if turn is not None:
            log.info("turn", sent_ms=turn.sent_ms, played_ms=turn.played_ms, call_id=self._call_id)

    def _wake(self) -> None:
        now_ms = self._clock()
        self._alarm = self._alarm_at_ms = None
        self._answer(now_ms, [WAKE], None, self.machine.wake(now_ms))

    def _answer(
        self, now_ms: int, what: list[Any], event: Event | None, commands: Sequence[c.Command]
    ) -> None:
        for command in commands:
            self._hands[command.__class__](command)
        self._chronicle.saw(now_ms, event, commands)
        self._flight.moment(now_ms, what, commands)
        self._chronicle.settle(now_ms)
        self._rearm(now_ms)

    def _rearm(self, now_ms: int) -> None:
        """Have the alarm ring no later than the machine wants; ringing early is harmless.

        Deadlines mostly move away, several times a turn: the timer that is set stays then.
        """
        wanted_ms = self.machine.deadline_ms()
        if self._alarm is not None and self._alarm_at_ms is not None:
            if wanted_ms is None or wanted_ms >= self._alarm_at_ms:
                return
            self._alarm.cancel()
        self._alarm, self._alarm_at_ms = None, wanted_ms
        if wanted_ms is not None and not self._over.is_set():
            delay_s = max(0, wanted_ms - now_ms) / 1000
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _set_sound(self, command: c.SetSound) -> None:
        """From now on speech is mixed, or goes straight to the caller again."""
        self._sounding = self._mixer.cue(command.name, command.at_bytes)
        if self._caller is not None:
            self._hands[c.PlayAudio] = self._play_mixed if self._sounding else self._send_audio

    @property
    def _send_audio(self) -> Callable[[c.PlayAudio], None]:
        """The way of audio to the caller; past whoever measures, where somebody does."""
        if self._caller is None:
            return _nowhere
        return self._send_noted if self._guards else self._caller.send

    def _send_noted(self, command: c.PlayAudio) -> None:
        if self._caller is not None and self._presence is not None:
            self._presence.sent(command.payload_b64, command.length_bytes, self._clock())
            self._caller.send(command)

    def _measure(self, _command: c.MeasureVoice) -> None:
        """Told a tick later, because the answer that asked for it is still being carried out."""
        if self._presence is None:
            self._presence = Presence()  # Only now somebody wants to know: what came is not kept.
            self._listen()
        found = self._presence.measure(self._clock())
        measured = VoiceMeasured(found.voice_ms, found.echo_ms)
        asyncio.get_running_loop().call_soon(self._measured_voice, measured)

    def _measured_voice(self, measured: VoiceMeasured) -> None:
        if not self._over.is_set():
            self.feed(measured)

    def _listen(self) -> None:
        """Caller audio goes to the model line, and past whoever measures."""
        model, presence = self._model, self._presence
        if model is None or presence is None:
            return
        append, keep = model.append, presence.heard

        def noted(payload_b64: str) -> None:
            keep(payload_b64)
            append(payload_b64)

        self._append = noted
        self._hands[c.AppendAudio] = lambda command: noted(command.payload_b64)

    def _play_mixed(self, command: c.PlayAudio) -> None:
        if self._caller is not None:
            mixed = self._mixer.under(command.payload_b64, command.length_bytes)
            self._send_audio(c.PlayAudio(mixed, command.length_bytes))

    def _play_sound(self, command: c.PlaySound) -> None:
        if self._caller is not None:
            payload = self._mixer.alone(command.length_bytes)
            self._send_audio(c.PlayAudio(payload, command.length_bytes))

    def _play_keys(self, command: c.PlayKeys) -> None:
        self._send_audio(c.PlayAudio(command.payload_b64, command.length_bytes))

    def _comfort(self, _command: c.PlayComfort) -> None:
        self._play_mixed(COMFORT)

    def _clear(self, command: c.ClearPlayback) -> None:
        if self._caller is None:
            return
        self._caller.send(command)
        if self._presence is not None:
            self._presence.cleared(self._clock())
        if self._fed_at_us is None:
            return
        reaction_us = monotonic_ns() // 1000 - self._fed_at_us
        self._fed_at_us = None
        self._chronicle.reacted(reaction_us)
        BARGE_IN_SECONDS.observe(reaction_us / 1_000_000)

    def _open(self, command: c.OpenModel) -> None:
        if self._group is None:
            self._early.append(command)
            return
        self._opening = self._group.create_task(
            self._opened(command.timeout_ms), name=f"model-{self._call_id}"
        )

    async def _opened(self, timeout_ms: int) -> None:
        early: list[Event] = []
        try:
            line = await self._open_model(early.append, timeout_ms)
        except ModelFault as exc:
            log.warning("model_refused", reason=exc.reason, call_id=self._call_id)
            self.feed(ModelRefused(exc.reason, exc.retryable))
            return
        if self._over.is_set():
            line.close()
            return
        self._use(line)
        self.feed(ModelReady(line.session_id, line.life_ms))
        for event in early:
            if line is self._model:
                self.feed(event)

    def _use(self, line: ModelLine) -> None:
        self._model = line
        self._append = line.append
        self._hands |= dict.fromkeys(_TO_MODEL, line.send)
        self._listen()
        line.feed = self.feed

    def _open_spare(self, command: c.OpenSpare) -> None:
        if self._group is not None and self._spare is None:
            self._opening_spare = self._group.create_task(
                self._spare_opened(command), name=f"spare-{self._call_id}"
            )

    async def _spare_opened(self, command: c.OpenSpare) -> None:
        early: list[Event] = []
        whose = {"agent": command.agent} if command.agent else {}
        try:
            line = await self._open_model(early.append, command.timeout_ms, **whose)
        except ModelFault as exc:
            log.warning("spare_refused", reason=exc.reason, call_id=self._call_id)
            self.feed(SpareRefused(exc.reason, exc.retryable))
            return
        if self._over.is_set():
            line.close()
            return
        self._spare = line
        line.feed = self._spare_said
        self.feed(SpareReady(line.session_id, line.life_ms))
        for event in early:
            line.feed(event)

    def _spare_said(self, event: Event) -> None:
        """A spare line has nothing to say but that it is gone."""
        if isinstance(event, ModelLineLost):
            self._spare = None
            self.feed(SpareLost(event.code, event.reason))

    def _close_spare(self, _command: c.CloseSpare | None = None) -> None:
        opening, self._opening_spare = self._opening_spare, None
        if opening is not None and opening is not asyncio.current_task():
            opening.cancel()
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()

    def _switch_model(self, _command: c.SwitchModel) -> None:
        """From the next command on everything goes to the spare line; the old one falls silent."""
        spare, self._spare = self._spare, None
        if spare is None:
            return
        self._close_model()
        self._use(spare)
        log.info("model_switched", session_id=spare.session_id, call_id=self._call_id)

    def _hand_over(self, command: c.HandOver) -> None:
        """Whatever the call meets from now on is this agent's."""
        self._call_handed_to(command.agent)
        self._guards = self.machine.echo_guard
        if not self._sounding and self._caller is not None:
            self._hands[c.PlayAudio] = self._send_audio
        log.info("agent_changed", agent=command.agent, call_id=self._call_id)

    def _close_model(self, _command: c.CloseModel | None = None) -> None:
        opening, self._opening = self._opening, None
        if opening is not None and opening is not asyncio.current_task():
            opening.cancel()
        if self._model is not None:
            self._model.close()
            self._chronicle.line_closed(self._clock(), self._model.ignored, self._model.warnings)
            self._model = None
            self._append = _nowhere
            self._hands |= dict.fromkeys(_TO_MODEL, _nowhere)

    def _perform(self, effect: Beside) -> None:
        if self._group is None:
            self._early.append(effect)
            return
        task = self._group.create_task(self._performed(effect), name=f"effect-{self._call_id}")
        owned = self._abandoned if isinstance(effect, ABANDONED) else self._finishing
        owned.add(task)
        task.add_done_callback(owned.discard)

    def _ask_person(self, wish: c.PlaceSideCall) -> None:
        self._effects.ask(wish, self.feed)
        self._perform(wish)

    async def _performed(self, effect: Beside) -> None:
        self.feed(await self._effects.perform(effect))

    def _end(self, command: c.EndStream) -> None:
        if self.reason is None:
            self.reason = command.reason
            log.info("stream_over", reason=command.reason, call_id=self._call_id)
        self._close_lines(command.reason)
        self._chronicle.over(self._clock(), command.reason)
        self._over.set()

    def _close_lines(self, reason: str) -> None:
        self._close_spare()
        self._close_model()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._caller is not None:
            self._caller.close(INTERNAL_ERROR if reason == "model_failed" else OK)
            late = {"late_frame": self.machine.late_frames} if self.machine.late_frames else {}
            self._chronicle.line_closed(self._clock(), {**self._caller.ignored, **late}, {})
            self._caller = None
