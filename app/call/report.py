"""The call detail record, as a fold over events and commands. Nothing else counts.

Audio is not folded beyond its length. Times are milliseconds since the call was admitted, on
one clock for all of its streams; the record shows them as UTC. Unknown is ``null``, never
absent. Shape and names: callcentre 6.1.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.call.transcript import Entry, Transcript, Voice
from app.protocol import commands as c
from app.protocol import events as e
from app.protocol.units import ms_of_bytes


class Result(Enum):
    """Whose doing an ending was."""

    SUCCESS = "success"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    UPSTREAM_ERROR = "upstream_error"
    INDETERMINATE = "indeterminate"


END_REASONS: dict[str, Result] = {
    "caller_hangup": Result.SUCCESS,
    "assistant_hangup": Result.SUCCESS,
    "transferred": Result.SUCCESS,
    "transfer_failed": Result.UPSTREAM_ERROR,
    "capacity": Result.SERVER_ERROR,
    "model_failed": Result.UPSTREAM_ERROR,
    "carrier_failed": Result.UPSTREAM_ERROR,
    "stream_lost": Result.INDETERMINATE,
    "server_shutdown": Result.SERVER_ERROR,
    "operator_ended": Result.SUCCESS,
}
"""Every way a call can end; documented in README.md, checked by tests/test_docs.py."""
MOST_WARNINGS = 64
"""Different ones in a record; then they are ``other``."""


@dataclass(slots=True)
class Latency:
    """One turn, in ms after the caller stopped; None while it has not happened."""

    stopped_at_ms: int
    sent_ms: int | None = None
    """First audio handed to Twilio."""
    played_ms: int | None = None
    """First audio heard, as Twilio's first mark tells: the figure the caller feels."""


@dataclass(slots=True)
class Transferred:
    """One attempt to put the caller through."""

    target: str
    requested_at_ms: int
    outcome: str = "requested"
    """requested, ringing, refused:…, unclear:… (whether Twilio took it), connected, or why
    nobody was reached."""
    talk_s: int | None = None


class Report:
    """One call's figures. Feed it everything but caller audio."""

    def __init__(self) -> None:
        self.turns: list[Latency] = []
        self.transfers: list[Transferred] = []
        self.transcripts: list[Transcript] = []
        self.stream_sids: list[str] = []
        self.sessions: list[str] = []
        self.ending: str | None = None
        self.ended_at_ms: int | None = None
        self.answered_at_ms: int | None = None
        self.model_ready_at_ms: int | None = None
        self.first_audio_at_ms: int | None = None
        self.barge_ins = 0
        self.model_losses = 0
        self.tool_ms: list[int] = []
        self.tools_failed = 0
        self.usage = Counter[str]()
        self.warnings = Counter[str]()
        self.ignored = Counter[str]()
        """Messages of both lines that were not needed or not understood."""
        self.reaction_us: list[int] = []
        """From an interruption's arrival to the ``clear`` being written."""
        self.padded_ms = 0
        self.played_bytes = 0
        self._item_bytes = Counter[str]()
        self._unanswered: Latency | None = None
        self._first_mark: tuple[str, int] | None = None
        self._heard_turn: Latency | None = None

    def saw(self, now_ms: int, event: e.Event | None, commands: Sequence[c.Command]) -> None:
        """One answer of the machine's; ``event`` is None when a moment came."""
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
            case e.SpeechStarted():
                self.barge_ins += any(isinstance(x, c.ClearPlayback) for x in commands)
            case e.ResponseDone():
                self._responded(event)
            case e.ToolDone():
                self.tool_ms.append(event.elapsed_ms)
                self.tools_failed += not event.ok
            case e.ModelError():
                self._warn(f"model_error:{event.code}")
            case _:
                self._saw_line(now_ms, event)

    def _warn(self, what: str) -> None:
        """Part of ``what`` is the server's to make up."""
        full = len(self.warnings) >= MOST_WARNINGS
        self.warnings["other" if full and what not in self.warnings else what] += 1

    def _responded(self, event: e.ResponseDone) -> None:
        if event.usage is not None:
            for name in event.usage.__slots__:
                self.usage[name] += getattr(event.usage, name)
        if event.status == "failed":
            self._warn(f"response_failed:{event.reason}")

    def _saw_line(self, now_ms: int, event: e.Event | None) -> None:
        match event:
            case e.StreamStarted():
                self.stream_sids.append(event.stream_sid)
                if self.answered_at_ms is None:
                    self.answered_at_ms = now_ms
            case e.ModelReady():
                self.sessions.append(event.session_id)
                if self.model_ready_at_ms is None:
                    self.model_ready_at_ms = now_ms
            case e.ModelRefused():
                self._warn(f"model_refused:{event.reason}")
            case e.ModelLineLost():
                self.model_losses += 1
                self._warn(f"model_lost:{event.reason}")
            case e.TransferRefused():
                self._transfer_answered(f"refused:{event.reason}")
            case e.TransferUnclear():
                self._transfer_answered(f"unclear:{event.reason}")
            case e.TransferAccepted():
                self._transfer_answered("ringing")
            case _:
                pass

    def _saw_commands(self, now_ms: int, commands: Sequence[c.Command]) -> None:
        for command in commands:
            if isinstance(command, c.Transfer):
                self.transfers.append(Transferred(command.target, now_ms))
            elif isinstance(command, c.AppendSilence):
                self.padded_ms += command.length_ms
            elif isinstance(command, c.PlayAudio):
                self.played_bytes += command.length_bytes
                self._played(now_ms, command)
            elif isinstance(command, c.SendMark):
                self._played(now_ms, command)
            elif isinstance(command, c.ClearPlayback):
                self._cleared()

    def _spoke(self, now_ms: int, event: e.SpeechAudio, commands: Sequence[c.Command]) -> None:
        self._item_bytes[event.item_id] += event.length_bytes
        self.played_bytes += event.length_bytes if commands else 0
        if self._unanswered is not None or self.first_audio_at_ms is None:
            for command in commands:
                self._played(now_ms, command)

    def _played(self, now_ms: int, command: c.Command) -> None:
        if isinstance(command, c.PlayAudio):
            if self.first_audio_at_ms is None:
                self.first_audio_at_ms = now_ms
            if self._unanswered is not None and self._unanswered.sent_ms is None:
                self._unanswered.sent_ms = now_ms - self._unanswered.stopped_at_ms
                self.turns.append(self._unanswered)
        elif isinstance(command, c.SendMark) and self._first_mark is None and self._answering:
            self._first_mark = (command.name, command.covers_ms)

    def _cleared(self) -> None:
        """Marks thrown back by a ``clear`` say nothing about what was heard."""
        if self._first_mark is not None:
            self._first_mark = self._unanswered = None

    @property
    def _answering(self) -> bool:
        """The first audio of an answer has been sent and not been heard yet."""
        return self._unanswered is not None and self._unanswered.sent_ms is not None

    def _marked(self, now_ms: int, event: e.MarkReturned) -> None:
        if self._first_mark is None or self._first_mark[0] != event.name:
            return
        if self._unanswered is not None:
            heard_at_ms = now_ms - self._first_mark[1]
            self._unanswered.played_ms = heard_at_ms - self._unanswered.stopped_at_ms
            self._heard_turn = self._unanswered
        self._first_mark = self._unanswered = None

    def take_turn(self) -> Latency | None:
        """The turn whose answer began to be heard just now, once; None when there is none."""
        turn, self._heard_turn = self._heard_turn, None
        return turn

    def _transfer_answered(self, outcome: str) -> None:
        """REST's word on the latest transfer; a dial result may have come before it."""
        if self.transfers and self.transfers[-1].outcome == "requested":
            self.transfers[-1].outcome = outcome

    def transfer_ended(self, outcome: str, talk_s: int | None = None) -> None:
        """What became of the latest transfer."""
        if self.transfers:
            self.transfers[-1].outcome = outcome
            self.transfers[-1].talk_s = talk_s

    @property
    def too_late_to_transfer(self) -> bool:
        """The caller had left when Twilio was asked for the latest transfer."""
        return bool(self.transfers) and self.transfers[-1].outcome == "refused:call_over"

    @property
    def transfer_unclear(self) -> bool:
        """Nobody knows whether Twilio took the latest redirect."""
        return bool(self.transfers) and self.transfers[-1].outcome.startswith("unclear:")

    def ended(self, reason: str, now_ms: int) -> bool:
        """The call is over. False if it was already: a record closes exactly once."""
        if self.ending is not None:
            return False
        self.ending, self.ended_at_ms = reason, now_ms
        return True

    def corrected(self, reason: str, now_ms: int) -> None:
        """The call that seemed over was not, and ended like this."""
        self.ending, self.ended_at_ms = reason, now_ms

    def lines(self) -> list[dict[str, object]]:
        """The turns: what the caller said and what they heard after it."""
        turns: list[dict[str, object]] = []
        responses: list[dict[str, object]] = []
        for transcript in self.transcripts:
            for entry in transcript.entries:
                if entry.voice is Voice.CALLER or not turns:
                    responses = []
                    turns.append(_turn(len(turns), entry, responses))
                if entry.voice is not Voice.CALLER:
                    responses.append(self._response(entry))
        return turns

    def _response(self, entry: Entry) -> dict[str, object]:
        if entry.voice is Voice.TOOL:
            return {"type": "tool", "name": entry.name, "at_ms": entry.at_ms}
        if entry.voice is Voice.NOTE:
            return {"type": "note", "text": entry.text, "at_ms": entry.at_ms}
        audio_ms = entry.sent_ms or ms_of_bytes(self._item_bytes[entry.key])
        return {
            "type": "speech",
            "text": entry.text,
            "audio_ms": audio_ms,
            "heard_ms": audio_ms if entry.heard_ms is None else entry.heard_ms,
            "interrupted": entry.heard_ms is not None,
            "at_ms": entry.at_ms,
        }


def _turn(index: int, entry: Entry, responses: list[dict[str, object]]) -> dict[str, object]:
    said = entry.voice is Voice.CALLER
    return {
        "index": index,
        "type": "speech" if said else "start",
        "text": entry.text if said else None,
        "at_ms": entry.at_ms,
        "responses": responses,
    }


def percentiles(values: Sequence[int]) -> dict[str, int | None]:
    """Count, median, 95th percentile and maximum; None where there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0, "p50": None, "p95": None, "max": None}
    return {
        "count": len(ordered),
        "p50": ordered[(len(ordered) - 1) // 2],
        "p95": ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "max": ordered[-1],
    }
