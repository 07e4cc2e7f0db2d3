"""The ladder of ears: a server first, the bundled recogniser next, and nobody left alone."""

import io
import wave
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.local.decoding import available
from app.local.hear import Deaf, Ears, PocketSphinx, Transcribing, intent_of
from app.local.ports import NOTHING, Intent, Understood
from app.local.remote import Remote
from tests.local.servers import compatible
from tests.local.utterances import intents, turn, utterances
from tests.needs import needs

needs_pocketsphinx = needs("pocketsphinx", there=available())
TURN = bytes(2 * 8 * 700)
CANCEL = (Intent("cancel", ("cancel my order",)), Intent("yes", ("yes",)))


class Local:
    """Local ears that say what they were given."""

    rung = "local"

    def __init__(self) -> None:
        self.expected: Sequence[Intent] = ()
        self.heard = b""

    def begin(self, intents: Sequence[Intent]) -> None:
        """A turn begins."""
        self.expected = intents
        self.heard = b""

    def feed(self, linear: bytes) -> None:
        """More of it."""
        self.heard += linear

    async def end(self) -> Understood:
        """Always the same."""
        return Understood("local words", "local")


async def one_turn(ears: Any, expected: Sequence[Intent] = CANCEL, linear: bytes = TURN) -> Any:
    """A turn in two pieces."""
    ears.begin(expected)
    ears.feed(linear[:320])
    ears.feed(linear[320:])
    return await ears.end()


async def test_a_server_turns_speech_to_text_and_words_to_intents() -> None:
    """The operator's own server is the best ear there is."""
    async with compatible({"text": " Well,  cancel my order, please. "}) as server:
        remote = Remote("STT_BASE_URL", server.base_url, "sk-ears")
        understood = await one_turn(Transcribing(remote, "whisper-large", Local()))
        await remote.close()

    path, body = server.asked[0]
    assert understood == Understood("Well, cancel my order, please.", "cancel")
    assert path == "/v1/audio/transcriptions"
    assert server.keys == ["Bearer sk-ears"]
    assert b"whisper-large" in body
    with wave.open(io.BytesIO(body[body.index(b"RIFF") :])) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (16000, 2, 1)
        assert abs(sound.getnframes() - len(TURN)) <= 1, "twice as many as at 8 kHz"


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("<html>Sign in</html>", {"kind": "text/html"}),
        (b"\x00\xff", {"kind": "application/octet-stream"}),
        ({"detail": "no such model"}, {"status": 404}),
        ({"words": []}, {}),
        ({"text": None}, {}),
        ([], {}),
    ],
)
async def test_whatever_else_a_server_answers_is_the_next_ears_turn(
    answer: Any, how: dict[str, Any]
) -> None:
    """One turn, one line in the log that says what came; the caller notices nothing."""
    local = Local()
    async with compatible(answer, **how) as server:
        remote = Remote("STT_BASE_URL", server.base_url)
        with capture_logs() as lines:
            understood = await one_turn(Transcribing(remote, "", local))
        await remote.close()

    assert understood == Understood("local words", "local")
    assert (local.expected, local.heard) == (CANCEL, TURN)
    assert [line["event"] for line in lines] == ["transcription_failed"]
    assert "STT_BASE_URL" in lines[0]["why"]


async def test_a_server_that_is_not_there_costs_its_turn_only() -> None:
    """It may be started later."""
    remote = Remote("STT_BASE_URL", "http://127.0.0.1:9/v1")

    understood = await one_turn(Transcribing(remote, "", Local()))
    await remote.close()

    assert understood == Understood("local words", "local")


async def test_an_empty_turn_is_not_sent() -> None:
    """There is nothing to transcribe."""
    remote = Remote("STT_BASE_URL", "http://127.0.0.1:9/v1")

    assert await one_turn(Transcribing(remote, "", Local()), linear=b"") == NOTHING


def test_the_best_that_is_there_is_taken() -> None:
    """And named, for the log and the page."""
    remote = Remote("STT_BASE_URL", "http://127.0.0.1:9/v1")

    assert Ears(remote, "m").of_call().rung == "speech-to-text server"
    assert Ears().of_call().rung == (PocketSphinx if available() else Deaf).rung


async def test_without_a_recogniser_speech_is_nothing() -> None:
    """The caller types, or presses keys."""
    assert await one_turn(Deaf()) == NOTHING


@needs_pocketsphinx
async def test_a_phrase_that_cannot_be_listened_for_is_left_out() -> None:
    """A slip in a document must not make the agent deaf to the rest of it."""
    ears = PocketSphinx()
    said = next(one for one in utterances() if one.text == "no thank you")

    with capture_logs() as lines:
        understood = await one_turn(
            ears,
            (Intent("always", ("open 24/7", "open all day")), Intent("no", ("no thank you",))),
            turn(said.audio),
        )

    assert understood == Understood("no thank you", "no")
    assert [line["intent"] for line in lines] == ["always"]
    assert '"24/7"' in lines[0]["why"]


@needs_pocketsphinx
async def test_where_nothing_is_expected_any_words_are_heard() -> None:
    """For the language model of the operator: key words survive, sentences do not."""
    ears = PocketSphinx()
    said = next(
        one
        for one in utterances()
        if one.text == "what are your opening hours" and one.voice == "flite rms"
    )

    understood = await one_turn(ears, (), turn(said.audio))

    assert understood.intent is None
    assert {"opening", "hours"} & set(understood.text.split())


@needs_pocketsphinx
async def test_the_eleven_intents_are_heard_through_the_ladder() -> None:
    """What a call does, turn after turn."""
    ears = Ears().of_call()
    said = [one for one in utterances() if one.voice == "flite rms" and one.intent][::5]

    heard = [(await one_turn(ears, intents(), turn(one.audio))).intent for one in said]

    assert heard == [one.intent for one in said]


def test_the_ladder_offers_the_reading_of_written_words() -> None:
    """Typed text goes the same way as a transcript."""
    assert intent_of("cancel my order!", CANCEL) == "cancel"
