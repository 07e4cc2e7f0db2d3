"""One Realtime session: every client event is judged, carried out or refused, and kept.

It is a witness as much as a server. Whatever a strict service would refuse is answered with
the right ``error`` event *and* noted in ``violations``; only what the client could not have
known, because the news was still on its way, is noted in ``races`` instead.
"""

import asyncio
import sys
import time
from collections.abc import Mapping

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.emulators.realtime_caller import CallerSide
from app.emulators.realtime_config import SessionConfig, bytes_per_ms
from app.emulators.realtime_conversation import Conversation, Item
from app.emulators.realtime_desk import Desk, Terms
from app.emulators.realtime_errors import EXPIRED_REASON, Json, Refusal
from app.emulators.realtime_faults import Noise
from app.emulators.realtime_floor import Floor, Parts
from app.emulators.realtime_grammar import check_shape
from app.emulators.realtime_line import Events, Line, parsed
from app.emulators.realtime_shapes import decoded
from app.emulators.realtime_turns import Brain

_APPEND = "input_audio_buffer.append"


class EmulatedSession:
    """A socket and everything that was said on it; lives on as a record when it is closed."""

    def __init__(
        self, socket: ServerConnection, model: str, headers: Mapping[str, str], terms: Terms
    ) -> None:
        self._socket = socket
        self._terms = terms
        self._line = Line(
            socket,
            faults=terms.faults,
            noise=Noise() if terms.noisy else None,
            keep_audio=terms.keep_audio,
            deviation=terms.deviation,
        )
        self._conversation = Conversation()
        self._config = SessionConfig(
            model, self._line.mint("sess"), int(time.time() + terms.life_s)
        )
        self._heard_ms = 0.0
        self.model = model
        self.headers = headers
        self.open = True
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.client_events = Events(self._line.bell, keep_audio=terms.keep_audio)
        """Everything received that was a JSON object, refused or not, in order."""
        self.server_events = self._line.events
        """Everything sent, as it was sent."""
        self.violations: list[str] = []
        self.races: list[str] = []
        """Refused, but the client could not have known better."""
        self.failures: list[str] = []
        """What went wrong in the emulator itself."""
        self.caller_audio = bytearray()
        """All audio appended, in the input format of its time."""

    @property
    def items(self) -> list[Item]:
        """The conversation, oldest item first."""
        return self._conversation.items

    @property
    def config(self) -> Json:
        """The effective configuration, as ``session.updated`` echoes it."""
        return self._config.echo()

    @property
    def brain(self) -> Brain:
        """What answers in this session."""
        return self._terms.brain

    @property
    def heard_ms(self) -> int:
        """Length of the audio appended so far."""
        return round(self._heard_ms)

    async def until_heard(self, length_ms: int, *, timeout_s: float = 30) -> None:
        """Return once so much audio was appended; raises TimeoutError. Cancel-safe."""
        what = f"{length_ms} ms of the caller's audio"
        await self._line.bell.until(
            lambda: self._heard_ms >= length_ms, timeout_s=timeout_s, what=what
        )

    async def until_closed(self, *, timeout_s: float = 30) -> int | None:
        """The close code, once the socket is closed; raises TimeoutError. Cancel-safe."""
        await self._line.bell.until(lambda: not self.open, timeout_s=timeout_s, what="the close")
        return self.close_code

    def emit(self, event: Json) -> None:
        """Send any event, however wrong, as if the service had."""
        self._line.emit_raw(event)

    def end(self, code: int, reason: str = "") -> None:
        """Close the socket after what is on its way; 1006 cuts it in mid-message."""
        self._line.end(code, reason)

    def abort(self) -> None:
        """Drop the socket at once, whatever is on its way."""
        self._socket.transport.abort()

    def stall(self) -> None:
        """Send nothing more, and stay open."""
        self._line.stall()

    def expire(self) -> None:
        """The session reached its maximum duration."""
        self._line.emit("error", error=Refusal(EXPIRED_REASON, "session_expired").body(None))
        self._line.end(1001, EXPIRED_REASON)

    def turn_away(self, refusal: Refusal, code: int, reason: str) -> None:
        """Instead of a session: an ``error`` and a close."""
        self._line.emit("error", error=refusal.body(None))
        self._line.end(code, reason)

    async def run(self) -> None:
        """Serve the socket until it closes; ends all that was started for it. Cancel-safe."""
        expiry = asyncio.get_running_loop().call_later(self._terms.life_s, self.expire)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._line.write(), name="writer")
                floor = self._floor_of(tasks)
                try:
                    await self._greet(floor)
                    await self._read(floor)
                finally:
                    floor.leave()
                    writer.cancel()
        finally:
            expiry.cancel()
            self._terms.brain.leave()
            self._note_the_end()

    def _floor_of(self, tasks: asyncio.TaskGroup) -> Floor:
        terms = self._terms
        parts = Parts(
            line=self._line,
            config=self._config,
            conversation=self._conversation,
            brain=terms.brain,
            pace=terms.pace,
            tasks=tasks,
            idle_rate=terms.idle_rate,
            faults=terms.faults,
        )
        return Floor(parts)

    async def _greet(self, floor: Floor) -> None:
        self._line.reach("opened")
        await asyncio.sleep(self._terms.created_after_ms / 1000)
        if self._terms.faults.never == "created":
            return
        self._line.emit("session.created", session=self._config.echo())
        conversation = {"id": floor.conversation_id, "object": "realtime.conversation"}
        self._line.emit("conversation.created", conversation=conversation)

    async def _read(self, floor: Floor) -> None:
        terms = self._terms
        caller = CallerSide(
            self._line, self._config, self._conversation, terms.brain, floor, terms.keep_audio
        )
        caller.ear.detector = terms.brain.detector()
        floor.on_idle = caller.idle
        desk = Desk(self._line, self._config, self._conversation, floor, caller, terms)
        try:
            async for message in self._socket:
                self._receive(message, desk)
        except ConnectionClosed:
            return

    def _receive(self, message: str | bytes, desk: Desk) -> None:
        event = parsed(message)
        if event is None:
            refusal = Refusal("The message is not a JSON object.", "invalid_event")
            return self._refuse({"type": "(no event)"}, refusal)
        deviation = self._terms.deviation
        try:
            meant = deviation.admit(event)
            if meant is None:
                return self.client_events.record(event)
            check_shape(deviation.judged(meant))
            if event["type"] == _APPEND:
                self._hear(event, desk)
            else:
                self.client_events.record(event)
                self._terms.brain.notice(event)
                self.violations += desk.carry_out(meant)
        except Refusal as refusal:
            if event.get("type") != _APPEND and event not in self.client_events[-1:]:
                self.client_events.record(event)
            self._refuse(event, refusal)
        return None

    def _hear(self, event: Json, desk: Desk) -> None:
        audio = decoded(event["audio"], "audio")
        if self._terms.keep_audio:
            self.caller_audio += audio
        self._heard_ms += len(audio) / bytes_per_ms(self._config.input_format)
        self.client_events.record(event)
        desk.caller.append(audio)

    def _refuse(self, event: Json, refusal: Refusal) -> None:
        note = f"{event.get('type')}: {refusal.code}: {refusal.message}"
        (self.races if refusal.race else self.violations).append(note)
        self._line.emit("error", error=refusal.body(event.get("event_id")))

    def _note_the_end(self) -> None:
        error = sys.exception()
        if isinstance(error, Exception):
            self.failures.append(repr(error))
        self.close_code = self._socket.close_code
        self.close_reason = self._socket.close_reason
        self.open = False
        self._line.bell.ring()
