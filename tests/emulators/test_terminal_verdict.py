"""What is expected of a call, judged by what the caller heard; and the story on the screen."""

from typing import Any

import pytest

from app.audio import mulaw
from app.audio.tones import tone
from app.call.report import END_REASONS, Result
from app.emulators.demo_story import Screen
from app.emulators.phone_client import LOST
from app.emulators.phone_script import CallRecording, PhoneEvent
from app.emulators.terminal_story import TerminalStory
from app.emulators.terminal_verdict import GOOD_ENDS, Expected, Findings, judged, pauses_ms


def event(name: str, media_ms: int = 0, **fields: Any) -> PhoneEvent:
    """One of the phone's."""
    return PhoneEvent(name, "2026-11-21T12:00:00.000+00:00", media_ms, fields)


def caption(kind: str, place: str, text: str = "", **more: Any) -> dict[str, Any]:
    """One of the server's, as it comes in an event."""
    nothing = dict.fromkeys(("ok", "heard_ms", "sent_ms", "latency_ms"))
    return {"kind": kind, "id": place, "text": text, "at_ms": 0, "name": "", **nothing, **more}


def found(*captions: dict[str, Any], events: tuple[PhoneEvent, ...] = ()) -> Findings:
    """What these leave behind."""
    findings = Findings()
    for one in (*captions, caption("end", "end", "The call ended: caller_hangup")):
        findings.captioned(one)
    for happened in events:
        findings.happened(happened)
    return findings


def faults(findings: Findings, expected: Expected) -> list[str]:
    """What was not as expected."""
    return [check.fault for check in judged(findings, expected) if check.fault is not None]


def test_every_end_that_counts_as_good_is_a_success_and_the_other_way_round() -> None:
    """The words are the server's; a new reason must not pass unseen."""
    assert {name for name, result in END_REASONS.items() if result is Result.SUCCESS} == GOOD_ENDS


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("replaced", "another telephone took the line, which ended the call"),
        (LOST, "the line to the carrier broke off"),
    ],
)
@pytest.mark.parametrize("wanted", [None, "caller_hangup"])
def test_a_call_whose_line_was_lost_did_not_end_well(
    reason: str, sentence: str, wanted: str | None
) -> None:
    """The server cannot tell it from a caller who hangs up; the phone can."""
    findings = found(events=(event("hungup", by="carrier", reason=reason),))

    assert faults(findings, Expected(end=wanted)) == [sentence]


def test_what_was_cut_off_was_not_heard() -> None:
    """An assertion about what the agent only meant to say would pass on a broken interruption."""
    findings = found(
        caption("agent", "0.0", "We are closed on Sunday."),
        caption("cut", "0.0", "We are", heard_ms=300, sent_ms=900),
    )

    assert faults(findings, Expected(texts=("closed",))) == ["heard: We are"]
    assert not faults(findings, Expected(texts=("WE  are",)))


def test_the_newest_of_a_line_counts_and_a_turn_is_no_line() -> None:
    """A turn has the id of the answer it is about."""
    findings = found(
        caption("agent", "0.1", "Cer"),
        caption("turn", "0.1", latency_ms=100),
        caption("agent", "0.1", "Certainly."),
        caption("turn", "0.1", latency_ms=420),
    )

    assert findings.heard == ["Certainly."]
    assert findings.latencies_ms == [420]
    assert faults(findings, Expected(max_latency_ms=419)) == ["answer 1 after 420 ms"]
    assert not faults(findings, Expected(max_latency_ms=420))


def test_tools_and_understood_words_are_judged_by_name_and_by_part() -> None:
    """The two sides of a conversation are not mixed up."""
    findings = found(
        caption("caller", "0.0", "I want to book."), caption("tool", "0.1", name="book", ok=True)
    )

    assert not faults(findings, Expected(tools=("book",), understood=("to BOOK",)))
    assert faults(findings, Expected(tools=("cancel",), texts=("to book",))) == [
        "tools called: book",
        "heard: nothing",
    ]


def test_a_server_that_is_gone_has_not_ended_the_call_well() -> None:
    """No end is no good end."""
    assert faults(Findings(), Expected()) == ["the server did not tell how it ended"]


def recording(caller: bytes, *events: PhoneEvent) -> CallRecording:
    """A call with this on the left."""
    return CallRecording("CA1", "caller", caller, mulaw.silence(len(caller) // 8), events)


@pytest.mark.parametrize("tail_ms", [0, 300])
def test_a_pause_lasts_from_the_last_sound_to_the_first(tail_ms: int) -> None:
    """Silence at the end of a file is waiting, too: the caller has stopped talking."""
    caller = mulaw.silence(1000) + tone(300, 400) + mulaw.silence(tail_ms) + mulaw.silence(2000)
    events = (
        event("agent-begins", 100),
        event("line", 1000, play="a.wav"),
        event("agent-begins", 2100),
        event("line", 3000, press="5"),
    )

    (pause_ms,) = pauses_ms(recording(caller, *events))

    assert abs(pause_ms - 700) <= 20


def test_a_line_without_an_answer_has_no_pause() -> None:
    """The answer of the next line is not its answer."""
    caller = tone(300, 200) + mulaw.silence(800) + tone(300, 200) + mulaw.silence(800)
    events = (event("line", 0, say="a"), event("line", 1000, say="b"), event("agent-begins", 1500))

    assert [abs(one - 300) <= 20 for one in pauses_ms(recording(caller, *events))] == [True]
    assert pauses_ms(recording(caller)) == []


class Page:
    """What a terminal would show, if it were none."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Everything is there already."""

    def isatty(self) -> bool:
        return False

    @property
    def told(self) -> list[str]:
        """The lines without their times."""
        return [line[8:] for line in self.text.splitlines()]


def test_a_sentence_is_told_once_it_was_spoken_and_never_twice() -> None:
    """Captions run ahead of the sound, and come again with every word."""
    page = Page()
    story = TerminalStory(Screen(page))  # type: ignore[arg-type]

    story.captioned(caption("agent", "0.0", "Good"))
    story.captioned(caption("agent", "0.0", "Good morning."))
    assert page.told == []
    story.happened(event("agent-ends"))
    story.captioned(caption("agent", "0.0", "Good morning. How are you?"))
    story.happened(event("agent-ends"))
    story.captioned(caption("caller", "0.1"))
    story.captioned(caption("caller", "0.1", "Fine."))
    story.captioned(caption("agent", "0.2", "Let me see."))
    story.captioned(caption("turn", "0.2", latency_ms=1234))
    story.captioned(caption("tool", "0.3", name="book"))
    story.captioned(caption("tool", "0.3", name="book", ok=True))
    story.captioned(caption("tool", "0.3", name="book", ok=True))

    assert page.told == [
        "agent     Good morning.",
        "agent     How are you?",
        "heard     Fine.",
        "agent     Let me see. (1,234 ms)",
        "tool      book is called",
        "tool      book has answered",
    ]


def test_a_cut_sentence_is_told_whole_and_with_what_was_heard_of_it() -> None:
    """Who reads it sees what was meant and what arrived."""
    page = Page()
    story = TerminalStory(Screen(page))  # type: ignore[arg-type]

    story.captioned(caption("agent", "0.0", "On and on and on."))
    story.captioned(caption("cut", "0.0", "On and", heard_ms=1500, sent_ms=4000))
    story.happened(event("agent-ends"))
    story.happened(event("hungup", by="carrier", reason="line_lost"))

    assert page.told == [
        "agent     On and on and on.",
        "cut       1,500 of 4,000 ms heard: On and▏",
        "call      the carrier ended the call: line_lost",
    ]
