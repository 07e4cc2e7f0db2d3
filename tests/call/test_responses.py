"""One response at a time: who may ask, who waits, who is answered by somebody else."""

import pytest

from app.call.alarms import Alarm, Alarms
from app.call.machine import CallMachine
from app.call.patience import Patience
from app.call.plan import CallPlan, ToolPlan
from app.call.playout import Playout
from app.call.prompts import TRY_AGAIN
from app.call.responses import (
    OWED_MS,
    QUIET_MS,
    STALLED_MS,
    TURN,
    UNCOMMITTED_MS,
    Owed,
    Responses,
)
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, kinds, on_the_phone, speech, started, tool_call

RESULT = c.CreateResponse("tool_result")
FILLER = c.CreateResponse("filler")
GOODBYE = c.CreateResponse("goodbye", "Say goodbye.", tools=False)


def gate(alarms: Alarms | None = None, *, server_interrupts: bool = True) -> Responses:
    alarms = alarms or Alarms()
    return Responses(alarms, Patience(alarms, Playout()), server_interrupts=server_interrupts)


def begun(responses: Responses, response_id: str = "R", purpose: str | None = None) -> Responses:
    responses.started(e.ResponseStarted(response_id, purpose), 0)
    return responses


def ended(responses: Responses, response_id: str = "R", now_ms: int = 100) -> list[c.Command]:
    return responses.done(e.ResponseDone(response_id, "completed"), now_ms)[1]


def test_an_idle_model_is_asked_at_once() -> None:
    """The first word must not wait for anything."""
    assert gate().ask(RESULT, 0) == [RESULT]


def test_a_request_waits_while_another_is_on_its_way() -> None:
    """Realtime refuses a second response.create; so nobody sends one."""
    responses = gate()
    responses.ask(FILLER, 0)

    assert responses.ask(RESULT, 10) == []
    begun(responses, purpose="filler")
    assert ended(responses) == [RESULT]


def test_a_request_waits_for_the_end_of_an_active_response() -> None:
    """`D-TAC-5`: asked before response.done, the second result was never voiced."""
    responses = begun(gate())

    assert responses.ask(RESULT, 10) == []
    assert not responses.idle
    assert ended(responses) == [RESULT]


def test_those_who_wait_are_let_in_one_by_one_and_in_order() -> None:
    """Each of them is an active response for the next."""
    responses = begun(gate())
    responses.ask(FILLER, 0)
    responses.ask(RESULT, 0)

    assert ended(responses) == [FILLER]
    begun(responses, "R2", "filler")
    assert ended(responses, "R2") == [RESULT]


def test_equal_purposes_are_asked_once() -> None:
    """`D-PT-3`: a response per tool output."""
    responses = begun(gate())
    responses.ask(RESULT, 0)
    responses.ask(RESULT, 0)

    assert ended(responses) == [RESULT]
    begun(responses, "R2", "tool_result")
    assert ended(responses, "R2") == []


def test_a_request_waits_until_the_caller_has_finished() -> None:
    """The model must not begin to talk into the caller's sentence."""
    responses = gate()
    responses.caller_started()

    assert responses.ask(RESULT, 0) == []
    responses.caller_stopped(5)
    assert responses.ask(RESULT, 10) == [RESULT]


def test_a_caller_who_stops_without_a_turn_keeps_nobody_waiting() -> None:
    """A cough is no turn, and some servers commit none: nothing else would release the request."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    machine.handle(e.SpeechStarted("U"), 20)
    machine.handle(e.ToolDone("T1", "42", ok=True), 100)

    assert machine.handle(e.SpeechStopped("U"), 200) == []
    assert machine.wake(200 + UNCOMMITTED_MS) == [RESULT]


def test_a_caller_who_stops_with_a_turn_is_answered_by_the_server() -> None:
    """Its own response comes after the turn, and would collide with ours."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    machine.handle(e.SpeechStarted("U"), 20)
    machine.handle(e.ToolDone("T1", "42", ok=True), 100)
    machine.handle(e.SpeechStopped("U"), 200)
    machine.handle(e.CallerTurnCommitted("U"), 210)

    assert machine.wake(200 + UNCOMMITTED_MS) == []


def test_a_caller_who_goes_on_after_a_pause_is_not_talked_into() -> None:
    """They had only taken breath."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    machine.handle(e.SpeechStarted("U"), 20)
    machine.handle(e.ToolDone("T1", "42", ok=True), 100)
    machine.handle(e.SpeechStopped("U"), 200)
    machine.handle(e.SpeechStarted("U2"), 300)

    assert machine.wake(200 + UNCOMMITTED_MS) == []


def test_the_servers_own_response_answers_what_waited() -> None:
    """It began after the tool's output was there: another response would say it twice."""
    responses = gate()
    responses.caller_started()
    responses.ask(RESULT, 0)
    responses.turn_committed(10)
    begun(responses)

    assert ended(responses) == []
    assert responses.idle


def test_nobody_else_can_say_goodbye() -> None:
    """A purpose that no other response fulfils survives the server's own."""
    responses = gate()
    responses.caller_started()
    responses.ask(GOODBYE, 0)
    responses.turn_committed(10)
    begun(responses)

    assert ended(responses) == [GOODBYE]


def test_a_goodbye_overtaken_on_the_wire_is_asked_again() -> None:
    """Ours was sent, but the server had begun a response of its own."""
    responses = gate()
    responses.turn_committed(0)
    responses.ask(GOODBYE, 0)
    begun(responses)
    responses.already_active(60)

    assert ended(responses) == [GOODBYE]


def test_a_request_that_missed_the_other_response_is_still_under_way() -> None:
    """Without a collision before response.done it was not answered yet; two would be too many."""
    alarms = Alarms()
    responses = gate(alarms)
    responses.turn_committed(0)
    responses.ask(GOODBYE, 0)
    begun(responses)

    assert ended(responses, now_ms=100) == []
    assert not responses.idle
    assert alarms.next_ms == 100 + OWED_MS
    begun(responses, "R2", "goodbye")
    assert ended(responses, "R2") == []
    assert responses.idle


def test_a_goodbye_that_was_called_off_is_not_asked_again() -> None:
    """Under way and withdrawn: a collision is the end of it."""
    responses = gate()
    responses.turn_committed(0)
    responses.ask(GOODBYE, 0)
    responses.withdraw("goodbye")
    begun(responses)
    responses.already_active(60)

    assert ended(responses) == []
    assert responses.idle


def test_a_result_overtaken_on_the_wire_is_answered_by_the_other() -> None:
    """The server's response saw the output, which was sent before our request."""
    responses = gate()
    responses.turn_committed(0)
    responses.ask(RESULT, 0)
    begun(responses)
    responses.already_active(60)

    assert ended(responses) == []
    assert responses.idle


def test_a_collision_is_asked_again_at_the_end_of_the_other() -> None:
    """`D-TAC-5`: conversation_already_has_active_response means later, not never."""
    responses = gate()
    responses.ask(RESULT, 0)
    responses.already_active(50)

    assert ended(responses, "somebody else's") == [RESULT]


def test_after_a_collision_the_other_response_gets_its_time() -> None:
    """It is alive; two seconds are the time to begin, not to end."""
    responses = gate()
    responses.ask(RESULT, 60_000)
    responses.already_active(60_050)

    assert responses.overdue(60_000 + OWED_MS) is Owed.NOTHING
    assert responses.overdue(60_050 + QUIET_MS) is Owed.GIVE_UP


def test_a_refused_request_frees_the_gate() -> None:
    """Nothing will come of it; whoever waits must not wait for ever."""
    responses = gate()
    responses.ask(FILLER, 0)
    responses.ask(RESULT, 0)

    assert responses.refused() is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, 10) == [RESULT]


def test_a_refused_request_is_made_good_by_a_plain_one() -> None:
    """Somebody waited for those words; a second refusal is a model that is of no use."""
    responses = gate()
    responses.ask(RESULT, 0)

    assert responses.refused() is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, 10) == [TRY_AGAIN]
    assert responses.refused() is Owed.GIVE_UP


def test_a_refusal_that_answers_nothing_changes_nothing() -> None:
    """The response in progress goes on."""
    responses = begun(gate())

    assert responses.refused() is Owed.NOTHING
    assert responses.active == "R"


def test_the_end_of_some_other_response_frees_nothing() -> None:
    """Two requests on their way would be one too many."""
    responses = gate()
    responses.ask(FILLER, 0)
    responses.ask(RESULT, 0)

    assert ended(responses, "an old one") == []
    begun(responses, "R1", "filler")
    assert ended(responses, "an old one") == []
    assert ended(responses, "R1") == [RESULT]


def test_what_is_withdrawn_is_not_said() -> None:
    """A filler has no place behind the answer it stood in for."""
    responses = begun(gate())
    responses.ask(FILLER, 0)
    responses.withdraw("filler")

    assert ended(responses) == []


def test_a_model_that_owes_a_response_is_asked_again_and_then_given_up() -> None:
    """The caller's turn was committed and nothing came: silence has an end."""
    responses = gate()
    responses.turn_committed(0)

    assert responses.overdue(OWED_MS) is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, OWED_MS) == [TRY_AGAIN]
    assert responses.overdue(2 * OWED_MS) is Owed.GIVE_UP


@pytest.mark.parametrize("wanted", [GOODBYE, RESULT])
def test_the_same_is_asked_again_not_just_anything(wanted: c.CreateResponse) -> None:
    """A lost greeting or goodbye must not turn into whatever comes to the model's mind."""
    responses = gate()
    responses.ask(wanted, 0)

    assert responses.overdue(OWED_MS) is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, OWED_MS) == [wanted]


def test_the_watchdog_is_silent_when_nothing_is_owed() -> None:
    """An alarm that rings late must not make the model speak."""
    responses = begun(gate())
    ended(responses)

    assert responses.overdue(OWED_MS) is Owed.NOTHING


def test_an_active_response_must_show_signs_of_life() -> None:
    """A response that stops in the middle would leave the caller in silence for ever."""
    alarms = Alarms()
    responses = begun(gate(alarms))
    alarms.due(STALLED_MS)
    assert responses.overdue(STALLED_MS) is Owed.NOTHING
    assert alarms.next_ms == QUIET_MS
    responses.speaking("R", 5_000)

    alarms.due(QUIET_MS)
    assert responses.overdue(QUIET_MS) is Owed.NOTHING
    assert alarms.next_ms == 5_000 + STALLED_MS
    assert responses.overdue(5_000 + STALLED_MS) is Owed.GIVE_UP


def test_a_completed_response_forgives() -> None:
    """Two late responses in an hour are no reason to change the line."""
    responses = gate()
    responses.turn_committed(0)
    responses.overdue(OWED_MS)
    responses.again(TRY_AGAIN, OWED_MS)
    begun(responses, "R", "nudge")
    ended(responses)
    responses.turn_committed(60_000)

    assert responses.overdue(60_000 + OWED_MS) is Owed.ASK_AGAIN


def test_a_turn_during_a_response_is_owed_after_it() -> None:
    """The server answers it when it is free."""
    alarms = Alarms()
    responses = begun(gate(alarms))
    responses.turn_committed(50)

    ended(responses, now_ms=100)

    assert responses.owes
    assert alarms.is_set(Alarm.OWED)
    assert alarms.next_ms == 100 + OWED_MS


def test_a_lost_line_owes_nothing() -> None:
    """`D-TRA-2`: a flag that stayed true after a reconnection kept the model silent."""
    responses = begun(gate())
    responses.ask(RESULT, 0)
    responses.line_lost()

    assert responses.idle
    assert responses.active is None
    assert not responses.owes
    assert responses.ask(FILLER, 10) == [FILLER]


def test_only_the_muted_are_silent() -> None:
    """The list names responses, not items."""
    responses = begun(gate())
    responses.mute({"R0"}, by_voice=True)

    assert [responses.speaking(name, 0) for name in ("R0", "R", "R2")] == [False, False, True]
    assert not responses.speaking_text("R0", 0)


def test_the_call_asks_again_when_a_refusal_leaves_the_caller_in_silence() -> None:
    """A refused greeting would otherwise be a call that begins with nothing."""
    machine = on_the_phone(CallPlan(greeting="Hello."))
    refusal = e.ModelError("invalid_value", "create:greeting", "response.instructions")

    assert machine.handle(refusal, 100) == [TRY_AGAIN]
    again = machine.handle(e.ModelError("invalid_value", "create:nudge"), 200)
    assert kinds(again) == ["CloseModel", "OpenModel"]


def test_the_call_asks_for_the_greeting_again() -> None:
    """The operator wrote it word for word; a nudge would let the model make one up."""
    machine = on_the_phone(CallPlan(greeting="Hello."))

    (again,) = machine.wake(OWED_MS)

    assert isinstance(again, c.CreateResponse)
    assert again.purpose == "greeting"


def test_a_failed_response_is_asked_for_once_more() -> None:
    """A server error inside response.done is the server's slip, not the end."""
    machine = on_the_phone()
    machine.handle(started(), 0)

    assert machine.handle(done(status="failed", reason="server_error"), 50) == [TRY_AGAIN]
    machine.handle(started("R2", "nudge"), 60)
    lost = machine.handle(done("R2", "failed", "server_error"), 100)
    assert kinds(lost) == ["CloseModel", "OpenModel"]


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_response_without_a_word_is_asked_for_once_more(status: str) -> None:
    """Models sometimes answer with nothing, or spend every token before the first sound; the
    caller would wait for it. A line that does it twice is replaced."""
    machine = on_the_phone()
    machine.handle(started(), 0)

    assert machine.handle(done(status=status), 50) == [TRY_AGAIN]
    machine.handle(started("R2", "nudge"), 60)
    assert machine.handle(done("R2", status), 100)[:1] == [c.CloseModel()]


def test_an_incomplete_response_that_was_heard_is_an_answer() -> None:
    """The caller heard the beginning; saying it again would be worse than its end missing."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(speech(100), 10)

    assert TRY_AGAIN not in machine.handle(done(status="incomplete"), 50)


def test_a_response_that_called_a_tool_has_said_enough() -> None:
    """Its words come with the tool's result."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)

    assert machine.handle(done(), 50) == []


def test_a_cancelled_response_is_not_asked_for_again() -> None:
    """The caller interrupted it; their own turn follows."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechStarted("U"), 10)

    assert machine.handle(done(status="cancelled", reason="turn_detected"), 50) == []


def test_words_alone_are_a_sign_of_life() -> None:
    """The transcript runs ahead of the audio."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(e.SpeechText("R", "A", 0, "Well"), 7_000)

    assert machine.wake(QUIET_MS) == []
    assert machine.handle(speech(20), 8_100) != []


def test_a_long_argument_is_a_sign_of_life() -> None:
    """A tool's arguments are written in silence, piece by piece; nobody hears or reads them."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(speech(100), 10)
    for now_ms in range(1_000, 20_000, 1_000):
        assert machine.handle(e.SpeechText("R", "F", 0, ""), now_ms) == []
        assert c.CloseModel() not in machine.wake(now_ms)

    assert [entry.key for entry in machine.transcript.entries] == []


def test_signs_of_life_may_be_told_out_of_order() -> None:
    """A flight log tells audio in runs; a replay must come to the same decision."""
    responses = begun(gate())
    responses.speaking_text("R", 5_000)
    responses.speaking("R", 4_000)

    assert responses.overdue(4_000 + STALLED_MS) is Owed.NOTHING
    assert responses.overdue(5_000 + STALLED_MS) is Owed.GIVE_UP


def test_every_wait_for_the_model_has_an_alarm() -> None:
    """Without one the caller would wait for ever; the moments are what the runner wakes at."""
    alarms = Alarms()
    responses = gate(alarms)
    responses.ask(FILLER, 1_000)
    assert alarms.next_ms == 1_000 + OWED_MS
    begun(responses, purpose="filler")
    assert alarms.next_ms == STALLED_MS
    ended(responses)
    assert alarms.next_ms is None
    responses.turn_committed(20_000)
    assert alarms.next_ms == 20_000 + OWED_MS
    responses.started(e.ResponseStarted("R2", None), 20_500)
    assert alarms.next_ms == 20_500 + STALLED_MS
    responses.turn_committed(21_000)
    assert alarms.next_ms == 20_500 + STALLED_MS


def test_a_collision_gives_the_alarm_to_the_other_response() -> None:
    """Two seconds would be over before it is."""
    alarms = Alarms()
    responses = gate(alarms)
    responses.ask(RESULT, 1_000)
    responses.already_active(1_050)

    assert alarms.next_ms == 1_050 + QUIET_MS


def test_a_response_that_began_is_alive_from_then_on() -> None:
    """The signs of the one before say nothing about it."""
    responses = gate()
    responses.speaking("R0", 1_000)
    responses.started(e.ResponseStarted("R", None), 60_000)

    assert responses.overdue(60_000 + OWED_MS) is Owed.NOTHING


def test_a_turn_is_owed_one_answer() -> None:
    """When it came, or was asked for in its place, nothing is owed any more."""
    answered, asked = gate(), gate()
    answered.turn_committed(0)
    begun(answered)
    ended(answered)
    asked.turn_committed(0)
    asked.overdue(OWED_MS)

    assert not answered.owes
    assert not asked.owes


def test_each_response_speaks_for_itself() -> None:
    """One that said something does not make the next one eloquent, nor lend it its purpose."""
    responses = begun(gate(), "R1", "greeting")
    responses.speaking("R1", 10)
    first, _ = responses.done(e.ResponseDone("R1", "completed"), 20)
    assert not responses.spoke
    responses.ask(RESULT, 30)
    responses.already_active(40)
    second, _ = responses.done(e.ResponseDone("R2", "completed"), 50)
    begun(responses, "R3")
    third, _ = responses.done(e.ResponseDone("R3", "completed"), 60)

    assert (first.purpose, first.spoke) == ("greeting", True)
    assert (second.purpose, second.spoke) == (None, False)
    assert (third.purpose, third.spoke) == (None, False)


def test_a_late_refusal_is_the_end_of_a_request_under_way() -> None:
    """The server's response serves the caller; nothing is to be waited for behind it."""
    responses = gate()
    responses.turn_committed(0)
    responses.ask(RESULT, 0)
    begun(responses)

    assert responses.refused() is Owed.NOTHING
    assert ended(responses) == []
    assert responses.idle


def test_a_new_line_begins_with_a_clean_sheet() -> None:
    """`D-TRA-2`: neither the caller's half sentence nor the old line's failures count."""
    responses = gate()
    responses.turn_committed(0)
    responses.overdue(OWED_MS)
    responses.turn_committed(3_000)
    responses.caller_started()
    responses.line_lost()

    assert not responses.owes
    assert responses.ask(RESULT, 5_000) == [RESULT]
    assert responses.overdue(5_000 + OWED_MS) is Owed.ASK_AGAIN


def speaks_into(machine: CallMachine, response: e.Event) -> list[c.Command]:
    """The caller has begun to speak, and a response that was asked for before begins."""
    machine.handle(e.SpeechStarted("U"), 100)
    return machine.handle(response, 150)


def test_a_request_that_is_answered_into_the_callers_sentence_is_not_heard() -> None:
    """The server met the caller's voice before our request, so it cancels nothing itself."""
    machine = on_the_phone(CallPlan("Hello."))

    assert speaks_into(machine, started("R", "greeting")) == [c.CancelResponse("R")]
    assert machine.handle(speech(100), 200) == []
    assert machine.handle(done(status="cancelled", reason="client_cancelled"), 250) == []


def test_a_goodbye_answered_into_the_callers_sentence_is_called_off() -> None:
    """The interruption came first: it was withdrawn, and is not asked for again."""
    machine = on_the_phone()
    machine.handle(started(), 0)
    machine.handle(tool_call("end_call"), 10)
    assert kinds(machine.handle(done(), 20)) == ["CreateResponse"]

    assert speaks_into(machine, started("R2", "goodbye")) == [c.CancelResponse("R2")]
    machine.handle(done("R2", "cancelled", "client_cancelled"), 200)
    machine.handle(e.SpeechStopped("U"), 900)
    machine.handle(e.CallerTurnCommitted("U"), 900)
    machine.handle(started("R3"), 950)
    assert kinds(machine.handle(speech(100, "B", "R3"), 960)) == ["PlayAudio", "SendMark"]
    assert machine.handle(done("R3"), 970)[1:] == []


def test_what_the_caller_spoke_over_is_asked_for_after_their_turn() -> None:
    """The model owes it still, where the server's own answer cannot stand for it."""
    machine = on_the_phone(CallPlan("Hello."))
    speaks_into(machine, started("R", "greeting"))
    machine.handle(done(status="cancelled", reason="client_cancelled"), 250)
    machine.handle(e.SpeechStopped("U"), 900)
    machine.handle(e.CallerTurnCommitted("U"), 900)
    machine.handle(started("R2"), 950)
    machine.handle(speech(100, "B", "R2"), 960)

    asked = machine.handle(done("R2"), 970)[-1]

    assert isinstance(asked, c.CreateResponse)
    assert asked.purpose == "greeting"


def test_what_the_servers_answer_says_too_is_not_asked_for_again() -> None:
    """The result was in the conversation before the caller's turn."""
    responses = gate()
    responses.ask(RESULT, 0)
    responses.caller_started()
    assert responses.started(e.ResponseStarted("R", "tool_result"), 10) == [c.CancelResponse("R")]
    assert not responses.speaking("R", 20)
    assert responses.done(e.ResponseDone("R", "cancelled"), 30)[1] == []
    responses.turn_committed(500)
    begun(responses, "R2")

    assert ended(responses, "R2") == []


def test_a_caller_whose_turn_is_not_answered_is_told_what_they_spoke_over() -> None:
    """The watchdog asks for what waits before it asks for anything."""
    responses = gate()
    responses.ask(RESULT, 0)
    responses.caller_started()
    responses.started(e.ResponseStarted("R", "tool_result"), 10)
    responses.done(e.ResponseDone("R", "cancelled"), 30)
    responses.turn_committed(500)

    assert responses.overdue(500 + OWED_MS) is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, 500 + OWED_MS) == [RESULT]


def test_a_turn_that_proves_one_during_the_next_sentence_is_answered_after_it() -> None:
    """Nobody else would ask: this server leaves turns to us."""
    alarms = Alarms()
    responses = gate(alarms)
    responses.taken_by(server=False)
    responses.caller_started()
    assert responses.answer_owed(0) == []
    responses.caller_stopped(300)

    assert alarms.due(300 + UNCOMMITTED_MS) == [Alarm.OWED]
    assert responses.overdue(300 + UNCOMMITTED_MS) is Owed.ASK_AGAIN
    assert responses.again(TRY_AGAIN, 300 + UNCOMMITTED_MS) == [TURN]


def test_the_announcement_of_a_transfer_does_not_yield() -> None:
    """The caller who is being put through does not interrupt."""
    machine = on_the_phone(CallPlan(targets=("billing",)))
    machine.handle(started(), 0)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 10)
    machine.handle(done(), 20)

    assert speaks_into(machine, started("R2", "announce")) == []
    assert kinds(machine.handle(speech(100, "B", "R2"), 200)) == ["PlayAudio", "SendMark"]


def test_a_server_that_forgets_what_was_asked_still_answers_us() -> None:
    """Not every compatible server echoes metadata; the greeting was said again and again."""
    machine = on_the_phone(CallPlan("Hello."))
    machine.handle(started("R"), 100)
    machine.handle(speech(100), 200)
    machine.handle(done(), 300)

    assert machine.wake(300 + OWED_MS) == []


def test_a_forgetful_servers_own_answer_is_its_own() -> None:
    """A turn is open: it is what the server answers, and the goodbye has yet to be said."""
    responses = gate()
    responses.turn_committed(0)
    responses.ask(GOODBYE, 10)
    begun(responses)
    responses.already_active(60)

    assert ended(responses) == [GOODBYE]


def test_a_server_that_has_echoed_once_is_taken_at_its_word() -> None:
    """Its late answer to a turn that was given up must not count as a goodbye."""
    responses = begun(gate(), "R0", "greeting")
    ended(responses, "R0")
    responses.ask(GOODBYE, 200)
    begun(responses, "R1")

    finished, _ = responses.done(e.ResponseDone("R1", "completed"), 300)
    assert finished.purpose is None
    assert not responses.idle


def test_a_failed_response_is_made_good_by_one_that_waited() -> None:
    """The result and a nudge behind it would be two answers to one question."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)
    machine.handle(done(), 20)
    machine.handle(e.SpeechStarted("U"), 30)
    machine.handle(e.SpeechStopped("U"), 500)
    machine.handle(e.CallerTurnCommitted("U"), 500)
    machine.handle(started("R2"), 550)
    machine.handle(e.ToolDone("T1", "42", ok=True), 600)

    assert machine.handle(done("R2", "failed", "server_error"), 700) == [RESULT]
    machine.handle(started("R3", "tool_result"), 800)
    machine.handle(speech(100, "B", "R3"), 900)
    assert kinds(machine.handle(done("R3"), 950)) == []


def test_a_failed_response_whose_tool_is_done_is_not_nudged_too() -> None:
    """Its result is what the model has to speak about, once."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)
    machine.handle(e.ToolDone("T1", "42", ok=True), 20)

    assert machine.handle(done(status="failed", reason="server_error"), 50) == [RESULT]
    machine.handle(started("R2", "tool_result"), 60)
    machine.handle(speech(100, "B", "R2"), 70)
    assert kinds(machine.handle(done("R2"), 80)) == []


def test_a_failed_response_whose_tool_runs_is_not_nudged_either() -> None:
    """The output asks for words when it comes."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)

    assert machine.handle(done(status="failed", reason="server_error"), 50) == []
    assert machine.handle(e.ToolDone("T1", "42", ok=True), 60)[-1] == RESULT


def test_a_failed_greeting_is_a_greeting_again() -> None:
    """The operator wrote it word for word; a nudge would let the model make one up."""
    machine = on_the_phone(CallPlan("Hello."))
    machine.handle(started("R", "greeting"), 10)

    (again,) = machine.handle(done(status="failed", reason="server_error"), 50)

    assert isinstance(again, c.CreateResponse)
    assert again.purpose == "greeting"


def test_a_failed_announcement_has_not_been_said() -> None:
    """Nobody heard it: asked for once more before the caller is put through."""
    machine = on_the_phone(CallPlan(targets=("billing",)))
    machine.handle(started(), 0)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 10)
    (announce,) = machine.handle(done(), 20)
    machine.handle(started("R2", "announce"), 30)

    assert machine.handle(done("R2", "failed", "server_error"), 50) == [announce]


def test_silence_behind_which_somebody_waits_needs_no_nudge() -> None:
    """Who waits asks for words already."""
    machine = on_the_phone(CallPlan(tools={"look_up": ToolPlan()}))
    machine.handle(started(), 0)
    machine.handle(tool_call(), 10)
    machine.handle(done(), 20)
    machine.handle(e.SpeechStarted("U"), 30)
    machine.handle(e.CallerTurnCommitted("U"), 500)
    machine.handle(started("R2"), 550)
    machine.handle(e.ToolDone("T1", "42", ok=True), 600)

    assert machine.handle(done("R2"), 700) == [RESULT]
    machine.handle(started("R3", "tool_result"), 800)
    machine.handle(speech(100, "B", "R3"), 900)
    assert kinds(machine.handle(done("R3"), 950)) == []
