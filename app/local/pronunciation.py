"""How a word may sound: the recogniser's own dictionary, and a guess for what is not in it.

Agents are named after companies no dictionary knows. A guess by spelling is often near
enough for a grammar of a few dozen words, and always better than a refusal to listen.
"""

import re
from functools import cache
from pathlib import Path

_SOUNDS = {
    "tion": "SH AH N", "sion": "ZH AH N", "ough": "AO", "augh": "AO", "eigh": "EY",
    "igh": "AY", "sch": "S K", "tch": "CH", "dge": "JH",
    "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ee": "IY", "ea": "IY", "ei": "EY",
    "ey": "IY", "eu": "UW", "ew": "UW", "ie": "IY", "oa": "OW", "oo": "UW", "ou": "AW",
    "ow": "OW", "oi": "OY", "oy": "OY", "ue": "UW", "er": "ER", "ir": "ER", "ur": "ER",
    "ch": "CH", "ck": "K", "gh": "G", "kn": "N", "ng": "NG", "ph": "F", "ps": "P S",
    "qu": "K W", "sh": "SH", "th": "TH", "wh": "W", "wr": "R",
    "ce": "S EH", "ci": "S IH", "cy": "S IY", "ge": "JH EH", "gi": "JH IH",
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH",
    "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P",
    "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S",
    "y": "IY", "z": "Z",
}  # fmt: skip
_LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}
_LAST = {"a": "AH", "e": "IY", "i": "IY", "o": "OW", "u": "UW"}
_SPELLED = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))
_DOUBLED = re.compile(r"([b-df-hj-np-tv-z])\1")
_SILENT_E = re.compile(r"([aeiou])([b-df-hj-np-tvz])e$")


@cache
def _dictionary(path: Path) -> bytes:
    """The file, 3 MB, searched as it is: found words are few."""
    return b"\n" + path.read_bytes()


def pronunciations(word: str, dictionary: Path) -> tuple[str, ...]:
    """Phones of every known way to say ``word`` (a to z, apostrophes), or one guess.

    ``dictionary`` has a word, a space and its phones in each line; raises ``OSError``.
    """
    known: list[str] = []
    lines = _dictionary(dictionary)
    begin = lines.find(f"\n{word} ".encode()) + 1
    while begin:
        end = lines.index(b"\n", begin)
        known.append(lines[begin:end].split(b" ", 1)[1].decode().strip())
        variant = f"{word}({len(known) + 1}) ".encode()
        begin = end + 1 if lines.startswith(variant, end + 1) else 0
    return tuple(known) or (guess(word),)


def guess(word: str) -> str:
    """How ``word`` would sound by its spelling: at least one phone."""
    letters = _DOUBLED.sub(r"\1", word.replace("'", ""))
    long_vowel = _SILENT_E.search(letters)
    if long_vowel:
        return _join(letters[: long_vowel.start()], _LONG[long_vowel[1]], _SOUNDS[long_vowel[2]])
    if len(letters) > 1 and letters[-1] in _LAST:
        return _join(letters[:-1], _LAST[letters[-1]])
    return _join(letters)


def _join(letters: str, *phones: str) -> str:
    return " ".join([*(_SOUNDS[one] for one in _SPELLED.findall(letters)), *phones])
