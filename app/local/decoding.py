"""PocketSphinx, made with the settings that work on the telephone, and only what is needed.

Where the package is missing or broken everything but ``available`` and ``trouble`` may raise. All
figures were measured on the stored utterances of ``tests/local/corpus``, 2026-11-21.
"""

import math
import tempfile
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.local.foreign import Attempt
from app.local.grammar import Grammar
from app.local.pronunciation import pronunciations
from app.protocol.units import FRAME_MS, SAMPLE_RATE_HZ

_TURN = "turn"
_STRICTNESS = 2
"""Of WebRTC's voice detector, 0 to 3."""
MEAN = "57.89,-2.74,1.38,4.76,0.87,-5.89,-3.44,-7.61,-8.10,1.46,-3.90,2.27,-1.37"
"""The cepstral mean a call begins with: of 50 telephone sentences that are in no grammar.

Unseeded, streaming understands a quarter of what it should.
"""
_WIDE_BEAMS = {"beam": 1e-60, "pbeam": 1e-60, "wbeam": 1e-40}
"""Wider than the package's: 0.967 instead of 0.940 of the intents, for 0.044 of real time."""


def available() -> bool:
    """Whether the recogniser is installed here and works."""
    return trouble() is None


@cache
def trouble() -> str | None:
    """Why the recogniser cannot be used, in a few words; None: it can.

    Empty where it is not installed (there is no wheel for Python 3.14 yet). Tried once, in 0.1 s:
    a wheel for another machine is found like any other, and fails when it is imported or used.
    """
    if find_spec("pocketsphinx") is None:
        return ""
    with Attempt("PocketSphinx") as attempt:
        voice_detector()
        GrammarDecoder(word_penalty=1.0, seeded=True)
        return None
    return f"PocketSphinx is installed and does not work: {attempt.fault}"


def _package() -> Any:
    """Imported when it is needed: it is optional, and 20 MB."""
    return import_module("pocketsphinx")


def voice_detector() -> Any:
    """WebRTC's, for frames of the telephone."""
    return _package().Vad(_STRICTNESS, SAMPLE_RATE_HZ, FRAME_MS / 1000)


def model(name: str) -> Path:
    """A file of the bundled English model."""
    return Path(str(_package().get_model_path(f"en-us/{name}")))


def _decoder(**settings: Any) -> Any:
    return _package().Decoder(loglevel="FATAL", lm=None, **settings)


def _closed(**settings: Any) -> Any:
    """A decoder that knows no words yet: 11 MB instead of 33, and quickly made."""
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words"
        words.write_text("please P L IY Z\n", encoding="ascii")
        return _decoder(dict=str(words), **settings)


class GrammarDecoder:
    """One decoder and the grammar of the present turn."""

    def __init__(self, *, word_penalty: float, seeded: bool) -> None:
        live = {"cmn": "live", "cmninit": MEAN} if seeded else {}
        self.raw = _closed(wip=word_penalty, **_WIDE_BEAMS, **live)
        self._grammar: Grammar | None = None
        self._words: set[str] = set()

    def listen_for(self, grammar: Grammar) -> None:
        """From the next utterance on; half a millisecond, nothing if it is the same."""
        if grammar is self._grammar:
            return
        self._learn(grammar.words)
        self.raw.add_fsg(_TURN, self.raw.create_fsg(_TURN, *_network(grammar)))
        self.raw.activate_search(_TURN)
        self._grammar = grammar

    def _learn(self, words: tuple[str, ...]) -> None:
        dictionary = model("cmudict-en-us.dict")
        for word in words:
            if word in self._words or self.raw.lookup_word(word) is not None:
                continue
            for number, phones in enumerate(pronunciations(word, dictionary), 1):
                spelling = word if number == 1 else f"{word}({number})"
                self.raw.add_word(spelling, phones, False)
            self._words.add(word)


def _network(grammar: Grammar) -> tuple[int, int, list[tuple[Any, ...]]]:
    """Start, end and arcs; every arc is as likely as any other, or long phrases would lose."""
    automaton = grammar.automaton
    end = len(automaton.arcs)
    arcs: list[tuple[Any, ...]] = [
        (state, reached, 1.0, word)
        for state, here in automaton.arcs.items()
        for word, reached in here.items()
    ]
    arcs += [(state, end, 1.0) for state in automaton.ends]
    return automaton.start, end, arcs


def phone_decoder() -> Any:
    """Hears phones instead of words: how likely the sound is when anything may be said."""
    return _closed(allphone=str(model("en-us-phone.lm.bin")))


def open_decoder() -> Any:
    """Any English words: about 100 MB, half a second to make."""
    return _package().Decoder(loglevel="FATAL", cmn="live", cmninit=MEAN)


def words_of(decoder: Any) -> str:
    """The finished utterance in words; empty when none fit."""
    best = decoder.hyp()
    return str(best.hypstr) if best is not None else ""


def whole(decoder: Any, wide: bytes) -> None:
    """Decode an utterance in one piece, by its own mean."""
    decoder.start_utt()
    try:
        if wide:
            decoder.process_raw(wide, full_utt=True)
    finally:
        decoder.end_utt()


def likelihood(decoder: Any) -> float:
    """Logarithm of the sound's likelihood, per frame of 10 ms, on the best way found.

    Minus infinity when nothing was.
    """
    segments = list(decoder.seg() or ())
    frames = sum(one.end_frame - one.start_frame + 1 for one in segments)
    total = sum(math.log(max(one.ascore, 1e-300)) for one in segments)
    return total / frames if frames else -math.inf
