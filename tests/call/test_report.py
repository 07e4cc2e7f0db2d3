"""The record, as a fold over what happened."""

import pytest

from app.call.report import END_REASONS, MOST_WARNINGS, Latency, Report, Transferred, percentiles
from app.call.transcript import Entry, Transcript, Voice
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import speech

PLAY = c.PlayAudio("", 800)
MARK = c.SendMark("g0:1", 100)


def stopped(at_ms: int) -> Report:
    report = Report()
    report.saw(at_ms, e.SpeechStopped("U"), [])
    return report


def test_a_turns_latency_is_what_the_caller_felt() -> None:
    """From their last word to the first sound of the answer, not to the first packet."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_560, e.MarkReturned("g0:1"), [])

    assert report.turns == [Latency(1_000, sent_ms=400, played_ms=460)]


def test_only_the_first_audio_of_an_answer_counts() -> None:
    """The rest is its length."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_500, speech(100), [PLAY, c.SendMark("g0:2", 200)])
    report.saw(1_900, e.MarkReturned("g0:2"), [])

    assert report.turns == [Latency(1_000, sent_ms=400)]


def test_the_echo_of_a_cleared_mark_is_no_latency() -> None:
    """`D-TS-2` in figures: Twilio returns the mark because of the clear, not of the playing."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_410, e.SpeechStarted("U2"), [c.ClearPlayback(), c.TruncateItem("A", 0, 10)])
    report.saw(1_450, e.MarkReturned("g0:1"), [])
    assert report.turns == [Latency(1_000, sent_ms=400)]

    report.saw(2_000, e.SpeechStopped("U2"), [])
    report.saw(2_300, speech(100, "B"), [PLAY, c.SendMark("g1:2", 100)])
    report.saw(2_420, e.MarkReturned("g1:2"), [])
    assert report.turns[1:] == [Latency(2_000, sent_ms=300, played_ms=320)]
    assert report.barge_ins == 1


def test_a_greeting_answers_nobody() -> None:
    """A latency needs somebody who waited."""
    report = Report()
    report.saw(300, e.StreamStarted("MZ1"), [PLAY, MARK])
    report.saw(400, e.MarkReturned("g0:1"), [])

    assert report.turns == []
    assert (report.answered_at_ms, report.first_audio_at_ms) == (300, 300)


def test_a_failed_response_is_a_warning_also_when_it_cost_something() -> None:
    """Usage and failure come in one event."""
    report = Report()
    report.saw(0, e.ResponseDone("R", "failed", "server_error", e.Usage(input_text=7)), [])
    report.saw(1, e.ResponseDone("R", "failed", "server_error"), [])

    assert report.warnings == {"response_failed:server_error": 2}
    assert report.usage["input_text"] == 7


def test_usage_adds_up() -> None:
    """The price of a call is the sum of its responses."""
    report = Report()
    for _ in range(2):
        report.saw(0, e.ResponseDone("R", "completed", None, e.Usage(1, 2, 3, 4, 5)), [])

    assert dict(report.usage) == {
        "input_text": 2,
        "input_audio": 4,
        "input_cached": 6,
        "output_text": 8,
        "output_audio": 10,
    }


def test_what_went_wrong_is_counted_by_name() -> None:
    """An operator finds the pattern, not the sentence."""
    report = Report()
    report.saw(0, e.ModelRefused("http_503", retryable=True), [])
    report.saw(1, e.ModelLineLost(1006, "closed_1006"), [])
    report.saw(2, e.ModelError("invalid_value"), [])
    report.saw(3, e.ToolDone("T1", "?", ok=False, elapsed_ms=30), [])
    report.saw(4, e.ToolDone("T2", "!", ok=True, elapsed_ms=50), [])

    assert report.warnings == {
        "model_refused:http_503": 1,
        "model_lost:closed_1006": 1,
        "model_error:invalid_value": 1,
    }
    assert (report.model_losses, report.tools_failed, report.tool_ms) == (1, 1, [30, 50])


def test_a_transfer_is_told_from_its_wish_to_its_end() -> None:
    """The dial result comes minutes later, by another way."""
    report = Report()
    report.transfer_ended("nobody was transferred")
    report.saw(100, e.MarkReturned("g0:1"), [c.Transfer("billing")])
    report.saw(200, e.TransferAccepted(), [])
    assert report.transfers == [Transferred("billing", 100, "ringing")]

    report.transfer_ended("connected", 61)
    assert report.transfers == [Transferred("billing", 100, "connected", 61)]


def test_a_refused_transfer_says_why() -> None:
    """REST's answer is the outcome."""
    report = Report()
    report.saw(100, None, [c.Transfer("billing")])
    report.saw(200, e.TransferRefused("http_500"), [])

    assert report.transfers[0].outcome == "refused:http_500"


def test_an_answer_that_got_lost_is_told_as_such() -> None:
    """The caller may be talking to the person, or may never have been put through."""
    report = Report()
    report.saw(100, None, [c.Transfer("billing")])
    report.saw(200, e.TransferUnclear("timed_out"), [])

    assert report.transfers[0].outcome == "unclear:timed_out"
    report.transfer_ended("busy")
    assert report.transfers[0].outcome == "busy"


@pytest.mark.parametrize(
    "late", [e.TransferAccepted(), e.TransferRefused("timed_out"), e.TransferUnclear("timed_out")]
)
def test_the_dial_result_outlives_the_answer_of_rest(late: e.Event) -> None:
    """A slow answer comes after the person was reached, and knows less."""
    report = Report()
    report.saw(100, None, [c.Transfer("billing")])
    report.transfer_ended("connected", 61)

    report.saw(900, late, [])

    assert report.transfers == [Transferred("billing", 100, "connected", 61)]


def test_a_record_closes_once() -> None:
    """Twilio repeats, reorders and loses."""
    report = Report()

    assert report.ended("caller_hangup", 1_000)
    assert not report.ended("stream_lost", 2_000)
    assert (report.ending, report.ended_at_ms) == ("caller_hangup", 1_000)


def test_every_end_of_the_machine_is_documented() -> None:
    """`transferring` is no end: the call goes on."""
    assert "transferring" not in END_REASONS


def test_the_turns_say_what_was_heard() -> None:
    """Generated words are the model's; heard words are the call."""
    report = Report()
    report.saw(0, speech(2_000, "A"), [PLAY])
    report.saw(0, speech(3_000, "B"), [PLAY])
    transcript = Transcript()
    transcript.entries = [
        Entry(Voice.AGENT, "A", 10, "Hello."),
        Entry(Voice.CALLER, "U", 20, "Hi."),
        Entry(Voice.TOOL, "T1", 25, "42", name="look_up"),
        Entry(Voice.AGENT, "B", 30, "We are", heard_ms=700, sent_ms=3_000),
        Entry(Voice.NOTE, "", 40, "[keypad] The caller pressed: 1"),
    ]
    report.transcripts.append(transcript)

    start, turn = report.lines()

    assert start == {
        "index": 0,
        "type": "start",
        "text": None,
        "at_ms": 10,
        "responses": [
            {
                "type": "speech",
                "text": "Hello.",
                "audio_ms": 2_000,
                "heard_ms": 2_000,
                "interrupted": False,
                "at_ms": 10,
            }
        ],
    }
    assert turn["text"] == "Hi."
    assert turn["responses"] == [
        {"type": "tool", "name": "look_up", "at_ms": 25},
        {
            "type": "speech",
            "text": "We are",
            "audio_ms": 3_000,
            "heard_ms": 700,
            "interrupted": True,
            "at_ms": 30,
        },
        {"type": "note", "text": "[keypad] The caller pressed: 1", "at_ms": 40},
    ]


def test_the_greeting_that_waited_for_the_stream_was_played_too() -> None:
    """Its deltas came before there was anybody to play them to."""
    report = Report()
    report.saw(100, speech(100), [])
    report.saw(300, e.StreamStarted("MZ1"), [PLAY, MARK])
    report.saw(400, speech(100), [PLAY])

    assert report.played_bytes == 1_600


def test_figures_of_nothing_are_null() -> None:
    """Unknown is null, never zero and never absent."""
    assert percentiles([]) == {"count": 0, "p50": None, "p95": None, "max": None}
    assert percentiles([30, 10, 20]) == {"count": 3, "p50": 20, "p95": 30, "max": 30}


def test_the_servers_words_do_not_fill_the_record() -> None:
    """Codes are the server's to make up; the record has room for so many and no more."""
    report = Report()
    for n in range(1_000):
        report.saw(n, e.ModelError(f"code_{n}"), [])
        report.saw(n, e.ResponseDone("R", "failed", f"reason_{n}"), [])
        report.saw(n, e.ModelLineLost(1006, f"word_{n}"), [])
        report.saw(n, e.ModelRefused(f"why_{n}", retryable=True), [])

    assert len(report.warnings) == MOST_WARNINGS + 1
    assert report.warnings.total() == 4_000
    assert report.warnings["model_error:code_0"] == 1
