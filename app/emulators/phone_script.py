"""A telephone in the hand of a script: it calls, listens, says its lines, records both sides.

Rule: one clock for everything. What was sent, what was played and what happened are placed by
the milliseconds since it dialled, so that the recording and the list of events agree.

    phone = ScriptedPhone([Say("My name is Maria."), Press("5")], voice=voice)
    recording = await phone.place(carrier)
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from app.audio import mulaw as samples
from app.emulators.demo_voice import stereo_wav
from app.emulators.phone import Answer, Leg, Line, Phone, Voice
from app.emulators.phone_line import PhoneLine
from app.emulators.twilio_media import CallerVoice
from app.emulators.twilio_tasks import Pulse
from app.emulators.twilio_words import monotonic_ms
from app.protocol.units import BYTES_PER_MS, FRAME_MS

_SILENCE = samples.silence(FRAME_MS)
_KEY_MS = 200


@dataclass(frozen=True, slots=True)
class Say:
    """Words, spoken by the phone's voice."""

    text: str
    interrupts_after_ms: int | None = None
    """None: when the agent is silent; else so long after the agent began to speak."""


@dataclass(frozen=True, slots=True)
class Play:
    """Mu-law, as it is."""

    mulaw: bytes = field(repr=False)
    name: str = "audio"
    interrupts_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Press:
    """Keys, one after the other."""

    digits: str
    interrupts_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for a while, whatever the agent does."""

    length_ms: int
    interrupts_after_ms: int | None = 0


@dataclass(frozen=True, slots=True)
class Write:
    """A text message to the agent's number."""

    text: str
    interrupts_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Await:
    """Go on when something is so; whoever made it says when, and waits no longer than it may."""

    so: Callable[[], Awaitable[None]]
    interrupts_after_ms: int | None = 0


@dataclass(frozen=True, slots=True)
class HangUp:
    """Put the receiver down, whatever was still to be said."""

    interrupts_after_ms: int | None = None


Step: TypeAlias = Say | Play | Press | Pause | Write | Await | HangUp


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """Something that happened on the phone."""

    name: str
    """An event of the phone socket, or ``agent-begins``, ``agent-ends``, ``clear``, ``line``."""
    at: str
    """ISO 8601, UTC."""
    media_ms: int
    """On the recording."""
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallRecording:
    """A call that is over."""

    call_sid: str
    ended_by: str
    caller: bytes = field(repr=False)
    """Mu-law as it was sent, from dialling on."""
    agent: bytes = field(repr=False)
    """Mu-law as it was played, of the same length: what was cleared is not there."""
    events: tuple[PhoneEvent, ...]

    def wav(self) -> bytes:
        """Caller left, agent right; 8 kHz, 16 bits."""
        return stereo_wav(self.caller, self.agent)


class PhoneCall(Leg, Protocol):
    """The call, for the phone that placed it."""

    @property
    def call_sid(self) -> str: ...

    async def ended(self) -> str:
        """Who ended it, once it is over."""
        ...


class Carries(Protocol):
    """A carrier a phone can call on."""

    async def dial(self, phone: Phone) -> PhoneCall:
        """Call the agent."""
        ...

    def text(self, body: str) -> None:
        """Send the agent's number a text message from the caller's."""
        ...


class ScriptedPhone:
    """Places one call. It listens before each line, and for ``quiet_ms`` before it is its turn.

    Where the agent says nothing for ``patience_ms`` the script goes on. Behind its last line it
    listens once more and hangs up. ``told`` is called with each event when it happens.
    """

    def __init__(
        self,
        script: Sequence[Step],
        *,
        voice: Voice,
        quiet_ms: int = 700,
        patience_ms: int = 15_000,
        told: Callable[[PhoneEvent], None] = lambda _event: None,
    ) -> None:
        self.events: list[PhoneEvent] = []
        self._told = told
        self._script = script
        self._voice = voice
        self._quiet_ms = quiet_ms
        self._patience_ms = patience_ms
        self._began_at_ms = monotonic_ms()
        self._ear = PhoneLine(now_ms=self._began_at_ms)
        self._mouth = CallerVoice()
        self._sent = bytearray()
        self._ticks = Pulse()
        self._turns = 0
        """How often the agent began to speak."""
        self._spoke_at_ms: float | None = None
        """When the agent began, while it speaks."""
        self._silent_since_ms = self._began_at_ms
        self._leg: PhoneCall | None = None
        self._over = False

    async def place(self, carrier: Carries) -> CallRecording:
        """Call, go through the script, and hang up, unless somebody else does before."""
        said = {one.text: await self._voice.say(one.text) for one in self._texts()}
        self._began_at_ms = self._silent_since_ms = monotonic_ms()
        self._ear = PhoneLine(now_ms=self._began_at_ms)
        call = self._leg = await carrier.dial(self)
        self.tell("calling", callSid=call.call_sid)
        pumping = asyncio.create_task(self._pump(call), name="scripted phone")
        try:
            await self._perform(carrier, said)
            await call.hang_up()
            ended_by = await call.ended()
        finally:
            pumping.cancel()
            await asyncio.wait({pumping})
        return self._recording(call.call_sid, ended_by)

    @property
    def free(self) -> bool:
        """It makes its own call and takes none."""
        return False

    def ring(
        self, _leg: Leg, *, call_sid: str, from_: str, to: str, sentence: str
    ) -> "asyncio.Future[Answer]":
        """Nobody is there to answer."""
        self.tell("ring", callSid=call_sid, **{"from": from_}, to=to, sentence=sentence)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.set_result(Answer.DECLINED)
        return answer

    def over(self, leg: Leg, by: str, reason: str) -> None:
        """The call is over."""
        # It may be over before whoever dialled knows that it began.
        if self._leg in (None, leg) and not self._over:
            self._over = True
            self.tell("hungup", by=by, reason=reason)
            self._ticks.beat()

    def tell(self, event: str, **fields: Any) -> None:
        """Write it down."""
        now_ms = monotonic_ms()
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        media_ms = round(now_ms - self._began_at_ms)
        self.events.append(PhoneEvent(event, at, media_ms, fields))
        self._told(self.events[-1])

    def line(self, _now_ms: float, _marks_came: Callable[[], None]) -> Line:
        """The one ear; it returns its marks by the clock."""
        return self._ear

    def play(self, mulaw: bytes) -> None:
        """Hear it behind what is there."""
        self._ear.play(mulaw, monotonic_ms())

    async def play_out(self, mulaw: bytes) -> None:
        """The same, to the end."""
        self.play(mulaw)
        limit_ms = self._ear.buffered_ms(monotonic_ms()) + self._patience_ms
        await self._wait(lambda: not self._ear.buffered_ms(monotonic_ms()), limit_ms)

    def clear(self) -> None:
        """Hear nothing more of it. A stream's own ``clear`` goes to the ear directly."""
        self._ear.clear(monotonic_ms())

    def _texts(self) -> list[Say]:
        return [step for step in self._script if isinstance(step, Say)]

    async def _perform(self, carrier: Carries, said: dict[str, bytes]) -> None:
        for step in self._script:
            await self._turn(step.interrupts_after_ms)
            if self._over:
                return
            turns = self._turns
            await self._do(carrier, step, said)
            if not isinstance(step, Pause | Await):
                await self._agent_begins(turns)
        await self._turn(None)

    async def _do(self, carrier: Carries, step: Step, said: dict[str, bytes]) -> None:
        match step:
            case Say(text):
                self.tell("line", say=text)
                await self._speak(said[text])
            case Play(mulaw, name):
                self.tell("line", play=name)
                await self._speak(mulaw)
            case Press(digits):
                self.tell("line", press=digits)
                await self._press(digits)
            case Pause(length_ms):
                await self._wait(lambda: False, length_ms)
            case Write(text):
                self.tell("line", text=text)
                carrier.text(text)
            case Await(so):
                await so()
            case HangUp():
                if self._leg is not None:
                    await self._leg.hang_up()

    async def _press(self, digits: str) -> None:
        for digit in digits:
            if self._leg is not None and not self._over:
                await self._leg.press(digit)
            await self._wait(lambda: False, _KEY_MS)

    async def _speak(self, mulaw: bytes) -> None:
        self._mouth.say(mulaw)
        length_ms = len(mulaw) // BYTES_PER_MS
        await self._wait(lambda: self._mouth.silent, length_ms + self._patience_ms)

    async def _turn(self, interrupts_after_ms: int | None) -> None:
        """Wait until it is our turn, or time to interrupt."""
        if interrupts_after_ms is None:
            if not self._turns:
                await self._agent_begins(0)
            await self._wait(self._our_turn, 10 * self._patience_ms)
            return
        await self._wait(lambda: self._spoken_for(interrupts_after_ms), self._patience_ms)

    async def _agent_begins(self, turns: int) -> None:
        await self._wait(lambda: self._turns > turns, self._patience_ms)

    def _our_turn(self) -> bool:
        quiet_ms = monotonic_ms() - self._silent_since_ms
        return self._spoke_at_ms is None and quiet_ms >= self._quiet_ms

    def _spoken_for(self, length_ms: int) -> bool:
        spoke_at_ms = self._spoke_at_ms
        return not length_ms or (
            spoke_at_ms is not None and monotonic_ms() - spoke_at_ms >= length_ms
        )

    async def _wait(self, fact: Callable[[], bool], limit_ms: float) -> None:
        """Until ``fact`` holds, the call is over or the time is; looked at every frame."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_ms / 1000):
                while not self._over and not fact():
                    await self._ticks.next()

    async def _pump(self, call: PhoneCall) -> None:
        """Say a frame and look what is heard, every 20 ms; until cancelled."""
        number = 0
        while True:
            number += 1
            due_ms = self._began_at_ms + number * FRAME_MS
            await asyncio.sleep(max(0.0, due_ms - monotonic_ms()) / 1000)
            frame = self._mouth.frame() or _SILENCE
            self._sent += frame
            await call.take_frame(frame)
            self._listen()
            self._ticks.beat()

    def _listen(self) -> None:
        now_ms = monotonic_ms()
        audible = self._ear.buffered_ms(now_ms) > 0
        if audible and self._spoke_at_ms is None:
            self._spoke_at_ms = now_ms
            self._turns += 1
            self.tell("agent-begins")
        elif not audible and self._spoke_at_ms is not None:
            self._spoke_at_ms = None
            self._silent_since_ms = now_ms
            self.tell("agent-ends")

    def _recording(self, call_sid: str, ended_by: str) -> CallRecording:
        self._ear.advance(monotonic_ms())
        agent, caller = self._ear.heard, bytes(self._sent)
        length = max(len(agent), len(caller))
        silence = _SILENCE[:1]
        return CallRecording(
            call_sid,
            ended_by,
            caller.ljust(length, silence),
            agent.ljust(length, silence),
            tuple(self.events),
        )
