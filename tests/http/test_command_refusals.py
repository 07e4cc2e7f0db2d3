"""What a client is answered where an order was not carried out: whether to ask again, above all."""

import pytest

from app.errors import CallerFault, CarrierFault, OurFault
from app.http.commands import refusal


@pytest.mark.parametrize(
    ("fault", "status", "again"),
    [
        (CallerFault("unknown"), 404, False),
        (CallerFault("call_over"), 409, False),
        (CallerFault("with_person"), 409, False),
        (CallerFault("too_long"), 413, False),
        (CallerFault("too_much"), 413, False),
        (CallerFault("unknown_target"), 422, False),
        (CarrierFault("rate_limited"), 502, False),
        (OurFault("no_answer"), 503, True),
        (OurFault("no_stream"), 503, True),
        (OurFault("model_away"), 503, True),
        (OurFault("unclear"), 504, False),
    ],
    ids=lambda given: getattr(given, "reason", None),
)
def test_a_refusal_says_whether_to_ask_again(
    fault: CallerFault | CarrierFault | OurFault, status: int, again: bool
) -> None:
    """A client that repeats what may have been done would put a caller through twice."""
    refused = refusal(fault)

    assert refused.status_code == status
    assert ("Retry-After" in (refused.headers or {})) is again
