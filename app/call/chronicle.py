"""The witness of one stream: tells from events and commands what became known.

It stands beside the machine, sees what the machine is told and answers, and tells facts
(``app.call.facts``); it counts nothing that is not told. Audio is not told beyond its length,
and costs what its counting costs: what changes with every delta is told when somebody asks for
it (``settle``), five times a second.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from app.call.facts import TIMED_OUT
from app.call.orders import Order
from app.call.playout import MARK_EVERY_MS
from app.call.transcript import Entry, Transcript
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import ms_of_bytes

Tell = Callable[[int, str, Mapping[str, Any]], None]
"""``(at_ms, type, data)``: a fact, of ``app.call.facts.FACTS``."""


NOT_TOLD = -1
ORDERED: dict[type, str] = {
    e.HangUpOrdered: "end_call",
    e.TransferOrdered: "transfer",
    e.SayOrdered: "say",
    e.MessageOrdered: "add_message",
    e.HoldOrdered: "hold",
    e.UnholdOrdered: "unhold",
    e.DigitsOrdered: "dtmf.start",
    e.KeysOrdered: "send_dtmf",
    e.ConfigureOrdered: "configure",
    e.RespondOrdered: "respond",
    e.MuteOrdered: "mute",
    e.UnmuteOrdered: "unmute",
}
"""What an operator calls these."""
_TOLD_WHOLE: dict[type, str] = {
    c.OrderDone: "command.ended",
    c.HandOver: "agent.changed",
    c.CallerSilent: "caller.silent",
    c.GuardrailTripped: "guardrail.tripped",
}
"""Commands that are facts as they stand."""


class Machine(Protocol):
    """What is asked of a machine beside its commands."""

    @property
    def transcript(self) -> Transcript:
        """What has been said on this stream."""

    def hearing(self, now_ms: int) -> dict[str, int]:
        """What is being played: how many ms of each item were heard so far."""


@dataclass(slots=True)
class Latency:
    """One turn, in ms after the caller stopped; None while it has not happened."""

    stopped_at_ms: int
    sent_ms: int | None = None
    """First audio handed to Twilio."""
    played_ms: int | None = None
    """First audio heard, as Twilio's first mark tells: the figure the caller feels."""


class Chronicle:
    """One stream's facts. Show it everything but caller audio that passes."""

    def __init__(self, machine: Machine, tell: Tell, stream: int) -> None:
        self._machine = machine
        self._tell = tell
        self._stream = stream
        self._over = False
        self._played_any = False
        self._reaction_us: int | None = None
        self._padded_ms = 0
        self._played_bytes = 0
        self._item_bytes = Counter[str]()
        self._ignored = Counter[str]()
        self._unanswered: Latency | None = None
        self._first_mark: tuple[str, int] | None = None
        self._mark_came = False
        """Since it was last told how much was heard."""
        self._heard_turn: Latency | None = None
        self._held_at_ms: int | None = None
        """Since when the caller is on hold."""
        self._joining = ""
        """Whom the caller is being joined with, after they accepted."""
        self._spare_id = ""
        """The session of a spare line."""
        self._called: dict[str, str] = {}
        """Names of the tools that run, by the ids of their calls."""
        self._playing: dict[str, int] = {}
        """Items under way: how much of each was last told to be heard, in ms."""

    def saw(self, now_ms: int, event: e.Event | None, commands: Sequence[c.Command]) -> None:
        """One answer of the machine's; ``event`` is None when a moment came. On the audio path."""
        if isinstance(event, e.SpeechAudio):
            self._spoke(now_ms, event, commands)
            return
        if not isinstance(event, e.SpeechText):
            self._saw_event(now_ms, event, commands)
        if commands:
            self._saw_commands(now_ms, commands)

    def _saw_event(self, now_ms: int, event: e.Event | None, commands: Sequence[c.Command]) -> None:
        match event:
            case e.MarkReturned():
                self._marked(now_ms, event)
            case e.SpeechStopped():
                self._unanswered = Latency(now_ms)
            case e.SpeechStarted() | e.VoiceMeasured():
                self._interrupted(now_ms, commands)
            case e.ResponseDone():
                self._responded(now_ms, event, commands)
            case e.ToolCalled():
                self._called[event.tool_call_id] = event.name
                told = {"tool_call_id": event.tool_call_id, "name": event.name}
                self._tell(now_ms, "tool.started", told)
            case e.ToolDone():
                self._tool_done(now_ms, event)
            case e.ModelError():
                self._warn(now_ms, f"model_error:{event.code}")
            case (
                e.HangUpOrdered()
                | e.TransferOrdered()
                | e.SayOrdered()
                | e.MessageOrdered()
                | e.HoldOrdered()
                | e.UnholdOrdered()
                | e.ConfigureOrdered()
                | e.RespondOrdered()
                | e.MuteOrdered()
                | e.UnmuteOrdered()
            ):
                self._saw_order(now_ms, event)
            case e.DigitsOrdered() | e.KeysOrdered():
                self._saw_order(now_ms, event)
            case _:
                self._saw_line(now_ms, event)

    def _tool_done(self, now_ms: int, done: e.ToolDone) -> None:
        told: dict[str, Any] = {
            "tool_call_id": done.tool_call_id,
            "name": self._called.pop(done.tool_call_id, None),
            "source": done.source,
            "ms": done.elapsed_ms,
        }
        if done.ok:
            self._tell(now_ms, "tool.completed", told)
            return
        kind = "tool.timed_out" if done.error == TIMED_OUT else "tool.failed"
        self._tell(now_ms, kind, {**told, "error": done.error or None})

    def _warn(self, now_ms: int, what: str) -> None:
        self._tell(now_ms, "warning", {"id": what, "count": 1})

    def reacted(self, reaction_us: int) -> None:
        """From an interruption's arrival to the ``clear`` being written; ``saw`` follows."""
        self._reaction_us = reaction_us

    def _interrupted(self, now_ms: int, commands: Sequence[c.Command]) -> None:
        if any(isinstance(command, c.ClearPlayback) for command in commands):
            self._tell(now_ms, "caller.interrupted", {"reaction_us": self._reaction_us})
        self._reaction_us = None

    def _responded(self, now_ms: int, event: e.ResponseDone, commands: Sequence[c.Command]) -> None:
        if event.usage is not None:
            told: dict[str, Any] = asdict(event.usage)
            for command in commands:
                if isinstance(command, c.ModelBilled):
                    told |= {"bill": asdict(command)}
            self._tell(now_ms, "model.used", told)
        if event.status == "failed":
            self._warn(now_ms, f"response_failed:{event.reason}")

    def _saw_line(self, now_ms: int, event: e.Event | None) -> None:
        match event:
            case e.StreamStarted():
                told: dict[str, Any] = {"stream": self._stream, "stream_sid": event.stream_sid}
                self._tell(now_ms, "call.stream_started", told)
            case e.ModelReady():
                self._tell(now_ms, "call.model_connected", {"session_id": event.session_id})
            case e.SpareReady() | e.SpareRefused() | e.SpareLost():
                self._saw_spare(now_ms, event)
            case e.ModelRefused():
                self._tell(now_ms, "call.model_refused", {"reason": event.reason})
            case e.ModelLineLost():
                told = {"close_code": event.code, "reason": event.reason}
                self._tell(now_ms, "call.model_lost", told)
            case e.CallerDigit():
                self._tell(now_ms, "dtmf.received", {"length": 1})
            case _:
                self._saw_carrier(now_ms, event)

    def _saw_carrier(self, now_ms: int, event: e.Event | None) -> None:
        match event:
            case e.TransferRefused():
                self._tell(now_ms, "transfer.answered", {"outcome": f"refused:{event.reason}"})
            case e.TransferUnclear():
                self._tell(now_ms, "transfer.answered", {"outcome": f"unclear:{event.reason}"})
            case e.TransferAccepted():
                self._put_through(now_ms)
            case e.SideCallPlaced():
                told = {"target": event.target, "leg_sid": event.leg_sid}
                self._tell(now_ms, "transfer.ringing", told)
            case _:
                pass

    def _saw_order(self, now_ms: int, event: Order) -> None:
        if event.command_id:
            at_once = isinstance(event, e.TransferOrdered) and event.at_once
            name = "takeover" if at_once else ORDERED[type(event)]
            told = {"command_id": event.command_id, "type": name}
            self._tell(now_ms, "command.received", told)

    def _saw_spare(self, now_ms: int, event: e.SpareReady | e.SpareRefused | e.SpareLost) -> None:
        if isinstance(event, e.SpareReady):
            self._spare_id = event.session_id
        else:
            what = "spare_lost" if isinstance(event, e.SpareLost) else "spare_refused"
            self._warn(now_ms, f"{what}:{event.reason}")

    def _saw_commands(self, now_ms: int, commands: Sequence[c.Command]) -> None:
        for command in commands:
            if isinstance(command, c.AppendSilence):
                self._padded_ms += command.length_ms
            elif isinstance(command, c.PlayAudio):
                self._played_bytes += command.length_bytes
                self._playing.update(dict.fromkeys(self._item_bytes, NOT_TOLD))
                self._played(now_ms, command)
            elif isinstance(command, c.SendMark):
                self._played(now_ms, command)
            elif isinstance(command, c.ClearPlayback):
                self._cleared()
            elif isinstance(command, c.DigitsCollected):
                self._collected(now_ms, command)
            elif isinstance(command, c.SwitchModel):
                swapped = {"session_id": self._spare_id, "swapped": True}
                self._tell(now_ms, "call.model_connected", swapped)
            else:
                self._saw_end(now_ms, command)

    def _saw_end(self, now_ms: int, command: c.Command) -> None:
        if (kind := _TOLD_WHOLE.get(type(command))) is not None:
            self._tell(now_ms, kind, asdict(command))
        elif isinstance(command, c.ChangeSession):
            if command.strategy:
                self._tell(now_ms, "session.changed", _change(command))
        elif isinstance(command, c.CallerHeld | c.CallerReleased):
            self._saw_hold(now_ms, command)
        elif isinstance(command, c.LatencyHigh):
            self._warn(now_ms, "latency.high")
        elif isinstance(command, c.KeysPressed):
            self._pressed(now_ms, command)
        elif isinstance(command, c.MenuRepeated):
            self._warn(now_ms, command.warning)
        elif isinstance(command, c.GuardrailFailed):
            self._warn(now_ms, f"guardrail_failed:{command.name}:{command.reason}")
        else:
            self._saw_transfer(now_ms, command)

    def _saw_transfer(self, now_ms: int, command: c.Command) -> None:
        match command:
            case c.Transfer():
                self._joining = ""
                told = {"target": command.target, "mode": command.mode}
                self._tell(now_ms, "transfer.started", told | _about(command.summary))
            case c.PlaceSideCall():
                told = {"target": command.target, "mode": "warm"}
                self._tell(now_ms, "transfer.started", told | _about(command.summary))
            case c.Join():
                self._joining = command.target
                self._tell(now_ms, "transfer.accepted", {"target": command.target})
            case c.NotReached():
                self._tell(now_ms, "transfer.failed", asdict(command))
            case c.NotRecorded():
                told = {"wish": "start", "reason": command.reason}
                self._tell(now_ms, "recording.failed", told)
            case _:
                pass

    def _put_through(self, now_ms: int) -> None:
        if self._joining:
            self._tell(now_ms, "transfer.connected", {"target": self._joining})
        else:
            self._tell(now_ms, "transfer.answered", {"outcome": "ringing"})

    def _collected(self, now_ms: int, command: c.DigitsCollected) -> None:
        if command.reason == "no_keypad":
            self._warn(now_ms, command.reason)
            return
        told = {"preset": command.preset, "digits": command.shown, "length": command.length}
        told |= {"reason": command.reason}
        self._tell(now_ms, "dtmf.collected" if command.ok else "dtmf.failed", told)

    def _pressed(self, now_ms: int, command: c.KeysPressed) -> None:
        if not command.ok:
            known = command.reason == "no_keypad"
            self._warn(now_ms, command.reason if known else f"keys_not_pressed:{command.reason}")
            return
        told = {"digits": command.shown, "length": command.length, "via": command.via}
        self._tell(now_ms, "dtmf.sent", told)

    def _saw_hold(self, now_ms: int, command: c.CallerHeld | c.CallerReleased) -> None:
        if isinstance(command, c.CallerHeld):
            self._held_at_ms = now_ms
            self._tell(now_ms, "hold.started", {"stream": self._stream, "by": command.by})
        elif self._held_at_ms is not None:
            held_ms, self._held_at_ms = now_ms - self._held_at_ms, None
            self._tell(now_ms, "hold.ended", {"stream": self._stream, "ms": held_ms})

    def _spoke(self, now_ms: int, event: e.SpeechAudio, commands: Sequence[c.Command]) -> None:
        self._item_bytes[event.item_id] += event.length_bytes
        if commands and isinstance(commands[0], c.CallerReleased):
            self._saw_hold(now_ms, commands[0])
        if commands:
            self._played_bytes += event.length_bytes
            self._playing.setdefault(event.item_id, NOT_TOLD)
        if self._unanswered is not None or not self._played_any:
            for command in commands:
                self._played(now_ms, command)

    def _played(self, now_ms: int, command: c.Command) -> None:
        turn = self._unanswered
        if isinstance(command, c.PlayAudio):
            if not self._played_any:
                self._played_any = True
                self._tell(now_ms, "call.first_audio", {"stream": self._stream})
            if turn is not None and turn.sent_ms is None:
                turn.sent_ms = now_ms - turn.stopped_at_ms
                self._tell(now_ms, "turn.answered", asdict(turn))
        elif isinstance(command, c.SendMark) and self._first_mark is None and self._answering:
            self._first_mark = (command.name, command.covers_ms)

    def _cleared(self) -> None:
        """Marks thrown back by a ``clear`` say nothing about what was heard."""
        self._playing.clear()  # What was heard of it is in the transcript, as a cut.
        if self._first_mark is not None:
            self._first_mark = self._unanswered = None

    @property
    def _answering(self) -> bool:
        """The first audio of an answer has been sent and not been heard yet."""
        return self._unanswered is not None and self._unanswered.sent_ms is not None

    def _marked(self, now_ms: int, event: e.MarkReturned) -> None:
        self._mark_came = True
        if self._first_mark is None or self._first_mark[0] != event.name:
            return
        turn = self._unanswered
        if turn is not None:
            turn.played_ms = now_ms - self._first_mark[1] - turn.stopped_at_ms
            self._heard_turn = turn
            self._tell(now_ms, "turn.answered", asdict(turn))
        self._first_mark = self._unanswered = None

    def take_turn(self) -> Latency | None:
        """The turn whose answer began to be heard just now, once; None when there is none."""
        turn, self._heard_turn = self._heard_turn, None
        return turn

    def settle(self, now_ms: int) -> None:
        """Tell what changed and was not told yet: words, and how much of them was heard.

        How much is told with every mark, and hardly between two, where much happens: a process
        that dies takes the last 200 ms with it and no more.
        """
        transcript = self._machine.transcript
        if transcript.take_cleared():
            self._playing.clear()
            self._tell(now_ms, "transcript.cleared", {"stream": self._stream})
        for entry in transcript.take_changed():
            self._tell(now_ms, "transcript.updated", self._words(entry))
        self._tell_heard(now_ms, transcript, 1 if self._mark_came else MARK_EVERY_MS)
        self._mark_came = False

    def _words(self, entry: Entry) -> dict[str, Any]:
        told: dict[str, Any] = {
            "stream": self._stream,
            "entry": entry.place,
            "voice": entry.voice.value,
            "key": entry.key,
            "began_at_ms": entry.at_ms,
            "text": entry.text,
        }
        if entry.name:
            told |= {"name": entry.name, "arguments": entry.arguments}
        if entry.heard_ms is not None:
            told |= {"cut": True, "heard_ms": entry.heard_ms, "sent_ms": entry.sent_ms}
        return told

    def _tell_heard(self, now_ms: int, transcript: Transcript, least_ms: int) -> None:
        playing, under_way = self._playing, self._machine.hearing(now_ms)
        if not playing.keys() <= under_way.keys():
            for item_id in [known for known in playing if known not in under_way]:
                del playing[item_id]
                length_ms = ms_of_bytes(self._item_bytes[item_id])
                self._heard(now_ms, transcript, item_id, length_ms, length_ms, whole=True)
        for item_id, heard_ms in under_way.items():
            told_ms = playing.get(item_id, NOT_TOLD)
            if told_ms == NOT_TOLD or heard_ms - told_ms >= least_ms:
                playing[item_id] = heard_ms
                sent_ms = ms_of_bytes(self._item_bytes[item_id])
                self._heard(now_ms, transcript, item_id, heard_ms, sent_ms, whole=False)

    def _heard(
        self,
        now_ms: int,
        transcript: Transcript,
        item_id: str,
        heard_ms: int,
        sent_ms: int,
        *,
        whole: bool,
    ) -> None:
        entry = transcript.spoken(item_id)
        if entry is None or entry.heard_ms is not None:
            return
        told = {
            "stream": self._stream,
            "entry": entry.place,
            "heard_ms": heard_ms,
            "sent_ms": sent_ms,
            "whole": whole,
        }
        self._tell(now_ms, "transcript.heard", told)

    def line_closed(
        self, now_ms: int, ignored: Mapping[str, int], warnings: Mapping[str, int]
    ) -> None:
        """One of the lines is closed: what it had not needed, and what was odd about it."""
        self._ignored.update(ignored)
        for what, count in warnings.items():
            self._tell(now_ms, "warning", {"id": what, "count": count})

    def over(self, now_ms: int, reason: str) -> None:
        """The stream has ended; idempotent. Only outcomes of effects may follow."""
        if self._over:
            return
        self._over = True
        self._saw_hold(now_ms, c.CallerReleased())
        self._mark_came = True  # The last word is exact, too.
        self.settle(now_ms)
        figures = {
            "stream": self._stream,
            "played_ms": ms_of_bytes(self._played_bytes),
            "silence_appended_ms": self._padded_ms,
            "ignored": dict(self._ignored),
        }
        self._tell(now_ms, "line.figures", figures)
        self._tell(now_ms, "call.stream_stopped", {"stream": self._stream, "reason": reason})


def _about(summary: str) -> dict[str, str]:
    return {"summary": summary} if summary else {}


def _change(command: c.ChangeSession) -> dict[str, Any]:
    """What of the session is changed by now, and what of that lasts."""
    names = sorted({*command.replace, *command.merge})
    return {"strategy": command.strategy, "fields": names, "lasting": command.lasting}
