"""Which words are searched for, and which passages answer best."""

from app.call.wording import MOST_WORDS, beginnings, ranked, words


def test_words_have_no_case_accents_or_signs() -> None:
    """What is asked for is found however it is written."""
    assert words("Über CAFÉ, e-mail: 12,50€!") == ["uber", "cafe", "e", "mail", "12", "50"]


def test_longer_words_are_found_by_their_beginning() -> None:
    """Other forms of a word mean the same; a number means itself."""
    assert beginnings("Is the damaged car 123456 returned?") == [
        *("is", "the", "damag*", "car", "123456", "return*")
    ]
    assert len(beginnings(" ".join(f"word{n}" for n in range(50)))) == MOST_WORDS


def test_a_rare_word_counts_for_more_than_many_common_ones() -> None:
    """PostgreSQL's own rank does not know which words are rare."""
    passages = ["the the the the the shop", "the the street", "the hail and the car", "the dog"]

    assert ranked(beginnings("the hail"), passages, 1) == [2]
    assert ranked(beginnings("cat"), passages, 4) == []
    assert ranked(["the"], [], 4) == []
