"""The bundled recogniser: a turn is decoded while it is spoken, and doubted when it is over.

A grammar hears one of its sentences in almost anything. What it heard is therefore believed
only if a second decode of the whole turn, with another word penalty, means the same, and if
its words explain the sound nearly as well as free phones do. Of 50 unrelated sentences 35 have
an intent without that and 5 with it; of 150 expected ones 0.953 are right and 0.020 wrong
without, 0.927 and 0.007 with it (``scripts/hearing_report.py``, 2026-11-21).
"""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any

from app.local import decoding
from app.local.decoding import GrammarDecoder
from app.local.grammar import Grammar
from app.local.loudness import Gain, Widener
from app.local.ports import NOTHING, Understood
from app.local.spares import SPARES, Loan, Spares
from app.protocol.units import BYTES_PER_MS

_FIRST_PENALTY = 0.05
_SECOND_PENALTY = 0.2
"""Insertion penalties of words. Below 0.001 nothing is recognised."""
_AS_LIKELY_AS_PHONES = -4.5
_AS_LIKELY_IF_SAME = -4.8
"""Of the log likelihood per 10 ms, words may fall so far behind phones; a little farther when
both decodes heard the same words."""
_LONGEST_TURN_BYTES = 2 * BYTES_PER_MS * 20_000
"""Nobody says a phrase for longer than 20 s; what follows is not decoded."""


class GrammarRecogniser:
    """One call's ears for what is in a grammar. Not for two turns at once."""

    def __init__(self) -> None:
        self._decoder = GrammarDecoder(word_penalty=_FIRST_PENALTY, seeded=True)
        self._turn = _Turn(self._decoder.raw, Gain())
        self._grammar: Grammar | None = None
        self.first = ""
        """What the last turn was heard as, before it was doubted."""

    def begin(self, grammar: Grammar) -> None:
        """A turn begins; one that was not ended is forgotten."""
        self._turn.forget()
        self._decoder.listen_for(grammar)
        self._grammar = grammar

    def feed(self, linear: bytes) -> None:
        """More 16-bit samples at 8 kHz."""
        self._turn.feed(linear)

    def end(self) -> Coroutine[Any, Any, Understood]:
        """What was said and meant; cancelling forgets it.

        The turn is over when this is called, not when it is awaited: the next may begin.
        """
        self.first = self._turn.end()
        return _believed(self._grammar, self.first, self._turn.again())


async def _believed(grammar: Grammar | None, text: str, wide: bytes) -> Understood:
    """What was heard first, unless there is reason for doubt."""
    intent = grammar.intent_of(text) if grammar is not None else None
    if grammar is None or intent is None:
        return NOTHING
    # Decoding holds the interpreter's lock: let what waits have its turn in between.
    await asyncio.sleep(0)
    second, words_score = _second().decode(grammar, wide)
    if grammar.intent_of(second) != intent:
        return NOTHING
    await asyncio.sleep(0)
    enough = _AS_LIKELY_IF_SAME if second == text else _AS_LIKELY_AS_PHONES
    explained = words_score - _phones_score(wide) > enough
    return Understood(text, intent) if explained else NOTHING


class OpenRecogniser:
    """One call's ears for any words. On real calls four words of ten are wrong."""

    def __init__(self, spares: Spares = SPARES) -> None:
        self._spares = spares
        self._gain = Gain()
        self._mean = decoding.MEAN
        """Of this caller; a decoder remembers that of the last one."""
        self._loan: Loan | None = None
        self._turn: _Turn | None = None

    def begin(self) -> None:
        """A turn begins; one that was not ended is forgotten."""
        if self._turn is not None:
            self._turn.forget()
        self._give_back()

    def feed(self, linear: bytes) -> None:
        """More 16-bit samples at 8 kHz."""
        if self._turn is None:
            self._loan = self._spares.lend(self)
            self._loan.decoder.set_cmn(self._mean)
            self._turn = _Turn(self._loan.decoder, self._gain)
        self._turn.feed(linear)

    def end(self) -> Coroutine[Any, Any, Understood]:
        """What was said, without an intent."""
        text = ""
        if self._turn is not None and self._loan is not None:
            text = self._turn.end()
            self._mean = self._loan.decoder.get_cmn(False)
        self._give_back()
        return _open(text)

    def fail(self) -> None:
        """Its decoder raised something: nobody is lent it again."""
        if self._loan is not None:
            self._loan.lost()
        self._loan = self._turn = None

    def _give_back(self) -> None:
        if self._loan is not None:
            self._loan.back()
        self._loan = self._turn = None


async def _open(text: str) -> Understood:
    return Understood(text, None)


class _Turn:
    """The sound of the present turn on its way into a decoder; gain and mean outlive it."""

    def __init__(self, decoder: Any, gain: Gain) -> None:
        self._decoder = decoder
        self._gain = gain
        self._widener = Widener()
        self._started = False
        self._heard = bytearray()
        self._held = bytearray()
        """Waits until the caller's level is known: less than half a second, once a call."""

    def forget(self) -> None:
        if self._started:
            self._decoder.end_utt()
        self._started = False
        self._heard.clear()
        self._held.clear()
        self._widener = Widener()

    def feed(self, linear: bytes) -> None:
        linear = linear[: max(0, _LONGEST_TURN_BYTES - len(self._heard))]
        self._heard += linear
        self._held += linear
        self._gain.learn(linear)
        if self._gain.known:
            self._decode()

    def end(self) -> str:
        """The words, without those that were not the caller's."""
        self._decode()
        if not self._started:
            return ""
        self._started = False
        self._decoder.end_utt()
        return decoding.words_of(self._decoder)

    def again(self) -> bytes:
        """The whole turn once more, as a recogniser takes it, at the level known by now."""
        return Widener().widen(bytes(self._heard), self._gain.factor)

    def _decode(self) -> None:
        if not self._held:
            return
        if not self._started:
            self._decoder.start_utt()
            self._started = True
        self._decoder.process_raw(self._widener.widen(bytes(self._held), self._gain.factor))
        self._held.clear()


class _Second:
    """A second opinion about whole turns. It remembers nothing, so all calls share one."""

    def __init__(self) -> None:
        self._decoder = GrammarDecoder(word_penalty=_SECOND_PENALTY, seeded=False)

    def decode(self, grammar: Grammar, wide: bytes) -> tuple[str, float]:
        """Its words, and how likely they make the sound."""
        self._decoder.listen_for(grammar)
        decoding.whole(self._decoder.raw, wide)
        return decoding.words_of(self._decoder.raw), decoding.likelihood(self._decoder.raw)


@cache
def _second() -> _Second:
    return _Second()


def forget_shared() -> None:
    """A decoder of those that calls share failed: make them anew when they are needed."""
    _second.cache_clear()
    _phones.cache_clear()


@cache
def _phones() -> Any:
    return decoding.phone_decoder()


def _phones_score(wide: bytes) -> float:
    decoding.whole(_phones(), wide)
    return decoding.likelihood(_phones())
