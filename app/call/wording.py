"""Words as they are searched for: folded, shortened, weighed. Pure.

Both databases are asked for passages with any of the words, and this decides which of them answer
best, so that the same question has the same answer on both. A word of five letters and more is
found by its beginning, which in most languages finds its other forms too. Rule: a query is made
of letters and digits only, whatever was written.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

MOST_WORDS = 16
"""Of a question."""
LONGEST = 48
_QUESTION_CHARS = 1_000
_WORD = re.compile(r"[^\W_]+")
_K, _B = 1.2, 0.75
"""As everybody's BM25 has them."""


def words(text: str) -> list[str]:
    """The words of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text)
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return [word[:LONGEST] for word in _WORD.findall(bare.casefold())]


def beginnings(question: str) -> list[str]:
    """What the words of a passage that answers begin with or, where they are short, are."""
    asked = dict.fromkeys(map(_beginning, words(question[:_QUESTION_CHARS])))
    return list(asked)[:MOST_WORDS]


def is_beginning(word: str) -> bool:
    """Whether longer words count, too; of shorter ones only they themselves."""
    return word.endswith("*")


def ranked(asked: Sequence[str], passages: Sequence[str], most: int) -> list[int]:
    """The places of the ``most`` best of these passages, the best first (BM25 over them).

    A word that nearly all of them have says nothing about any.
    """
    read = [Counter(passage.split()) for passage in passages]
    lengths = [one.total() for one in read]
    usual = sum(lengths) / (len(read) or 1) or 1
    counts = [_hits(asked, one) for one in read]
    having = Counter(word for count in counts for word in count)
    scores = []
    for place, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        room = _K * (1 - _B + _B * length / usual)
        score = sum(
            _rarity(having[word], len(read)) * times * (_K + 1) / (times + room)
            for word, times in count.items()
        )
        scores.append((-score, place))
    return [place for score, place in sorted(scores)[:most] if score < 0]


def _rarity(having: int, of: int) -> float:
    return math.log(1 + (of - having + 0.5) / (having + 0.5))


def _hits(asked: Sequence[str], read: Mapping[str, int]) -> dict[str, int]:
    """How often each word that is there is there."""
    hits = {one: read.get(one, 0) for one in asked if not is_beginning(one)}
    for one in filter(is_beginning, asked):
        hits[one] = sum(times for word, times in read.items() if word.startswith(one[:-1]))
    return {one: times for one, times in hits.items() if times}


def _beginning(word: str) -> str:
    if len(word) < 5 or not word.isalpha():
        return word
    return f"{word[: -2 if len(word) > 6 else -1]}*"
