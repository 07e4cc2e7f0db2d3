"""A caller who says nothing: reminded when it is really their turn, and let go in the end."""

import pytest

from app.call.machine import CallMachine
from app.call.plan import CallPlan, DigitsPreset, SilencePlan, ToolPlan
from app.call.prompts import verbatim
from app.call.reminding import GOODBYE, REMINDER
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.witness import Witnessed
from tests.call.words import done, on_the_phone, say, started, tool_call

AFTER_MS = 5_000
SILENCE = SilencePlan(AFTER_MS, ("Are you there?", "Hello?"), 3)
PLAN = CallPlan(
    tools={"look_up": ToolPlan()},
    targets=("desk",),
    presets={"pin": DigitsPreset(num_digits=4)},
    silence=SILENCE,
)


def asked(machine: CallMachine, until_ms: int) -> list[tuple[int, c.CreateResponse]]:
    """When which response was asked for, by alarms alone; the model says that it lives."""
    found: list[tuple[int, c.CreateResponse]] = []
    while (now_ms := machine.deadline_ms()) is not None and now_ms <= until_ms:
        for command in machine.wake(now_ms):
            if command == c.AskAlive():
                machine.handle(e.ModelAlive(), now_ms)
            elif isinstance(command, c.CreateResponse):
                found.append((now_ms, command))
    return found


def answered(machine: CallMachine, asked_at_ms: int, purpose: str = "silence") -> int:
    """The agent says what it was asked for, in a second; when all of it was heard."""
    machine.handle(started(f"R{asked_at_ms}", purpose), asked_at_ms + 100)
    names = say(machine, 1_000, asked_at_ms + 200, response_id=f"R{asked_at_ms}")
    machine.handle(done(f"R{asked_at_ms}"), asked_at_ms + 300)
    for name in names:
        machine.handle(e.MarkReturned(name), asked_at_ms + 1_300)
    return asked_at_ms + 1_300


def reminded(machine: CallMachine, times: int) -> int:
    """So many reminders, said and heard; when the last one was."""
    heard_at_ms = 0
    for _ in range(times):
        ((at_ms, _wanted),) = asked(machine, heard_at_ms + AFTER_MS)
        heard_at_ms = answered(machine, at_ms)
    return heard_at_ms


def test_a_silent_caller_is_reminded_each_time_otherwise() -> None:
    """W53, 5.2: the phrases are a list, and said word for word, one after the other."""
    machine, heard_at_ms, words = on_the_phone(PLAN), 0, []
    for _ in range(3):
        ((at_ms, wanted),) = asked(machine, heard_at_ms + AFTER_MS)
        assert at_ms == heard_at_ms + AFTER_MS
        words.append(wanted.instructions)
        heard_at_ms = answered(machine, at_ms)

    assert words == [verbatim("Are you there?"), verbatim("Hello?"), verbatim("Are you there?")]


def test_after_the_last_reminder_the_call_ends_for_its_own_reason() -> None:
    """5.2: `times: 3, then: end_call`."""
    machine = on_the_phone(PLAN)
    heard_at_ms = reminded(machine, 3)

    ((at_ms, goodbye),) = asked(machine, heard_at_ms + AFTER_MS)
    assert goodbye == GOODBYE
    machine.handle(started("G", "goodbye"), at_ms + 100)
    names = say(machine, 1_000, at_ms + 200, response_id="G")
    machine.handle(done("G"), at_ms + 300)
    out = [x for name in names for x in machine.handle(e.MarkReturned(name), at_ms + 1_300)]

    assert c.HangUp() in out
    assert machine.handle(e.StreamStopped(), at_ms + 1_400)[-1] == c.EndStream("silence_timeout")


def test_a_caller_who_answers_the_goodbye_stays() -> None:
    """They were there all the time."""
    machine = on_the_phone(PLAN)
    heard_at_ms = reminded(machine, 3)
    ((at_ms, _),) = asked(machine, heard_at_ms + AFTER_MS)
    machine.handle(started("G", "goodbye"), at_ms + 100)
    say(machine, 1_000, at_ms + 200, response_id="G")

    machine.handle(e.SpeechStarted("U"), at_ms + 500)
    machine.handle(e.SpeechStopped("U"), at_ms + 900)
    machine.handle(e.CallerTurnCommitted("U"), at_ms + 1_000)
    machine.handle(started("A"), at_ms + 1_100)
    names = say(machine, 500, at_ms + 1_200, item_id="B", response_id="A")
    machine.handle(done("A"), at_ms + 1_300)
    for name in names:
        assert machine.handle(e.MarkReturned(name), at_ms + 1_800) == []

    ((again_ms, wanted),) = asked(machine, at_ms + 1_800 + AFTER_MS)
    assert again_ms == at_ms + 1_800 + AFTER_MS
    assert wanted.instructions == verbatim("Are you there?")


def test_the_call_may_go_to_somebody_instead() -> None:
    """`then` names a target; who is not reached there is let go the next time."""
    plan = CallPlan(targets=("desk",), silence=SilencePlan(AFTER_MS, (), 1, "desk"))
    machine = on_the_phone(plan)
    heard_at_ms = reminded(machine, 1)

    ((at_ms, announced),) = asked(machine, heard_at_ms + AFTER_MS)
    assert announced.purpose == "announce"
    machine.handle(started("P", "announce"), at_ms + 100)
    names = say(machine, 1_000, at_ms + 200, response_id="P")
    machine.handle(done("P"), at_ms + 300)
    out = [x for name in names for x in machine.handle(e.MarkReturned(name), at_ms + 1_300)]
    assert c.Transfer("desk") in out

    machine.handle(e.TransferRefused("busy"), at_ms + 1_500)
    heard_at_ms = answered(machine, at_ms + 1_600, "not_through")
    ((_, goodbye),) = asked(machine, heard_at_ms + AFTER_MS)
    assert goodbye == GOODBYE


def test_without_phrases_the_model_finds_its_own() -> None:
    """In the caller's language, which no document knows."""
    ((_, wanted),) = asked(on_the_phone(CallPlan(silence=SilencePlan(AFTER_MS))), AFTER_MS)

    assert wanted == c.CreateResponse("silence", REMINDER.format(seconds=5), tools=False)


def test_zero_is_off() -> None:
    """Where the seed's own switch does not work (2.5)."""
    assert asked(on_the_phone(CallPlan()), 3_600_000) == []


def test_silence_begins_when_the_agent_was_heard_not_when_it_had_spoken() -> None:
    """The agent's words come seconds ahead of their sound."""
    machine = on_the_phone(PLAN)
    machine.handle(e.CallerTurnCommitted("U"), 1_000)
    machine.handle(started("R"), 1_100)
    names = say(machine, 9_000, 1_200)
    machine.handle(done("R"), 1_300)
    for place, name in enumerate(names, 1):
        machine.handle(e.MarkReturned(name), 1_200 + 9_000 * place // len(names))

    assert asked(machine, 10_200 + AFTER_MS - 1) == []
    assert [at_ms for at_ms, _ in asked(machine, 10_200 + AFTER_MS)] == [10_200 + AFTER_MS]


def heard_nothing(machine: CallMachine, until_ms: int) -> bool:
    return not [x for x in asked(machine, until_ms) if x[1].purpose == "silence"]


def test_nobody_is_reminded_while_audio_stands_still() -> None:
    """Without marks nobody knows that it was heard."""
    machine = on_the_phone(PLAN)
    machine.handle(started("R"), 100)
    say(machine, 1_000, 200)
    machine.handle(done("R"), 300)

    assert heard_nothing(machine, 60_000)


def test_nobody_is_reminded_in_the_middle_of_a_sentence() -> None:
    """A long story of the caller's is no silence."""
    machine = on_the_phone(PLAN)
    machine.handle(e.SpeechStarted("U"), 3_000)

    assert heard_nothing(machine, 29_000)


def test_nobody_is_reminded_while_a_tool_works() -> None:
    """The caller waits for us, and silence begins with the end of the answer."""
    machine = on_the_phone(PLAN)
    machine.handle(started("R"), 100)
    machine.handle(tool_call(), 200)
    machine.handle(done("R"), 300)

    assert heard_nothing(machine, 2_900)
    answered(machine, 3_000, "filler")
    assert heard_nothing(machine, 40_000)


def test_nobody_is_reminded_while_keys_are_collected() -> None:
    """W53: reminders are suspended while collecting."""
    machine = on_the_phone(PLAN)
    machine.handle(e.DigitsOrdered("D", "pin"), 4_000)

    assert heard_nothing(machine, 11_000)


def test_nobody_is_reminded_while_keys_are_collected_for_a_line_that_is_gone() -> None:
    """The caller keys in all the same, and the next line is told."""
    machine = on_the_phone(PLAN)
    machine.handle(started("R"), 100)
    machine.handle(tool_call("collect_dtmf", arguments='{"preset": "pin"}'), 200)
    machine.handle(done("R"), 300)
    machine.handle(e.ModelLineLost(1006, "lost"), 400)
    machine.handle(e.ModelReady("sess_2"), 500)
    heard_at_ms = answered(machine, 600, "resume")

    assert heard_nothing(machine, heard_at_ms + AFTER_MS + 1_000)


def test_nobody_is_reminded_on_hold() -> None:
    """They hear music, and the agent says nothing of its own accord."""
    machine = on_the_phone(PLAN)
    machine.handle(e.HoldOrdered("H"), 1_000)

    assert heard_nothing(machine, 60_000)
    machine.handle(e.UnholdOrdered("U"), 61_000)
    heard_at_ms = answered(machine, 61_000, "unhold")
    assert [at_ms for at_ms, _ in asked(machine, heard_at_ms + AFTER_MS)] == [
        heard_at_ms + AFTER_MS
    ]


def test_nobody_is_reminded_while_they_are_put_through() -> None:
    """The announcement is said, and the carrier asked."""
    machine = on_the_phone(PLAN)
    machine.handle(e.TransferOrdered("T", "desk"), 4_000)

    assert heard_nothing(machine, 30_000)


@pytest.mark.parametrize("event", [e.CallerDigit("5"), e.CallerTyped("Hello")])
def test_a_caller_without_a_voice_is_there_all_the_same(event: e.Event) -> None:
    """Keys and writing are answers, too: the count begins anew."""
    machine = on_the_phone(PLAN)
    reminded(machine, 2)
    machine.handle(event, 13_000)
    ((at_ms, turn),) = asked(machine, 15_000) or [(13_000, c.CreateResponse("typed"))]
    heard_at_ms = answered(machine, at_ms, turn.purpose)

    ((_, wanted),) = asked(machine, heard_at_ms + AFTER_MS)
    assert wanted.instructions == verbatim("Are you there?")


def test_a_reminder_is_told_and_begins_a_turn_of_the_record() -> None:
    """7.2 `caller.silent`, and `turns[].type` silence."""
    machine, story = on_the_phone(PLAN), Witnessed()
    story.transcript = machine.transcript
    story.saw(AFTER_MS, None, machine.wake(AFTER_MS))
    story.chronicle.settle(AFTER_MS)

    assert [dict(x.data) for x in story.facts if x.type == "caller.silent"] == [{"count": 1}]
    assert [turn["type"] for turn in story.dialogue()] == ["silence"]
