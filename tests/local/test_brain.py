"""Ears, wits and voice together: what waits for what, and what happens when one has nothing."""

import asyncio
import gc
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from app.audio import mulaw
from app.emulators.realtime_turns import Ask, Heard, Output, Plan, Speech, ToolUse
from app.local.brain import LocalBrain
from app.local.ports import Intent, Understood

CALLER = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
TURN = Ask("turn", False, "", (), {}, (CALLER,))
GREETING = Ask("client", False, "", (), {}, ())


class Ears:
    """Understands a turn when told to."""

    rung = "told"

    def __init__(self) -> None:
        self.expected: list[tuple[str, ...]] = []
        self.fed = bytearray()
        self.understood: asyncio.Future[Understood] = asyncio.Future()

    def begin(self, intents: Sequence[Intent]) -> None:
        """A turn begins."""
        self.expected.append(tuple(intent.name for intent in intents))
        self.fed.clear()

    def feed(self, linear: bytes) -> None:
        """More of it."""
        self.fed += linear

    def end(self) -> Coroutine[Any, Any, Understood]:
        """What the test says."""
        return self._end()

    async def _end(self) -> Understood:
        return await self.understood


class Wits:
    """Says what it heard, and calls a tool."""

    rung = "echo"

    def __init__(self) -> None:
        self.heard: list[Understood | None] = []

    def configure(self, session: Mapping[str, Any]) -> None:
        """Nothing to configure."""

    def expects(self) -> Sequence[Intent]:
        """One intent."""
        return [Intent("yes", ("yes",))]

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """An echo."""
        self.heard.append(heard)
        return [Speech(heard.text if heard else "Hello."), ToolUse("look_up")]


class Mouth:
    """A beep, or nothing."""

    rung = "beep"

    def __init__(self, sound: bytes = b"\x00" * 800) -> None:
        self.sound = sound

    async def say(self, text: str) -> bytes:
        """The same for every text."""
        return self.sound


def _speak(brain: LocalBrain) -> None:
    brain.attend()
    brain.listen(mulaw.silence(100), "audio/pcmu")
    brain.turn_over(mulaw.silence(100), "audio/pcmu")


async def _plan(brain: LocalBrain, ask: Ask) -> Plan:
    return await brain.answer(ask)


async def test_answer_and_transcript_wait_for_the_same_decoding() -> None:
    """A turn is decoded once, whoever asks first."""
    ears, wits = Ears(), Wits()
    brain = LocalBrain(ears, wits, Mouth())
    _speak(brain)
    transcript = asyncio.ensure_future(brain.hear(b"", "audio/pcmu"))
    answer = asyncio.ensure_future(_plan(brain, TURN))
    await asyncio.sleep(0)

    assert not transcript.done()
    assert not answer.done()
    ears.understood.set_result(Understood("yes", "yes"))

    assert await transcript == Heard("yes")
    assert (await answer).outputs == (
        Speech("yes", ms=100, audio=b"\x00" * 800),
        ToolUse("look_up"),
    )
    assert wits.heard == [Understood("yes", "yes")]


async def test_who_interrupts_an_answer_does_not_lose_the_turn() -> None:
    """The transcript of what was said is still owed when its answer was cancelled."""
    ears = Ears()
    brain = LocalBrain(ears, Wits(), Mouth())
    _speak(brain)
    transcript = asyncio.ensure_future(brain.hear(b"", "audio/pcmu"))
    answer = asyncio.ensure_future(_plan(brain, TURN))
    await asyncio.sleep(0)
    answer.cancel()
    await asyncio.wait({answer})
    ears.understood.set_result(Understood("yes", "yes"))

    assert answer.cancelled()
    assert await transcript == Heard("yes")


async def test_a_greeting_waits_for_no_turn() -> None:
    """It answers nothing the caller said."""
    wits = Wits()
    plan = await _plan(LocalBrain(Ears(), wits, Mouth()), GREETING)

    assert plan.outputs[0] == Speech("Hello.", ms=100, audio=b"\x00" * 800)
    assert wits.heard == [None]


async def test_where_nothing_can_speak_the_words_take_their_time() -> None:
    """A caption that is over at once cannot be read, and the call would run away."""
    plan = await _plan(LocalBrain(Ears(), Wits(), Mouth(b"")), GREETING)

    said = plan.outputs[0]
    assert isinstance(said, Speech)
    assert said.audio == mulaw.silence(1000)


async def test_a_session_that_is_set_anew_does_not_forget_who_is_speaking() -> None:
    """An update may come at any moment; the turn it falls into goes on."""
    ears = Ears()
    brain = LocalBrain(ears, Wits(), Mouth())
    update = {"type": "session.update", "session": {"type": "realtime"}}

    brain.notice(update)
    brain.attend()
    brain.listen(b"\xff" * 160, "audio/pcmu")
    brain.notice(update)

    assert ears.expected == [("yes",), ("yes",)]
    assert len(ears.fed) == 320


async def test_the_end_of_a_session_ends_its_decoding() -> None:
    """Nobody is left to hear what was understood."""
    brain = LocalBrain(Ears(), Wits(), Mouth())
    _speak(brain)
    transcript = asyncio.ensure_future(brain.hear(b"", "audio/pcmu"))
    await asyncio.sleep(0)

    brain.leave()
    await asyncio.wait({transcript})

    assert transcript.cancelled()


async def test_the_ears_of_a_call_end_with_it() -> None:
    """Closed sessions are remembered, and eight of them kept their decoders for weeks."""
    ears = Ears()
    gone = weakref.ref(ears)
    brain = LocalBrain(ears, Wits(), Mouth())
    del ears

    brain.leave()
    gc.collect()

    assert gone() is None
