"""Putting the caller through: announced, heard, then by REST; and what if it fails."""

from dataclasses import replace

import pytest

from app.call.announcement import WATCHDOG_MS
from app.call.dialogue import SPOKEN_OVER
from app.call.digits import PAUSE_MS
from app.call.farewell import GOODBYE
from app.call.leaving import REST_MS, STOP_MS
from app.call.machine import CallMachine
from app.call.plan import CallPlan, ToolPlan
from app.call.transfer import ANNOUNCE
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, on_the_phone, say, speech, started, tool_call

PLAN = CallPlan(targets=("billing", "Front Desk"))
WISH = tool_call("transfer_call", arguments='{"target":"billing","reason":"invoice"}')
CALLER = e.SpeechStarted("U")
THROUGH = c.Transfer("billing", summary="invoice")


def announced() -> tuple[CallMachine, list[str]]:
    """A machine whose model said "I put you through" (1 s) and called the tool."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    names = say(machine, 1_000, 0)
    assert machine.handle(WISH, 100) == []
    assert machine.handle(done(), 200) == []
    return machine, names


def redirecting() -> CallMachine:
    machine, names = announced()
    assert machine.handle(e.MarkReturned(names[-1]), 1_000) == [THROUGH]
    return machine


def test_the_announcement_is_heard_before_the_caller_is_put_through() -> None:
    """`D-PT-7` on the way out: the redirect drops what Twilio still has to play."""
    machine, names = announced()

    assert machine.handle(e.MarkReturned(names[0]), 198) == []
    assert machine.handle(e.MarkReturned(names[-1]), 1_000) == [THROUGH]


def test_an_announcement_is_asked_for_where_none_was_made() -> None:
    """Ringing out of nowhere sounds like a mistake."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(WISH, 10)

    assert machine.handle(done(), 50) == [ANNOUNCE]
    machine.handle(started("R2", "announce"), 100)
    (name,) = say(machine, 50, 110, item_id="B", response_id="R2")
    machine.handle(done("R2"), 150)
    assert machine.handle(e.MarkReturned(name), 200) == [THROUGH]


def test_the_caller_does_not_interrupt_the_announcement() -> None:
    """`D-PC-2`: an interruption that is not accepted must not cut the model's memory either."""
    machine, names = announced()

    assert machine.handle(CALLER, 500) == []
    assert machine.handle(e.CallerDigit("1"), 600) == []
    assert machine.handle(e.MarkReturned(names[-1]), 1_000) == [THROUGH]


def test_an_announcement_that_was_spoken_over_before_the_tool_call_puts_nobody_through() -> None:
    """What was announced was not heard, and the caller may be taking the wish back."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    say(machine, 2_000, 0)
    machine.handle(CALLER, 500)

    assert machine.handle(WISH, 510) == [c.AddToolOutput("T1", SPOKEN_OVER)]
    assert machine.handle(done(), 520) == []


def test_a_missing_announcement_is_not_waited_for() -> None:
    """The caller asked for a person, not for a sentence."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(WISH, 0)
    machine.handle(done(), 10)
    machine.handle(started("R2", "announce"), 20)
    machine.handle(speech(100, "B", "R2"), 5_000)

    assert THROUGH in machine.wake(WATCHDOG_MS)


def test_the_stream_ends_when_twilio_ends_it() -> None:
    """Closing first would let Twilio run the verb behind Connect."""
    machine = redirecting()

    assert machine.handle(e.TransferAccepted(), 1_100) == []
    assert machine.handle(e.StreamStopped(), 1_300) == [c.EndStream("transferring")]


def test_a_stop_that_never_comes_is_not_waited_for() -> None:
    """It may be lost; the call has long gone on."""
    machine = redirecting()
    machine.handle(e.TransferAccepted(), 1_100)

    assert machine.wake(1_100 + STOP_MS) == [c.EndStream("transferring")]


def test_rest_that_never_answers_is_not_waited_for() -> None:
    """Somebody must let go of a line in limbo."""
    machine = redirecting()

    assert machine.wake(1_000 + REST_MS)[-1] == c.EndStream("transferring")


def test_a_refused_redirect_is_told_to_the_model_and_the_call_goes_on() -> None:
    """`D-PT-8`, `D-TRA-4`: a failed redirect was dead air, and nobody told the model."""
    machine = redirecting()

    assert machine.handle(e.TransferRefused("http_500"), 1_500) == [
        c.AddToolOutput("T1", '{"ok":false,"reason":"http_500"}'),
        c.CreateResponse("tool_result"),
    ]
    machine.handle(started("R2", "tool_result"), 1_600)
    assert kinds(machine.handle(speech(100, "B", "R2"), 1_700)) == ["PlayAudio", "SendMark"]
    assert kinds(machine.handle(CALLER, 1_750)) == ["ClearPlayback", "TruncateItem"]


def test_after_a_refusal_the_model_may_try_again() -> None:
    """Another target, or the same one later."""
    machine = redirecting()
    machine.handle(e.TransferRefused("http_500"), 1_500)
    machine.handle(started("R2", "tool_result"), 1_600)
    again = tool_call("transfer_call", tool_call_id="T2", response_id="R2", arguments=_named())

    assert machine.handle(again, 1_700) == []
    assert machine.handle(done("R2"), 1_800) == [ANNOUNCE]


def _named(target: str = "billing") -> str:
    return f'{{"target":"{target}"}}'


def test_a_refusal_after_the_model_is_gone_is_the_failure_treatment() -> None:
    """`D-PT-8`: nobody is left to be told, so the caller must be."""
    machine = redirecting()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 1_200)

    assert machine.handle(e.TransferRefused("http_500"), 1_500) == [c.CloseModel(), c.FailOver()]
    machine.handle(e.FailoverDone(accepted=True), 1_600)
    assert machine.handle(e.StreamStopped(), 1_700) == [c.EndStream("model_failed")]


def test_a_model_that_fails_during_the_announcement_keeps_nobody_from_a_person() -> None:
    """The caller was promised a person, and needs no words of the model's for that."""
    machine, _ = announced()

    failure = e.ModelError("insufficient_quota")
    assert machine.handle(failure, 300) == [c.CloseModel(), THROUGH]
    assert machine.handle(e.TransferAccepted(), 400) == []
    assert machine.handle(e.StreamStopped(), 500) == [c.EndStream("transferring")]


def test_a_model_that_fails_before_a_refused_transfer_has_failed() -> None:
    """Nobody is left to tell the caller about it."""
    machine, _ = announced()
    machine.handle(e.ModelError("insufficient_quota"), 300)

    assert c.FailOver() in machine.handle(e.TransferRefused("busy"), 400)
    assert machine.handle(e.StreamStopped(), 500) == [c.EndStream("model_failed")]


@pytest.mark.parametrize(
    "arguments",
    [
        _named("+19005551212"),
        _named("the boss"),
        _named(""),
        '{"target":["billing"]}',
        '{"target":',
        "{}",
        "[]",
        "null",
        "7",
    ],
)
def test_the_model_names_a_target_or_nobody_is_dialled(arguments: str) -> None:
    """A number never comes from the model; the refusal names what it may say."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)

    (output,) = machine.handle(tool_call("transfer_call", arguments=arguments), 10)

    assert output == c.AddToolOutput(
        "T1", '{"ok":false,"reason":"unknown target; known targets: billing, Front Desk"}'
    )
    assert machine.handle(done(), 20) == [c.CreateResponse("tool_result")]


def test_a_target_that_the_agent_may_not_choose_is_the_operators_alone() -> None:
    """A model that was told of fewer people than there are does not reach the others."""
    machine = on_the_phone(replace(PLAN, offered=("Front Desk",)))
    machine.handle(started(), 0)

    (output,) = machine.handle(tool_call("transfer_call", arguments=_named("billing")), 0)

    assert output == c.AddToolOutput(
        "T1", '{"ok":false,"reason":"unknown target; known targets: Front Desk"}'
    )


@pytest.mark.parametrize("name", ["Billing", " BILLING ", "billing"])
def test_a_target_is_known_by_its_name_however_it_is_written(name: str) -> None:
    """Speech models are careless with case."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("transfer_call", arguments=_named(name)), 0)
    names = say(machine, 50, 0)
    machine.handle(done(), 10)

    assert machine.handle(e.MarkReturned(names[-1]), 60) == [c.Transfer("billing")]


def test_a_second_wish_is_refused() -> None:
    """One caller can be put through to one person."""
    machine, _ = announced()
    second = tool_call("transfer_call", tool_call_id="T2", arguments=_named("front desk"))

    assert machine.handle(second, 300) == [
        c.AddToolOutput("T2", '{"ok":false,"reason":"a transfer is already under way"}')
    ]


@pytest.mark.parametrize("first", ["end_call", "transfer_call"])
def test_a_caller_who_is_put_through_is_not_hung_up_on(first: str) -> None:
    """Models call both at once, meaning that their own part of the call is over."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    names = say(machine, 50, 0)
    calls = [tool_call("end_call", tool_call_id="T0"), WISH]
    for call in calls if first == "end_call" else reversed(calls):
        machine.handle(call, 10)
    assert GOODBYE not in machine.handle(done(), 20)

    assert machine.handle(e.MarkReturned(names[-1]), 60) == [THROUGH]


def test_a_goodbye_that_gave_way_has_no_watchdog() -> None:
    """Only the transfer acts when the announcement takes too long."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call", tool_call_id="T0"), 0)
    machine.handle(WISH, 0)
    machine.handle(speech(100), WATCHDOG_MS - 100)
    machine.wake(WATCHDOG_MS)

    out = machine.wake(WATCHDOG_MS + 3_000)

    assert THROUGH in out
    assert c.HangUp() not in out


def test_a_caller_who_hangs_up_meanwhile_was_not_put_through() -> None:
    """`transferring` promises a dial result, and nobody would ever bring it."""
    machine = redirecting()

    assert machine.handle(e.CallEnded("completed"), 1_100) == [c.EndStream("caller_hangup")]


def test_an_operator_who_ends_the_call_meanwhile_has_the_last_word() -> None:
    """The hang-up was asked for after the redirect; a refused redirect changes nothing."""
    machine = redirecting()

    assert machine.handle(e.HangUpOrdered("operator_ended"), 1_100) == [c.HangUp()]
    assert machine.handle(e.TransferRefused("http_500"), 1_200) == []
    machine.handle(e.HangUpDone(accepted=True), 1_300)
    assert machine.handle(e.StreamStopped(), 1_400) == [c.EndStream("operator_ended")]


@pytest.mark.parametrize("answer", [e.TransferAccepted(), e.TransferRefused("busy")])
def test_an_answer_nobody_waits_for_changes_nothing(answer: e.Event) -> None:
    """Least of all may it make a waiting machine a live one, or end a live call."""
    waiting, live = CallMachine(PLAN), on_the_phone(PLAN)
    waiting.begin(0)

    for machine in (waiting, live):
        before_ms = machine.deadline_ms()
        assert machine.handle(answer, 10) == []
        assert machine.deadline_ms() == before_ms
    waiting.handle(e.ModelReady("sess_1"), 20)
    waiting.handle(started(), 30)
    assert waiting.handle(speech(100), 40) == []


def test_a_refusal_after_the_next_line_was_sent_away_is_the_failure_treatment() -> None:
    """`D-PT-8`: a closed line that counts as ready is dead air."""
    machine, names = announced()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 300)
    assert machine.handle(e.MarkReturned(names[-1]), 1_000) == [THROUGH]
    assert machine.handle(e.ModelReady("sess_2"), 1_100) == [c.CloseModel()]

    assert machine.handle(e.TransferRefused("http_500"), 1_500) == [c.CloseModel(), c.FailOver()]


NEXT = started("R2")


def still_there() -> CallMachine:
    """A machine that has asked for the redirect, whose model goes on meanwhile."""
    machine = redirecting()
    machine.handle(NEXT, 1_050)
    return machine


def test_what_is_said_while_twilio_thinks_is_heard() -> None:
    """Until it has agreed, the caller is still there, and a refusal must have lost nothing."""
    machine = still_there()

    assert kinds(machine.handle(speech(100, "B", "R2"), 1_100)) == ["PlayAudio", "SendMark"]
    machine.handle(e.TransferRefused("http_500"), 1_200)
    assert kinds(machine.handle(speech(100, "B", "R2"), 1_300)) == ["PlayAudio"]
    assert kinds(machine.handle(e.SpeechAudioDone("R2", "B", 0), 1_310)) == ["SendMark"]
    assert c.CreateResponse("tool_result") in machine.handle(done("R2"), 1_320)


def test_the_end_of_what_is_said_meanwhile_is_marked() -> None:
    """Otherwise the line would never count as idle after a refusal."""
    machine = still_there()
    machine.handle(speech(100, "B", "R2"), 1_100)
    machine.handle(speech(100, "B", "R2"), 1_110)

    assert kinds(machine.handle(done("R2"), 1_150)) == ["SendMark"]


@pytest.mark.parametrize("agreed", [e.TransferAccepted(), e.HangUpOrdered("operator_ended")])
def test_nothing_is_said_to_a_caller_who_is_gone(agreed: e.Event) -> None:
    """Twilio plays it to nobody."""
    machine = still_there()
    machine.handle(agreed, 1_100)

    assert machine.handle(speech(100, "B", "R2"), 1_200) == []


def test_a_tool_called_while_twilio_thinks_runs_when_it_has_refused() -> None:
    """An unanswered call confuses every later turn; what it does is not for a caller who left."""
    machine = on_the_phone(CallPlan(targets=("billing",), tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    (name,) = say(machine, 50, 0)
    machine.handle(WISH, 10)
    machine.handle(done(), 20)
    assert machine.handle(e.MarkReturned(name), 60) == [THROUGH]
    machine.handle(NEXT, 100)
    assert machine.handle(tool_call(tool_call_id="T2", response_id="R2"), 110) == []
    assert machine.handle(done("R2"), 120) == []

    assert machine.handle(e.TransferRefused("busy"), 500) == [
        c.RunTool("T2", "look_up", "{}"),
        c.AddToolOutput("T1", '{"ok":false,"reason":"busy"}'),
        c.CreateResponse("tool_result"),
    ]
    machine.handle(started("R3", "tool_result"), 510)
    (name,) = say(machine, 50, 520, item_id="C", response_id="R3")
    machine.handle(done("R3"), 530)
    machine.handle(e.MarkReturned(name), 570)
    assert machine.handle(e.ToolDone("T2", "42", ok=True), 600) == [
        c.AddToolOutput("T2", "42"),
        c.CreateResponse("tool_result"),
    ]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("fly", "there is no tool 'fly'"),
        ("transfer_call", '{"ok":false,"reason":"a transfer is already under way"}'),
        ("end_call", '{"ok":false,"reason":"a transfer is under way"}'),
    ],
)
def test_what_cannot_be_done_meanwhile_is_answered(name: str, answer: str) -> None:
    """Every call gets its output, and none makes the model speak into a transfer."""
    machine = still_there()
    call = tool_call(name, tool_call_id="T2", response_id="R2", arguments=_named())

    assert machine.handle(call, 1_100) == [c.AddToolOutput("T2", answer)]
    assert machine.handle(done("R2"), 1_150) == []
    assert machine.handle(e.TransferRefused("busy"), 1_500)[-1:] == [
        c.CreateResponse("tool_result")
    ]


def test_keys_pressed_just_before_are_told_and_not_lost() -> None:
    """Their pause ended while Twilio was thinking."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    (name,) = say(machine, 50, 0)
    machine.handle(e.CallerDigit("7"), 5)
    machine.handle(started("R2"), 6)
    (name,) = say(machine, 50, 7, item_id="B", response_id="R2")
    machine.handle(tool_call("transfer_call", response_id="R2", arguments=_named()), 8)
    machine.handle(done("R2"), 9)
    assert machine.handle(e.MarkReturned(name), 60) == [c.Transfer("billing")]

    assert machine.wake(5 + PAUSE_MS) == [c.AddMessage("user", "[keypad] The caller pressed: 7")]


def test_a_transfer_wished_by_a_line_that_is_lost_before_the_caller_came_is_forgotten() -> None:
    """The next line begins the call: nobody is put through who has not said a word."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started(), 20)
    machine.handle(WISH, 30)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 40)
    machine.handle(e.ModelReady("sess_2"), 200)
    machine.handle(e.StreamStarted("MZ1"), 300)
    machine.handle(started("R2"), 400)
    machine.handle(speech(2_000, response_id="R2"), 500)

    assert c.ClearPlayback() in machine.handle(CALLER, 700)
    machine.handle(e.SpeechStopped("U"), 800)
    assert "Transfer" not in kinds(machine.wake(30 + WATCHDOG_MS))


def test_a_goodbye_wished_by_a_line_that_is_lost_before_the_caller_came_is_forgotten() -> None:
    """Nor is anybody hung up on for what was decided before they came."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started(), 20)
    machine.handle(tool_call("end_call"), 30)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 40)
    machine.handle(e.ModelReady("sess_2"), 200)
    machine.handle(e.StreamStarted("MZ1"), 300)

    assert c.HangUp() not in machine.wake(30 + WATCHDOG_MS)


def test_an_announcement_made_before_the_caller_came_is_watched_all_the_same() -> None:
    """The model may call the tool while Twilio still connects; nobody interrupts that."""
    machine = CallMachine(PLAN)
    machine.begin(0)
    machine.handle(e.ModelReady("sess_1"), 10)
    machine.handle(started(), 20)
    machine.handle(WISH, 30)
    for now_ms in range(1_000, 12_000, 1_000):
        machine.handle(e.SpeechText("R", "F", 0, ""), now_ms)
        machine.wake(now_ms)
    machine.handle(e.StreamStarted("MZ1"), 12_000)

    assert machine.deadline_ms() is not None
    out = [x for now_ms in range(12_000, 15_000, 100) for x in machine.wake(now_ms)]
    assert THROUGH in out
