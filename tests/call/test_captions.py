"""Captions: who reads along sees what was heard, and every change of it once."""

from dataclasses import asdict

from app.call.captions import Caption, Captions
from app.call.chronicle import Latency
from app.call.playout import Heard
from app.call.transcript import Transcript
from app.protocol.events import SpeechText
from tests.call.witness import Witnessed


class Reader(Captions):
    """Looks when what changed has been told."""

    def __init__(self, report: Witnessed) -> None:
        super().__init__(report)
        self._witnessed = report

    def changes(self) -> list[Caption]:
        self._witnessed.chronicle.settle(0)
        return super().changes()


def _call() -> tuple[Witnessed, Transcript]:
    report = Witnessed()
    return report, report.transcript


def test_a_line_that_grows_keeps_its_place() -> None:
    """The words of a sentence come one by one; the page shows one sentence."""
    report, transcript = _call()
    captions = Reader(report)

    transcript.agent_says(SpeechText("r1", "i1", 0, "Hello, "), 10)
    first = captions.changes()
    transcript.agent_says(SpeechText("r1", "i1", 0, "Contoso."), 20)
    second = captions.changes()

    assert first == [Caption("agent", "1.0", "Hello, ", 10)]
    assert second == [Caption("agent", "1.0", "Hello, Contoso.", 10)]
    assert captions.changes() == []


def test_a_cut_line_says_how_much_was_heard() -> None:
    """That is what no other product shows: the caller's version of the sentence."""
    report, transcript = _call()
    transcript.agent_says(SpeechText("r1", "i1", 0, "one two three four"), 10)
    captions = Reader(report)
    captions.changes()

    transcript.cut(Heard("r1", "i1", 0, heard_ms=500, sent_ms=1000), 50)

    assert captions.changes() == [Caption("cut", "1.0", "one two", 10, heard_ms=500, sent_ms=1000)]


def test_a_tool_is_named_and_its_values_are_not_shown() -> None:
    """Arguments and results may hold what a caller said in confidence."""
    report, transcript = _call()
    captions = Reader(report)

    transcript.tool_called("c1", "opening_hours", '{"day":"sunday"}', 30)
    running = captions.changes()
    transcript.tool_answered("c1", "closed")

    assert running == [Caption("tool", "1.0", "", 30, "opening_hours")]
    assert captions.changes() == [Caption("tool", "1.0", "", 30, "opening_hours", True)]


def test_a_latency_belongs_to_the_line_that_answered() -> None:
    """First as sent, then as heard: the figure the caller feels."""
    report, transcript = _call()
    transcript.agent_says(SpeechText("r1", "i1", 0, "Hello."), 10)
    transcript.agent_says(SpeechText("r2", "i2", 0, "At nine."), 1290)
    report.told(1300, "turn.answered", asdict(Latency(1000, sent_ms=300)))
    captions = Reader(report)

    sent = captions.changes()
    report.told(1450, "turn.answered", asdict(Latency(1000, sent_ms=300, played_ms=420)))

    assert sent[-1] == Caption("turn", "1.1", latency_ms=300)
    assert captions.changes() == [Caption("turn", "1.1", latency_ms=420)]


def test_transfers_and_the_end_are_part_of_the_story() -> None:
    """A reader who comes late gets all of it, in one look."""
    report, _ = _call()
    report.told(5000, "transfer.started", {"target": "human", "mode": "cold"})
    report.told(5100, "transfer.answered", {"outcome": "ringing"})
    report.ended("transferred", 9000)

    assert Reader(report).changes() == [
        Caption("note", "transfer.0", "Putting through to human: ringing", 5000),
        Caption("end", "end", "The call ended: transferred", 9000),
    ]


def test_keys_are_shown_as_the_callers() -> None:
    """The label is for the model; a reader sees what was pressed."""
    report, transcript = _call()
    transcript.note("[keypad] The caller pressed: 1 2 #", 40)

    assert Reader(report).changes() == [Caption("caller", "1.0", "1 2 #", 40)]


def test_a_tool_that_put_the_caller_through_is_done() -> None:
    """It is answered only where the transfer fails; until then nothing is at work."""
    report, transcript = _call()
    transcript.tool_called("c1", "transfer_call", '{"target":"human"}', 30)
    report.told(900, "transfer.started", {"target": "human", "mode": "cold"})

    assert Reader(report).changes()[0] == Caption("tool", "1.0", "", 30, "transfer_call", True)
