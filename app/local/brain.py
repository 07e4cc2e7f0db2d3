"""What stands behind the local model's mouth: one call's ears, wits and voice put together.

A turn is decoded while it is spoken, so that little is left to do when it ends. Whoever needs
what was said, the transcript and the answer, waits for the same decoding. Rule: whatever of
the three fails, there is an answer; silence is nobody's.
"""

import asyncio
import audioop
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from app.audio import mulaw
from app.emulators.realtime_turns import Ask, Brain, Heard, Output, Plan, Speech
from app.local import stock
from app.local.budget import FIRST_S, TURN_S, until
from app.local.detector import best_detector
from app.local.foreign import Attempt
from app.local.hear import Deaf
from app.local.ports import NOTHING, Detector, Hear, Intent, Speak, Think, Understood
from app.local.think import verbatim
from app.protocol.units import BYTES_PER_MS, SAMPLE_RATE_HZ

_SAMPLE_BYTES = 2
_PCM_RATE_HZ = 24_000
_CHARS_PER_S = 15
"""How fast a caption is read where nothing can speak."""


class LocalBrain(Brain):
    """One session's. ``attend``, ``listen``, ``turn_over``, ``answer`` come in that order."""

    def __init__(self, hear: Hear, think: Think, speak: Speak) -> None:
        self._hear = hear
        self._think = think
        self._speak = speak
        self._turn: asyncio.Task[Understood] | None = None
        """The turn that has not been answered yet."""
        self._turn_until_s = 0.0
        """When its answer has to be there."""
        self._spoke = False
        """The caller has heard something."""
        self._decoding: set[asyncio.Task[Understood]] = set()
        self._rate: Any = None
        self._attending = False
        """The caller is speaking."""

    def detector(self) -> Detector:
        """Energy and, where it is installed, WebRTC's judgement."""
        return best_detector()

    def attend(self) -> None:
        """Expect what the caller may want next."""
        self._rate, self._attending = None, True
        self._expect()

    def listen(self, audio: bytes, format_name: str) -> None:
        """Decode as it comes."""
        with Attempt("hear"):
            self._hear.feed(self._linear(audio, format_name))

    def turn_over(self, audio: bytes, format_name: str) -> None:
        """Decode the rest beside the conversation."""
        self._attending = False
        understanding = None
        with Attempt("hear"):
            understanding = self._hear.end()
        self._turn_until_s = self._due_s()
        with until(self._turn_until_s):
            self._turn = asyncio.create_task(_understood(understanding), name="understanding")
        self._decoding.add(self._turn)
        self._turn.add_done_callback(self._decoding.discard)

    def hear(self, audio: bytes, format_name: str) -> Any:
        """The words, once they are known."""
        return self._transcript(self._turn)

    async def _transcript(self, turn: asyncio.Task[Understood] | None) -> Heard:
        understood = await asyncio.shield(turn) if turn is not None else NOTHING
        return Heard(understood.text)

    async def answer(self, ask: Ask) -> Plan:
        """What is said and done; a caller who interrupts cancels it."""
        heard: Understood | None = None
        due_s = self._due_s()
        if _answers_speech(ask) and self._turn is not None:
            turn, self._turn = self._turn, None
            due_s = self._turn_until_s
            heard = await asyncio.shield(turn)
        with until(due_s):
            outputs = await self._thought(ask, heard)
            voiced = tuple([await self._voiced(output) for output in outputs])
        self._spoke = self._spoke or any(isinstance(one, Speech) for one in voiced)
        return Plan(voiced)

    def _due_s(self) -> float:
        """When servers have had their time, for what is owed from now on."""
        return monotonic() + (TURN_S if self._spoke else FIRST_S)

    async def _thought(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        with Attempt("think"):
            return await self._think.reply(ask, heard)
        apology = stock.DID_NOT_WORK if heard is None else stock.NOT_CAUGHT
        return [Speech(verbatim(ask) or apology)]

    async def _voiced(self, output: Output) -> Output:
        if not isinstance(output, Speech):
            return output
        sound = b""
        with Attempt("speak"):
            sound = await self._speak.say(output.text)
        if not sound:
            # Nothing can speak: the words stay readable for as long as they would have taken.
            sound = mulaw.silence(1000 * max(1, len(output.text) // _CHARS_PER_S))
        return replace(output, audio=sound, ms=len(sound) // BYTES_PER_MS)

    def notice(self, event: Mapping[str, Any]) -> None:
        """The tools and instructions of the session are the think port's."""
        if event["type"] == "session.update":
            with Attempt("think"):
                self._think.configure(event["session"])
            if not self._attending:
                # A grammar takes a third of a second: not when the caller begins to speak.
                self._expect()

    def _expect(self) -> None:
        expected: Sequence[Intent] = ()
        with Attempt("think"):
            expected = self._think.expects()
        with Attempt("hear"):
            self._hear.begin(expected)

    def leave(self) -> None:
        """The session is over; it may be remembered, and its decoders are large."""
        for task in self._decoding:
            task.cancel()
        self._hear = Deaf()

    def _linear(self, audio: bytes, format_name: str) -> bytes:
        """16-bit, 8 kHz, whatever the session appends."""
        if format_name == "audio/pcmu":
            return mulaw.decode(audio)
        if format_name == "audio/pcma":
            return audioop.alaw2lin(audio, _SAMPLE_BYTES)
        linear, self._rate = audioop.ratecv(
            audio, _SAMPLE_BYTES, 1, _PCM_RATE_HZ, SAMPLE_RATE_HZ, self._rate
        )
        return linear


async def _understood(understanding: Coroutine[Any, Any, Understood] | None) -> Understood:
    """What became of the turn; nothing when the ears failed."""
    with Attempt("hear"):
        return NOTHING if understanding is None else await understanding
    return NOTHING


def _answers_speech(ask: Ask) -> bool:
    """Whether the last thing that happened is that the caller spoke."""
    content = ask.items[-1].get("content") if ask.items else None
    return bool(content and content[0].get("type") == "input_audio")
