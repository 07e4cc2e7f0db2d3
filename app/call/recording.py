"""The recording of the telephone call, as one stream sees it: when it may begin, when it rests.

The carrier records; here is decided when it is asked to. Where the caller is to be told, nothing
is recorded before the sentence was heard to its end, and nothing at all where it never was. Rule:
a secret that is keyed in is in no recording. It rests from the moment it is asked for until the
last key has died away, on whichever stream, and where it cannot be made to rest it is stopped for
good, however often that has to be asked.

    UNTOLD ──announcement said──▶ TOLD ──heard──▶ READY ──no secret is keyed in──▶ ON ◀──▶ RESTING
       ▲                           │                                               │         │
       └────────── cut ────────────┘                 OFF ◀── stopped ── STOPPING ◀─┴ cannot rest
"""

from collections.abc import Collection
from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.plan import CallPlan, RecordingPlan
from app.call.prompts import verbatim
from app.protocol.commands import AskRecording, Command, CreateResponse, NotRecorded
from app.protocol.events import RecordingAnswered

NOTICE = "notice"
"""The purpose of the announcement."""
TAIL_MS = 2_000
"""From the end of a collection: its last key still sounds, and some press one more."""
AGAIN_MS = 3_000
"""From a stop that failed to the next: asking has taken its own seconds."""
MOST_TRIES = 3
ON, RESTING, STOPPING, OVER = "on", "resting", "stopping", "over"
"""How far it had come on an earlier stream."""


class Tape(Enum):
    """How far it has come."""

    OFF = auto()
    """Nothing is recorded, or nothing any more."""
    UNTOLD = auto()
    TOLD = auto()
    READY = auto()
    ON = auto()
    RESTING = auto()
    STOPPING = auto()
    """It could not be made to rest."""


_BEGINS = {
    "": Tape.READY,
    ON: Tape.ON,
    RESTING: Tape.RESTING,
    STOPPING: Tape.STOPPING,
    OVER: Tape.OFF,
}


class Recording:
    """Decides what the carrier is asked for."""

    def __init__(self, alarms: Alarms, plan: CallPlan) -> None:
        self._alarms = alarms
        self._plan = plan.recording or RecordingPlan(reached=OVER)
        self._spared = _spared(plan, self._plan.pause_during)
        self._secret = False
        """Something is keyed in that must not be recorded, or was just now."""
        self._tries = 0
        self._tape = _BEGINS[self._plan.reached]
        if self._tape is Tape.READY and self._plan.announcement:
            self._tape = Tape.UNTOLD

    def agent_is(self, plan: CallPlan) -> None:
        """What this agent has keyed in is not recorded either, where it is secret."""
        self._spared |= _spared(plan, ())

    @property
    def owes(self) -> bool:
        """The caller has yet to hear that they are recorded."""
        return self._tape in {Tape.UNTOLD, Tape.TOLD}

    @property
    def told(self) -> bool:
        """It has been said; whether it was heard, who listens to the playout knows."""
        return self._tape is Tape.TOLD

    def begin(self, now_ms: int) -> list[Command]:
        """The caller is there. What was being keyed in on another stream may still be."""
        if self._tape is Tape.RESTING:
            self._secret = True
            self._alarms.set(Alarm.RECORDING, now_ms + TAIL_MS)
        if self._tape is Tape.STOPPING:
            return [AskRecording("stop")]
        return self._start() if self._tape is Tape.READY else []

    def announcement(self) -> CreateResponse | None:
        """What must be said before anything else; None where nothing must."""
        if not self.owes:
            return None
        self._tape = Tape.UNTOLD
        return CreateResponse(NOTICE, verbatim(self._plan.announcement), tools=False)

    def said(self, purpose: str | None, status: str) -> None:
        """A response ended; only a whole announcement counts."""
        if self._tape is Tape.UNTOLD and purpose == NOTICE and status == "completed":
            self._tape = Tape.TOLD

    def cut(self) -> None:
        """What was being played is not heard to its end."""
        if self._tape is Tape.TOLD:
            self._tape = Tape.UNTOLD

    def heard(self) -> list[Command]:
        """The announcement was heard to its end."""
        self._tape = Tape.READY
        return self._start()

    def again(self) -> bool:
        """The announcement was not heard: whether it is worth another try."""
        self._tries += 1
        return self._tries < MOST_TRIES

    def give_up(self) -> list[Command]:
        """The caller will not be told, and therefore not recorded."""
        if not self.owes:
            return []
        self._tape = Tape.OFF
        return [NotRecorded("not_announced")]

    def collects(self, preset: str, now_ms: int) -> list[Command]:
        """This is being keyed in from now on; empty: nothing is."""
        if self._tape is Tape.STOPPING:
            return []
        if preset in self._spared:
            self._secret = True
            self._alarms.clear(Alarm.RECORDING)
            return self._rests()
        if self._secret and not self._alarms.is_set(Alarm.RECORDING):
            self._alarms.set(Alarm.RECORDING, now_ms + TAIL_MS)
        return []

    def due(self, _now_ms: int) -> list[Command]:
        """The last key has died away, or it is to be stopped once more."""
        if self._tape is Tape.STOPPING:
            return [AskRecording("stop")]
        self._secret = False
        return self._start() if self._tape is Tape.READY else self._goes_on()

    def answered(self, event: RecordingAnswered, now_ms: int) -> list[Command]:
        """What came of a wish."""
        match event.wish, event.ok:
            case "start", False:
                self._tape = Tape.OFF
            case "pause", False if self._tape not in {Tape.OFF, Tape.STOPPING}:
                self._tape = Tape.STOPPING
                self._alarms.clear(Alarm.RECORDING)
                return [AskRecording("stop")]
            case "stop", True:
                self._tape = Tape.OFF
            case "stop", False:
                self._alarms.set(Alarm.RECORDING, now_ms + AGAIN_MS)
            case _:
                pass
        return []

    def over(self, *, taken_on: bool) -> list[Command]:
        """The stream ends. ``taken_on``: by somebody else, who is recorded again; the next stream
        of ours sees to that by itself, when nothing is keyed in any more."""
        if taken_on and self._tape is Tape.STOPPING:
            return [AskRecording("stop")]
        return self._goes_on() if taken_on else []

    def _start(self) -> list[Command]:
        if self._secret:
            return []
        self._tape = Tape.ON
        return [AskRecording("start")]

    def _rests(self) -> list[Command]:
        if self._tape is not Tape.ON:
            return []
        self._tape = Tape.RESTING
        return [AskRecording("pause")]

    def _goes_on(self) -> list[Command]:
        if self._tape is not Tape.RESTING:
            return []
        self._tape = Tape.ON
        return [AskRecording("resume")]


def _spared(plan: CallPlan, named: Collection[str]) -> frozenset[str]:
    secret = (name for name, preset in plan.presets.items() if preset.sensitive)
    return frozenset((*secret, *named))
