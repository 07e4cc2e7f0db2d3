"""How words sound that no dictionary knows."""

from pathlib import Path

import pytest

from app.local.pronunciation import guess, pronunciations

PHONES = {
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"),
    *("IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH"),
    *("UH", "UW", "V", "W", "Y", "Z", "ZH"),
}


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """Three words, one with two pronunciations."""
    path = tmp_path / "words.dict"
    path.write_text("a AH\na(2) EY\nroute R UW T\nroute(2) R AW T\nroutes R UW T S\n")
    return path


def test_known_words_have_all_their_pronunciations(dictionary: Path) -> None:
    """Callers use either."""
    assert pronunciations("a", dictionary) == ("AH", "EY")
    assert pronunciations("route", dictionary) == ("R UW T", "R AW T")
    assert pronunciations("routes", dictionary) == ("R UW T S",)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("contoso", "K AA N T AA S OW"),
        ("fabrikam", "F AE B R IH K AE M"),
        ("patchline", "P AE CH L AY N"),
        ("acme's", "AE K M EH S"),
    ],
)
def test_unknown_words_are_guessed_by_their_letters(
    word: str, phones: str, dictionary: Path
) -> None:
    """Agents are named after companies."""
    assert pronunciations(word, dictionary) == (phones,)


@pytest.mark.parametrize("word", [*"abcdefghijklmnopqrstuvwxyz", "qq", "zzyzx", "aeiou", "o'"])
def test_any_letters_make_phones_the_model_knows(word: str) -> None:
    """A phone that is none would end the call."""
    assert guess(word).split()
    assert set(guess(word).split()) <= PHONES
