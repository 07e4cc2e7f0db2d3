"""Durations, numbers and destinations, taken one at a time."""

import pytest
from pydantic_core import PydanticCustomError

from app.agents.values import destination, duration_ms, phone_number


@pytest.mark.parametrize(
    ("written", "length_ms"),
    [
        ("500ms", 500),
        ("20s", 20_000),
        ("30m", 1_800_000),
        ("3h", 10_800_000),
        ("90d", 7_776_000_000),
    ],
)
def test_a_duration_is_a_number_with_its_unit(written: str, length_ms: int) -> None:
    """A bare number would be seconds for one reader and milliseconds for the next."""
    assert duration_ms(written) == length_ms


@pytest.mark.parametrize(
    "written", ["", "20", "20 s", "s", "1.5s", "-1s", "20S", "20sec", "1h30m", "٣s", "9" * 40 + "s"]
)
def test_nothing_else_is_a_duration(written: str) -> None:
    """What is not understood must not become zero."""
    with pytest.raises(PydanticCustomError):
        duration_ms(written)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+33612345678", "+33612345678"),
        ("tel:+33612345678", "+33612345678"),
        ("+15005550006", "+15005550006"),
        ("sip:desk@pbx.contoso.test", "sip:desk@pbx.contoso.test"),
        ("sips:desk@pbx.contoso.test:5061", "sips:desk@pbx.contoso.test:5061"),
        ("client:reception", "client:reception"),
    ],
)
def test_a_destination_is_kept_as_twilio_takes_it(written: str, kept: str) -> None:
    """tel: is how people copy a number from a page."""
    assert destination(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "tel:",
        "112",
        "+33612345678;ext=5",
        "+33612345678 ext. 5",
        "+336123456789",
        "+٣٣٦١٢٣٤٥٦٧٨",
        "+33 6 12 34 56 78",
        "sip:",
        "sip:desk",
        "sip:a@b@c",
        'sip:desk@pbx"><Hangup/>',
        "sip:desk@pbx\n",
        "sip:desk@" + "p" * 250,
        "client:",
        "client:a b",
        "SIP:desk@pbx",
        "https://contoso.test",
        33612345678,
        None,
        True,
        ["+33612345678"],
    ],
)
def test_nothing_else_reaches_the_dialler(written: object) -> None:
    """A wrong destination costs a caller; a malformed one could be another verb."""
    with pytest.raises(PydanticCustomError):
        destination(written)


def test_a_number_in_other_digits_is_told_how_to_write_it() -> None:
    """The sentence carries the fix."""
    with pytest.raises(PydanticCustomError, match=r'write "\+33612345678"'):
        phone_number("+33 (0)6 12 34 56 78")
