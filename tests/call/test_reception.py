"""Which calls are the agent's: by the number that was rung, the caller's country, the hour."""

import pytest

from app.call.reception import Instead, LinePlan, Lines, Refusal, refusal

LINE, OTHER, CALLER = "+15005550006", "+15005550007", "+33612345678"


class Until:
    """Open until some moment."""

    def __init__(self, closes_ms: int) -> None:
        self.closes_ms = closes_ms

    def open_at(self, now_ms: int) -> bool:
        return now_ms < self.closes_ms


def asked(plan: LinePlan | None, *, caller: str = CALLER, country: str = "FR") -> Refusal | None:
    return refusal(plan, caller=caller, country=country, now_ms=1_000)


def test_a_number_that_is_not_in_the_document_is_nobodys() -> None:
    """L6: no match and no catch-all, no agent."""
    lines = Lines({LINE: LinePlan()}, None)

    assert asked(lines.of(LINE)) is None
    assert asked(lines.of(OTHER)) == Refusal("unmapped")
    assert Refusal("unmapped").reason == "blocked"


def test_the_catch_all_answers_what_nothing_else_does() -> None:
    """L6: the number's own entry goes before it."""
    own, rest = LinePlan(max_concurrent=1), LinePlan(max_concurrent=2)
    lines = Lines({LINE: own}, rest)

    assert lines.of(LINE) is own
    assert lines.of(OTHER) is rest
    assert lines.of("") is rest


def test_a_sip_address_is_known_whatever_stands_behind_it() -> None:
    """L5: a SIP domain ends at the same webhook; Twilio shows the parameters, too."""
    own = LinePlan()
    lines = Lines({"sip:claims@contoso.sip.twilio.com": own}, None)

    assert lines.of("sip:Claims@contoso.sip.twilio.com;region=us1?X-A=1") is own
    assert lines.of("sip:sales@contoso.sip.twilio.com") is None


@pytest.mark.parametrize(
    ("caller", "country", "answered"),
    [
        ("+33612345678", "FR", True),
        ("+15005550100", "US", False),
        ("anonymous", "", False),
        ("+266696687", "", False),
        ("sip:desk@pbx.contoso.com", "", True),
        ("client:reception", "", True),
    ],
)
def test_callers_come_from_the_countries_that_are_allowed(
    caller: str, country: str, answered: bool
) -> None:
    """A withheld number is from nowhere; SIP and the operator's own programs are not asked."""
    found = asked(LinePlan(countries=frozenset({"FR", "ES"})), caller=caller, country=country)

    assert (found is None) is answered
    assert answered or found == Refusal("country")


def test_out_of_hours_the_operators_words_are_said() -> None:
    """The hour is an argument: the same call is taken a moment earlier."""
    treatment = Instead("Closed.", "desk")

    before = asked(LinePlan(hours=Until(1_001), when_closed=treatment))
    after = asked(LinePlan(hours=Until(1_000), when_closed=treatment))

    assert before is None
    assert after == Refusal("closed", treatment)
    assert after.reason == "closed_hours"
