"""Who is never called, whatever a client of the API, or who stole its key, may ask for."""

import pytest

from app.jobs.destinations import DestinationPolicy

POLICY = DestinationPolicy(frozenset({"US", "FR", "GB"}))


@pytest.mark.parametrize("number", ["+33612345678", "+12125551234", "+447400123456"])
def test_ordinary_numbers_of_the_countries_named_are_called(number: str) -> None:
    """The rules must not be in the way of the work."""
    assert POLICY.refusal(number) is None


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+19005551234", "premium_rate"),
        ("+33899123456", "premium_rate"),
        ("+447012345678", "personal_number"),
        ("+97912345678", "no_country"),
        ("+881612345678", "no_country"),
        ("+882131234567", "no_country"),
        ("+18765551234", "country_not_allowed"),
        ("+447624123456", "country_not_allowed"),
        ("+8613800138000", "country_not_allowed"),
        ("+1911", "emergency"),
        ("+33112", "emergency"),
        ("+44999", "emergency"),
        ("+18005551234", "kind_not_allowed"),
        ("+3312345678", "not_valid"),
        ("+112", "not_valid"),
        ("112", "not_e164"),
        ("0612345678", "not_e164"),
        ("+1 212 555 1234", "not_e164"),
        ("+12125551234;ext=9", "not_e164"),
        ("sip:a@example.com", "not_e164"),
        ("", "not_e164"),
        ("+" + "9" * 400, "not_e164"),
    ],
)
def test_what_is_not_called_has_a_reason(number: str, reason: str) -> None:
    """Toll fraud begins with a number that looks like any other: +1 876 is Jamaica."""
    assert POLICY.refusal(number) == reason


def test_without_countries_nobody_is_called() -> None:
    """An installation that was never set up for it does not dial."""
    assert DestinationPolicy().refusal("+12125551234") == "country_not_allowed"
