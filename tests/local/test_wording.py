"""What a written sentence means, by its words."""

import pytest

from app.local.ports import Intent
from app.local.wording import intent_of

INTENTS = (
    Intent("human", ("[i want to] (speak|talk) to a (human|person)", "operator")),
    Intent("cancel", ("cancel (my|the) (order|appointment)",)),
    Intent("book", ("(book|make) an appointment",)),
    Intent("yes", ("yes", "that is right")),
    Intent("no", ("no [thank you]", "that is wrong")),
)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Yes.", "yes"),
        ("Hi, could I please talk to a person, it is urgent?", "human"),
        ("I'd like to cancel my appointment for Monday", "cancel"),
        ("Could you make me an appointment?", "book"),
        ("No, I want to cancel the order", "cancel"),
        ("That's wrong, sorry: that is wrong", "no"),
        ("", None),
        ("the dog chased a cat across the street", None),
        ("There is a person I met who is a very tall basketball coach in Boston", None),
        ("I do not want to cancel my order", None),
        ("to the a is", None),
    ],
)
def test_the_phrase_that_is_contained_best_wins(text: str, intent: str | None) -> None:
    """People say more than the phrase, and transcripts have commas."""
    assert intent_of(text, INTENTS) == intent


def test_a_tie_is_no_intent() -> None:
    """Asking again is better than doing the wrong thing."""
    both = (Intent("a", ("red car",)), Intent("b", ("blue bike",)))

    assert intent_of("the red car or the blue bike", both) is None


def test_without_intents_nothing_is_meant() -> None:
    """Any words were expected."""
    assert intent_of("cancel my order", ()) is None


def test_a_phrase_that_cannot_be_read_spoils_no_other() -> None:
    """Somebody's unclosed bracket is not the caller's trouble."""
    assert intent_of("please hang up now", (Intent("a", ("(oops", "hang up")),)) == "a"
