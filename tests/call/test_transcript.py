"""Who said what, as it was heard."""

import pytest

from app.call.conversation import remember, seed
from app.call.leaving import PARKED_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan
from app.call.playout import Heard
from app.call.transcript import Entry, Transcript, Voice
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, marks, on_the_phone, speech, started

SENTENCE = "We are open from nine to five."


def text(words: str, item_id: str = "A", content_index: int = 0) -> e.SpeechText:
    return e.SpeechText("R", item_id, content_index, words)


def said(*words: str) -> Transcript:
    transcript = Transcript()
    for word in words:
        transcript.agent_says(text(word), 0)
    return transcript


def test_words_that_were_heard_whole_stand_as_they_are() -> None:
    """Deltas are put together without a space of ours."""
    assert said("We are ", "open.").entries == [Entry(Voice.AGENT, "A", 0, "We are open.")]


@pytest.mark.parametrize(
    ("heard_ms", "left"),
    [
        (0, ""),
        (200, ""),
        (300, "We"),
        (1_000, "We are"),
        (1_500, "We are open"),
        (2_999, "We are open from nine to"),
        (3_000, SENTENCE),
    ],
)
def test_what_was_cut_ends_with_a_word_that_was_heard(heard_ms: int, left: str) -> None:
    """Half a word would be a word nobody said."""
    transcript = said(SENTENCE)

    transcript.cut(Heard("R", "A", 0, heard_ms, 3_000), 50)

    assert transcript.entries == [
        Entry(Voice.AGENT, "A", 0, left, heard_ms=heard_ms, sent_ms=3_000)
    ]


def test_words_that_come_after_the_cut_were_not_heard() -> None:
    """The transcript runs ahead of the audio, and its tail comes after the interruption."""
    transcript = said(SENTENCE)
    transcript.cut(Heard("R", "A", 0, 1_500, 3_000), 50)

    transcript.agent_says(text(" And on Sundays."), 10)

    assert transcript.entries[0].text == "We are open"


def test_only_the_part_that_was_cut_is_shortened() -> None:
    """The parts before it were heard whole."""
    transcript = Transcript()
    transcript.agent_says(text("Good morning. ", content_index=0), 0)
    transcript.agent_says(text("We are open today.", content_index=1), 0)

    transcript.cut(Heard("R", "A", 1, 500, 1_000), 50)

    assert transcript.entries[0].text == "Good morning. We are"


def test_parts_behind_the_cut_were_not_heard_at_all() -> None:
    """What was heard and sent of an item is the sum of its parts."""
    transcript = Transcript()
    transcript.agent_says(text("One two three four", content_index=0), 0)
    transcript.agent_says(text(" five six", content_index=1), 0)

    transcript.cut(Heard("R", "A", 0, 500, 1_000), 50)
    transcript.cut(Heard("R", "A", 1, 0, 700), 50)

    entry = transcript.entries[0]
    assert (entry.text, entry.heard_ms, entry.sent_ms) == ("One two", 500, 1_700)


def test_an_item_that_was_cut_before_its_words_came_is_there_all_the_same() -> None:
    """Audio may come before its transcript: that the agent was interrupted must not be lost."""
    transcript = Transcript()

    transcript.cut(Heard("R", "A", 0, 0, 1_000), 70)
    transcript.agent_says(text("We are open."), 80)

    assert transcript.entries == [Entry(Voice.AGENT, "A", 70, "", heard_ms=0, sent_ms=1_000)]


def test_an_interruption_before_any_word_is_in_the_record() -> None:
    """The caller spoke into the first syllable; what came later nobody heard."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(1_000), 100)

    machine.handle(e.SpeechStarted("U"), 100)
    machine.handle(text("Hello."), 110)

    assert machine.transcript.entries == [
        Entry(Voice.AGENT, "A", 100, "", heard_ms=0, sent_ms=1_000)
    ]


def test_words_whose_sound_never_came_were_not_heard() -> None:
    """The transcript runs ahead: the caller interrupted before there was anything to hear."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(text("We are open."), 90)

    machine.handle(e.SpeechStarted("U"), 100)

    assert machine.transcript.entries == [Entry(Voice.AGENT, "A", 90, "", heard_ms=0, sent_ms=0)]
    assert seed(remember((), machine.transcript.entries)) == []


def test_words_of_a_line_nobody_came_to_were_not_heard() -> None:
    """The greeting waited for a stream that never started."""
    machine = CallMachine(CallPlan("Hello."))
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started("R", "greeting"), 20)
    machine.handle(text("Hello."), 30)
    machine.handle(speech(500), 30)
    machine.handle(done(), 40)

    assert machine.wake(PARKED_MS) == [c.EndStream("stream_lost")]

    assert machine.transcript.entries == []


def test_a_callers_turn_has_its_place_before_its_words() -> None:
    """The side transcription comes late, often after the answer."""
    transcript = Transcript()
    transcript.caller_turn("U", 100)
    transcript.agent_says(text("Hello."), 200)
    transcript.caller_said("U", " Good morning. \n", 900)

    assert transcript.entries == [
        Entry(Voice.CALLER, "U", 100, "Good morning."),
        Entry(Voice.AGENT, "A", 200, "Hello."),
    ]


def test_words_before_their_turn_make_it() -> None:
    """The order of the two is the server's to choose."""
    transcript = Transcript()
    transcript.caller_said("U", "Hello?", 100)
    transcript.caller_turn("U", 120)

    assert transcript.entries == [Entry(Voice.CALLER, "U", 100, "Hello?")]


def test_a_tool_keeps_what_it_was_asked_and_what_it_answered() -> None:
    """A call without its output would confuse the next model line."""
    transcript = Transcript()
    transcript.tool_called("T1", "look_up", '{"a":1}', 10)
    transcript.tool_answered("T1", "42")
    transcript.tool_answered("T9", "nobody asked")

    assert transcript.entries == [
        Entry(Voice.TOOL, "T1", 10, "42", name="look_up", arguments='{"a":1}')
    ]


def test_words_of_a_muted_response_were_not_said() -> None:
    """`D-TS-3` on paper: what nobody heard must not be in the record."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechStarted("U"), 10)

    machine.handle(text("Nobody hears this."), 20)

    assert machine.transcript.entries == []


def test_a_queued_item_leaves_no_words() -> None:
    """`D-PC-1` on paper: B waited behind A and was never played."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    for item, words in (("A", "One two three four."), ("B", "Five six.")):
        machine.handle(text(words, item), 0)
    names = marks(machine.handle(speech(1_000, "A"), 0) + machine.handle(speech(500, "B"), 0))
    machine.handle(done(), 10)
    machine.handle(e.MarkReturned(names[0]), 198)
    machine.handle(e.MarkReturned(names[1]), 396)

    machine.handle(e.SpeechStarted("U"), 500)

    assert [(x.text, x.heard_ms) for x in machine.transcript.entries] == [
        ("One two", 500),
        ("", 0),
    ]
