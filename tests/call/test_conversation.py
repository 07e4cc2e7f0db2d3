"""What a new model line is told, so that the same conversation goes on."""

import pytest

from app.call.conversation import PENDING, REPLAYED, UNREADABLE, remember, seed
from app.call.plan import Memory
from app.call.transcript import Entry, Voice
from app.protocol import commands as c


def test_everybody_is_quoted_in_their_own_role() -> None:
    """A caller's words as instructions would be a way to give them."""
    entries = [
        Entry(Voice.CALLER, "U", 0, "Hello."),
        Entry(Voice.AGENT, "A", 1, "Good morning."),
        Entry(Voice.NOTE, "", 2, "The caller is back."),
    ]

    assert seed(remember((), entries)) == [
        c.AddMessage("user", "Hello."),
        c.AddMessage("assistant", "Good morning."),
        c.AddMessage("system", "The caller is back."),
    ]


def test_what_was_cut_is_quoted_as_cut() -> None:
    """The model must know that it did not finish."""
    (memory,) = remember((), [Entry(Voice.AGENT, "A", 0, "We are", heard_ms=700, sent_ms=3_000)])

    assert memory == Memory("assistant", "We are …")


def test_what_nobody_heard_is_not_quoted() -> None:
    """Turns without words, and items cut at nothing."""
    entries = [
        Entry(Voice.CALLER, "U", 0),
        Entry(Voice.AGENT, "A", 1, "", heard_ms=0, sent_ms=500),
    ]

    assert remember((), entries) == ()


def test_tool_calls_come_with_an_output() -> None:
    """A dangling call confuses later turns; a running one gets a placeholder."""
    entries = [
        Entry(Voice.TOOL, "T1", 0, "42", name="look_up", arguments='{"a":1}'),
        Entry(Voice.TOOL, "T2", 0, "", name="slow", arguments="{}"),
    ]

    assert seed(remember((), entries)) == [
        c.AddToolCall("T1", "look_up", '{"a":1}'),
        c.AddToolOutput("T1", "42"),
        c.AddToolCall("T2", "slow", "{}"),
        c.AddToolOutput("T2", PENDING),
    ]


def test_earlier_streams_come_first_and_only_the_last_turns_are_told() -> None:
    """Many assistant texts make a speech model answer in text."""
    earlier = [Memory("user", f"old {n}") for n in range(REPLAYED)]

    told = remember(earlier, [Entry(Voice.CALLER, "U", 0, "new")])

    assert len(told) == REPLAYED
    assert told[0] == Memory("user", "old 1")
    assert told[-1] == Memory("user", "new")


@pytest.mark.parametrize("arguments", ['{"a":', "", "[1]", "null", "7", "{}{}"])
def test_arguments_that_are_no_object_are_not_replayed(arguments: str) -> None:
    """The server refuses the item, and then its output for a call it does not know."""
    entry = Entry(Voice.TOOL, "T1", 0, "No such date.", name="look_up", arguments=arguments)

    assert seed(remember((), [entry])) == [
        c.AddToolCall("T1", "look_up", "{}"),
        c.AddToolOutput("T1", f"{UNREADABLE} No such date."),
    ]
