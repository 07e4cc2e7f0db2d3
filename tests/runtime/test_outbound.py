"""What becomes of an order, decided from what the job says."""

from typing import Any

import pytest

from app.jobs.port import JobState, JobStatus, Retry
from app.runtime.orders import Order
from app.runtime.outbound import LOST_S, Ending, ending_of, followed

ORDER = Order(
    to="+12125551234",
    from_="+12125550000",
    task="Say hello.",
    variables={"name": "Ms Lopez"},
    detect=True,
    message="Call us back.",
    retries={"busy": Retry(2, 60.0)},
    at_ms=1_000,
)


def said(state: JobState, /, **result: Any) -> JobStatus:
    """What the jobs say of one."""
    return JobStatus("call_1", state, result, 1)


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (said(JobState.WAITING), None),
        (said(JobState.RUNNING), None),
        (said(JobState.WAITING, state="busy", next="call_1.2"), None),
        (said(JobState.DONE, state="busy", next="call_1.2"), None),
        (said(JobState.DONE, state="busy"), Ending("busy", "busy")),
        (said(JobState.DONE, state="no-answer"), Ending("no_answer", "no-answer")),
        (
            said(JobState.DONE, state="refused", reason="do_not_call"),
            Ending("rejected", "do_not_call"),
        ),
        (
            said(JobState.DONE, state="indeterminate", reason="nothing_listed"),
            Ending("dial_failed", "nothing_listed"),
        ),
        (said(JobState.FAILED), Ending("dial_failed", "job_failed")),
        (said(JobState.CANCELLED), Ending("canceled")),
        (None, None),
    ],
)
def test_a_job_that_is_over_ends_the_call(status: JobStatus | None, ending: Ending | None) -> None:
    """And one that goes on, or will, does not."""
    assert ending_of(status, 1.0) == ending


def test_an_order_whose_job_never_was_is_given_up() -> None:
    """The process may have died between the record and the job."""
    assert ending_of(None, LOST_S + 1) == Ending("dial_failed", "job_lost")


def test_attempts_are_counted_as_the_job_counts_them() -> None:
    """By how they ended, each kind for itself."""
    once = {"call_1.1": {"status": "busy"}}
    thrice = {f"call_1.{n}": {"status": "busy"} for n in (1, 2, 3)}

    assert followed(ORDER, once, "busy")
    assert not followed(ORDER, thrice, "busy")
    assert not followed(ORDER, once, "no-answer")


def test_an_order_is_read_as_it_was_written() -> None:
    """Another process answers for it, perhaps of another version."""
    there = ORDER.to_json() | {"of_tomorrow": 1}

    assert Order.of(there) == ORDER
    assert Order.of(there).digest == ORDER.digest


def test_who_is_called_is_not_greeted_as_a_caller() -> None:
    """The agent's greeting thanks people for calling."""
    assert ORDER.outset()["greeting"] is None
    assert "greeting" not in Order("+1", "+1", agent_first=True).outset()
    assert Order("+1", "+1", greeting="Hi.").outset()["greeting"] == "Hi."


def test_the_model_is_told_who_called_whom() -> None:
    """A model that thinks it was called asks what it can do for them."""
    [memory] = ORDER.memories()

    assert "You placed this call" in memory.text
    assert "Say hello." in memory.text
    assert "name: Ms Lopez" in memory.text


def test_twilio_is_asked_to_wait_for_the_beep_only_where_there_is_a_message() -> None:
    """The end of a greeting takes seconds that a hang-up need not wait for."""
    told = ORDER.dial("call_1", "https://x.test").parameters
    untold = Order("+1", "+1", detect=True).dial("call_1", "https://x.test").parameters

    assert told["machine_detection"] == "DetectMessageEnd"
    assert untold["machine_detection"] == "Enable"
    assert told["async_amd"] == "true"
    assert Order("+1", "+1").dial("call_1", "https://x.test").parameters == {}
