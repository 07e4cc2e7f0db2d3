"""The recordings of a call, out of its facts: its record, and what a later process knows."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.call.facts import Fact
from app.call.plan import RecordingPlan
from app.call.record import amended, record
from app.call.recorded import taken_up
from app.call.report import Report

Told = tuple[str, Mapping[str, Any]]
SID = "RE" + "a" * 32
STARTED = ("recording.started", {"recording_sid": SID, "channels": 2, "announced": True})
PAUSED = ("recording.paused", {"recording_sid": SID})
RESUMED = ("recording.resumed", {"recording_sid": SID})
STOPPED = ("recording.stopped", {"recording_sid": SID})
COMPLETED = {"recording_sid": SID, "status": "completed", "duration_s": 9, "channels": 2}


def story(*facts: Told) -> Report:
    """One fact a second."""
    report = Report()
    for number, (kind, data) in enumerate(facts):
        report.learn(Fact(kind, number * 1000, data))
    return report


def failed(wish: str, reason: str) -> Told:
    """A wish that was not carried out."""
    return "recording.failed", {"wish": wish, "reason": reason}


@pytest.mark.parametrize(
    ("facts", "reached"),
    [
        ([], ""),
        ([STARTED], "on"),
        ([STARTED, PAUSED], "resting"),
        ([STARTED, PAUSED, RESUMED], "on"),
        ([STARTED, failed("pause", "timed_out"), STOPPED], "over"),
        ([STARTED, failed("pause", "timed_out")], "stopping"),
        ([STARTED, failed("pause", "timed_out"), failed("stop", "timed_out")], "stopping"),
        ([STARTED, failed("resume", "timed_out")], "on"),
        ([failed("start", "call_over")], "over"),
        ([failed("start", "not_announced")], "over"),
        ([failed("start", "unclear:timed_out")], "on"),
    ],
)
def test_whoever_takes_the_call_over_knows_how_far_it_had_come(
    facts: list[Told], reached: str
) -> None:
    """Nothing is begun twice; what nobody knows of is paused as if it were there."""
    assert taken_up(RecordingPlan("Told."), story(*facts).recorded) == RecordingPlan(
        "Told.", reached=reached
    )


def test_the_pauses_add_up_and_end_with_the_call() -> None:
    """Two of a second each, the last ended by the caller."""
    ended = ("call.ended", {"reason": "caller_hangup"})
    report = story(STARTED, PAUSED, RESUMED, PAUSED, ended)

    [told] = report.recorded.entries
    assert (told["paused_ms"], told["status"]) == (2000, "paused")


def test_the_last_word_comes_after_the_call_and_stays() -> None:
    """The kept record is what the facts come to, whichever way it was told."""
    report = story(STARTED, ("call.ended", {"reason": "caller_hangup"}))
    kept = record("call_1", report, str)

    kept = amended(kept, kind="recording.completed", data=COMPLETED)
    kept = amended(kept, kind="recording.stopped", data={"recording_sid": SID})
    for kind, data in (("recording.completed", COMPLETED), STOPPED):
        report.learn(Fact(kind, 9000, data))

    [told] = kept["recording"]
    assert (told["status"], told["duration_s"], told["kind"]) == ("completed", 9, "call")
    assert kept["recording"] == report.recorded.entries


def test_a_message_is_no_recording_of_the_call() -> None:
    """It has a kind of its own, and pauses nothing."""
    report = story(("message.taken", COMPLETED))

    assert [one["kind"] for one in report.recorded.entries] == ["message"]
    assert report.recorded.sid is None


def test_what_failed_is_a_warning() -> None:
    """Who looks for a recording finds out why there is none."""
    assert story(failed("start", "not_announced")).warnings == {"recording_start:not_announced": 1}
