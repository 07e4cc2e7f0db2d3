"""Which intent a written sentence means, by its words.

For what was typed or transcribed: people then say more than a phrase, or half of one. The
intent is taken whose phrase is best contained in the sentence; a sentence that is mostly about
something else, or that denies what the phrase does not, has none.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from app.local.grammar import Grammar, grammar_of
from app.local.phrases import Choice, Part, PhraseMistake, Row, Word, read, spelled
from app.local.ports import Intent

_SMALL = frozenset(
    {
        *("a", "an", "and", "am", "are", "be", "can", "could", "do", "does", "for", "have", "i"),
        *("in", "is", "it", "just", "like", "me", "my", "of", "on", "our", "please", "so", "that"),
        *("the", "there", "this", "to", "um", "uh", "us", "want", "we", "well", "what", "will"),
        *("with", "would", "you", "your"),
    }
)
_SMALL_WEIGHT = 0.2
_DENIALS = frozenset(
    {
        *("not", "no", "nope", "never", "don't", "can't", "cannot", "won't", "doesn't", "didn't"),
        "isn't",
    }
)
_MOST_WAYS = 500
"""Of one phrase; more brackets than that are read in part."""
_CONTAINED = 0.75
"""So much of a phrase has to be in the sentence."""
_ABOUT = 0.3
"""So much of the sentence has to be of the phrase."""

Words = frozenset[str]


def intent_of(text: str, intents: Sequence[Intent]) -> str | None:
    """The name of the intent ``text`` means, None where none fits or two fit as well."""
    sentence = spelled(text)
    listened = _grammar(tuple(intents))
    if listened is not None and (exact := listened.intent_of(sentence)) is not None:
        return exact
    words = sentence.split()
    scores = {intent.name: _score(words, intent) for intent in intents}
    best = max(scores.values(), default=0.0)
    names = [name for name, score in scores.items() if score == best]
    return names[0] if best and len(names) == 1 else None


@lru_cache(maxsize=64)
def _grammar(intents: tuple[Intent, ...]) -> Grammar | None:
    try:
        return grammar_of(intents)
    except PhraseMistake:
        return None


def _score(sentence: list[str], intent: Intent) -> float:
    words = frozenset(sentence)
    # A "no" that comes first answers what was asked before; it denies nothing.
    denied = _DENIALS.intersection(sentence[1:])
    fits = (_fit(words, way) for way in _ways_of(intent) if denied <= way)
    return max(fits, default=0.0)


def _fit(words: Words, way: Words) -> float:
    """How much of the phrase is there; 0 when it is too little, or not what it is about."""
    common = _weight(words & way)
    about = (words & way) - _SMALL and common >= _ABOUT * _weight(words)
    return common if about and common >= _CONTAINED * _weight(way) else 0.0


def _weight(words: Words) -> float:
    return sum(_SMALL_WEIGHT if word in _SMALL else 1.0 for word in words)


@lru_cache(maxsize=1024)
def _ways_of(intent: Intent) -> tuple[Words, ...]:
    """The words of every way to say it; phrases that cannot be read have none."""
    ways: set[Words] = set()
    for phrase in intent.say_like:
        try:
            ways.update(map(frozenset, islice(_ways(read(phrase)), _MOST_WAYS)))
        except PhraseMistake:
            continue
    return tuple(ways)


def _ways(part: Part) -> Iterator[tuple[str, ...]]:
    match part:
        case Word(text):
            yield (text,)
        case Row(parts):
            yield from _in_order(parts)
        case Choice(rows, optional):
            if optional:
                yield ()
            for row in rows:
                yield from _ways(row)


def _in_order(parts: Sequence[Part]) -> Iterator[tuple[str, ...]]:
    if not parts:
        yield ()
        return
    for head in _ways(parts[0]):
        for tail in _in_order(parts[1:]):
            yield head + tail
