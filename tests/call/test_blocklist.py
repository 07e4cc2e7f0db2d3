"""Words that are not to be said, found however the text comes."""

import pytest

from app.call.blocklist import Blocklist, Watch

LIST = Blocklist(["Acme", "double or nothing", "Müller", "地獄", "straße"])


@pytest.mark.parametrize(
    "text",
    [
        "Have you tried ACME?",
        "it is Double  or\nnothing, madam",
        "Ask Muller.",
        "Ask MU\u0308LLER.",
        "STRASSE",
        "これは地獄です",
    ],
)
def test_a_phrase_is_found_in_any_writing(text: str) -> None:
    """Case, diacritics, composed or not, spaces and punctuation do not hide it."""
    assert LIST.found(text)


@pytest.mark.parametrize("text", ["", "Acmeville", "pacme", "double or", "or nothing", "地 の 獄"])
def test_a_part_of_a_word_or_phrase_is_not_it(text: str) -> None:
    """Who talks about assassination has not said the first half of it."""
    assert not LIST.found(text)


@pytest.mark.parametrize("text", ["Well, double or nothing then", "no Acme", "das ist Müller"])
def test_the_cut_into_pieces_changes_nothing(text: str) -> None:
    """The model's words come in deltas, some of which are parts of words."""
    for size in range(1, len(text) + 1):
        watch = Watch(LIST)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]

        assert any([*map(watch.heard, pieces), watch.ended()]), size


def test_a_word_is_judged_when_it_is_over() -> None:
    """'Acme' may go on as 'Acmeville'; one piece later it is known."""
    watch = Watch(LIST)

    assert not watch.heard("I like Ac")
    assert not watch.heard("me")
    assert watch.heard(" a lot")

    watch = Watch(LIST)
    assert not watch.heard("I like Acme")
    assert not watch.heard("ville")
    assert not watch.ended()


def test_a_word_that_never_ends_is_not_kept_whole() -> None:
    """Bounded, whatever comes."""
    watch = Watch(LIST)
    for _ in range(1_000):
        watch.heard("x" * 100)

    assert len(watch._open) <= 200


def test_an_empty_list_finds_nothing() -> None:
    """A file of comments is refused at load; nothing breaks where it is not."""
    assert not Blocklist([]).found("anything")
