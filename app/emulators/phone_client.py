"""A program that is a telephone of the local line, on the socket that browser tabs use.

The messages are those of `app/emulators/phone_socket.py`. Rule: it plays by its own clock and
returns a mark when it has played up to it, or dropped what was before it, and never sooner;
what the agent believes was heard is then what this phone heard.

    async with PhoneClient(setup) as line:
        recording = await ScriptedPhone(script, voice=voice).place(line)
"""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp

from app.emulators.phone import Phone
from app.emulators.phone_outbox import Outbox
from app.emulators.twilio_words import monotonic_ms

LOST = "line_lost"
"""Why the call ended when the socket did."""
_TOLD = frozenset(
    {"start", "stop", "said", "dialling", "bridged", "sms", "problem", "clear", "ringing-over"}
)
_ANSWER_S = 10.0
_WORDS_BYTES = 1024 * 1024
_REPLACED_CODE = 4000


class LineFault(Exception):
    """The line cannot be used; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class LineSetup:
    """Where the telephones of a server are, as its page is told."""

    url: str
    ticket: str = field(repr=False)


class ClientCall:
    """A call on the socket, for the phone that placed it."""

    def __init__(self, phone: Phone, outbox: Outbox) -> None:
        self.call_sid = ""
        self.trouble: str | None = None
        """The newest sentence of a ``problem``."""
        self._phone = phone
        self._outbox = outbox
        self._line = phone.line(monotonic_ms(), self._return_due)
        self._talking = False
        self._ended_by: str | None = None
        self._placed = asyncio.Event()
        self._over = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    async def placed(self) -> None:
        """Return when the carrier has a name for the call. Raises ``LineFault``."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._placed.wait()
        except TimeoutError:
            raise LineFault(f"The line did not dial within {_ANSWER_S:g} s.") from None
        if not self.call_sid:
            raise LineFault(self.trouble or "The line was lost before it had dialled.")

    async def take_frame(self, mulaw: bytes) -> None:
        """20 ms the phone says; dropped before somebody listens."""
        if self._talking:
            payload = base64.b64encode(mulaw).decode()
            self._outbox.put_audio(f'{{"event":"media","media":{{"payload":"{payload}"}}}}')

    async def press(self, digit: str) -> None:
        """A key of the phone."""
        self._send("dtmf", dtmf={"digit": digit})

    async def hang_up(self) -> None:
        """Put the receiver down. Safe to repeat."""
        if not self._over.is_set():
            self._send("hangup")

    async def ended(self) -> str:
        """Who ended it: caller, agent, person or carrier; waits no longer than ten seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await self._over.wait()
        if self._ended_by is None:
            self.end("carrier", LOST)
        return self._ended_by or "carrier"

    def hear(self, message: dict[str, Any]) -> None:
        """One message of the carrier's; what is not known is not for us."""
        event, now_ms = message.get("event"), monotonic_ms()
        if event == "media":
            self._send_marks(self._line.advance(now_ms))
            self._line.play(_audio(message), now_ms)
        elif event == "mark":
            self._send_marks(self._line.mark(str(message["mark"]["name"]), now_ms))
        elif event == "clear":
            self._send_marks(self._line.clear(now_ms))
        elif event == "hungup":
            self.end(str(message.get("by")), str(message.get("reason")))
        elif event == "calling":
            self.call_sid = str(message.get("callSid"))
            self._placed.set()
        self._tell(str(event), message)
        self._arm()

    def end(self, by: str, reason: str) -> None:
        """It is over; a second time changes nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._over.is_set():
            return
        self._ended_by, self._talking = by, False
        self._phone.over(self, by, reason)
        self._over.set()
        self._placed.set()

    def _tell(self, event: str, message: dict[str, Any]) -> None:
        if event in ("start", "bridged"):
            self._talking = True
        if event == "problem":
            self.trouble = str(message.get("sentence"))
            # Before it has a name, a call that is refused never will have one.
            self._placed.set()
        if event in _TOLD:
            self._phone.tell(event, **{k: v for k, v in message.items() if k != "event"})

    def _send(self, event: str, **fields: Any) -> None:
        self._outbox.put(json.dumps({"event": event, **fields}))

    def _send_marks(self, names: Sequence[str]) -> None:
        for name in names:
            self._send("mark", mark={"name": name})

    def _return_due(self) -> None:
        self._send_marks(self._line.advance(monotonic_ms()))
        self._arm()

    def _arm(self) -> None:
        """Look again when the next mark is due."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due_ms = self._line.next_mark_at_ms()
        if due_ms is not None and not self._over.is_set():
            wait_s = max(0.0, due_ms - monotonic_ms()) / 1000
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._return_due)


class PhoneClient:
    """One registered phone, of which ``dial`` calls the agent. Use it with ``async with``."""

    def __init__(self, setup: LineSetup) -> None:
        self._setup = setup
        self._outbox = Outbox()
        self._call: ClientCall | None = None
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "PhoneClient":
        """Register. Raises ``LineFault``."""
        query = urlencode({"ticket": self._setup.ticket, "line": "caller"})
        async with contextlib.AsyncExitStack() as opening:
            client = await opening.enter_async_context(aiohttp.ClientSession())
            try:
                async with asyncio.timeout(_ANSWER_S):
                    socket = await client.ws_connect(
                        f"{self._setup.url}?{query}", max_msg_size=_WORDS_BYTES
                    )
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                raise LineFault(f"The line at {self._setup.url} does not answer: {exc}.") from exc
            opening.push_async_callback(socket.close)
            for work in (self._read(socket), self._write(socket)):
                opening.push_async_callback(_cancelled, asyncio.create_task(work))
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Leave: a call that is still going on is hung up by that."""
        await self._open.__aexit__(*error)

    @property
    def trouble(self) -> str | None:
        """What the carrier said went wrong last."""
        return self._call.trouble if self._call is not None else None

    async def dial(self, phone: Phone) -> ClientCall:
        """Call the agent. Raises ``LineFault`` when the carrier would not."""
        call = self._call = ClientCall(phone, self._outbox)
        self._outbox.put('{"event":"dial"}')
        await call.placed()
        return call

    def text(self, body: str) -> None:
        """Send the agent a text message."""
        self._outbox.put(json.dumps({"event": "text", "body": body}))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT and self._call is not None:
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                    self._call.hear(json.loads(message.data))
        if self._call is not None:
            reason = "replaced" if socket.close_code == _REPLACED_CODE else LOST
            self._call.end("carrier", reason)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            while (text := await self._outbox.next()) is not None:
                await socket.send_str(text)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _audio(message: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(message["media"]["payload"], validate=True)
    except binascii.Error:
        return b""
