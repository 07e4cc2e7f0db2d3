"""What an error of the model's means for the call."""

import pytest

from app.call.faults import FATAL, Severity, severity


@pytest.mark.parametrize(
    "code",
    [
        "response_cancel_not_active",
        "invalid_value",
        "session_expired",
        "unknown",
        "",
        "new_in_2027",
    ],
)
def test_an_error_is_survived_unless_it_is_known_to_be_the_end(code: str) -> None:
    """`D-PC-3`, `D-JB-4`: a bridge that fears every error goes silent on a harmless one."""
    assert severity(code, None) is Severity.IGNORE
    assert severity(code, "some_other_event") is Severity.IGNORE


@pytest.mark.parametrize("code", ["invalid_value", "server_error", "rate_limit_exceeded"])
def test_a_refused_request_to_speak_is_known_by_its_id(code: str) -> None:
    """Nothing will come of it, and somebody waits."""
    assert severity(code, "create:greeting") is Severity.REFUSED


def test_a_collision_is_no_refusal() -> None:
    """It comes true when the other response is over."""
    code = "conversation_already_has_active_response"

    assert severity(code, "create:tool_result") is Severity.COLLISION
    assert severity(code, None) is Severity.COLLISION


@pytest.mark.parametrize("code", sorted(FATAL))
def test_what_every_line_would_meet_is_the_end(code: str) -> None:
    """Whatever message it answers."""
    assert severity(code, None) is Severity.FATAL
    assert severity(code, "create:greeting") is Severity.FATAL
