"""Numbers that an operator should not be able to write, even by mistake."""

import pytest
from pydantic_core import PydanticCustomError

from app.agents.values import phone_number
from app.number_kinds import refusal

ISSUE = {
    "911": "emergency",
    "112": "emergency",
    "+112": "emergency",
    "+1911": "emergency",
    "+33112": "emergency",
    "12345": "short number",
    "+19005551234": "premium-rate",
    "+33899123456": "premium-rate",
    "+33820123456": "shared-cost",
    "+870776512345": "satellite",
    "+881612345678": "satellite",
    "+88213312345": "satellite",
    "+883510012345": "satellite",
}
ORDINARY = ("+33612345678", "+14155550123", "tel:+14155550123", "+18005551234", "+15005550006", "x")


@pytest.mark.parametrize(("number", "word"), ISSUE.items())
def test_numbers_that_cost_or_disturb_are_refused_in_a_sentence(number: str, word: str) -> None:
    """A typing error must not become a bill, nor ring at the police's."""
    assert word in (refusal(number) or "")


@pytest.mark.parametrize("number", ORDINARY)
def test_nothing_speaks_against_other_numbers(number: str) -> None:
    """Freephone numbers cost the one who is called; what is no number is judged elsewhere."""
    assert refusal(number) is None


@pytest.mark.parametrize("number", ISSUE)
def test_a_document_with_such_a_number_is_refused_in_that_sentence(number: str) -> None:
    """Targets, numbers and senders of messages are read by the same function."""
    with pytest.raises(PydanticCustomError) as refused:
        phone_number(number)

    assert ISSUE[number] in refused.value.message()
