"""Faults that nobody foresaw: they cost a turn or a rung, and never the session."""

import asyncio
import base64
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from structlog.testing import capture_logs

from app.audio import mulaw
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_turns import Ask, Output, Speech
from app.local import stock
from app.local.brain import LocalBrain
from app.local.decoding import available
from app.local.detector import EnergyAndWebRtc
from app.local.hear import Deaf, PocketSphinx, Transcribing
from app.local.intents import COMMON
from app.local.llm import LanguageModel
from app.local.ports import NOTHING, Hear, Intent, Speak, Think, Understood
from app.local.prompts import Prompts
from app.local.remote import Remote
from app.local.speak import Voice
from app.local.think import Rules
from app.local.wording import intent_of
from tests.local.servers import compatible
from tests.local.test_process import SESSION, events, local_model
from tests.local.utterances import utterances
from tests.needs import needs

CALLER = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
TURN = Ask("turn", False, "", (), {}, (CALLER,))


class OddFault(Exception):
    """Named by nobody."""


class BrokenEars:
    """Fail wherever they are told to."""

    rung = "broken"

    def __init__(self, *where: str) -> None:
        self.where = where

    def _at(self, place: str) -> None:
        if place in self.where:
            raise OddFault(place)

    def begin(self, intents: Sequence[Intent]) -> None:
        """A turn begins."""
        self._at("begin")

    def feed(self, linear: bytes) -> None:
        """More of it."""
        self._at("feed")

    def end(self) -> Coroutine[Any, Any, Understood]:
        """It ends."""
        self._at("end")
        return self._end()

    async def _end(self) -> Understood:
        self._at("understanding")
        return NOTHING


class BrokenWits:
    """Fail at everything."""

    rung = "broken"

    def configure(self, session: Mapping[str, Any]) -> None:
        """Fails."""
        raise OddFault

    def expects(self) -> Sequence[Intent]:
        """Fails."""
        raise OddFault

    async def reply(self, ask: Ask, heard: Understood | None) -> Sequence[Output]:
        """Fails."""
        raise OddFault


class BrokenVoice:
    """Fails at everything."""

    rung = "broken voice"

    async def say(self, text: str) -> bytes:
        """Fails."""
        raise OddFault

    async def sentence(self, text: str) -> bytes:
        """Fails."""
        raise OddFault


def _ports(what: str) -> tuple[Hear, Think, Speak]:
    ears: Hear = BrokenEars(what)
    wits: Think = BrokenWits() if what == "wits" else Rules(intent_of)
    voice: Speak = BrokenVoice() if what == "voice" else Voice([], Prompts.stored())
    return ears, wits, voice


@pytest.mark.parametrize("what", ["begin", "feed", "end", "understanding", "wits", "voice"])
async def test_the_session_goes_on_whatever_fails_in_a_turn(what: str) -> None:
    """One fault of the decoder's ended the session, and with it the caller's model line."""
    frames = mulaw.silence(500) + utterances()[0].audio + mulaw.silence(1200)
    async with (
        RealtimeEmulator(lambda: LocalBrain(*_ports(what)), keep_audio=False, pace=50.0) as model,
        AsyncOpenAI(base_url=model.base_url, api_key="sk-local", max_retries=0) as client,
        client.realtime.connect(model="any") as line,
    ):
        await line.session.update(session=SESSION)  # type: ignore[arg-type]
        for _ in range(2):
            for at in range(0, len(frames), 1600):
                sound = base64.b64encode(frames[at : at + 1600]).decode()
                await line.input_audio_buffer.append(audio=sound)
            told = await events(line, "response.done")
            said = [one.transcript for one in told if hasattr(one, "transcript")]
            assert said[-1].startswith("Sorry, I ")
            assert told[-1].response.status == "completed"  # type: ignore[attr-defined]


async def test_a_fault_is_told_once_for_each_kind() -> None:
    """Fifty frames a second fail alike, in every call."""

    class FaultOfTheLog(Exception):
        pass

    class Ears(BrokenEars):
        def feed(self, linear: bytes) -> None:
            raise FaultOfTheLog("the caller's own words")

    with capture_logs() as told:
        for _ in range(2):
            brain = LocalBrain(Ears(), Rules(intent_of), Voice([], Prompts.stored()))
            for _ in range(3):
                brain.listen(b"\xff" * 160, "audio/pcmu")

    assert [(one["part"], one["kind"]) for one in told] == [("hear", "FaultOfTheLog")]
    assert "own words" not in str(told)


@needs("pocketsphinx", there=available())
async def test_a_decoder_that_failed_is_made_anew_for_the_next_turn() -> None:
    """One that is stuck in an utterance refuses every further one."""
    ears = PocketSphinx()
    spoken = next(one for one in utterances() if one.text == "thank you goodbye")
    turns = []
    for stuck in (True, False):
        ears.begin((*COMMON, Intent("end", ("[thank you] goodbye",))))
        if stuck and ears._closed is not None:
            ears._closed._decoder.raw.start_utt()
        ears.feed(mulaw.decode(spoken.audio))
        turns.append(await ears.end())

    assert turns == [NOTHING, Understood("thank you goodbye", "end")]


@needs("pocketsphinx", there=available())
def test_a_voice_detector_that_fails_leaves_the_judging_to_the_level() -> None:
    """It is asked fifty times a second, in the task that reads the session's socket."""
    detector = EnergyAndWebRtc()
    loud = (b"\x00\x40" + b"\x00\xc0") * 40
    for _ in range(20):
        assert not detector.is_speech(bytes(320), 0.5)

    # Half a frame is something WebRTC's refuses.
    assert detector.is_speech(loud, 0.5) is True


async def test_an_answer_nobody_can_use_is_answered_by_the_rules() -> None:
    """An item that is no chat message was the end of the session."""
    said = {"choices": [{"message": {"content": "Yes?"}}]}
    async with compatible(said) as server:
        remote = Remote("LLM_BASE_URL", server.base_url)
        wits = LanguageModel(remote, "small", Rules(intent_of))
        odd = {"type": "message", "content": [{"text": "a message of nobody"}]}
        answer = await wits.reply(Ask("turn", False, "", (), {}, (odd, CALLER)), NOTHING)
        await remote.close()

    assert answer == [Speech(stock.NOT_CAUGHT)]


async def test_a_transcription_that_fails_oddly_is_left_to_the_local_ears() -> None:
    """Half a sample cannot be made a WAV of."""
    async with compatible({"text": "yes"}) as server:
        remote = Remote("STT_BASE_URL", server.base_url)
        ears = Transcribing(remote, "", Deaf())
        ears.begin(COMMON)
        ears.feed(b"\x00")
        understood = await ears.end()
        await remote.close()

    assert understood == NOTHING


async def test_a_voice_that_fails_oddly_is_mended_by_the_next() -> None:
    """A server's WAV may be one that our own tools choke on."""
    voice = Voice([BrokenVoice()], Prompts({"Hello.": (0, 3)}, b"abc"))

    assert await voice.say("Hello.") == b"abc"


async def test_a_recogniser_that_cannot_be_loaded_is_a_step_down(tmp_path: Path) -> None:
    """A wheel for another machine is found, and fails when it is imported."""
    (tmp_path / "pocketsphinx.py").write_text("raise OSError('libasound.so.2: no such file')")
    broken = {**os.environ, "PYTHONPATH": str(tmp_path)}

    async with (
        local_model(env=broken) as (client, ready),
        client.realtime.connect(model="any") as line,
    ):
        await events(line, "session.created")

    assert ready["hear"].startswith("typed text and keypad")
    assert "libasound.so.2" in ready["hear"]


async def test_the_start_survives_a_recogniser_that_breaks_when_it_is_made(tmp_path: Path) -> None:
    """Importing it is not yet having it."""
    (tmp_path / "pocketsphinx.py").write_text("from os.path import join as get_model_path")
    program = "from app.local.decoding import available; raise SystemExit(available())"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )

    assert await process.wait() == 0
