"""A call on the local Twilio: what happened to it, and what the caller can do.

Tests hold this object. Its lists are the story, in order (the newest thousand of what goes on
and on: a call may last for days); its methods are the caller's hand, mouth and patience. Rule:
the caller asks and the exchange acts, so that a caller who hangs up, a REST update and a dying
stream meet in one place and one order.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

from app.emulators.phone import Phone
from app.emulators.phone_sounds import keys
from app.emulators.twilio_media import CallerVoice, EmulatedStream
from app.emulators.twilio_tape import Tape
from app.emulators.twilio_tasks import Pulse
from app.emulators.twilio_words import (
    FINAL_STATUSES,
    Answers,
    DialOutcome,
    EmulatorViolations,
    Violation,
    WebhookRequest,
    monotonic_ms,
    new_sid,
)
from app.protocol.units import BYTES_PER_MS, MULAW_SILENCE

_KEPT_VIOLATIONS = 1000
_WAITING_ORDERS = 64
_KEY_MS = 200
RING_LIMIT_MS = 60_000
"""What Twilio rings for where a request says nothing else."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """TwiML to be asked for."""

    url: str
    method: Literal["GET", "POST"] = "POST"
    extra: dict[str, str] = field(default_factory=dict)
    """Form fields beyond the standard ones."""


@dataclass(frozen=True, slots=True)
class Inline:
    """TwiML passed by REST."""

    twiml: str


Source = Fetch | Inline


@dataclass(frozen=True, slots=True)
class Redirected:
    """An order by REST: run this TwiML instead."""

    source: Source
    delay_ms: int


@dataclass(frozen=True, slots=True)
class HungUp:
    """An order to end the call."""

    ended_by: str
    status: str = "completed"


Order = Redirected | HungUp


@dataclass(frozen=True, slots=True)
class CallbackWish:
    """Where the progress of a call is reported."""

    url: str
    events: frozenset[str] = frozenset({"completed"})
    method: Literal["GET", "POST"] = "POST"


@dataclass(frozen=True, slots=True)
class CallerInput:
    """What the caller gave while no stream was there to take it."""

    kind: Literal["digit", "speech"]
    text: str


class EmulatedCall:
    """One telephone call. Everything but the methods is for reading.

    ``phone`` is what the caller holds; None: the caller is whoever holds this object.
    """

    other_party: Phone | None = None
    """The phone the caller is talking to, while put through to one."""
    left_by_person = False
    """Whether the person the caller was put through to hung up, and nothing came after."""
    parent_call_sid: str | None = None
    """Of the call this is the dialled leg of."""
    answered_by: str | None = None
    """What answering machine detection found; None where nobody asked, or not yet."""
    ring_limit_ms = RING_LIMIT_MS
    queue: str | None = None
    """In which the caller waits."""
    callback_sequence = 0
    settled = False
    """True when every callback of the ended call was delivered."""
    dictation: bytearray | None = None
    """Where the caller's voice goes while <Record> runs."""
    on_star: Callable[[], object] | None = None
    """What the star key does while put through; None: it is heard over there."""

    def __init__(
        self,
        *,
        account_sid: str,
        from_: str,
        to: str,
        direction: Literal["inbound", "outbound-api", "outbound-dial"] = "inbound",
        answers: Answers | None = None,
        callback: CallbackWish | None = None,
        fallback_url: str | None = None,
        keep_audio: bool = True,
        phone: Phone | None = None,
    ) -> None:
        self.call_sid = new_sid("CA")
        self.account_sid = account_sid
        self.from_ = from_
        self.to = to
        self.direction = direction
        self.status = "queued" if direction == "outbound-api" else "ringing"
        self.answers = answers
        self.callback = callback
        self.fallback_url = fallback_url
        self.keep_audio = keep_audio
        self.phone = phone
        self.began_at = datetime.now(UTC)
        self.began_at_ms = monotonic_ms()
        self.answered_at_ms: float | None = None
        self.ended_at_ms: float | None = None
        self.ended_by: str | None = None
        """caller, rest, hangup, reject, refer, end_of_twiml, stream, not_answered or error."""
        self.twiml: list[str] = []
        self.requests: list[WebhookRequest] = []
        self.violations: list[Violation] = []
        self.streams: list[EmulatedStream] = []
        self.executed: list[str] = []
        """Names of the verbs in the order they began."""
        self.said: list[str] = []
        self.played: list[str] = []
        """URLs of <Play>."""
        self.played_digits: list[str] = []
        self.dialled: list[str] = []
        self.dial_results: list[DialOutcome] = []
        self.whispered: list[str] = []
        """What dialled parties were told before they were connected."""
        self.conferences: list[str] = []
        self.enqueued: list[str] = []
        self.referred: list[str] = []
        self.recordings: list[dict[str, str]] = []
        """Attributes of each <Start><Recording>."""
        self.tapes: list[Tape] = []
        """What was recorded: by REST, or by <Record>."""
        self.lost_redirects: list[Redirected] = []
        """Updates Twilio accepted and the call did not live to obey."""
        self.pulse = Pulse()
        self.voice = CallerVoice()
        self.orders: asyncio.Queue[Order] = asyncio.Queue(_WAITING_ORDERS)
        self.inputs: asyncio.Queue[CallerInput] = asyncio.Queue(_WAITING_ORDERS)
        self.far_end_left = asyncio.Event()
        self.pending_action: Fetch | None = None
        """An ``action`` that is requested even if the caller is gone by then."""
        self.deliveries: set[asyncio.Task[None]] = set()
        """Callbacks on their way."""

    @property
    def stream(self) -> EmulatedStream:
        """The newest stream; raises IndexError before the first."""
        return self.streams[-1]

    @property
    def over(self) -> bool:
        """True when the call has a final status."""
        return self.status in FINAL_STATUSES

    @property
    def heard_ms(self) -> int:
        """Audio the caller heard over all streams, silences not counted."""
        return sum(stream.line.heard_ms for stream in self.streams)

    @property
    def duration_s(self) -> int:
        """Whole seconds since the call was answered, 0 if it never was."""
        if self.answered_at_ms is None:
            return 0
        end = self.ended_at_ms if self.ended_at_ms is not None else monotonic_ms()
        return round((end - self.answered_at_ms) / 1000)

    def form(self) -> dict[str, str]:
        """The standard parameters of every voice webhook."""
        return {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": self.status,
            "Called": self.to,
            "CalledCity": "",
            "CalledCountry": "US",
            "Caller": self.from_,
            "CallerCity": "SAN FRANCISCO",
            "CallerCountry": "US",
            "Direction": self.direction,
            "From": self.from_,
            "FromCity": "SAN FRANCISCO",
            "FromCountry": "US",
            "StirVerstat": "TN-Validation-Passed-A",
            "To": self.to,
            "ToCity": "",
            "ToCountry": "US",
            **({} if self.parent_call_sid is None else {"ParentCallSid": self.parent_call_sid}),
        }

    def resource(self) -> dict[str, str | None]:
        """The call as the REST API shows it."""
        ended = None
        if self.ended_at_ms is not None:
            ended = format_datetime(datetime.now(UTC))
        return {
            "sid": self.call_sid,
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "status": self.status,
            "from": self.from_,
            "from_formatted": self.from_,
            "to": self.to,
            "to_formatted": self.to,
            "direction": self.direction,
            "answered_by": self.answered_by,
            "parent_call_sid": None,
            "forwarded_from": None,
            "caller_name": None,
            "date_created": format_datetime(self.began_at),
            "date_updated": format_datetime(datetime.now(UTC)),
            "start_time": format_datetime(self.began_at),
            "end_time": ended,
            "duration": str(self.duration_s) if self.over else None,
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Calls/{self.call_sid}.json",
        }

    def complain(self, violation: Violation) -> None:
        """Write down what Twilio's debugger would show."""
        if len(self.violations) < _KEPT_VIOLATIONS:
            self.violations.append(violation)
        self.pulse.beat()

    def assert_clean(self, *, allow: Collection[int] = ()) -> None:
        """Raise EmulatorViolations naming everything the server did wrong, bar ``allow``.

        31921, a socket closed by the server, is listed like the rest: allow it where meant.
        """
        found = [str(one) for one in self.violations if one.code not in allow]
        if found:
            raise EmulatorViolations("; ".join(found))

    async def speak(self, mulaw: bytes, *, wait: bool = False) -> None:
        """Let the caller say mu-law audio, in real time; with ``wait``, until it was said."""
        self.voice.say(mulaw)
        if wait:
            length_s = len(mulaw) / BYTES_PER_MS / 1000
            await self.until(lambda: self.voice.silent or self.over, timeout=length_s + 30)

    async def take_frame(self, mulaw: bytes) -> None:
        """20 ms from the caller's phone, to wherever the call leads; dropped when nowhere."""
        if self.dictation is not None:
            self.dictation += mulaw
        if self.other_party is not None:
            self.other_party.play(mulaw)
        elif self.streams:
            await self.streams[-1].take_frame(mulaw)

    def sound(self, digits: str) -> None:
        """Press keys as a telephone does: their tones are in the audio, and Twilio tells of each
        when it has begun."""
        for digit in digits:
            self.voice.press(digit)

    async def press(self, digit: str) -> None:
        """Press one key (``0-9 * # A-D``): to the stream if there is one, else to <Gather>."""
        if self.streams and self.streams[-1].live:
            await self.streams[-1].press(digit)
        elif digit == "*" and self.on_star is not None:
            self.on_star()
        elif self.other_party is not None:
            self.other_party.play(keys(digit, _KEY_MS))
        else:
            self._keep(CallerInput("digit", digit))

    async def say_words(self, text: str) -> None:
        """What a waiting, or the next, <Gather input="speech"> recognises."""
        self._keep(CallerInput("speech", text))

    def _keep(self, given: CallerInput) -> None:
        """For a <Gather>; what nobody has asked for by then is dropped, newest first."""
        if not self.inputs.full():
            self.inputs.put_nowait(given)

    async def hang_up(self) -> None:
        """The caller puts the phone down; returns when the exchange knows."""
        self.order(HungUp("caller"))

    def far_end_hangs_up(self) -> None:
        """The dialled party of a bridged <Dial> puts the phone down."""
        self.far_end_left.set()

    def order(self, order: Order) -> None:
        """Tell the exchange; an order to a call that is over is forgotten."""
        if not self.over:
            self.orders.put_nowait(order)

    async def until(self, predicate: Callable[[], bool], timeout: float = 30) -> None:  # noqa: ASYNC109
        """Return when ``predicate`` holds; raises TimeoutError that tells the call's story."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    await self.pulse.next()
        except TimeoutError:
            raise TimeoutError(f"waited {timeout} s in vain; {self.story()}") from None

    async def stream_started(self, number: int = 1, timeout: float = 30) -> EmulatedStream:  # noqa: ASYNC109
        """The ``number``-th stream of the call, once ``start`` was sent on it."""
        await self.until(lambda: len(self._started()) >= number, timeout)
        return self._started()[number - 1]

    async def heard_at_least(self, length_ms: int, timeout: float = 30) -> None:  # noqa: ASYNC109
        """Return when the caller has heard ``length_ms`` of sent audio in all."""
        await self.until(lambda: self.heard_ms >= length_ms, timeout)

    async def ended(self, timeout: float = 30) -> str:  # noqa: ASYNC109
        """Who ended the call, once it is over and its callbacks are delivered."""
        await self.until(lambda: self.settled, timeout)
        return self.ended_by or ""

    def recording(self) -> tuple[bytes, bytes]:
        """Caller and server as two mu-law tracks of equal length from the call's beginning."""
        caller, server = bytearray(), bytearray()
        for stream in self.streams:
            if stream.started_at_ms is None:
                continue
            offset = int((stream.started_at_ms - self.began_at_ms) * BYTES_PER_MS)
            _lay(caller, offset, bytes(stream.spoken))
            _lay(server, offset, stream.line.heard)
        length = max(len(caller), len(server))
        silence = bytes([MULAW_SILENCE])
        return bytes(caller).ljust(length, silence), bytes(server).ljust(length, silence)

    def story(self) -> str:
        """Where the call stands, in one line, for the message of a failed wait."""
        return (
            f"status {self.status}, ended by {self.ended_by}, verbs {self.executed}, "
            f"said {self.said}, streams {len(self.streams)}, heard {self.heard_ms} ms, "
            f"requests {[(one.path, one.status_code) for one in self.requests]}, "
            f"violations {[str(one) for one in self.violations]}"
        )

    def _started(self) -> list[EmulatedStream]:
        return [stream for stream in self.streams if stream.started_at_ms is not None]


def _lay(track: bytearray, offset: int, audio: bytes) -> None:
    """Put ``audio`` on the track at ``offset``, silence before it where nothing is."""
    if offset > len(track):
        track += bytes([MULAW_SILENCE]) * (offset - len(track))
    track[offset : offset + len(audio)] = audio
