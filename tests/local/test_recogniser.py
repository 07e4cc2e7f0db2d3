"""The bundled recogniser on 150 stored utterances. ``scripts/hearing_report.py`` tells more."""

import asyncio
import audioop
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from app.local.decoding import available
from app.local.grammar import grammar_of
from app.local.ports import NOTHING, Intent
from app.local.recogniser import GrammarRecogniser
from tests.local.utterances import (
    Utterance,
    frames,
    held_out,
    intents,
    turn,
    utterances,
    voices,
)
from tests.needs import needs

pytestmark = needs("pocketsphinx", there=available())

EXPECTED = tuple(one for one in utterances() if one.intent)
HELD_OUT = held_out()[:60]
"""Those in the grammar. Asserted of them are floors only: nothing may be tuned on them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one utterance was taken for."""

    wanted: str | None
    streamed: str | None
    """Before any doubt."""
    believed: str | None


async def outcomes(
    said: Sequence[Utterance],
    *,
    snr_db: float | None = None,
    doubting: bool = True,
    narrow: bool = False,
) -> list[Outcome]:
    """Each voice is a call of its own, as a caller is. Not doubting saves half of the time."""
    grammar = grammar_of(intents())
    out = []
    for voice in voices(said):
        recogniser = GrammarRecogniser()
        for one in (one for one in said if one.voice == voice):
            recogniser.begin(grammar)
            sound = turn(one.audio, snr_db=snr_db, seed=len(one.audio), narrow=narrow)
            for frame in frames(sound):
                recogniser.feed(frame)
            ending = recogniser.end()
            understood = await ending if doubting else NOTHING
            ending.close()
            first = grammar.intent_of(recogniser.first)
            out.append(Outcome(one.intent, first, understood.intent))
    return out


def share(facts: Iterable[bool]) -> float:
    """How many of them are true."""
    listed = list(facts)
    return sum(listed) / len(listed)


async def test_callers_in_a_quiet_room_are_understood() -> None:
    """Required: 0.93, and with the agreement rule at most 0.02 taken for another. Half of the
    150 here, all in the report."""
    heard = await outcomes(EXPECTED[1::2])

    assert len(EXPECTED) == 150
    assert share(one.streamed == one.wanted for one in heard) >= 0.93
    assert share(one.believed == one.wanted for one in heard) >= 0.90
    assert share(one.believed not in {None, one.wanted} for one in heard) <= 0.02


async def test_callers_in_noise_are_understood_mostly() -> None:
    """Required: 0.85 at 20 dB above white noise. A fifth of them here, all in the report."""
    heard = await outcomes(EXPECTED[::5], snr_db=20, doubting=False)

    assert share(one.streamed == one.wanted for one in heard) >= 0.85


async def test_unrelated_sentences_are_mostly_refused() -> None:
    """A grammar hears one of its sentences in almost anything; the doubt is what refuses."""
    heard = await outcomes([one for one in utterances() if one.intent is None][::3])

    assert share(one.streamed is not None for one in heard) > 0.5
    assert share(one.believed is not None for one in heard) <= 0.25


async def test_voices_and_words_nothing_was_tuned_on_are_seldom_taken_for_others() -> None:
    """50 of 60 were right and none wrong when they were first heard, 2026-11-21."""
    heard = await outcomes(HELD_OUT[::3])

    assert share(one.believed == one.wanted for one in heard) >= 0.75
    assert share(one.believed not in {None, one.wanted} for one in heard) <= 0.05


async def test_a_sharply_cut_band_is_asked_again_rather_than_misunderstood() -> None:
    """300 to 3400 Hz cost 8 of 60; what was lost was refused and not taken for another."""
    heard = await outcomes(HELD_OUT[1::4], narrow=True)

    assert share(one.believed == one.wanted for one in heard) >= 0.5
    assert share(one.believed not in {None, one.wanted} for one in heard) <= 0.1


@pytest.mark.parametrize("louder_db", [-14, 8])
async def test_quiet_and_loud_callers_are_understood(louder_db: int) -> None:
    """Without gain a caller at -35 dBFS is understood half of the time."""
    grammar = grammar_of(intents())
    recogniser = GrammarRecogniser()
    said = [one for one in EXPECTED if one.voice == "flite rms"][::3]
    right = 0

    for one in said:
        recogniser.begin(grammar)
        recogniser.feed(audioop.mul(turn(one.audio), 2, 10 ** (louder_db / 20)))
        right += (await recogniser.end()).intent == one.intent

    assert right >= len(said) - 2


def sentence(text: str) -> bytes:
    """One that all voices are understood in."""
    return turn(next(u.audio for u in EXPECTED if u.text == text and u.voice == "flite rms"))


async def test_every_turn_may_have_a_grammar_of_its_own() -> None:
    """What a caller may say next depends on what they were asked."""
    recogniser = GrammarRecogniser()
    yes = grammar_of([Intent("agreed", ("yes that is right", "yes [please]"))])
    contoso = grammar_of([Intent("shop", ("call contoso",)), Intent("no", ("no thank you",))])

    recogniser.begin(yes)
    recogniser.feed(sentence("yes that is right"))
    first = await recogniser.end()
    recogniser.begin(contoso)
    recogniser.feed(sentence("no thank you"))
    second = await recogniser.end()

    assert (first.intent, second.intent) == ("agreed", "no")


async def test_a_turn_that_was_not_ended_is_forgotten() -> None:
    """The caller's padding may begin a turn that the client throws away."""
    grammar = grammar_of(intents())
    recogniser = GrammarRecogniser()
    recogniser.begin(grammar)
    recogniser.feed(sentence("what are your opening hours"))

    recogniser.begin(grammar)
    recogniser.feed(sentence("no thank you"))

    assert (await recogniser.end()).intent == "no"


async def test_the_next_turn_may_begin_while_the_last_is_doubted() -> None:
    """The caller goes on speaking; the answer is to what they had said."""
    grammar = grammar_of(intents())
    recogniser = GrammarRecogniser()
    recogniser.begin(grammar)
    recogniser.feed(sentence("what are your opening hours"))
    ended = recogniser.end()

    recogniser.begin(grammar)
    recogniser.feed(sentence("no thank you"))

    assert (await ended).intent == "hours"
    assert (await recogniser.end()).intent == "no"


@pytest.mark.parametrize("linear", [b"", bytes(2), bytes(320), bytes(32_000)])
async def test_silence_is_not_understood(linear: bytes) -> None:
    """A turn may be a click, or nothing at all."""
    recogniser = GrammarRecogniser()
    recogniser.begin(grammar_of(intents()))
    recogniser.feed(linear)

    assert await recogniser.end() == NOTHING


async def test_a_turn_before_any_grammar_is_nothing() -> None:
    """Whoever forgets to say what is expected hears nothing."""
    assert await GrammarRecogniser().end() == NOTHING


async def test_a_cancelled_end_leaves_the_ears_usable() -> None:
    """The caller hangs up, or the session ends, whenever they like."""
    grammar = grammar_of(intents())
    recogniser = GrammarRecogniser()
    recogniser.begin(grammar)
    recogniser.feed(sentence("what are your opening hours"))
    ending = asyncio.create_task(recogniser.end())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending

    recogniser.begin(grammar)
    recogniser.feed(sentence("no thank you"))

    assert (await recogniser.end()).intent == "no"
