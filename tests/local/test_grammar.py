"""Phrases, the network made of them, and the intent of what was heard."""

from collections.abc import Iterator

import pytest

from app.local.automaton import Automaton
from app.local.grammar import grammar_of
from app.local.phrases import PhraseMistake, read, spelled
from app.local.ports import Intent
from tests.local.utterances import intents, utterances


def sentences(automaton: Automaton, state: int | None = None) -> Iterator[str]:
    """Everything that can be said."""
    state = automaton.start if state is None else state
    if state in automaton.ends:
        yield ""
    for word, reached in automaton.arcs[state].items():
        yield from (f"{word} {rest}".strip() for rest in sentences(automaton, reached))


def test_choices_and_options_are_all_ways_to_say_it() -> None:
    """The recogniser hears nothing else."""
    grammar = grammar_of([Intent("cancel", ("cancel [my|the] (order|visit)",))])

    said = {one for one in sentences(grammar.automaton) if "please" not in one}

    assert said == {
        *("cancel order", "cancel visit", "cancel my order", "cancel my visit"),
        *("cancel the order", "cancel the visit"),
    }


def test_every_sentence_of_the_network_has_an_intent() -> None:
    """What is heard and what is meant are made of one tree."""
    grammar = grammar_of([Intent("a", ("one [two [three]]",)), Intent("b", ("(four|five six)",))])

    said = list(sentences(grammar.automaton))

    assert len(said) == len(set(said)) == 4 * 5
    assert {grammar.intent_of(one) for one in said} == {"a", "b"}


def test_equal_beginnings_and_ends_are_shared() -> None:
    """A network that repeats itself costs three times the time."""
    wish = "(i want|i would like) to (book|cancel) a (visit|table)"

    network = grammar_of([Intent("a", (wish,)), Intent("b", (f"{wish} now",))]).automaton

    assert len(network.arcs) < 20
    assert sum(1 for here in network.arcs.values() if "book" in here) == 1


def test_half_a_sentence_means_nothing() -> None:
    """The recogniser may be cut off in the middle."""
    grammar = grammar_of([Intent("a", ("cancel my order",))])

    assert grammar.intent_of("cancel my") is None
    assert grammar.intent_of("") is None
    assert grammar.intent_of("please cancel my order please") == "a"


def test_the_first_of_two_intents_with_one_phrase_wins() -> None:
    """Whoever wrote them put the important one first."""
    assert grammar_of([Intent("a", ("yes",)), Intent("b", ("yes",))]).intent_of("yes") == "a"


@pytest.mark.parametrize(
    ("phrase", "named"),
    [
        ("open 24 hours", '"24"'),
        ("cancel (it", '")" is missing'),
        ("cancel it]", '"]" too many'),
        ("cancel () it", "nothing between"),
        ("(a|)", "nothing between"),
        ("[cancel] [it]", "at least one word"),
        ("", "nothing between"),
        ("(" * 50 + "a" + ")" * 50, "too deeply"),
    ],
)
def test_a_mistake_is_told_with_its_place(phrase: str, named: str) -> None:
    """Who wrote it is no programmer."""
    with pytest.raises(PhraseMistake) as told:
        read(phrase)

    assert named in str(told.value)


def test_no_phrase_at_all_is_a_mistake() -> None:
    """A grammar of nothing would hear silence only."""
    with pytest.raises(PhraseMistake):
        grammar_of([Intent("a", ())])


def test_phrases_may_be_written_as_people_write() -> None:
    """Capitals, accents and commas are not heard."""
    assert spelled("Hello, is the CAFÉ open?") == "hello is the cafe open"
    assert grammar_of([Intent("a", ("What\u2019s new?",))]).intent_of("what's new") == "a"


def test_the_stored_sentences_are_in_their_grammar() -> None:
    """Otherwise the figures of the recogniser would be those of a wrong test."""
    grammar = grammar_of(intents())

    wrong = [one.text for one in utterances() if grammar.intent_of(one.text) != one.intent]

    assert not wrong
