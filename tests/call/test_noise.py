"""A line that is never quiet: somebody says so."""

from app.call.machine import CallMachine
from app.call.noise import AT_FIRST_MS, LATER_MS, NOISY
from app.call.plan import CallPlan
from app.call.pulse import PROBE_AFTER_MS
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, started, tool_call

GREETED = CallPlan("Hello.", targets=("billing",))
CALLER = e.SpeechStarted("U")
SAID = c.CreateResponse("noise", NOISY, tools=False)


def drowned(plan: CallPlan = GREETED) -> CallMachine:
    """A machine whose greeting was cut at 100 ms by what seems to be the caller."""
    machine = on_the_phone(plan)
    machine.handle(started("R", "greeting"), 50)
    machine.handle(CALLER, 100)
    machine.handle(done(status="cancelled"), 110)
    return machine


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


def test_a_caller_whose_line_was_never_quiet_is_greeted_and_told() -> None:
    """The greeting was cut before anybody heard it, and no turn will ever come."""
    machine = drowned()

    ((at_ms, response),) = asked(machine, 100 + AT_FIRST_MS)

    assert at_ms == 100 + AT_FIRST_MS
    assert response.purpose == "noise"
    assert '"Hello." Then: ' + NOISY in (response.instructions or "")
    assert not response.tools


def test_what_is_said_into_noise_is_heard() -> None:
    """The detector still takes the noise for the caller; nobody is being interrupted."""
    machine = drowned()
    asked(machine, 100 + AT_FIRST_MS)

    assert machine.handle(started("R2", "noise"), 6_200) == []
    assert say(machine, 100, 6_300, item_id="B", response_id="R2") != []


def test_a_greeting_that_waits_for_the_noise_to_end_is_not_said_twice() -> None:
    """It began into what seemed the caller's sentence, so it waits behind it."""
    machine = on_the_phone(GREETED)
    machine.handle(CALLER, 20)
    machine.handle(started("R", "greeting"), 50)
    machine.handle(done(status="cancelled"), 60)
    asked(machine, 20 + AT_FIRST_MS)
    machine.handle(started("R2", "noise"), 6_100)
    say(machine, 100, 6_200, item_id="B", response_id="R2")

    assert machine.handle(done("R2"), 6_300) == []


def test_noise_that_does_not_end_is_told_again_but_not_at_once() -> None:
    """Once in half a minute is enough to be told, and not too much to bear."""
    machine = drowned()
    asked(machine, 100 + AT_FIRST_MS)
    machine.handle(started("R2", "noise"), 6_200)
    (name,) = say(machine, 100, 6_300, item_id="B", response_id="R2")
    machine.handle(done("R2"), 6_310)
    machine.handle(e.MarkReturned(name), 6_400)

    assert asked(machine, 100 + AT_FIRST_MS + LATER_MS) == [(100 + AT_FIRST_MS + LATER_MS, SAID)]


def test_a_caller_who_pauses_has_made_no_noise() -> None:
    """Most callers do, within a sentence or two."""
    machine = drowned()
    machine.handle(e.SpeechStopped("U"), 2_000)
    machine.handle(e.CallerTurnCommitted("U"), 2_000)
    machine.handle(started("R2"), 2_100)
    (name,) = say(machine, 100, 2_200, item_id="B", response_id="R2")
    machine.handle(done("R2"), 2_210)
    machine.handle(e.MarkReturned(name), 2_300)

    assert asked(machine, PROBE_AFTER_MS) == []


def test_a_caller_who_has_heard_the_agent_has_half_a_minute() -> None:
    """Somebody may answer a greeting with a long story."""
    machine = on_the_phone(GREETED)
    machine.handle(started("R", "greeting"), 50)
    names = say(machine, 1_500, 100)
    machine.handle(e.MarkReturned(names[-1]), 1_600)
    machine.handle(done(), 1_610)
    machine.handle(CALLER, 2_000)

    assert asked(machine, 2_000 + LATER_MS) == [(2_000 + LATER_MS, SAID)]


def test_a_caller_who_was_to_speak_first_has_half_a_minute() -> None:
    """Nobody greeted them; they are expected to talk."""
    machine = on_the_phone()
    machine.handle(CALLER, 100)

    assert asked(machine, 100 + LATER_MS) == [(100 + LATER_MS, SAID)]


def test_nothing_is_said_about_noise_to_somebody_who_is_put_through() -> None:
    """The person will hear it."""
    machine = on_the_phone(GREETED)
    machine.handle(started("R", "greeting"), 50)
    say(machine, 60_000, 100)
    machine.handle(tool_call("transfer_call", arguments='{"target":"billing"}'), 200)
    machine.handle(done(), 210)
    machine.handle(CALLER, 300)

    assert asked(machine, 7_000) == []


def test_a_line_that_is_lost_hears_no_noise() -> None:
    """The next one begins to listen anew."""
    machine = drowned()
    machine.handle(e.ModelLineLost(1006, "abnormal"), 200)
    machine.handle(e.ModelReady("sess_2"), 300)
    machine.handle(started("R2", "resume"), 350)
    (name,) = say(machine, 100, 400, item_id="B", response_id="R2")
    machine.handle(done("R2"), 410)
    machine.handle(e.MarkReturned(name), 500)

    assert asked(machine, 15_000) == []
