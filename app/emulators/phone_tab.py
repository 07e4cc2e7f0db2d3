"""A telephone at the other end of a socket: a browser tab, or any program that talks like one.

The messages are those of `app/emulators/phone_socket.py`. Rule: the tab's word counts for what
the tab knows (what it said, what it played, that it hung up) and for nothing else: what comes
at the wrong moment is counted and changes nothing.

    free -> ringing -> talking -> free          gone: from anywhere, for good
"""

import asyncio
import base64
import binascii
import contextlib
import enum
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from app.emulators.phone import Answer, Leg, Line, Voice
from app.emulators.phone_book import Extension
from app.emulators.phone_mouth import Mouth
from app.emulators.phone_outbox import Outbox
from app.emulators.phone_relay import RelayedLine
from app.emulators.twilio_tasks import OwnedTasks
from app.protocol.units import BYTES_PER_MS, FRAME_BYTES

KEYS = "0123456789*#ABCD"
REPLACED_CODE = 4000
MOST_TEXT = 1_600
"""Characters of a text message."""
_PIECE_BYTES = 100 * FRAME_BYTES
"""Two seconds in one message: far below what either side takes."""
_OWN_MARK = "the carrier's own "
_PLAY_OUT_GRACE_MS = 2_000


class _State(enum.Enum):
    FREE = "free"
    RINGING = "ringing"
    TALKING = "talking"
    GONE = "gone"


class Dialler(Protocol):
    """Places the calls of a phone."""

    async def dial(self, phone: "TabPhone") -> None:
        """Call the agent's number; the phone is asked to ``take_up`` its leg."""
        ...

    def text(self, extension: Extension, body: str) -> None:
        """Send the agent's number a text message from this extension's."""
        ...


class TabPhone:
    """One registered phone. ``hear`` takes its messages, ``outbox`` holds what it is to get."""

    def __init__(
        self, extension: Extension, *, voice: Voice, dialler: Dialler, tasks: OwnedTasks
    ) -> None:
        self.outbox = Outbox()
        self.ignored = 0
        """Messages that meant nothing, at all or at that moment."""
        self.line_name = extension.name
        self._extension = extension
        self._voice = voice
        self._dialler = dialler
        self._tasks = tasks
        self._state = _State.FREE
        self._leg: Leg | None = None
        self._mouth: Mouth | None = None
        self._speaking: list[asyncio.Task[None]] = []
        self._ringing: asyncio.Future[Answer] | None = None
        self._line: RelayedLine | None = None
        self._marks = itertools.count(1)
        self._played_out: dict[str, asyncio.Event] = {}
        self.tell(
            "ready", line=extension.name, number=extension.number, voice=voice.rung.split(" ")[0]
        )

    @property
    def free(self) -> bool:
        """Whether it can ring or dial."""
        return self._state is _State.FREE

    def ring(
        self, leg: Leg, *, call_sid: str, from_: str, to: str, sentence: str
    ) -> "asyncio.Future[Answer]":
        """Ring; the future says what became of it. A phone that is not free declines."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self.free:
            answer.set_result(Answer.DECLINED)
            return answer
        self._state, self._leg, self._ringing = _State.RINGING, leg, answer
        self.tell("ring", callSid=call_sid, **{"from": from_}, to=to, sentence=sentence)
        return answer

    def take_up(self, leg: Leg) -> None:
        """Talk on ``leg`` from now on, until it is over."""
        self._state, self._leg = _State.TALKING, leg
        self._mouth = mouth = Mouth(leg, self._voice)
        self._speaking = [
            self._tasks.start(mouth.pace(), name="phone frames"),
            self._tasks.start(mouth.speak(), name="phone voice"),
        ]

    def over(self, leg: Leg, by: str, reason: str) -> None:
        """The leg is over: ``ringing-over`` or ``hungup``; nothing if it is another's."""
        if leg is not self._leg or self._state is _State.GONE:
            return
        ringing = self._state is _State.RINGING
        self._let_go()
        self._state = _State.FREE
        if ringing:
            self.tell("ringing-over")
        else:
            self.tell("hungup", by=by, reason=reason)

    def tell(self, event: str, **fields: Any) -> None:
        """One message; never blocks."""
        self.outbox.put(json.dumps({"event": event, **fields}))

    def refuse(self, code: str, sentence: str) -> None:
        """Something went wrong, in words for the person."""
        self.tell("problem", code=code, sentence=sentence)

    def line(self, now_ms: float, marks_came: Callable[[], None]) -> Line:
        """What a stream plays to: the tab, whose word counts for the marks."""
        self._line = RelayedLine(self, now_ms, marks_came)
        return self._line

    def play(self, mulaw: bytes) -> None:
        """Relay audio, in pieces that fit."""
        for at in range(0, len(mulaw), _PIECE_BYTES):
            payload = base64.b64encode(mulaw[at : at + _PIECE_BYTES]).decode()
            self.outbox.put_audio(f'{{"event":"media","media":{{"payload":"{payload}"}}}}')

    def mark(self, name: str) -> None:
        """Ask for a mark to come back."""
        self.tell("mark", mark={"name": name})

    async def play_out(self, mulaw: bytes) -> None:
        """Relay audio until the tab says that it was played, or should have."""
        if self._state is not _State.TALKING:
            return
        name = f"{_OWN_MARK}{next(self._marks)}"
        heard = self._played_out[name] = asyncio.Event()
        self.play(mulaw)
        self.mark(name)
        limit_ms = len(mulaw) / BYTES_PER_MS + _PLAY_OUT_GRACE_MS
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_ms / 1000):
                    await heard.wait()
        except asyncio.CancelledError:
            self.clear()
            raise
        finally:
            self._played_out.pop(name, None)

    def clear(self) -> None:
        """Let nothing more be heard of what was sent."""
        self.outbox.clear()
        self.tell("clear")

    async def hear(self, text: str) -> None:
        """One message of the tab's; what is no message is counted."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        event = message.get("event") if isinstance(message, dict) else None
        act = self._acts.get(event) if isinstance(event, str) else None
        if act is None or not isinstance(message, dict):
            self.ignored += 1
            return
        try:
            await act(self, message)
        except asyncio.QueueFull:
            # Orders the call has not come round to: more of them say nothing new.
            self.ignored += 1

    async def leave(self, code: int) -> None:
        """The socket is gone, or is to be closed with ``code``: hang up, for good."""
        if self._state is _State.GONE:
            return
        leg, ringing = self._leg, self._ringing
        talking = self._state is _State.TALKING
        self._let_go()
        self._state = _State.GONE
        self.outbox.close(code)
        if ringing is not None and not ringing.done():
            ringing.set_result(Answer.GONE)
        if talking and leg is not None:
            await leg.hang_up()

    def _let_go(self) -> None:
        for task in self._speaking:
            task.cancel()
        for event in self._played_out.values():
            event.set()
        self._speaking = []
        self._leg = self._mouth = self._ringing = self._line = None

    async def _dial(self, _message: dict[str, Any]) -> None:
        if self.line_name != "caller":
            self.refuse("refused", "This phone is the one that is called; it does not dial.")
        elif not self.free:
            self.refuse("busy", "There is a call on this phone already.")
        else:
            await self._dialler.dial(self)

    async def _answer(self, _message: dict[str, Any]) -> None:
        if self._ringing is None or self._leg is None or self._ringing.done():
            self.ignored += 1
            return
        ringing, self._ringing = self._ringing, None
        self.take_up(self._leg)
        ringing.set_result(Answer.ANSWERED)

    async def _decline(self, _message: dict[str, Any]) -> None:
        if self._ringing is None or self._ringing.done():
            self.ignored += 1
        else:
            self._ringing.set_result(Answer.DECLINED)

    async def _hang_up(self, message: dict[str, Any]) -> None:
        if self._state is _State.RINGING:
            await self._decline(message)
        elif self._leg is not None:
            await self._leg.hang_up()
        else:
            self.ignored += 1

    async def _media(self, message: dict[str, Any]) -> None:
        frame = _frame(message.get("media"))
        if self._mouth is None or frame is None:
            self.ignored += 1
        else:
            await self._mouth.take(frame)

    async def _dtmf(self, message: dict[str, Any]) -> None:
        digit = _field(message, "dtmf", "digit")
        is_key = digit is not None and len(digit) == 1 and digit in KEYS
        if is_key and self._state is _State.TALKING and self._leg is not None:
            await self._leg.press(digit or "")
        else:
            self.ignored += 1

    async def _mark(self, message: dict[str, Any]) -> None:
        name = _field(message, "mark", "name") or ""
        own = self._played_out.get(name)
        if own is not None:
            own.set()
        elif self._line is None or not self._line.came_back(name):
            self.ignored += 1

    async def _say(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        if not isinstance(text, str) or not text.strip():
            self.ignored += 1
        elif self._voice.rung == "none":
            self.refuse("no_voice", "No voice is installed here: flite or espeak-ng would be one.")
        elif self._mouth is None:
            self.refuse("no_call", "There is no call to say it in.")
        elif not self._mouth.say(" ".join(text.split())):
            self.refuse("too_much", "That is too much to say at once.")

    async def _text(self, message: dict[str, Any]) -> None:
        body = message.get("body")
        if isinstance(body, str) and 0 < len(body.strip()) <= MOST_TEXT:
            self._dialler.text(self._extension, body)
        else:
            self.ignored += 1

    _acts: ClassVar[dict[str, Callable[["TabPhone", dict[str, Any]], Awaitable[None]]]] = {
        "dial": _dial,
        "answer": _answer,
        "decline": _decline,
        "hangup": _hang_up,
        "media": _media,
        "dtmf": _dtmf,
        "mark": _mark,
        "say": _say,
        "text": _text,
    }


def _field(message: dict[str, Any], outer: str, inner: str) -> str | None:
    found = message.get(outer)
    value = found.get(inner) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _frame(media: Any) -> bytes | None:
    """The 20 ms of a media message; None for anything else."""
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str):
        return None
    try:
        frame = base64.b64decode(payload.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return frame if len(frame) == FRAME_BYTES else None
