"""The small words of the local Twilio: faults, outcomes, pace, and what it complains about.

They stand below everything else of the emulator, so that no file needs its neighbour just
to name a thing. Rule: values only; nothing here does anything.
"""

import enum
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

_T = TypeVar("_T")

APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."
"""What a caller hears when Twilio gets no usable TwiML."""

TRIAL_NOTICE = "You have a trial account. Press any key to execute your code."

KEPT_OF_A_CALL = 1_000
"""Of each thing that happens in a call again and again: it may last for days."""

FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

SignatureMode = Literal["good", "trailing_slash", "none", "wrong"]
"""trailing_slash toggles the slash at the end of the path that is signed, as Twilio may."""

AfterDeath = Literal["hang_up", "next_verb", "stay"]
"""What becomes of the call when its stream dies: it ends, the TwiML goes on, or nothing."""


def new_sid(prefix: str) -> str:
    """A fresh SID: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


def remember(story: list[_T], happened: _T) -> None:
    """Add to a list of what happened in a call; the newest ``KEPT_OF_A_CALL`` stay."""
    story.append(happened)
    del story[:-KEPT_OF_A_CALL]


def monotonic_ms() -> float:
    """The clock of every stream and of every ear."""
    return time.monotonic() * 1000


@dataclass(frozen=True, slots=True)
class Violation:
    """An error or warning as Twilio's debugger would list it."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class WebhookRequest(NamedTuple):
    """A webhook that was posted and what came back."""

    path: str
    form: dict[str, str]
    status_code: int
    """0 when no answer came."""
    body: str


@dataclass(frozen=True, slots=True)
class PickUp:
    """Who answers a call that was placed, and what is to be known of them."""

    who: Literal["human", "machine", "fax", "unknown"] = "human"
    says: bytes = b""
    """Mu-law, from the moment the stream carries it; a machine's greeting with its beep."""
    ending: Literal["beep", "silence", "other"] = "beep"
    """How a machine's greeting ends."""
    known_after_ms: int = 30
    """From answering to the verdict, where it does not wait for the end of a greeting."""


@dataclass(frozen=True, slots=True)
class DialOutcome:
    """How a dialled number behaves."""

    kind: Literal["bridged", "unbridged", "busy", "no-answer", "failed", "canceled"] = "bridged"
    """unbridged: it answered, a screen or a voicemail took it, and nobody was connected."""
    ring_ms: int = 25
    talk_ms: int | None = 300
    """How long the two talk; None: until one of them hangs up."""
    sip_response_code: int | None = None
    pick_up: PickUp = PickUp()
    """Who answers, where the call was placed by REST."""

    @property
    def status(self) -> str:
        """The DialCallStatus Twilio reports for it."""
        return "completed" if self.kind in ("bridged", "unbridged") else self.kind


Answers = Mapping[str, DialOutcome] | Callable[[str], DialOutcome | None]
"""Outcomes by destination; a destination it does not know is bridged."""


def outcome_for(destination: str, *answers: Answers | None) -> DialOutcome | None:
    """The first outcome that one of ``answers`` has for the destination, or None."""
    for source in answers:
        if source is None:
            continue
        found = source.get(destination) if isinstance(source, Mapping) else source(destination)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take. The defaults are short: a test waits for what it tests."""

    say_ms_per_character: int = 25
    say_cap_ms: int = 600
    pause_factor: float = 1.0
    """Scales <Pause length> and the timeout of <Gather>."""
    key_ms: int = 50
    """One digit of <Play digits>; a ``w`` takes the same."""
    ring_ms: int = 25
    """An outbound call rings this long before its outcome."""
    redirect_delay_ms: int = 0
    """Between the answer to a REST update and the call obeying it: the race of closing first."""
    webhook_limit_s: float = 15.0
    close_limit_s: float = 2.0
    """How long the closing handshake of a stream may take."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A signing secret that replaces the auth token, announced by a header."""

    key_id: str
    secret: str
    algorithm: Literal["HMAC_SHA1", "HMAC_SHA256"] = "HMAC_SHA256"


@dataclass(slots=True)
class Faults:
    """What may go wrong by plan. Mutable: a test may change its mind during a call."""

    stream_signature: SignatureMode = "good"
    webhook_signature: SignatureMode = "good"
    shared_key: SharedKey | None = None
    duplicate_webhooks: frozenset[str] = frozenset()
    """Paths delivered twice with one idempotency token, the second answer counting; here and
    below a path stands for those under it too."""
    repeat_after_ms: int = 0
    """How long after the first answer the second delivery of those comes."""
    slow_webhooks: Mapping[str, int] = field(default_factory=dict)
    """Paths whose requests set out so many ms late."""
    lost_callbacks: frozenset[str] = frozenset()
    """Paths of status callbacks that never arrive: Twilio promises no more than its best."""
    status_delay_ms: Mapping[str, int] = field(default_factory=dict)
    """Delay by CallStatus or StreamEvent of status callbacks (``amd``: of the detection's), to
    bring them out of order."""
    jitter_ms: float = 0.0
    """Media may be late by up to this; order is kept."""
    bunch: int = 1
    """Media messages sent at once, every so many frames."""
    drop_every: int = 0
    """Every n-th frame is lost on the way: its time passes, no message comes. 0: none."""
    silent_media: bool = False
    """No media at all: a carrier that sends nothing."""
    extra_parameters: Mapping[str, str] = field(
        default_factory=lambda: {"CallFeatureOfTomorrow": "1", "EmptyParameter": ""}
    )
    """Unknown form fields that every webhook carries; Twilio adds such without notice."""
    end_is_told_first: bool = False
    """The final call status is posted before the ``action`` of the verb the call ended on."""
    connect_action_at_end: bool = True
    """Whether <Connect action> is requested when the call ends on the stream."""
    trial_account: bool = False
    """The account is on trial: the caller hears so, and <Stream> is taken out of the TwiML."""


def names(paths: Iterable[str], path: str) -> str | None:
    """The one of ``paths`` that is ``path`` or stands above it."""
    return next((one for one in paths if f"{path}/".startswith(f"{one.rstrip('/')}/")), None)


class StreamEnd(enum.Enum):
    """Why a stream is over."""

    SERVER_CLOSED = "server_closed"
    HANG_UP = "hang_up"
    NEXT_VERB = "next_verb"
    STAY = "stay"


class EmulatorViolations(AssertionError):
    """The server did what Twilio would have complained about."""
