"""On hold: music instead of the agent, until somebody has something to say."""

from app.call.background import PIECE_MS
from app.call.machine import CallMachine
from app.call.orders import SAID_WITHIN_MS
from app.call.plan import CallPlan, SoundPlan, ToolPlan
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.test_background import awake
from tests.call.witness import Witnessed
from tests.call.words import (
    done,
    frame,
    kinds,
    marks,
    on_the_phone,
    say,
    speech,
    started,
    tool_call,
)

SOUNDS = {
    "hold": SoundPlan(24_000),
    "tool:look_up": SoundPlan(8_000),
    "target:billing": SoundPlan(16_000),
}
PLAN = CallPlan(
    tools={"look_up": ToolPlan("One moment."), "quiet": ToolPlan()},
    targets=("billing", "desk"),
    sounds=SOUNDS,
    may_hold=True,
)
PIECE = c.PlaySound(PIECE_MS * 8)
HOLD, UNHOLD = e.HoldOrdered("H"), e.UnholdOrdered("U")
TURN = e.HoldOrdered("H", "Look up their claim, and tell them.")


def held() -> CallMachine:
    """A call that the operator put on hold at 0 ms."""
    machine = on_the_phone(PLAN)
    machine.handle(HOLD, 0)
    return machine


def test_the_operator_puts_a_caller_on_hold() -> None:
    """W45: music at once; the model is told, and not asked to speak."""
    out = on_the_phone(PLAN).handle(HOLD, 500)

    assert out[:3] == [c.CallerHeld("operator"), c.SetSound("hold"), PIECE]
    assert kinds(out[3:]) == ["AddMessage", "OrderDone"]
    assert out[-1] == c.OrderDone("H", "completed")


def test_music_repeats_for_as_long_as_the_hold_lasts() -> None:
    """W46: three seconds of music, ten of hold."""
    later = awake(held(), 10_000)

    played_ms = PIECE_MS + sum(x.length_bytes // 8 for _, x in later if x == PIECE)
    assert 10_000 < played_ms < 11_000


def test_the_agent_does_not_hear_who_is_on_hold() -> None:
    """Nor would it answer; the timeline is kept."""
    machine = held()

    assert machine.handle(frame(0), 10) == [c.AppendSilence(20)]
    machine.handle(e.MarkReturned("g0:1"), 15)
    assert not machine.passes(frame(20), 20)


def test_words_that_come_too_late_are_not_heard_over_the_music() -> None:
    """A hold whose turn comes when what was before it is given up."""
    machine = on_the_phone(PLAN)
    machine.handle(e.SpeechStarted("A"), 0)
    machine.handle(e.SayOrdered("S", "One moment."), 0)
    machine.handle(HOLD, 10)
    machine.handle(e.SpeechStopped("A"), SAID_WITHIN_MS - 600)
    assert kinds(machine.wake(SAID_WITHIN_MS - 50))[-1] == "CreateResponse"
    out = machine.wake(SAID_WITHIN_MS)

    assert c.OrderDone("S", "failed", "not_heard") in out
    assert c.OrderDone("H", "completed") in out
    late = SAID_WITHIN_MS + 100
    assert machine.handle(started("R9", "say"), late) == [c.CancelResponse("R9")]
    assert not [
        one
        for one in machine.handle(speech(100, "B", "R9"), late + 10)
        if isinstance(one, c.PlayAudio)
    ]


def test_unhold_stops_the_music_and_the_agent_is_back() -> None:
    """What lies ahead of the music is not heard any more; the caller is heard again."""
    machine = held()
    machine.handle(frame(0), 10)

    out = machine.handle(UNHOLD, 5_000)

    assert out[:3] == [c.CallerReleased(), c.ClearPlayback(), c.SetSound("")]
    assert [x.purpose for x in out if isinstance(x, c.CreateResponse)] == ["unhold"]
    assert out[-1] == c.OrderDone("U", "completed")
    assert machine.passes(frame(20), 5_010)


def test_a_hold_within_a_hold_is_refused() -> None:
    """As is to end what has not begun."""
    assert held().handle(e.HoldOrdered("H2"), 100) == [c.OrderDone("H2", "refused", "on_hold")]
    assert on_the_phone(PLAN).handle(UNHOLD, 0) == [c.OrderDone("U", "refused", "not_on_hold")]


def test_a_call_that_ends_is_not_put_on_hold() -> None:
    """The caller is about to hear a goodbye, or a person."""
    machine = on_the_phone(PLAN)
    machine.handle(tool_call("end_call"), 0)

    assert machine.handle(HOLD, 10) == [c.OrderDone("H", "refused", "call_ending")]


def test_a_forced_turn_needs_nothing_of_the_caller() -> None:
    """W48: music, a system item and a request to speak, all at once."""
    out = on_the_phone(PLAN).handle(TURN, 500)

    assert out == [
        c.CallerHeld("operator"),
        c.SetSound("hold"),
        PIECE,
        c.AddMessage("system", TURN.turn),
        c.CreateResponse("no_input"),
        c.OrderDone("H", "completed"),
    ]


def test_the_music_ends_with_the_first_sound_of_the_reply() -> None:
    """W48: not before, and not a moment later: what was sent ahead is taken back."""
    machine = on_the_phone(PLAN)
    machine.handle(TURN, 500)
    assert [x for _, x in awake(machine, 1_900) if isinstance(x, c.PlaySound)]
    assert machine.handle(started("R", "no_input"), 1_950) == []

    out = machine.handle(speech(100), 2_000)

    assert out[:3] == [c.CallerReleased(), c.ClearPlayback(), c.SetSound("")]
    assert kinds(out[3:]) == ["PlayAudio", "SendMark"]
    assert not [x for _, x in awake(machine, 9_000) if isinstance(x, c.PlaySound)]


def test_words_from_before_the_hold_do_not_end_it() -> None:
    """W48: the agent is in mid-sentence; the music begins behind it, and waits for the next."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(speech(500), 10)
    machine.handle(TURN, 100)

    assert c.CallerReleased() not in machine.handle(speech(300), 110)
    machine.handle(e.SpeechAudioDone("R", "A", 0), 120)
    assert machine.handle(done(), 130) == [c.CreateResponse("no_input")]
    music = [(at, x) for at, x in awake(machine, 1_500) if x == PIECE]
    assert music[0][0] == 10 + 800 - 200
    machine.handle(started("R2", "no_input"), 1_500)
    assert c.CallerReleased() in machine.handle(speech(100, "B", "R2"), 1_600)


def test_a_caller_on_a_forced_hold_is_heard() -> None:
    """W48: they may say that they have changed their mind."""
    machine = on_the_phone(PLAN)
    machine.handle(frame(0), 10)
    machine.handle(TURN, 15)

    assert machine.passes(frame(20), 20)
    assert machine.handle(e.SpeechStarted("V"), 30) == []


def test_without_a_model_there_is_a_hold_but_no_turn() -> None:
    """Music needs nobody; a turn does."""
    machine = on_the_phone(PLAN)
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)

    assert machine.handle(TURN, 200) == [c.OrderDone("H", "refused", "model_away")]
    assert c.SetSound("hold") in machine.handle(HOLD, 300)


def test_music_is_a_sign_of_life() -> None:
    """Who hears music needs no tone every two seconds to know that the line lives."""
    machine = held()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)

    assert not [x for _, x in awake(machine, 4_000) if x == c.PlayComfort()]


def test_a_new_line_says_nothing_to_who_is_on_hold() -> None:
    """It takes over where the old one was: silent until the caller is back."""
    machine = held()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 100)

    out = machine.handle(e.ModelReady("sess_2"), 300)

    assert not [x for x in out if isinstance(x, c.CreateResponse)]
    assert machine.handle(frame(0), 310) == [c.AppendSilence(20)]


def test_a_key_pressed_on_hold_is_kept_for_later() -> None:
    """The agent is told, and says nothing into the music."""
    machine = held()
    machine.handle(e.CallerDigit("1"), 1_000)

    out = [x for _, x in awake(machine, 9_000) if not isinstance(x, c.PlaySound)]

    assert "AddMessage" in kinds(out)
    assert "CreateResponse" not in kinds(out)


def test_a_tool_with_a_sound_is_heard_working() -> None:
    """W45: typing while the agent looks something up, once that has taken a moment."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    assert machine.handle(tool_call(), 0) == [c.RunTool("T1", "look_up", "{}")]
    machine.handle(done(), 10)

    assert machine.wake(299) == []
    assert machine.wake(300) == [c.SetSound("tool:look_up"), PIECE]


def test_its_sound_goes_on_until_the_answer_is_heard() -> None:
    """Between result and answer the model thinks; silence there sounds like a cut."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    machine.wake(300)

    out = machine.handle(e.ToolDone("T1", "42", ok=True), 500)
    assert out == [c.AddToolOutput("T1", "42"), c.CreateResponse("tool_result")]
    machine.handle(started("R2", "tool_result"), 600)
    assert machine.handle(speech(100, "B", "R2"), 650)[:2] == [
        c.ClearPlayback(),
        c.SetSound(""),
    ]


def test_the_filler_is_said_over_it() -> None:
    """The tool is still at work: so is the keyboard."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call(), 0)
    machine.handle(done(), 10)
    machine.wake(300)
    machine.wake(700)
    machine.handle(started("F", "filler"), 750)

    out = machine.handle(speech(400, "F1", "F"), 800)

    assert out[:2] == [c.ClearPlayback(), c.SetSound("tool:look_up", 500 * 8)]
    assert kinds(out[2:4]) == ["PlayAudio", "SendMark"]


def test_a_quick_tool_and_one_without_a_sound_make_none() -> None:
    """Half a second of music is a fault on the line, to the ear."""
    for name, takes_ms in (("look_up", 250), ("quiet", 5_000)):
        machine = on_the_phone(PLAN)
        machine.handle(started(), 0)
        machine.handle(tool_call(name), 0)
        machine.handle(done(), 10)
        woken = awake(machine, takes_ms)
        machine.handle(e.ToolDone("T1", "42", ok=True), takes_ms)

        woken += awake(machine, takes_ms + 1_000)
        assert not [x for _, x in woken if isinstance(x, c.SetSound)]


def test_a_result_nobody_speaks_about_ends_the_sound() -> None:
    """There is no answer to wait for."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    for name in say(machine, 100, 0):
        machine.handle(e.MarkReturned(name), 110)
    machine.handle(tool_call(), 120)
    machine.handle(done(), 130)
    awake(machine, 500)

    out = machine.handle(e.ToolDone("T1", "42", ok=True, background=True), 600)

    assert out == [c.AddToolOutput("T1", "42"), c.ClearPlayback(), c.SetSound("")]


def test_the_model_puts_the_caller_on_hold_until_it_speaks() -> None:
    """W48, by the model's own wish; it is asked to go on at once."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)

    out = machine.handle(tool_call("hold"), 100)

    assert out[:3] == [c.CallerHeld("agent"), c.SetSound("hold"), PIECE]
    assert kinds(out[3:]) == ["AddToolOutput"]
    assert machine.handle(done(), 120) == [c.CreateResponse("tool_result")]
    machine.handle(started("R2", "tool_result"), 200)
    assert c.CallerReleased() in machine.handle(speech(100, "B", "R2"), 300)


def test_a_slow_tool_beside_the_hold_is_bridged_by_music_alone() -> None:
    """Words would end the hold: nobody says "one moment" into the music."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    machine.handle(tool_call("hold"), 100)
    machine.handle(tool_call("quiet", tool_call_id="T2"), 110)
    machine.handle(done(), 120)

    assert not [x for _, x in awake(machine, 5_000) if isinstance(x, c.CreateResponse)]
    out = machine.handle(e.ToolDone("T2", "42", ok=True), 5_000)
    assert c.CreateResponse("tool_result") in out


def test_a_model_that_was_not_offered_the_hold_has_none() -> None:
    """It is offered where the document has music."""
    machine = on_the_phone(CallPlan(sounds=SOUNDS))
    machine.handle(started(), 0)

    out = machine.handle(tool_call("hold"), 100)

    assert kinds(out) == ["AddToolOutput"]
    assert "there is no tool" in str(out[0])


def put_through(target: str) -> tuple[CallMachine, list[c.Command]]:
    """A call whose announcement was heard at 1,000 ms, and what came of that."""
    machine = on_the_phone(PLAN)
    machine.handle(started(), 0)
    wish = f'{{"target":"{target}"}}'
    names = say(machine, 500, 100)
    machine.handle(tool_call("transfer_call", arguments=wish), 200)
    machine.handle(done(), 210)
    out = [x for name in names for x in machine.handle(e.MarkReturned(name), 1_000)]
    return machine, out


def test_music_plays_while_the_carrier_is_asked() -> None:
    """W47: watsonx cannot have any during a transfer."""
    _, out = put_through("billing")

    assert out == [
        c.Transfer("billing"),
        c.CallerHeld("transfer"),
        c.SetSound("target:billing"),
        PIECE,
    ]
    assert put_through("desk")[1] == [c.Transfer("desk")]


def test_a_caller_who_is_not_put_through_hears_the_agent() -> None:
    """W47: the music stops as soon as that is known."""
    machine, _ = put_through("billing")

    out = machine.handle(e.TransferRefused("busy"), 1_500)

    assert out[:3] == [c.CallerReleased(), c.ClearPlayback(), c.SetSound("")]
    assert [x.purpose for x in out if isinstance(x, c.CreateResponse)] == ["tool_result"]


def test_a_hold_is_a_fact_and_no_passage() -> None:
    """W45: the record says how long it was; nobody said anything."""
    machine, story = on_the_phone(PLAN), Witnessed()
    for event, at_ms in ((HOLD, 1_000), (UNHOLD, 61_000), (TURN, 70_000)):
        story.saw(at_ms, event, machine.handle(event, at_ms))
    story.saw(80_000, speech(100), [c.CallerReleased(), *machine.handle(speech(100), 80_000)[1:]])
    story.saw(90_000, HOLD, [c.CallerHeld("operator")])
    story.chronicle.over(95_000, "caller_hangup")

    told = [(x.at_ms, x.type, dict(x.data)) for x in story.facts if x.type.startswith("hold.")]

    assert told == [
        (1_000, "hold.started", {"stream": 1, "by": "operator"}),
        (61_000, "hold.ended", {"stream": 1, "ms": 60_000}),
        (70_000, "hold.started", {"stream": 1, "by": "operator"}),
        (80_000, "hold.ended", {"stream": 1, "ms": 10_000}),
        (90_000, "hold.started", {"stream": 1, "by": "operator"}),
        (95_000, "hold.ended", {"stream": 1, "ms": 5_000}),
    ]
    assert story.holds == [60_000, 10_000, 5_000]
    assert story.played_ms == 100, "music is nothing the agent said"
    assert [x.type for x in story.facts if x.type.startswith("command.")] == [
        *("command.received", "command.ended") * 3,
        "command.received",
    ]
    assert marks([]) == []
