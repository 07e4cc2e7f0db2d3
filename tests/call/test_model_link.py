"""Opening the model line, opening it again, and when to stop trying."""

import pytest

from app.call.faults import FATAL
from app.call.leaving import DOUBT_MS, PARKED_MS, STOP_MS
from app.call.machine import CallMachine
from app.call.model_link import ATTEMPT_MS, MOST_REOPENINGS, RETRY_AFTER_MS, RETRY_WITHIN_MS
from app.call.patience import PATIENCE_MS
from app.call.plan import CallPlan, Memory, ToolPlan
from app.call.prompts import RESUMED
from app.call.responses import QUIET_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, marks, on_the_phone, say, speech, started, tool_call

FAILOVER = [c.CloseModel(), c.FailOver()]
OPEN = c.OpenModel(ATTEMPT_MS)
LOST = e.ModelLineLost(1006, "abnormal")
LATER = e.ModelRefused("http_503", retryable=True)
NEVER = e.ModelRefused("http_401", retryable=False)


def refuse(
    machine: CallMachine, refusal: e.Event, now_ms: int
) -> tuple[list[int], list[c.Command]]:
    """Every attempt is refused, the one under way at ``now_ms``: when the others were made, and
    what came of it."""
    made = []
    while True:
        out = machine.handle(refusal, now_ms)
        if out:
            return made, out
        while True:
            now_ms = machine.deadline_ms() or 0
            out = machine.wake(now_ms)
            if set(out) - {c.PlayComfort()}:
                break
        assert out == [OPEN]
        made.append(now_ms)


def waiting(plan: CallPlan | None = None) -> CallMachine:
    machine = CallMachine(plan or CallPlan())
    assert machine.begin(0) == [OPEN]
    return machine


def test_the_first_word_is_ready_when_the_caller_is() -> None:
    """The line is opened when the TwiML is answered; speech waits for the stream."""
    machine = waiting(CallPlan("Hello."))
    (greeting,) = machine.handle(e.ModelReady("sess_1"), 100)
    assert isinstance(greeting, c.CreateResponse)
    assert greeting.purpose == "greeting"
    machine.handle(started("R", "greeting"), 150)
    first, second = speech(100), speech(150)
    assert machine.handle(first, 200) == []
    assert machine.handle(second, 210) == []
    assert machine.handle(e.SpeechAudioDone("R", "A", 0), 220) == []
    assert machine.handle(done(), 230) == []

    assert machine.handle(e.StreamStarted("MZ1"), 400) == [
        c.PlayAudio(first.payload_b64, 800),
        c.SendMark("g0:1", 100),
        c.PlayAudio(second.payload_b64, 1200),
        c.SendMark("g0:2", 150),
    ]


@pytest.mark.parametrize("refusal", [NEVER, LATER])
@pytest.mark.parametrize(
    ("wish", "act"),
    [
        (tool_call("transfer_call", arguments='{"target":"billing"}'), c.Transfer("billing")),
        (tool_call("end_call"), c.HangUp()),
    ],
)
def test_what_was_announced_is_done_where_the_line_does_not_come_back(
    wish: e.Event, act: c.Command, refusal: e.Event
) -> None:
    """Neither needs a word more of the model's, and the failure treatment is somebody else."""
    machine = on_the_phone(CallPlan(targets=("billing",)))
    machine.handle(started(), 0)
    say(machine, 1_000, 0)
    machine.handle(wish, 100)
    machine.handle(done(), 200)
    assert machine.handle(LOST, 300) == [c.CloseModel(), OPEN]

    _, out = refuse(machine, refusal, 400)

    assert out == [c.CloseModel(), act]


def test_what_was_announced_is_done_where_too_many_lines_were_lost() -> None:
    """The last line goes while the caller hears that they are put through."""
    machine = on_the_phone(CallPlan(targets=("billing",)))
    for n in range(MOST_REOPENINGS):
        machine.handle(LOST, 100 * n)
        machine.handle(e.ModelReady(f"sess_{n}"), 100 * n + 50)
    machine.handle(started("R", "resume"), 400)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 410)

    assert machine.handle(LOST, 500) == [c.CloseModel(), c.Transfer("billing")]


def test_nothing_is_asked_before_the_line_is_ready() -> None:
    """`D-JB-3`: a response.create before session.updated greets with default voice and words."""
    machine = waiting(CallPlan("Hello."))

    assert machine.handle(e.StreamStarted("MZ1"), 50) == []
    assert kinds(machine.handle(e.ModelReady("sess_1"), 100)) == ["CreateResponse"]


def test_a_caller_who_speaks_first_is_not_greeted() -> None:
    """No greeting in the document, no words of ours."""
    assert waiting().handle(e.ModelReady("sess_1"), 100) == []


@pytest.mark.parametrize(
    ("verbatim", "words"),
    [(True, 'exactly this, word for word, and nothing else: "Hi!"'), (False, "Hi!")],
)
def test_a_greeting_is_said_as_it_stands_or_made_from_a_hint(verbatim: bool, words: str) -> None:
    """Operators want the one or the other; in neither may the model call a tool first."""
    machine = waiting(CallPlan("Hi!", greeting_verbatim=verbatim))

    (asked,) = machine.handle(e.ModelReady("sess_1"), 100)

    assert isinstance(asked, c.CreateResponse)
    assert (asked.instructions or "").endswith(words)
    assert not asked.tools


def test_refused_attempts_are_repeated_further_and_further_apart() -> None:
    """A server that restarts refuses in no time: two attempts at once are one attempt."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)

    made, out = refuse(machine, LATER, 4)

    assert made == [254, 754, 1_504, 2_504]
    assert len(made) == len(RETRY_AFTER_MS)
    assert out == FAILOVER


def test_a_server_that_refuses_slowly_has_no_more_time_than_a_quick_one() -> None:
    """However long each refusal takes, the caller hears somebody else soon."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)

    assert machine.handle(LATER, 900) == []
    assert machine.wake(1_150) == [OPEN]
    assert machine.handle(LATER, 2_050) == []
    assert machine.wake(2_550) == [OPEN]
    assert machine.handle(LATER, 2_700) == FAILOVER


def test_an_attempt_that_is_waited_for_is_not_made_by_a_call_that_leaves() -> None:
    """The line would be sent away as soon as it is there."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.handle(LATER, 4)
    machine.handle(e.HangUpOrdered("operator_ended"), 100)

    assert machine.wake(254) == []


def test_an_attempt_that_is_waited_for_is_not_made_by_a_call_that_has_failed() -> None:
    """Its line was given up meanwhile."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.handle(LATER, 4)
    assert machine.handle(e.FailoverOrdered("server_shutdown"), 100) == FAILOVER

    assert machine.wake(254) == []


def test_a_line_that_was_lost_is_opened_at_once_and_then_with_patience() -> None:
    """The model died in mid-call and is back two seconds later."""
    machine = on_the_phone()
    assert machine.handle(LOST, 6_000) == [c.CloseModel(), OPEN]

    made, out = refuse(machine, LATER, 6_004)

    assert made == [6_254, 6_754, 7_504, 8_504]
    assert made[-1] <= 6_000 + RETRY_WITHIN_MS
    assert out == FAILOVER


def test_a_refusal_for_good_is_not_repeated() -> None:
    """A wrong key stays wrong."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)

    assert machine.handle(NEVER, 100) == FAILOVER


def test_a_refusal_before_the_stream_waits_for_the_caller() -> None:
    """There is nobody to say a sentence to yet."""
    machine = waiting()

    assert machine.handle(NEVER, 100) == [c.CloseModel()]
    assert machine.handle(e.StreamStarted("MZ1"), 500) == FAILOVER


def test_the_callers_patience_is_measured_from_when_the_caller_waits() -> None:
    """Dead air has an end under five seconds, however slowly the model fails."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 3_000)

    assert machine.deadline_ms() == 3_000 + PATIENCE_MS
    assert machine.wake(3_000 + PATIENCE_MS) == FAILOVER


def test_a_model_that_comes_too_late_is_sent_away() -> None:
    """A leaked session is billed by the minute."""
    machine = waiting()
    machine.handle(e.StreamStarted("MZ1"), 0)
    machine.wake(PATIENCE_MS)

    assert machine.handle(e.ModelReady("sess_1"), PATIENCE_MS + 10) == [c.CloseModel()]


def test_nobody_came() -> None:
    """`D-TAC-7`: a model line is not kept for a stream that never starts."""
    machine = waiting()
    machine.handle(e.ModelReady("sess_1"), 100)

    assert machine.deadline_ms() == PARKED_MS
    assert machine.wake(PARKED_MS) == [c.EndStream("stream_lost")]


@pytest.mark.parametrize(("code", "reason"), [(1000, "ok"), (1001, "going away"), (1006, "")])
def test_a_lost_line_is_opened_again_however_politely_it_went(code: int, reason: str) -> None:
    """`D-PC-4`, `D-TS-6`, `D-TAC-8`, `D-BL-2`: the 60-minute close is polite, and was silence."""
    machine = on_the_phone()

    assert machine.handle(e.ModelLineLost(code, reason), 100) == [c.CloseModel(), OPEN]
    assert machine.wake(99 + PATIENCE_MS) == [c.PlayComfort()]
    assert machine.deadline_ms() == 100 + PATIENCE_MS


def test_the_same_conversation_goes_on_with_the_next_line() -> None:
    """`D-TRA-2`: the model is told what was said and heard, and asked to go on."""
    machine = on_the_phone(CallPlan("Hello.", memories=(Memory("user", "It is about my car."),)))
    machine.handle(started("R", "greeting"), 0)
    machine.handle(e.SpeechText("R", "A", 0, "Hello, how can I help you?"), 10)
    (_, *names) = say(machine, 1_000, 20)
    machine.handle(e.MarkReturned(names[0]), 420)
    machine.handle(e.SpeechStarted("U"), 520)
    machine.handle(done(status="cancelled"), 530)
    machine.handle(e.CallerTurnCommitted("U"), 900)
    machine.handle(e.CallerTranscribed("U", "Wait."), 950)
    machine.handle(LOST, 1_000)

    assert machine.handle(e.ModelReady("sess_2"), 1_300) == [
        c.AddMessage("user", "It is about my car."),
        c.AddMessage("assistant", "Hello, how …"),
        c.AddMessage("user", "Wait."),
        RESUMED,
    ]


def test_a_model_that_dies_in_mid_sentence_owes_nothing_of_it() -> None:
    """`D-TRA-2`: no flag of the old line may keep the new one silent."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(300), 0)

    lost = machine.handle(LOST, 100)

    assert kinds(lost) == ["SendMark", "CloseModel", "OpenModel"]
    assert machine.handle(e.ModelReady("sess_2"), 400) == [RESUMED]


def test_what_a_lost_line_said_is_cut_but_not_truncated_on_another() -> None:
    """No later line knows its items; the caller is not made to listen either."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechText("R", "A", 0, "One two three four"), 0)
    machine.handle(speech(2_000), 0)
    machine.handle(LOST, 50)
    machine.handle(e.ModelReady("sess_2"), 90)

    assert machine.handle(e.SpeechStarted("U"), 100) == [c.ClearPlayback()]
    assert machine.transcript.entries[0].heard_ms == 100


def test_the_callers_words_while_the_line_is_away_do_not_confuse_it() -> None:
    """An interruption of what still plays is an interruption."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    names = marks(machine.handle(speech(300), 0) + machine.handle(LOST, 10))

    assert [machine.handle(e.MarkReturned(name), 310) for name in names] == [[], []]


def test_a_line_that_is_lost_too_often_is_a_failed_model() -> None:
    """Three new lines in one call; a fourth would not be better."""
    machine = on_the_phone()
    for n in range(MOST_REOPENINGS):
        assert machine.handle(LOST, n * 2_000) == [c.CloseModel(), OPEN]
        machine.handle(e.ModelReady(f"sess_{n}"), n * 2_000 + 100)

    assert machine.handle(LOST, 9_000) == FAILOVER


def test_a_line_that_is_lost_as_soon_as_it_is_ready_is_an_attempt() -> None:
    """A server that restarts takes connections before it serves them: not four in 4 ms."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    made = []
    now_ms = 2_010
    while machine.handle(e.ModelReady("sess"), now_ms):
        out = machine.handle(LOST, now_ms + 1)
        if out != [c.CloseModel()]:
            break
        now_ms = machine.deadline_ms() or 0
        assert machine.wake(now_ms) == [OPEN]
        made.append(now_ms)

    assert made == [2_261, 2_762]
    assert out == FAILOVER


def test_a_line_that_has_spoken_is_replaced_at_once_however_young_it_was() -> None:
    """The caller is in the middle of hearing it."""
    machine = on_the_phone()
    machine.handle(LOST, 2_000)
    machine.handle(e.ModelReady("sess_2"), 2_100)
    machine.handle(started("R", "resume"), 2_200)

    assert machine.handle(LOST, 2_300) == [c.CloseModel(), OPEN]


def test_a_new_line_has_its_attempts_anew() -> None:
    """`D-BL-2`: one failed reconnection was terminal."""
    machine = on_the_phone()
    machine.handle(LOST, 100)

    assert machine.handle(LATER, 200) == []
    assert machine.wake(450) == [OPEN]
    assert machine.handle(e.ModelReady("sess_2"), 500) == [RESUMED]
    machine.handle(LOST, 1_600)
    assert machine.handle(LATER, 1_700) == []
    assert machine.wake(1_950) == [OPEN]


def test_a_failed_call_ends_with_twilios_stop() -> None:
    """The redirect says a sentence and dials a person; we only wait for it."""
    machine = on_the_phone()
    assert machine.handle(e.ModelError("insufficient_quota"), 0) == FAILOVER
    machine.handle(e.FailoverDone(accepted=True), 100)

    assert machine.handle(e.StreamStopped(), 300) == [c.EndStream("model_failed")]


def test_a_failover_that_is_refused_closes_the_stream() -> None:
    """The action and the verb behind Connect say and dial the same."""
    machine = on_the_phone()
    machine.handle(NEVER, 0)
    machine.handle(e.ModelError("insufficient_quota"), 0)

    assert machine.handle(e.FailoverDone(accepted=False), 100) == [c.EndStream("model_failed")]


def test_a_failover_that_may_have_been_taken_is_waited_for() -> None:
    """Closing the socket first would begin the sentence twice; Twilio obeys within a second."""
    machine = on_the_phone()
    assert machine.handle(e.ModelError("insufficient_quota"), 0) == FAILOVER

    assert machine.handle(e.FailoverDone(accepted=False, unclear=True), 100) == []
    assert machine.wake(100 + DOUBT_MS) == [c.EndStream("model_failed")]


@pytest.mark.parametrize("code", sorted(FATAL))
def test_an_error_that_another_line_would_meet_too_is_the_end(code: str) -> None:
    """No reconnection cures a wrong key or an empty account."""
    assert on_the_phone().handle(e.ModelError(code), 0) == FAILOVER
    machine = on_the_phone()
    machine.handle(started(), 0)
    assert machine.handle(done(status="failed", reason=code), 10) == FAILOVER


@pytest.mark.parametrize(
    "code",
    [
        "response_cancel_not_active",
        "invalid_value",
        "item_truncate_invalid_item_id",
        "input_audio_buffer_commit_empty",
        "session_expired",
        "server_error",
        "unknown",
        "something_of_next_year",
    ],
)
def test_an_error_is_not_the_end_of_a_call(code: str) -> None:
    """`D-PC-3`, `D-JB-4`: any error ended the conversation, or made it silent."""
    machine = on_the_phone()
    machine.handle(started(), 0)

    assert machine.handle(e.ModelError(code), 10) == []
    assert kinds(machine.handle(speech(20), 20)) == ["PlayAudio", "SendMark"]


def test_a_draining_process_gives_its_calls_the_failure_treatment() -> None:
    """`D-PT-5`: closing sockets is no way to let a caller go."""
    machine = on_the_phone()

    assert machine.handle(e.FailoverOrdered("server_shutdown"), 0) == FAILOVER
    machine.handle(e.FailoverDone(accepted=True), 100)
    assert machine.handle(e.StreamStopped(), 200) == [c.EndStream("server_shutdown")]


def test_a_draining_process_lets_a_call_without_stream_go() -> None:
    """There is nobody to say a sentence to."""
    assert waiting().handle(e.FailoverOrdered("server_shutdown"), 100) == [
        c.EndStream("server_shutdown")
    ]


@pytest.mark.parametrize("end", [LOST, e.ModelError("insufficient_quota")])
def test_a_leaving_call_asks_nothing_of_a_line_that_is_gone(end: e.Event) -> None:
    """The watchdog of an answer that was owed must not outlive the line that owed it."""
    machine = on_the_phone()
    machine.handle(e.CallerTurnCommitted("U"), 0)
    machine.handle(e.HangUpOrdered("operator_ended"), 100)

    assert machine.handle(end, 200) == [c.CloseModel()]
    assert machine.wake(5_000) == []


def test_a_failed_call_asks_nothing_more() -> None:
    """Its line is closed; what it owed is owed to nobody."""
    machine = on_the_phone()
    machine.handle(e.CallerTurnCommitted("U"), 0)
    assert machine.handle(e.FailoverOrdered("server_shutdown"), 100) == FAILOVER

    assert machine.wake(5_000) == []


def test_a_line_that_is_lost_twice_is_opened_once() -> None:
    """Two signs of one death: the pump and the socket."""
    machine = on_the_phone()
    machine.handle(LOST, 100)

    assert machine.handle(LOST, 110) == []
    assert machine.handle(e.ModelReady("sess_2"), 300) == [RESUMED]


def test_a_failed_call_waits_for_its_stop_and_for_nothing_else() -> None:
    """A tool's output has nobody to go to; the stream has three seconds."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)
    machine.handle(e.ModelError("insufficient_quota"), 20)

    assert machine.handle(e.ToolDone("T1", "42", ok=True), 50) == []
    machine.handle(e.FailoverDone(accepted=True), 100)
    assert machine.deadline_ms() == 100 + STOP_MS
    assert machine.wake(100 + STOP_MS) == [c.EndStream("model_failed")]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_failover_nobody_asked_for_changes_nothing(accepted: bool) -> None:
    """Least of all may it end a live call."""
    machine = on_the_phone()
    before_ms = machine.deadline_ms()

    assert machine.handle(e.FailoverDone(accepted=accepted), 100) == []
    assert machine.deadline_ms() == before_ms


def test_a_line_that_is_given_up_is_closed() -> None:
    """Left open it is billed, and what it still says would count as a line's that is there."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.HangUpOrdered("operator_ended"), 100)

    assert machine.wake(QUIET_MS) == [c.CloseModel()]


def test_a_fatal_error_before_the_stream_closes_the_line() -> None:
    """Nobody may ever come for it; the caller who does is told."""
    machine = waiting()
    machine.handle(e.ModelReady("sess_1"), 100)

    assert machine.handle(e.ModelError("insufficient_quota"), 200) == [c.CloseModel()]
    assert machine.handle(e.StreamStarted("MZ1"), 500) == FAILOVER
