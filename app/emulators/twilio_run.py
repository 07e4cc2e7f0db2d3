"""What every verb needs while a document runs: the call, the carrier, and where URLs lead.

Rule: a verb ends in exactly one of three ways: the next verb follows (None), another
document takes over (a source), or the call is over (Ended).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element

from app.emulators.carrier_room import Rooms
from app.emulators.phone_book import PhoneBook
from app.emulators.twilio_call import EmulatedCall, Fetch, Source
from app.emulators.twilio_media import EmulatedStream
from app.emulators.twilio_queues import Queues
from app.emulators.twilio_tape import Tape
from app.emulators.twilio_tasks import OwnedTasks
from app.emulators.twilio_twiml import is_absolute
from app.emulators.twilio_webhooks import TWIML_TYPES, Webhooks
from app.emulators.twilio_words import (
    Answers,
    DialOutcome,
    Faults,
    Pace,
    Violation,
    names,
    outcome_for,
    remember,
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """What all calls of one account share."""

    account_sid: str
    auth_token: str
    webhooks: Webhooks
    tasks: OwnedTasks
    faults: Faults
    pace: Pace
    answers: Answers
    phones: PhoneBook | None = None
    """The telephones people hold; None: whoever is called behaves as ``answers`` say."""
    rooms: Rooms = field(default_factory=Rooms)
    """Where those telephones meet."""
    queues: Queues = field(default_factory=Queues)


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over, by whom, and with which status."""

    by: str
    status: str = "completed"
    sip_response_code: int | None = None


Step = Source | Ended | None

_ENDLESS = 1_000
"""What Twilio takes ``loop="0"`` for, and the most it takes."""


Interpreter: TypeAlias = Callable[["Run", Source], Awaitable[Ended]]
"""What runs documents: handed down, since the verbs stand below it."""


class Run:
    """One call working through its documents."""

    def __init__(self, call: EmulatedCall, carrier: Carrier, interpret: "Interpreter") -> None:
        self.call = call
        self.carrier = carrier
        self._interpret = interpret
        self.base_url: str | None = None
        self._noted: set[str] = set()

    async def beside(self, leg: EmulatedCall, source: Source) -> Ended:
        """Run documents on another leg than the caller's, to their end; safe to cancel."""
        try:
            return await self._interpret(Run(leg, self.carrier, self._interpret), source)
        finally:
            for stream in leg.streams:
                stream.abort()

    async def meanwhile(self, source: Source) -> Ended:
        """Run documents on the caller's own leg while a verb goes on; safe to cancel."""
        return await self._interpret(Run(self.call, self.carrier, self._interpret), source)

    def resolve(self, url: str) -> str | None:
        """The absolute form of a URL; None for a relative one in TwiML that has no address."""
        if is_absolute(url):
            return url
        return urljoin(self.base_url, url) if self.base_url else None

    def fetch(self, url: str, method: str | None, extra: dict[str, str] | None = None) -> Step:
        """The step that asks ``url`` for the next document; ends the call when it cannot."""
        resolved = self.resolve(url)
        if resolved is None:
            return Ended("error")
        return Fetch(resolved, http_method(method), extra or {})

    def action(self, verb: Element, extra: dict[str, str] | None = None) -> Step:
        """The step behind a verb that is done: its ``action``, or the next verb."""
        if not verb.get("action"):
            return None
        return self.fetch(verb.attrib["action"], verb.get("method"), extra)

    def owe_action(self, verb: Element, extra: dict[str, str] | None = None) -> None:
        """Remember the ``action`` of a running verb, to be requested if the call ends on it."""
        step = self.action(verb, extra)
        self.call.pending_action = step if isinstance(step, Fetch) else None

    def outcome(self, *keys: str) -> DialOutcome | None:
        """How the first known of several names for one destination behaves; None: unknown."""
        for key in keys:
            found = outcome_for(key, self.call.answers, self.carrier.answers)
            if found is not None:
                return found
        return None

    async def take(self, length_ms: float) -> None:
        """Let time pass; whoever waits for the call looks first."""
        self.call.pulse.beat()
        await asyncio.sleep(length_ms / 1000)

    async def sound(self, mulaw: bytes, length_ms: float) -> None:
        """Let the caller hear audio to its end; ``length_ms`` pass where nobody can."""
        phone = self.call.phone
        if phone is None or not mulaw:
            await self.take(length_ms)
            return
        self.call.pulse.beat()
        await phone.play_out(mulaw)

    async def say(self, text: str, *, times: int = 1) -> None:
        """Speak to the caller in the carrier's voice."""
        pace = self.carrier.pace
        mulaw = b""
        if self.call.phone is not None and self.carrier.phones is not None:
            self.call.phone.tell("said", text=text)
            mulaw = await self.carrier.phones.voice.say(text)
        for _ in range(times):
            remember(self.call.said, text)
            await self.sound(mulaw, min(pace.say_cap_ms, len(text) * pace.say_ms_per_character))

    def note(self, sentence: str) -> None:
        """Show the caller what is not to be heard, once in a call; nobody else is told."""
        if self.call.phone is not None and sentence not in self._noted:
            self._noted.add(sentence)
            self.call.phone.tell("said", text=sentence)

    async def stay(self) -> None:
        """Wait until somebody ends or redirects the call; never returns."""
        await asyncio.get_running_loop().create_future()

    def deliver(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Send a callback beside the call; the call settles when all arrived."""
        task = self.carrier.tasks.start(work, name=name)
        self.call.deliveries.add(task)
        task.add_done_callback(self.call.deliveries.discard)

    async def callback(
        self, url: str, form: dict[str, str], method: Literal["GET", "POST"] = "POST"
    ) -> None:
        """Post a status callback, unless it gets lost, and judge the answer (15003)."""
        if names(self.carrier.faults.lost_callbacks, urlsplit(url).path) is not None:
            return
        reply = await self.carrier.webhooks.send(url, form, self.call.requests, method=method)
        if reply.error is not None:
            self.call.complain(Violation(reply.error, f"status callback {url} failed"))
        elif reply.status_code != 204 and reply.content_type not in TWIML_TYPES:
            text = f"{url} answered {reply.status_code} {reply.content_type or 'without a type'}"
            self.call.complain(Violation(15003, text))
        self.call.pulse.beat()

    def report_stream(
        self,
        stream: EmulatedStream,
        event: Literal["stream-started", "stream-stopped", "stream-error"],
        error: str | None = None,
    ) -> None:
        """Post a stream status callback if one is wished; the last word is said once."""
        if event != "stream-started":
            if stream.reported_over:
                return
            stream.reported_over = True
        if stream.status_callback is None:
            return
        form = {
            "AccountSid": self.call.account_sid,
            "CallSid": self.call.call_sid,
            "StreamSid": stream.stream_sid,
            "StreamName": stream.name,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        if error is not None:
            form["StreamError"] = error
        delay_ms = self.carrier.faults.status_delay_ms.get(event, 0)
        self.deliver(
            self._late(delay_ms, self.callback(stream.status_callback, form, stream.status_method)),
            f"callback {event}",
        )

    def report_over(self, stream: EmulatedStream) -> None:
        """Post the last word about a stream that ran: it stopped, or it broke."""
        if stream.broken is None:
            self.report_stream(stream, "stream-stopped")
        else:
            self.report_stream(stream, "stream-error", str(stream.broken))

    def report_tape(self, tape: Tape) -> None:
        """Post a recording's status, where that is wished."""
        if tape.callback and tape.status in tape.events:
            work = self.callback(tape.callback, tape.form())
            self.deliver(self.late("recording", work), f"callback recording {tape.status}")

    def finish_tapes(self) -> None:
        """The call is over, and so is what was recorded of it."""
        for tape in self.call.tapes:
            if tape.status in {"in-progress", "paused"}:
                tape.finish()
                self.report_tape(tape)

    async def late(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Send a callback when its delay by plan (``Faults.status_delay_ms``) is over."""
        await self._late(self.carrier.faults.status_delay_ms.get(what, 0), work)

    async def _late(self, delay_ms: int, work: Coroutine[Any, Any, None]) -> None:
        if delay_ms > 0:
            await self.take(delay_ms)
        await work


async def talk(run: Run, outcome: DialOutcome) -> None:
    """Until the far end hangs up, or the time is over."""
    limit_s = None if outcome.talk_ms is None else outcome.talk_ms / 1000
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await run.call.far_end_left.wait()


def http_method(text: str | None) -> Literal["GET", "POST"]:
    """The method of an attribute or parameter; POST where it says nothing."""
    return "GET" if text is not None and text.upper() == "GET" else "POST"


def repeats(verb: Element) -> int:
    """How often a <Say> or <Play> is heard: ``loop``, where 0 is without an end."""
    times = int(number(verb, "loop", 1))
    return _ENDLESS if times == 0 else max(1, min(times, _ENDLESS))


def number(verb: Element, name: str, default: float) -> float:
    """A numeric attribute; the default where it is missing or not a number."""
    try:
        return float(verb.get(name, default))
    except ValueError:
        return default
