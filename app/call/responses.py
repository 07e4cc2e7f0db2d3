"""One response at a time, and which response may be heard.

Realtime refuses a second ``response.create`` while one is active, and the server begins
responses of its own when the caller has spoken. So whoever wants the model to speak asks
here; requests wait for ``response.done``, for the caller to finish, or become superfluous
because the server's own response already answers them.

    IDLE ──ask──▶ ASKED ──started──▶ ACTIVE ──done──▶ IDLE
      └────────────started (by the server)────▶ └─done, a request still under way──▶ ASKED

When the server begins a response while our request is under way, it has either met that
response, and the error comes before ``response.done``, or it has yet to be answered.

The watchdog for a model that owes a response lives here too: first it is asked again, then
it is given up.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from app.call.alarms import Alarm, Alarms
from app.call.patience import Patience
from app.protocol.commands import CancelResponse, Command, CreateResponse
from app.protocol.events import ResponseDone, ResponseStarted

OWED_MS = 2_000
"""From the moment a response is due to its ``response.created``, which precedes generation."""
QUIET_MS = 8_000
"""A response that has made no sound may think this long between two signs of life."""
STALLED_MS = 4_000
"""A response that has begun to speak comes faster than it sounds; this long is a stall."""
UNCOMMITTED_MS = 500
"""From the caller's pause to a turn of theirs, which the server reports in the same breath."""
HEARD_MS = 1_000
"""From a turn that a new line is given to hear to the news that somebody speaks in it."""
FIRM = frozenset({"notice", "greeting", "goodbye", "announce", "voicemail", "say", "guardrail"})
"""Purposes that no other response can fulfil."""
TURN = CreateResponse("turn")
"""The answer to a turn, where the server does not answer by itself."""
OPENINGS = ("greeting", "returned")
"""Purposes of the first words of a stream."""
_MUTED_KEPT = 16
_NOBODYS = CreateResponse("nobody")
"""In the place of a request that is under way and not wanted any more."""


class Gate(Enum):
    """Whether the model is speaking in the default conversation."""

    IDLE = auto()
    ASKED = auto()
    ACTIVE = auto()


class Owed(Enum):
    """What the watchdog found."""

    NOTHING = auto()
    ASK_AGAIN = auto()
    GIVE_UP = auto()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a ``response.done`` means to the others."""

    response_id: str
    purpose: str | None
    spoke: bool
    failed: bool = False
    asked: CreateResponse | None = None
    """The request of ours that it answered."""


class Responses:
    """The gate, the queue behind it and the list of those who must not be heard."""

    def __init__(
        self,
        alarms: Alarms,
        patience: Patience,
        *,
        server_interrupts: bool,
        quiet_ms: int = QUIET_MS,
    ) -> None:
        """``quiet_ms``: so long a response that has made no sound may think."""
        self._alarms = alarms
        self._patience = patience
        self._server_interrupts = server_interrupts
        self._server_takes_turns = True
        self._quiet_ms = max(QUIET_MS, quiet_ms)
        self._gate = Gate.IDLE
        self._active: str | None = None
        self._purpose: str | None = None
        self._asked: CreateResponse | None = None
        """Under way, and not answered yet."""
        self._answered: CreateResponse | None = None
        """What the response in progress answers."""
        self._echoes = False
        """This server tells us which response was asked for; not every one does."""
        self._spoke = False
        self._waiting: deque[CreateResponse] = deque()
        self._muted: deque[str] = deque(maxlen=_MUTED_KEPT)
        self._caller_speaking = False
        self._turn_open = False
        self._strikes = 0
        self._began_ms = 0
        self._last_sign_ms = 0

    def taken_by(self, *, server: bool) -> None:
        """Whether the server interrupts and answers by itself, or nobody but us does."""
        self._server_takes_turns = server

    @property
    def idle(self) -> bool:
        """Nothing is being said and nothing waits to be."""
        return self._gate is Gate.IDLE and not self._waiting

    @property
    def under_way(self) -> bool:
        """A response is in progress, or has been asked for."""
        return self._gate is not Gate.IDLE

    @property
    def active(self) -> str | None:
        """The response in progress."""
        return self._active

    @property
    def purpose(self) -> str | None:
        """What the response in progress was asked for; None where the server began it."""
        return self._purpose

    @property
    def spoke(self) -> bool:
        """Whether the response in progress has brought audio."""
        return self._spoke

    @property
    def caller_speaking(self) -> bool:
        """The caller has begun a sentence, and neither paused nor ended it."""
        return self._caller_speaking

    @property
    def owes(self) -> bool:
        """A caller's turn, or a request of ours, has not been answered yet."""
        return self._turn_open or self._gate is not Gate.IDLE or bool(self._waiting)

    @property
    def last_sign_ms(self) -> int:
        """When speech or its words came last, or a response began."""
        return self._last_sign_ms

    @property
    def busy_until_ms(self) -> int:
        """Until when the response in progress counts as at work; 0 if it has only begun."""
        at_work = self._gate is Gate.ACTIVE and self._last_sign_ms > self._began_ms
        return self._last_sign_ms + STALLED_MS if at_work else 0

    def expects(self, purpose: str) -> bool:
        """Whether a request with this purpose waits, or is under way and not begun."""
        asked = self._asked is not None and self._asked.purpose == purpose
        return asked or any(waiting.purpose == purpose for waiting in self._waiting)

    def ask(self, wanted: CreateResponse, now_ms: int) -> list[Command]:
        """Let the model speak, now or as soon as it may. Equal purposes are asked once."""
        if all(waiting.purpose != wanted.purpose for waiting in self._waiting):
            self._waiting.append(wanted)
        return self._flush(now_ms)

    def _flush(self, now_ms: int) -> list[Command]:
        if self._gate is not Gate.IDLE or self._caller_speaking or not self._waiting:
            return []
        self._asked = self._waiting.popleft()
        self._gate = Gate.ASKED
        self._alarms.set(Alarm.OWED, now_ms + OWED_MS)
        self._patience.begins(now_ms)
        return [self._asked]

    def ask_unless_heard(self, wanted: CreateResponse, now_ms: int) -> None:
        """Let the model speak if it hears nobody in what it was just given to hear.

        A turn that it hears is answered by the server's own response, and ``wanted`` with it.
        """
        self._waiting.append(wanted)
        self._alarms.set(Alarm.OWED, now_ms + HEARD_MS)

    def withdraw(self, purpose: str) -> None:
        """What was asked for is not wanted any more; an active response goes on, one that was asked
        for and has not begun is cancelled when it does."""
        if self._asked is not None and self._asked.purpose == purpose:
            self._asked = _NOBODYS
        self._waiting = deque(w for w in self._waiting if w.purpose != purpose)

    def forget(self) -> None:
        """Nobody wants to hear any more what waits to be asked for."""
        self._waiting.clear()

    def caller_started(self) -> None:
        """Until the caller's turn is over, nobody else may ask the model to speak."""
        self._caller_speaking = True
        self._patience.ends()

    def caller_stopped(self, now_ms: int) -> None:
        """The caller paused; a turn may follow, and where none does, who waits is next."""
        self._caller_speaking = False
        if self._released:
            self._alarms.set(Alarm.OWED, now_ms + UNCOMMITTED_MS)
            self._patience.begins(now_ms)

    @property
    def _released(self) -> bool:
        """Somebody waits, and nothing is in their way."""
        free = self._gate is Gate.IDLE and not self._server_owes and not self._caller_speaking
        return free and bool(self._waiting)

    @property
    def _server_owes(self) -> bool:
        """The server answers a turn by itself; where it does not, our request waits."""
        return self._turn_open and self._server_takes_turns

    def caller_drowned(self) -> None:
        """What seemed the caller's sentence is noise: who waits may speak, but for a first word
        that was cut and is now said in another way."""
        self._caller_speaking = False
        for purpose in OPENINGS:
            self.withdraw(purpose)

    def turn_committed(self, now_ms: int) -> list[Command]:
        """The server owes a response of its own, or is asked for one as soon as it may be."""
        self._caller_speaking = False
        return self.answer_owed(now_ms)

    def answer_owed(self, now_ms: int) -> list[Command]:
        """The same of a turn that was taken for none; the caller may be speaking again."""
        self._turn_open = True
        self._patience.begins(now_ms)
        if not self._server_takes_turns:
            self.only_firm()
            self._waiting.append(TURN)
            return self._flush(now_ms)
        if self._gate is Gate.IDLE:
            self._alarms.set(Alarm.OWED, now_ms + OWED_MS)
        return []

    def only_firm(self) -> None:
        """An answer to what the caller said last answers what was asked for before, too."""
        self._waiting = deque(w for w in self._waiting if w.purpose in FIRM)

    def started(self, event: ResponseStarted, now_ms: int, *, yields: bool = True) -> list[Command]:
        """A response is in progress, ours or the server's.

        One of ours that begins into the caller's sentence ``yields``: the server heard the
        caller before it met our request, so it will not cancel anything.
        """
        self._purpose = self._purpose_of(event)
        self._gate = Gate.ACTIVE
        self._active = event.response_id
        self._spoke = False
        self._turn_open = False
        self._began_ms = self._last_sign_ms = now_ms
        self._alarms.set(Alarm.OWED, now_ms + STALLED_MS)
        if self._purpose is None:
            # It began after everything that was added before.
            self.only_firm()
            return []
        if self._asked is _NOBODYS:
            # Nobody wants these words any more; what came after them is not to be talked over.
            self._asked = self._answered = None
            return self.mute({event.response_id}, by_voice=False)
        self._answered = self._asked
        if yields and self._caller_speaking:
            self._ask_later()
            self._asked = None
            return self.mute(set(), by_voice=False)
        self._asked = None
        return []

    def _purpose_of(self, event: ResponseStarted) -> str | None:
        """What a response was asked for; None where the server began it by itself.

        Without an echo it is ours where no turn of the caller's is open: the server has
        nothing of its own to answer then.
        """
        self._echoes = self._echoes or event.purpose is not None
        forgotten = self._gate is Gate.ASKED and not self._server_owes and not self._echoes
        if event.purpose is None and forgotten and self._asked is not None:
            return self._asked.purpose
        return event.purpose

    def speaking(self, response_id: str, now_ms: int) -> bool:
        """Audio of a response arrived: whether it may be heard. On the audio path.

        A flight log tells words and audio in runs, so their times need not rise.
        """
        self._last_sign_ms = max(self._last_sign_ms, now_ms)
        if response_id == self._active:
            self._spoke = True
        return response_id not in self._muted

    def speaking_text(self, response_id: str, now_ms: int) -> bool:
        """Words of a response arrived: whether they belong to what may be heard."""
        self._last_sign_ms = max(self._last_sign_ms, now_ms)
        return response_id not in self._muted

    def muted(self, response_id: str) -> bool:
        """Whether the caller spoke over this response: what it still wants, it wanted before."""
        return response_id in self._muted

    def done(self, event: ResponseDone, now_ms: int) -> tuple[Finished, list[Command]]:
        """A response ended; whoever waited may be next."""
        if self._gate is not Gate.ACTIVE or self._active not in (None, event.response_id):
            return Finished(event.response_id, None, spoke=True), []
        failed = event.status == "failed"
        finished = Finished(
            event.response_id, self._purpose, self._spoke, failed=failed, asked=self._answered
        )
        if event.status == "completed":
            self._strikes = 0
        under_way = self._asked
        self._idle()
        if under_way is not None:
            self._gate, self._asked = Gate.ASKED, under_way
        if self._turn_open or under_way is not None:
            self._alarms.set(Alarm.OWED, now_ms + OWED_MS)
        return finished, self._flush(now_ms)

    def _idle(self) -> None:
        self._gate = Gate.IDLE
        self._active = None
        self._purpose = None
        self._asked = self._answered = None
        self._spoke = False
        self._alarms.clear(Alarm.OWED)

    def already_active(self, now_ms: int) -> None:
        """Our request collided with a response of the server's: wait for its end.

        If we know that response, it answers whatever another response can answer.
        """
        if self._asked is not None and (self._gate is Gate.ASKED or self._asked.purpose in FIRM):
            self._ask_later()
        self._asked = None
        if self._gate is Gate.ASKED:
            self._gate = Gate.ACTIVE
            self._began_ms = self._last_sign_ms = now_ms
            self._alarms.set(Alarm.OWED, now_ms + self._quiet_ms)

    def _ask_later(self) -> None:
        asked = self._asked
        if asked is None or asked is _NOBODYS:
            return
        if all(waiting.purpose != asked.purpose for waiting in self._waiting):
            self._waiting.appendleft(asked)

    def refused(self) -> Owed:
        """Our request itself was an error: nothing will come of it, but somebody waits."""
        if self._gate is not Gate.ASKED:
            self._asked = None
            return Owed.NOTHING
        self._idle()
        return self.failed()

    def again(self, otherwise: CreateResponse, now_ms: int) -> list[Command]:
        """Let the model speak after all: who waits first, else ``otherwise``.

        Nothing more is asked for where a request is under way already.
        """
        if self._gate is Gate.ASKED:
            return []
        return self._flush(now_ms) if self._waiting else self.ask(otherwise, now_ms)

    def mute(self, response_ids: set[str], *, by_voice: bool) -> list[Command]:
        """These must not be heard any more; cancels the active one if the server will not.

        The server cancels by itself only what the caller's voice interrupts (``by_voice``), and
        nobody cancels anything twice.
        """
        out: list[Command] = []
        if self._active is not None:
            response_ids = response_ids | {self._active}
            under_way = self._active not in self._muted
            cancelled = by_voice and self._server_interrupts and self._server_takes_turns
            if under_way and not cancelled:
                out.append(CancelResponse(self._active))
        self._muted.extend(response_ids - set(self._muted))
        return out

    @property
    def thinks(self) -> bool:
        """A response has begun, and nothing at all has come of it since."""
        begun = self._gate is Gate.ACTIVE and self._active is not None
        return begun and self._last_sign_ms == self._began_ms

    def retried(self, otherwise: CreateResponse) -> list[Command]:
        """The response in progress is not waited for any longer: what it answers is asked for
        again as soon as it is over; ``otherwise`` where the server began it by itself."""
        asked = self._answered or otherwise
        if all(waiting.purpose != asked.purpose for waiting in self._waiting):
            self._waiting.appendleft(asked)
        return self.mute(set(), by_voice=False)

    def overdue(self, now_ms: int) -> Owed:
        """The alarm rang. Asking again is worth one try; a second silence is a lost model."""
        lost_at_ms = self._last_sign_ms + (STALLED_MS if self._spoke else self._quiet_ms)
        if self._gate is Gate.ACTIVE and now_ms < lost_at_ms:
            self._alarms.set(Alarm.OWED, lost_at_ms)
            return Owed.NOTHING
        if self._gate is Gate.IDLE and not self._server_owes:
            return Owed.ASK_AGAIN if self._released else Owed.NOTHING
        self._strikes += 1
        if self._strikes > 1 or self._gate is Gate.ACTIVE:
            return Owed.GIVE_UP
        self._ask_later()
        self._idle()
        self._turn_open = False
        return Owed.ASK_AGAIN

    def failed(self) -> Owed:
        """A response failed or was empty: the same two chances."""
        self._strikes += 1
        return Owed.ASK_AGAIN if self._strikes == 1 else Owed.GIVE_UP

    def line_lost(self) -> None:
        """The model line is gone, and with it everything that was under way."""
        self._idle()
        self._waiting.clear()
        self._caller_speaking = False
        self._turn_open = False
        self._strikes = 0
