"""The record, as a fold over what happened."""

from typing import Any

import pytest

from app.call.chronicle import Latency
from app.call.facts import Fact
from app.call.playout import Heard
from app.call.record import record
from app.call.report import END_REASONS, MOST_WARNINGS, Report, Transferred, percentiles
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.witness import Witnessed
from tests.call.words import speech

PLAY = c.PlayAudio("", 800)
MARK = c.SendMark("g0:1", 100)


def stopped(at_ms: int) -> Witnessed:
    report = Witnessed()
    report.saw(at_ms, e.SpeechStopped("U"), [])
    return report


def test_a_turns_latency_is_what_the_caller_felt() -> None:
    """From their last word to the first sound of the answer, not to the first packet."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_560, e.MarkReturned("g0:1"), [])

    assert list(report.turns.values()) == [Latency(1_000, sent_ms=400, played_ms=460)]


def test_only_the_first_audio_of_an_answer_counts() -> None:
    """The rest is its length."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_500, speech(100), [PLAY, c.SendMark("g0:2", 200)])
    report.saw(1_900, e.MarkReturned("g0:2"), [])

    assert list(report.turns.values()) == [Latency(1_000, sent_ms=400)]


def test_the_echo_of_a_cleared_mark_is_no_latency() -> None:
    """`D-TS-2` in figures: Twilio returns the mark because of the clear, not of the playing."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.saw(1_410, e.SpeechStarted("U2"), [c.ClearPlayback(), c.TruncateItem("A", 0, 10)])
    report.saw(1_450, e.MarkReturned("g0:1"), [])
    assert list(report.turns.values()) == [Latency(1_000, sent_ms=400)]

    report.saw(2_000, e.SpeechStopped("U2"), [])
    report.saw(2_300, speech(100, "B"), [PLAY, c.SendMark("g1:2", 100)])
    report.saw(2_420, e.MarkReturned("g1:2"), [])
    assert list(report.turns.values())[1:] == [Latency(2_000, sent_ms=300, played_ms=320)]
    assert report.barge_ins == 1


def test_a_greeting_answers_nobody() -> None:
    """A latency needs somebody who waited."""
    report = Witnessed()
    report.saw(300, e.StreamStarted("MZ1"), [PLAY, MARK])
    report.saw(400, e.MarkReturned("g0:1"), [])

    assert not report.turns
    assert (report.answered_at_ms, report.first_audio_at_ms) == (300, 300)


def test_a_failed_response_is_a_warning_also_when_it_cost_something() -> None:
    """Usage and failure come in one event."""
    report = Witnessed()
    report.saw(0, e.ResponseDone("R", "failed", "server_error", e.Usage(input_text=7)), [])
    report.saw(1, e.ResponseDone("R", "failed", "server_error"), [])

    assert report.warnings == {"response_failed:server_error": 2}
    assert report.usage["input_text"] == 7


def test_usage_adds_up() -> None:
    """The price of a call is the sum of its responses."""
    report = Witnessed()
    for _ in range(2):
        report.saw(0, e.ResponseDone("R", "completed", None, e.Usage(1, 2, 3, 4, 5)), [])

    assert dict(report.usage) == {
        "input_text": 2,
        "input_audio": 4,
        "input_cached": 6,
        "output_text": 8,
        "output_audio": 10,
        "input_cached_audio": 0,
    }


def test_what_went_wrong_is_counted_by_name() -> None:
    """An operator finds the pattern, not the sentence."""
    report = Witnessed()
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
    report = Witnessed()
    report.transfer_ended("nobody was transferred")
    report.saw(100, e.MarkReturned("g0:1"), [c.Transfer("billing")])
    report.saw(200, e.TransferAccepted(), [])
    assert report.transfers == [Transferred("billing", 100, "ringing")]

    report.transfer_ended("connected", 61)
    assert report.transfers == [Transferred("billing", 100, "connected", 61)]


def test_a_person_who_is_asked_first_is_told_from_the_call_to_them_to_the_end_of_the_talk() -> None:
    """Another process must find the room where the two are, and the record the leg."""
    report = Witnessed()
    report.saw(100, e.MarkReturned("g0:1"), [c.PlaceSideCall("desk", 1, "Ada waits.")])
    report.saw(200, e.SideCallPlaced(1, "desk", "CA2"), [])
    assert (report.transfers[0].outcome, report.transfers[0].leg_sid) == ("ringing", "CA2")
    report.saw(300, e.SideCallAccepted(1), [c.Join("desk", 1)])
    report.told(310, "transfer.dialling", {"target": "desk", "token_digest": "d", "room": "r"})
    assert (report.transfers[0].outcome, report.transfers[0].open) == ("accepted", True)
    report.saw(400, e.TransferAccepted(), [])
    assert (report.transfers[0].outcome, report.transfers[0].room) == ("joined", "r")

    report.transfer_ended("connected", 61)
    known = Transferred("desk", 100, "connected", 61, "d", "r", "warm", "Ada waits.")
    known.leg_sid = "CA2"
    assert report.transfers == [known]


def test_a_person_who_was_not_reached_is_an_attempt_of_its_own() -> None:
    """The next target is another one; news of the call that come late change no outcome."""
    report = Witnessed()
    report.saw(100, None, [c.PlaceSideCall("desk", 1, "")])
    failed = [c.NotReached("desk", "busy", "billing"), c.Transfer("billing")]
    report.saw(200, e.SideCallOver(1, "busy"), failed)
    report.saw(300, e.TransferAccepted(), [])

    told = [(one.target, one.mode, one.outcome) for one in report.transfers]
    assert told == [("desk", "warm", "busy"), ("billing", "cold", "ringing")]


def test_a_refused_transfer_says_why() -> None:
    """REST's answer is the outcome."""
    report = Witnessed()
    report.saw(100, None, [c.Transfer("billing")])
    report.saw(200, e.TransferRefused("http_500"), [])

    assert report.transfers[0].outcome == "refused:http_500"


def test_an_answer_that_got_lost_is_told_as_such() -> None:
    """The caller may be talking to the person, or may never have been put through."""
    report = Witnessed()
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
    report = Witnessed()
    report.saw(100, None, [c.Transfer("billing")])
    report.transfer_ended("connected", 61)

    report.saw(900, late, [])

    assert report.transfers == [Transferred("billing", 100, "connected", 61)]


def test_a_record_closes_once() -> None:
    """Twilio repeats, reorders and loses."""
    report = Witnessed()

    report.ended("caller_hangup", 1_000)
    report.ended("stream_lost", 2_000)
    assert (report.ending, report.ended_at_ms) == ("caller_hangup", 1_000)


def test_every_end_of_the_machine_is_documented() -> None:
    """`transferring` is no end: the call goes on."""
    assert "transferring" not in END_REASONS


def words(item_id: str, text: str) -> e.SpeechText:
    return e.SpeechText("R1", item_id, 0, text)


def test_the_turns_say_what_was_heard() -> None:
    """Generated words are the model's; heard words are the call."""
    report = Witnessed()
    story = report.transcript
    report.saw(0, speech(2_000, "A"), [PLAY])
    story.agent_says(words("A", "Hello."), 10)
    report.chronicle.settle(11)
    story.caller_turn("U", 20)
    story.caller_said("U", "Hi.", 22)
    story.tool_called("T1", "look_up", "{}", 25)
    story.tool_answered("T1", "42")
    report.saw(0, speech(3_000, "B"), [PLAY])
    story.agent_says(words("B", "We are open"), 30)
    story.cut(Heard("R1", "B", 0, heard_ms=2_000, sent_ms=3_000), 35)
    report.saw(35, e.SpeechStarted("U2"), [c.ClearPlayback()])
    story.note("[keypad] The caller pressed: 1", 40)
    report.chronicle.settle(41)

    start, turn = report.dialogue()

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
            "heard_ms": 2_000,
            "interrupted": True,
            "at_ms": 30,
        },
        {"type": "note", "text": "[keypad] The caller pressed: 1", "at_ms": 40},
    ]


def test_a_sentence_under_way_is_told_as_far_as_it_was_heard() -> None:
    """A process that dies now leaves the truth: the words run ahead of the sound."""
    report = Witnessed()
    report.saw(0, speech(3_000, "A"), [PLAY])
    report.transcript.agent_says(words("A", "We are open until nine"), 10)
    report.under_way = {"A": 1_500}
    report.chronicle.settle(1_500)

    (start,) = report.dialogue()
    (spoken,) = start["responses"]

    assert (spoken["text"], spoken["heard_ms"], spoken["interrupted"]) == ("We are", 1_500, False)


@pytest.mark.parametrize(
    "after", [("call.stream_awaited", {"stream": 2}), ("call.ended", {"reason": "stream_lost"})]
)
def test_a_sentence_that_its_process_did_not_outlive_is_cut(
    after: tuple[str, dict[str, Any]],
) -> None:
    """Nobody was there to say that the rest was taken away."""
    report = Witnessed()
    report.told(0, "call.stream_awaited", {"stream": 1})
    report.saw(0, speech(3_000, "A"), [PLAY])
    report.transcript.agent_says(words("A", "We are open until nine"), 10)
    report.under_way = {"A": 1_500}
    report.chronicle.settle(1_500)
    report.told(2_000, *after)

    (start,) = report.dialogue()
    (spoken,) = start["responses"]

    assert (spoken["text"], spoken["heard_ms"], spoken["interrupted"]) == ("We are", 1_500, True)


def test_what_did_not_change_is_not_told_again() -> None:
    """A settled call costs nothing, however often it is asked."""
    report = Witnessed()
    report.saw(0, speech(3_000, "A"), [PLAY])
    report.transcript.agent_says(words("A", "Hello."), 10)
    report.under_way = {"A": 1_500}
    report.chronicle.settle(1_500)
    told = len(report.facts)

    report.chronicle.settle(1_500)
    assert len(report.facts) == told

    report.under_way = {}
    report.chronicle.settle(3_000)
    report.chronicle.settle(3_100)
    assert [fact.type for fact in report.facts[told:]] == ["transcript.heard"]
    assert report.facts[-1].data["whole"]


def test_how_much_was_heard_is_told_with_every_mark_and_at_the_end() -> None:
    """Much happens between two marks; each would cost a line on record. What one says is never
    left out, though: a process that dies then would take half a second with it."""
    report = Witnessed()
    report.saw(0, speech(3_000, "A"), [PLAY])
    report.transcript.agent_says(words("A", "Hello."), 10)
    for heard_ms in (20, 120, 190):
        report.under_way = {"A": heard_ms}
        report.chronicle.settle(heard_ms)
    for heard_ms, happened in ((200, "g0:1"), (320, ""), (400, "g0:2"), (401, ""), (410, "")):
        report.under_way = {"A": heard_ms}
        report.saw(heard_ms, e.MarkReturned(happened) if happened else e.SpeechStopped("U"), [])
        report.chronicle.settle(heard_ms)
    report.chronicle.over(420, "caller_hangup")

    told = [fact.data["heard_ms"] for fact in report.facts if fact.type == "transcript.heard"]
    assert told == [20, 200, 400, 410]


def test_words_that_nobody_heard_are_taken_back() -> None:
    """The first line was lost before the stream came; the second greets afresh."""
    report = Witnessed()
    report.transcript.agent_says(words("A", "Hello?"), 10)
    report.chronicle.settle(11)
    report.transcript.clear()
    report.transcript.agent_says(words("B", "Good day."), 20)
    report.chronicle.settle(21)

    assert [passage.text for passage in report.passages.values()] == ["Good day."]


def test_whoever_has_the_facts_has_the_report() -> None:
    """Another process tells the same story."""
    report = stopped(1_000)
    report.saw(1_400, speech(100), [PLAY, MARK])
    report.transcript.agent_says(words("A", "Hello."), 1_400)
    report.saw(1_560, e.MarkReturned("g0:1"), [c.Transfer("billing")])
    report.chronicle.over(1_700, "transferring")

    other = Report()
    for fact in report.facts:
        other.learn(fact)

    assert other.dialogue() == report.dialogue()
    assert (other.turns, other.transfers) == (report.turns, report.transfers)
    assert (other.seq, other.played_ms) == (report.seq, report.played_ms)


def test_the_greeting_that_waited_for_the_stream_was_played_too() -> None:
    """Its deltas came before there was anybody to play them to."""
    report = Witnessed()
    report.saw(100, speech(100), [])
    report.saw(300, e.StreamStarted("MZ1"), [PLAY, MARK])
    report.saw(400, speech(100), [PLAY])
    report.chronicle.over(500, "caller_hangup")

    assert report.played_ms == 200


def test_figures_of_nothing_are_null() -> None:
    """Unknown is null, never zero and never absent."""
    assert percentiles([]) == {"count": 0, "p50": None, "p95": None, "max": None}
    assert percentiles([30, 10, 20]) == {"count": 3, "p50": 20, "p95": 30, "max": 30}


def test_the_servers_words_do_not_fill_the_record() -> None:
    """Codes are the server's to make up; the record has room for so many and no more."""
    report = Witnessed()
    for n in range(1_000):
        report.saw(n, e.ModelError(f"code_{n}"), [])
        report.saw(n, e.ResponseDone("R", "failed", f"reason_{n}"), [])
        report.saw(n, e.ModelLineLost(1006, f"word_{n}"), [])
        report.saw(n, e.ModelRefused(f"why_{n}", retryable=True), [])

    assert len(report.warnings) == MOST_WARNINGS + 1
    assert report.warnings.total() == 4_000
    assert report.warnings["model_error:code_0"] == 1


def test_custom_data_is_merged_and_deleted_by_key() -> None:
    """W77, W78: the same key overwrites whole, null and the empty text delete."""
    report = Witnessed()
    for patch in (
        {"a": 1, "b": {"x": 1}, "d": 4, "e": 5},
        {"b": {"y": 2}, "c": 3, "d": "", "e": None, "never": ""},
        {"zero": 0, "no": False, "empty": [], "unwritable": 1},
    ):
        report.told(0, "call.custom_data", patch)

    assert report.custom_data == {
        "a": 1,
        "b": {"y": 2},
        "c": 3,
        "zero": 0,
        "no": False,
        "empty": [],
        "unwritable": 1,
    }


def test_a_fact_without_its_data_keeps_its_place_only() -> None:
    """No database took it; the others tell the rest."""
    report = Witnessed()
    report.told(1, "call.stream_started", {"unwritable": "too_large"})
    report.told(2, "call.stream_started", {"stream": 1, "stream_sid": "MZ1"})

    assert (report.seq, report.stream_sids, report.answered_at_ms) == (2, ["MZ1"], 2)


def test_the_time_on_our_streams_is_known_when_all_have_stopped() -> None:
    """The record splits a call between the agent and people."""
    report = Witnessed()
    report.told(100, "call.stream_started", {"stream": 1, "stream_sid": "MZ1"})
    report.told(1_100, "call.stream_stopped", {"stream": 1, "reason": "transferring"})
    report.told(5_000, "call.stream_started", {"stream": 2, "stream_sid": "MZ2"})
    assert record("call_1", report, str_or_none)["durations_ms"]["ai"] is None

    report.told(5_500, "call.stream_stopped", {"stream": 2, "reason": "caller_hangup"})
    report.told(5_600, "call.stream_stopped", {"stream": 2, "reason": "again"})
    report.told(5_700, "call.stream_stopped", {"stream": 3, "reason": "never began"})
    report.ended("model_failed", 6_000)
    told = record("call_1", report, str_or_none)
    assert (told["durations_ms"]["ai"], told["durations_ms"]["total"]) == (1_500, 6_000)
    assert told["failure"] == {
        "code": "model_failed",
        "component": "model",
        "message": None,
        "sip_response_code": None,
        "at": "6000",
    }


def str_or_none(at_ms: int | None) -> str | None:
    """A moment, as it is."""
    return None if at_ms is None else str(at_ms)


def test_a_fact_of_another_version_costs_itself_alone() -> None:
    """A later version may tell the same fact with other names; the story goes on behind it."""
    report = Report()
    for kind, data in (
        ("call.stream_started", {"stream": {"sid": "MZ1"}}),
        ("transcript.updated", {"stream": 1, "entry": 1, "voice": "choir"}),
        ("tool.completed", []),
        ("call.ended", {"reason": "caller_hangup"}),
    ):
        report.learn(Fact(kind, 9, data))

    assert report.ending == "caller_hangup"
    assert report.warnings["unreadable_fact"] == 3
    assert report.seq == 4


def test_the_agents_of_a_call_are_told_in_their_order() -> None:
    """L8: each from when they had the conversation; another process goes on with the last."""
    report = Report()
    report.learn(Fact("call.created", 0, {"agent": "intake"}))
    report.learn(Fact("call.model_connected", 300, {"session_id": "sess_1"}))
    report.learn(Fact("agent.changed", 9_000, {"agent": "billing", "reason": "a bill"}))
    report.learn(Fact("agent.changed", 20_000, {"agent": "intake", "reason": ""}))

    told = record("call_1", report, str_or_none)["agents"]

    assert report.agent == "intake"
    assert [(one["name"], one["entered_at"], one["left_at"]) for one in told] == [
        ("intake", "300", "9000"),
        ("billing", "9000", "20000"),
        ("intake", "20000", None),
    ]
