"""Words and phrases that are not to be said, found in what is said while it comes.

Text is compared word by word, without regard to case and diacritics, so that ``assassin`` is not
found in ``assassination``. Scripts that put no spaces between words are compared sign by sign.
Rule: what is found does not depend on how the text was cut into pieces, and a word costs one
look into a set for each length that a phrase has.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Collection
from functools import lru_cache

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Burmese, Khmer, kana, Han."""
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+")
_LONGEST_WORD = 200
"""Characters; more of a word that never ends are not kept."""

Phrase = tuple[str, ...]


def folded(text: str) -> str:
    """Without case and diacritics, and with ligatures spelled out."""
    spelled = unicodedata.normalize("NFKD", text).casefold()
    return "".join(one for one in spelled if not unicodedata.combining(one))


def words(text: str) -> Phrase:
    """The words of a text, folded."""
    return tuple(_WORD.findall(folded(text)))


class Blocklist:
    """Made once of a list, and shared by all calls."""

    def __init__(self, phrases: Collection[str]) -> None:
        self._phrases = frozenset(filter(None, map(words, phrases)))
        self._lengths = tuple(sorted({len(phrase) for phrase in self._phrases}))
        self.longest = max(self._lengths, default=0)
        """Words in the longest phrase."""

    def ends(self, last: Phrase) -> bool:
        """Whether a phrase ends with the last of these words."""
        return any(last[-length:] in self._phrases for length in self._lengths)

    def found(self, text: str) -> bool:
        """Whether a text that is whole has a phrase of the list in it."""
        watch = Watch(self)
        return watch.heard(text) or watch.ended()


@lru_cache(maxsize=128)
def blocklist(phrases: Phrase) -> Blocklist:
    """The one of these phrases: calls with the same document have the same."""
    return Blocklist(phrases)


class Watch:
    """One list, on one text that comes in pieces."""

    def __init__(self, wanted: Blocklist) -> None:
        self._list = wanted
        self._last: deque[str] = deque(maxlen=max(1, wanted.longest))
        self._open = ""
        """A word that may go on in the next piece."""

    def heard(self, piece: str) -> bool:
        """More of the text; whether a phrase is in it whose last word is over."""
        text = self._open + folded(piece)
        self._open = ""
        for match in _WORD.finditer(text):
            word = match[0]
            if match.end() == len(text) and not re.match(f"[{_UNSPACED}]", word):
                self._open = word[-_LONGEST_WORD:]
                return False
            if self._word(word):
                return True
        return False

    def ended(self) -> bool:
        """The text, or a part of it that nothing is spelled across, is over."""
        word, self._open = self._open, ""
        return bool(word) and self._word(word)

    def _word(self, word: str) -> bool:
        self._last.append(word)
        return self._list.ends(tuple(self._last))
