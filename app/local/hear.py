"""The ears of the local model: the best there is, turn after turn.

    speech-to-text server -> grammar -> any words -> typed text and keypad

The first is the operator's; the second and third need PocketSphinx and differ by whether
somebody said what to expect. Rule: a rung that fails costs its turn nothing but time.
"""

from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any

import structlog

from app.local.budget import left_s
from app.local.decoding import available, trouble
from app.local.foreign import UNFORESEEN, Attempt
from app.local.grammar import Grammar, grammar_of
from app.local.phrases import PhraseMistake, read
from app.local.ports import NOTHING, Hear, Intent, Took, Understood, untold
from app.local.recogniser import GrammarRecogniser, OpenRecogniser, forget_shared
from app.local.remote import Remote, RemoteFault
from app.local.spares import SPARES
from app.local.transcription import transcribed
from app.local.wording import intent_of
from app.protocol.units import BYTES_PER_MS

_LONGEST_TURN_BYTES = 2 * BYTES_PER_MS * 60_000
"""A minute is kept for the server; what is said after it is not heard."""

_ANY_WORDS_RATE = 1.2
"""Of real time, to hear any words in a turn at once, on one core (measured 2026-11-21)."""

__all__ = ["Deaf", "Ears", "PocketSphinx", "Transcribing", "intent_of"]

log = structlog.get_logger("local_model")


class Ears:
    """What all calls share: where the speech-to-text server is, if there is one."""

    def __init__(self, remote: Remote | None = None, model: str = "", took: Took = untold) -> None:
        self._remote = remote
        self._model = model
        self._took = took

    def of_call(self) -> Hear:
        """Ears for one call."""
        local: Hear = PocketSphinx() if available() else Deaf(trouble())
        if self._remote is None:
            return local
        return Transcribing(self._remote, self._model, local, self._took)


class Deaf:
    """No recogniser can be used: the caller types, or presses keys."""

    def __init__(self, why: str | None = None) -> None:
        self.rung = f"typed text and keypad ({why})" if why else "typed text and keypad"

    def begin(self, intents: Sequence[Intent]) -> None:
        """Nothing can be expected."""

    def feed(self, linear: bytes) -> None:
        """Nothing is heard."""

    async def end(self) -> Understood:
        """Nothing was understood."""
        return NOTHING


class PocketSphinx:
    """The bundled recogniser: a grammar where something is expected, else any words.

    A decoder that fails costs its turn, and the next one gets another.
    """

    rung = "grammar (PocketSphinx)"

    def __init__(self) -> None:
        self._closed: GrammarRecogniser | None = None
        self._open: OpenRecogniser | None = None
        self._used: GrammarRecogniser | OpenRecogniser | None = None
        SPARES.during(self)

    def begin(self, intents: Sequence[Intent]) -> None:
        """Listen for ``intents``; a phrase that cannot be listened for is left out and told."""
        with Attempt(self.rung):
            return self._begin(intents)
        self._anew()
        with Attempt(self.rung):
            self._begin(intents)

    def _begin(self, intents: Sequence[Intent]) -> None:
        grammar = _grammar(tuple(intents)) if intents else None
        if grammar is not None:
            self._closed = self._closed or GrammarRecogniser()
            self._closed.begin(grammar)
            self._used = self._closed
            return
        self._open = self._open or OpenRecogniser()
        self._open.begin()
        self._used = self._open

    def feed(self, linear: bytes) -> None:
        """More of the turn; nothing before ``begin``."""
        if self._used is None:
            return
        with Attempt(self.rung):
            return self._used.feed(linear)
        self._anew()

    def end(self) -> Coroutine[Any, Any, Understood]:
        """The turn is over when this is called, not when it is awaited."""
        used, self._used = self._used, None
        if used is None:
            return _nothing()
        with Attempt(self.rung):
            return self._ended(used.end())
        self._anew()
        return _nothing()

    async def _ended(self, understanding: Coroutine[Any, Any, Understood]) -> Understood:
        with Attempt(self.rung):
            return await understanding
        forget_shared()
        return NOTHING

    def _anew(self) -> None:
        """What failed is in a state that nobody knows."""
        if self._open is not None:
            self._open.fail()
        self._closed = self._open = self._used = None


async def _nothing() -> Understood:
    return NOTHING


@lru_cache(maxsize=64)
def _grammar(intents: tuple[Intent, ...]) -> Grammar | None:
    """Of what can be listened for; None when that is nothing."""
    kept = [Intent(intent.name, _readable(intent)) for intent in intents]
    kept = [intent for intent in kept if intent.say_like]
    return grammar_of(kept) if kept else None


def _readable(intent: Intent) -> tuple[str, ...]:
    readable = []
    for phrase in intent.say_like:
        try:
            read(phrase)
        except PhraseMistake as mistake:
            log.warning("phrase_left_out", intent=intent.name, why=str(mistake))
        else:
            readable.append(phrase)
    return tuple(readable)


class Transcribing:
    """A server turns speech to text; where it fails, the local ears hear the turn again."""

    rung = "speech-to-text server"

    def __init__(self, remote: Remote, model: str, local: Hear, took: Took = untold) -> None:
        self._remote = remote
        self._model = model
        self._local = local
        self._took = took
        self._intents: tuple[Intent, ...] = ()
        self._heard = bytearray()

    def begin(self, intents: Sequence[Intent]) -> None:
        """A turn begins; one that was not ended is forgotten."""
        self._intents = tuple(intents)
        self._heard.clear()

    def feed(self, linear: bytes) -> None:
        """More of the turn."""
        self._heard += linear[: max(0, _LONGEST_TURN_BYTES - len(self._heard))]

    def end(self) -> Coroutine[Any, Any, Understood]:
        """The turn is over when this is called, not when it is awaited."""
        linear = bytes(self._heard)
        self._heard.clear()
        return self._understand(linear, self._intents)

    async def _understand(self, linear: bytes, intents: tuple[Intent, ...]) -> Understood:
        if not linear:
            return NOTHING
        why = UNFORESEEN
        with Attempt(self.rung):
            try:
                text = await transcribed(self._remote, self._model, linear)
                self._took(self.rung, "")
                return Understood(text, intent_of(text, intents))
            except RemoteFault as fault:
                why = str(fault)
                log.warning("transcription_failed", why=why, instead=self._local.rung)
        self._took(self._local.rung, why)
        turn_s = len(linear) / (2000 * BYTES_PER_MS)
        if not intents and left_s() < _ANY_WORDS_RATE * turn_s:
            return NOTHING
        self._local.begin(intents)
        self._local.feed(linear)
        return await self._local.end()
