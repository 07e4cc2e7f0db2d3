"""A line that fails again and again is replaced once; then it was not the line."""

from app.call.failing import FAILURES_WITHIN_MS
from app.call.machine import CallMachine
from app.call.model_link import ATTEMPT_MS
from app.call.prompts import TRY_AGAIN
from app.protocol import commands as c
from app.protocol import events as e
from tests.call.words import done, on_the_phone, say, started

FRESH = [c.CloseModel(), c.OpenModel(ATTEMPT_MS)]
SLIP = e.ModelError("server_error")


def fail(machine: CallMachine, now_ms: int, response_id: str) -> list[c.Command]:
    machine.handle(started(response_id, "nudge"), now_ms)
    return machine.handle(done(response_id, "failed", "server_error"), now_ms)


def answer(machine: CallMachine, now_ms: int, response_id: str) -> None:
    machine.handle(started(response_id), now_ms)
    for name in say(machine, 100, now_ms, response_id=response_id, item_id=response_id):
        machine.handle(e.MarkReturned(name), now_ms + 100)
    machine.handle(done(response_id), now_ms)


def test_every_second_failure_in_a_minute_is_a_line_that_is_stuck() -> None:
    """The second chance works each time, and the caller hears half of everything."""
    machine = on_the_phone()
    for n in range(2):
        assert fail(machine, 10_000 * n, f"R{n}") == [TRY_AGAIN]
        answer(machine, 10_000 * n + 1_000, f"A{n}")

    assert fail(machine, 25_000, "R3")[-2:] == FRESH


def test_failures_that_are_rare_are_only_asked_for_again() -> None:
    """An hour has its slips."""
    machine = on_the_phone()
    for n in range(5):
        assert fail(machine, FAILURES_WITHIN_MS * n, f"R{n}") == [TRY_AGAIN]
        answer(machine, FAILURES_WITHIN_MS * n + 1_000, f"A{n}")


def test_a_fresh_line_that_fails_as_well_is_the_last() -> None:
    """A third would not be better; somebody else speaks."""
    machine = on_the_phone()
    assert fail(machine, 0, "R") == [TRY_AGAIN]
    assert fail(machine, 10, "R2") == FRESH
    machine.handle(e.ModelReady("sess_2"), 100)
    fail(machine, 200, "S")

    assert fail(machine, 300, "S2") == [c.CloseModel(), c.FailOver()]


def test_a_fresh_line_that_answers_is_as_good_as_any() -> None:
    """What fails an hour later is another matter."""
    machine = on_the_phone()
    fail(machine, 0, "R")
    fail(machine, 10, "R2")
    machine.handle(e.ModelReady("sess_2"), 100)
    answer(machine, 200, "S")
    fail(machine, 70_000, "T")

    assert fail(machine, 70_100, "T2") == FRESH


def test_errors_that_belong_to_no_response_count_as_well() -> None:
    """A session that is stuck may tell by nothing else."""
    machine = on_the_phone()
    assert machine.handle(SLIP, 0) == []
    assert machine.handle(SLIP, 100) == []

    assert machine.handle(SLIP, 200) == FRESH
