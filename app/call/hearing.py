"""What the model hears of the caller: every frame once, in order, on one timeline.

Six things may stand between a frame and the model, and all are settled here: the model is
not ready yet (frames wait, bounded, oldest dropped first), the line lost frames (a gap in
Twilio's timestamps becomes silence, so that the model's clock and the caller's stay one),
a frame comes late or twice (its time is over, so it is dropped and counted), the line went
quiet in mid-sentence (silence lets voice activity detection end the turn; what was only
delayed is heard after it), the caller is hidden (silence in their place: ``Hidden``), and keys
are pressed (``key_tones``).

What was sent is kept until its words are known, because a line that is lost takes with it what
it heard: the next one is given the caller's turn from its beginning. Kept are the turn that is
being spoken, the last 20 s of it, and what came in the 5 s before anybody was known to speak,
which is longer than a dead line goes unnoticed; of what was committed the last turn, until its
words have come or the answer to it was begun. The oldest go first, everywhere.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from app.call.alarms import Alarm, Alarms
from app.call.key_tones import KeyTones
from app.protocol.commands import AppendAudio, AppendSilence, Command
from app.protocol.events import CallerAudio
from app.protocol.units import FRAME_BYTES, FRAME_MS, ms_of_bytes

PREROLL_FRAMES = 500
"""10 s of frames while the model line is being opened; then the oldest go."""
PAUSE_FRAMES = 250
"""Kept of what was sent, 5 s, while nobody is known to speak."""
TURN_FRAMES = 1_000
"""Kept of what was sent, 20 s, while the caller speaks."""
ONSET_FRAMES = 100
"""Of these the last 2 s may belong to a turn that has begun, or have yet to be judged."""
NEWS_FRAMES = 10
"""200 ms: what was sent while the news of a turn's end was on its way may begin the next."""
LONGEST_GAP_MS = 10_000
STALL_MS = 750
STALL_SILENCE_MS = 1_000
MEDIA_MS = 10_000
"""Without a frame for this long, somebody has to ask whether the call still exists."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A run of regular frames."""

    count: int
    last_at_ms: int
    """When the last of them came."""
    timestamp_ms: int
    """Of the first of them."""


class Hidden(Enum):
    """Why the model hears silence instead of the caller; each reason ends by itself."""

    SHIELD = auto()
    """The agent says something that nobody is to disturb."""
    HOLD = auto()
    MUTE = auto()


class Hearing:
    """The way of caller audio to the model. ``frame`` is on the audio path."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._ready = False
        self._hidden: set[Hidden] = set()
        self._tones = KeyTones()
        self._open = False
        """Ready, not hidden and no key about: the one test on the audio path."""
        self._waiting: deque[Command] = deque(maxlen=PREROLL_FRAMES)
        self._sent: deque[str | Command] = deque(maxlen=PAUSE_FRAMES)
        """Given to the line since the last turn; a frame that passed as its payload alone."""
        self._keep = self._sent.append
        self._turn: list[str | Command] = []
        """The last turn that was committed and whose words are not known."""
        self._turn_id = ""
        self._said_before = 0
        """What the caller had been sent when it was committed."""
        self._expected_ms: int | None = None
        """Where the frames that were heard end; never moves back while they come."""
        self._covered_ms = 0
        """Until here a stall has been given its silence, frames or not."""
        self._last_at_ms = 0
        self._passed = 0
        self._settled: Passed | None = None
        self.padded_ms = 0
        self.late_frames = 0
        """Dropped: what came after them, or the silence in their place, had been heard."""

    def stream_started(self, now_ms: int) -> None:
        """A stream's timestamps begin anew; frames are due from now on."""
        self._settle()
        self._expected_ms = None
        self._covered_ms = 0
        self._last_at_ms = now_ms
        self._alarms.set(Alarm.MEDIA, now_ms + MEDIA_MS)

    def passes(self, audio: CallerAudio, now_ms: int) -> bool:
        """Whether this frame goes to the model as it is: the expected one, nothing in its way.

        What ``frame`` would answer with one ``AppendAudio``, without making a command of it:
        49 of 50 frames a second take this way. False has changed nothing.
        """
        if (
            audio.timestamp_ms != self._expected_ms
            or not self._open
            or audio.length_bytes != FRAME_BYTES
        ):
            return False
        self._expected_ms += FRAME_MS
        self._last_at_ms = now_ms
        self._passed += 1
        self._keep(audio.payload_b64)
        return True

    def take_passed(self) -> Passed | None:
        """The frames that passed since this was asked last; None if there were none."""
        self._settle()
        settled, self._settled = self._settled, None
        return settled

    def _settle(self) -> None:
        """Something else is about to move the timeline: remember the run as it was."""
        if self._passed and self._expected_ms is not None:
            first_ms = self._expected_ms - self._passed * FRAME_MS
            self._settled = Passed(self._passed, self._last_at_ms, first_ms)
            self._passed = 0

    def frame(self, audio: CallerAudio, now_ms: int) -> list[Command]:
        """One frame, preceded by silence for what is missing before it; nothing if it is late."""
        self._settle()
        self._last_at_ms = now_ms
        begins_ms = audio.timestamp_ms
        ends_ms = begins_ms + ms_of_bytes(audio.length_bytes)
        if self._is_late(begins_ms, ends_ms):
            self.late_frames += 1
            return []
        missing_ms = 0
        if self._expected_ms is not None:
            missing_ms = begins_ms - max(self._expected_ms, self._covered_ms)
        self._expected_ms = ends_ms
        if self._open and missing_ms < FRAME_MS:
            self._keep(audio.payload_b64)
            return [AppendAudio(audio.payload_b64)]
        return self._irregular(audio, missing_ms)

    def _is_late(self, begins_ms: int, ends_ms: int) -> bool:
        """Whether this much of the stream was heard already, or silence in its place.

        A frame from further back than any gap we fill is not late: the clock was set back,
        and whoever waited for it to catch up would be deaf until then.
        """
        if self._expected_ms is None or max(begins_ms + 1, ends_ms) > self._expected_ms:
            return False
        if self._expected_ms - ends_ms <= LONGEST_GAP_MS:
            return True
        self._expected_ms, self._covered_ms = None, 0
        return False

    def _irregular(self, audio: CallerAudio, missing_ms: int) -> list[Command]:
        # What was held back for a key came before whatever hides the caller now.
        out = self._tones.release() if self._hidden else []
        if missing_ms >= FRAME_MS:
            padding_ms = min(missing_ms // FRAME_MS * FRAME_MS, LONGEST_GAP_MS)
            self.padded_ms += padding_ms
            out.append(AppendSilence(padding_ms))
        if self._hidden:
            out.append(AppendSilence(ms_of_bytes(audio.length_bytes)))
        else:
            out.append(AppendAudio(audio.payload_b64))
            out = self._without_tones(out)
        if self._ready:
            if self._heard:
                self._sent.extend(out)
            return out
        self._waiting.extend(out)
        return []

    def _without_tones(self, out: list[Command]) -> list[Command]:
        if self._tones.at_work:
            out = self._tones.through(out)
            self._settle_open()
        return out

    @property
    def _heard(self) -> bool:
        """The line has what the caller says."""
        return self._ready and not self._hidden

    def _settle_open(self) -> None:
        self._open = self._heard and not self._tones.at_work

    def key_pressed(self) -> None:
        """The caller pressed a key: its sound is not heard."""
        self._settle()
        self._tones.pressed()
        self._settle_open()

    def expect_keys(self, *, keys: bool, speech: bool) -> None:
        """Whether keys are waited for, and whether what is said meanwhile counts."""
        self._settle()
        self._tones.expect(keys=keys, speech=speech)
        self._settle_open()

    def model_ready(self) -> list[Command]:
        """What waited, in order; from now on frames pass straight through."""
        self._ready = True
        self._settle_open()
        waited = list(self._waiting)
        self._waiting = deque(maxlen=PREROLL_FRAMES)
        self._remember(waited, TURN_FRAMES)
        return waited

    def model_gone(self, *, answered: bool = False, shield: bool = False) -> None:
        """Frames wait again, behind those that the line had been given and went with it.

        ``answered``: the last turn was, or is somebody else's to answer: what counts is what
        came since. ``shield``: the next line will be greeting, too; else there is nobody to
        shield any more.
        """
        if self._ready:
            kept = [*([] if answered else self._turn), *self._sent, *self._tones.release()]
            waiting = [AppendAudio(x) if isinstance(x, str) else x for x in kept]
            self._waiting = deque(waiting, maxlen=TURN_FRAMES + PREROLL_FRAMES)
            self._forget()
        self._ready = self._open = False
        if not shield:
            self._hidden.discard(Hidden.SHIELD)

    def line_changes(self) -> None:
        """Another line takes over from one that heard everything but, perhaps, the onset of a
        turn: it is given that much again."""
        self._turn.clear()
        self._remember(list(self._sent)[-ONSET_FRAMES // 2 :], PAUSE_FRAMES)
        self.model_gone()

    def _remember(self, sent: Iterable[str | Command], most: int) -> None:
        self._sent = deque(sent, maxlen=most)
        self._keep = self._sent.append

    def _forget(self) -> None:
        self._turn.clear()
        self._remember((), PAUSE_FRAMES)

    @property
    def waits(self) -> bool:
        """Whether a line that begins now is given something to hear."""
        return bool(self._waiting)

    @property
    def turn_kept(self) -> bool:
        """Whether the words of the caller's last turn have yet to come."""
        return bool(self._turn)

    def turn_committed(self, item_id: str, said: int) -> None:
        """What was sent is a turn, of ``item_id``, but for what came after it; ``said`` is how
        many bytes the caller has been sent so far."""
        if not self._heard:
            return
        sent = list(self._sent)
        self._turn, self._turn_id, self._said_before = sent[:-NEWS_FRAMES], item_id, said
        self._remember(sent[-NEWS_FRAMES:], PAUSE_FRAMES)

    def turn_known(self, item_id: str) -> None:
        """The words of this turn have come."""
        if item_id == self._turn_id:
            self._turn.clear()

    def turn_answered(self) -> None:
        """Something is being done about the last turn: it must not be asked for twice."""
        self._turn.clear()

    def unanswered(self, said: int) -> bool:
        """Whether the caller has been sent nothing since their last turn, whose words are not
        known either."""
        return bool(self._turn) and said == self._said_before

    def shield(self) -> None:
        """Nobody is to disturb what the agent says now, until ``unshield``."""
        self.hide(Hidden.SHIELD)

    def unshield(self) -> None:
        """Whoever wants to disturb may."""
        self.show(Hidden.SHIELD)

    def hide(self, why: Hidden) -> None:
        """Silence instead of the caller, until ``show`` for the same reason and every other."""
        self._hidden.add(why)
        self._settle_open()

    def show(self, why: Hidden) -> None:
        """This is no reason any more."""
        self._hidden.discard(why)
        self._settle_open()

    def speech_started(self, now_ms: int) -> None:
        """The caller is in mid-sentence: a line that goes quiet now must be noticed soon."""
        self._alarms.set(Alarm.STALL, now_ms + STALL_MS)
        if self._sent.maxlen != TURN_FRAMES:
            surplus = max(0, len(self._sent) - ONSET_FRAMES)
            self._remember(islice(self._sent, surplus, None), TURN_FRAMES)

    def speech_stopped(self) -> None:
        """Silence is nothing to notice any more."""
        self._alarms.clear(Alarm.STALL)

    def stalled(self, now_ms: int) -> list[Command]:
        """The stall alarm rang: a second of silence, if there really was no frame; again every
        second while that lasts, up to the longest gap."""
        if now_ms - self._last_at_ms < STALL_MS:
            self._alarms.set(Alarm.STALL, self._last_at_ms + STALL_MS)
            return []
        if not self._ready or self._expected_ms is None:
            return []
        if now_ms - self._last_at_ms < LONGEST_GAP_MS - STALL_SILENCE_MS:
            self._alarms.set(Alarm.STALL, now_ms + STALL_SILENCE_MS)
        self._covered_ms = max(self._expected_ms, self._covered_ms) + STALL_SILENCE_MS
        self.padded_ms += STALL_SILENCE_MS
        out = [*self._tones.release(), AppendSilence(STALL_SILENCE_MS)]
        if self._heard:
            self._sent.extend(out)
        return out

    def silent_line(self, now_ms: int) -> bool:
        """The media alarm rang: whether the line really brought nothing for 10 s."""
        quiet_ms = now_ms - self._last_at_ms
        wait_ms = MEDIA_MS if quiet_ms >= MEDIA_MS else MEDIA_MS - quiet_ms
        self._alarms.set(Alarm.MEDIA, now_ms + wait_ms)
        return quiet_ms >= MEDIA_MS
