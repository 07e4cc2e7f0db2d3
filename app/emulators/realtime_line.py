"""The server's end of one Realtime socket: events out in order, one ending, a record of both.

Events are handed over without waiting, so that what belongs together (the closers of an
interrupted response) cannot be torn apart; one writer carries them to the socket. Whoever
makes audio waits for ``room`` first, which keeps the outbox bounded.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.emulators.realtime_deviations import Deviation
from app.emulators.realtime_errors import Json
from app.emulators.realtime_faults import ABRUPT, NO_FAULTS, Faults, Noise

_OUTBOX_EVENTS = 64
_HALF_A_MESSAGE = b'\x81\x7e\x10\x00{"type":"response.output_audio.delta","event_id":"event_'
"""The beginning of a text frame of 4,096 bytes, and no more of it."""

_AUDIO_DELTA = "response.output_audio.delta"
_APPEND = "input_audio_buffer.append"
_MOMENTS = {"session.created": "created", "session.updated": "updated"}


class Bell:
    """Wakes those who wait for a fact; ringing costs nothing while nobody waits."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Something changed: everybody looks again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, fact: Callable[[], bool], *, timeout_s: float | None, what: str) -> None:
        """Return as soon as ``fact`` holds; raise TimeoutError naming ``what``. Cancel-safe."""
        try:
            async with asyncio.timeout(timeout_s):
                while not fact():
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future
        except TimeoutError:
            raise TimeoutError(f"waited {timeout_s} s for {what}") from None


class Events(list[Json]):
    """The events of one direction, oldest first, which a test may wait for."""

    def __init__(self, bell: Bell, *, keep_audio: bool) -> None:
        super().__init__()
        self._bell = bell
        self._keep_audio = keep_audio

    def record(self, event: Json) -> None:
        """Keep ``event``; audio only when audio is kept."""
        if self._keep_audio or event.get("type") not in (_AUDIO_DELTA, _APPEND):
            self.append(event)
        self._bell.ring()

    def of(self, event_type: str) -> list[Json]:
        """All events of one type."""
        return [event for event in self if event.get("type") == event_type]

    async def until(self, event_type: str, count: int = 1, *, timeout_s: float = 30) -> Json:
        """The ``count``-th event of the type, once there is one; raises TimeoutError."""

        def there() -> bool:
            return len(self.of(event_type)) >= count

        what = f"{event_type} number {count}"
        await self._bell.until(there, timeout_s=timeout_s, what=what)
        return self.of(event_type)[count - 1]


@dataclass(frozen=True, slots=True)
class _Ending:
    code: int
    reason: str


class Line:
    """Carries events to the client until it ends; afterwards swallows them.

    open -> ending (the outbox is still carried) -> ended; ``stalled`` carries nothing and
    does not end.
    """

    def __init__(
        self,
        socket: ServerConnection,
        *,
        faults: Faults = NO_FAULTS,
        noise: Noise | None = None,
        keep_audio: bool = True,
        deviation: Deviation | None = None,
    ) -> None:
        self._socket = socket
        self._deviation = deviation or Deviation()
        self._faults = faults
        self._noise = noise
        self._outbox: asyncio.Queue[str | _Ending] = asyncio.Queue()
        self._ending = False
        self._stalled = False
        self._audio_deltas = 0
        self._ids: dict[str, int] = {}
        self._token = secrets.token_hex(4)
        self.bell = Bell()
        self.events = Events(self.bell, keep_audio=keep_audio)
        """Every event sent, as it was sent."""

    def mint(self, prefix: str) -> str:
        """A new id, unlike any of another line, of at most 32 characters."""
        number = self._ids[prefix] = self._ids.get(prefix, 0) + 1
        return f"{prefix}_{self._token}{number:04d}"

    def emit(self, event_type: str, **fields: object) -> None:
        """Send one event; ``event_id`` is added."""
        self.emit_raw({"type": event_type, "event_id": self.mint("event")} | fields)

    def emit_raw(self, event: Json) -> None:
        """Send ``event`` as it is, however wrong; nothing once the line ends or stalls."""
        if self._ending or self._stalled:
            return
        for one in self._disturbed(event):
            self.events.record(one)
            self._outbox.put_nowait(json.dumps(one))
        if event["type"] == _AUDIO_DELTA:
            self._audio_deltas += 1
            self.reach(self._audio_deltas)
        elif event["type"] in _MOMENTS:
            self.reach(_MOMENTS[event["type"]])

    def _disturbed(self, event: Json) -> list[Json]:
        told = self._deviation.tell(event)
        return [one for e in told for one in self._noise.disturb(e)] if self._noise else told

    def reach(self, moment: str | int) -> None:
        """Suffer the faults of this moment: ``opened``, ``created`` or ``updated``, or a count
        of audio deltas."""
        faults = self._faults
        if moment == faults.malformed_after:
            self._outbox.put_nowait('{"type":"response.output_audio.delta","delta":"')
        if moment == faults.stall_after:
            self._stalled = True
        if faults.close_code is not None and moment == faults.close_after:
            self.end(faults.close_code, faults.close_reason)

    def stall(self) -> None:
        """Say nothing more and stay open."""
        self._stalled = True

    def end(self, code: int, reason: str = "") -> None:
        """Close with ``code`` after what is already on its way; ``ABRUPT`` cuts the line."""
        if not self._ending:
            self._ending = True
            self._outbox.put_nowait(_Ending(code, reason))

    async def room(self) -> None:
        """Wait until the outbox can take more audio. Cancel-safe."""
        if self._outbox.qsize() > _OUTBOX_EVENTS and not self._ending:
            await self.bell.until(self._has_room, timeout_s=None, what="a client that reads")

    def _has_room(self) -> bool:
        return self._ending or self._outbox.qsize() <= _OUTBOX_EVENTS // 2

    async def write(self) -> None:
        """Carry the outbox to the socket until the line ends. Cancel-safe."""
        try:
            while not isinstance(one := await self._outbox.get(), _Ending):
                await self._socket.send(one)
                self.bell.ring()
            await self._finish(one)
        except ConnectionClosed:
            self._ending = True
            self.bell.ring()

    async def _finish(self, ending: _Ending) -> None:
        if ending.code == ABRUPT:
            self._socket.transport.write(_HALF_A_MESSAGE)
            self._socket.transport.abort()
        else:
            await self._socket.close(ending.code, ending.reason)


def parsed(message: str | bytes) -> Json | None:
    """The event in ``message``; None when it is not a JSON object in a text frame."""
    if isinstance(message, bytes):
        return None
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
