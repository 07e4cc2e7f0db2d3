"""Which values fit the fields of a form, and in which writing they are kept."""

from typing import Any

import pytest

from app.call.forms import MOST_CHARS, FormField, described, fitting


@pytest.mark.parametrize(
    ("kind", "said", "value"),
    [
        ("text", "  A1,\n km 42 ", "A1, km 42"),
        ("text", " ", None),
        ("text", "x" * (MOST_CHARS + 1), None),
        ("datetime", "2026-11-20", "2026-11-20"),
        ("datetime", "2026-11-20 18:00", "2026-11-20T18:00"),
        ("datetime", "2026-11-20T18:00:00+01:00", "2026-11-20T18:00:00+01:00"),
        ("datetime", "2024-02-29", "2024-02-29"),
        ("datetime", "2026-02-29", None),
        ("datetime", "1900-02-29", None),
        ("datetime", "2026-13-01", None),
        ("datetime", "2026-11-00", None),
        ("datetime", "2026-11-20T24:00", None),
        ("datetime", "yesterday at six", None),
        ("email", "ada@example.com", "ada@example.com"),
        ("email", "ada at example.com", None),
        ("email", "ada@example", None),
        ("email", "a@b@example.com", None),
        ("phone_number", "+33 6 12 34 56 78", "+33612345678"),
        ("phone_number", "06 12 34 56 78", None),
        ("phone_number", "+33 1", None),
        ("number", "2", 2),
        ("number", "-2.50", -2.5),
        ("number", "two", None),
        ("number", "1e999", None),
        ("number", "nan", None),
        ("boolean", "True", True),
        ("boolean", "false", False),
        ("boolean", "yes", None),
    ],
)
def test_a_value_fits_its_type_or_is_refused(kind: str, said: str, value: Any) -> None:
    """What a model wrote is not corrected: it would be a guess."""
    found = fitting(FormField("x", kind), said)

    assert (found, type(found)) == (value, type(value))


def test_an_enum_has_its_own_spelling_and_a_text_its_pattern() -> None:
    """What programs read afterwards is one of what the operator wrote."""
    injuries = FormField("injuries", "enum", values=("none", "Minor"))
    policy = FormField("policy", pattern="[A-Z]{2}[0-9]{6}")

    assert [fitting(injuries, one) for one in ("NONE", "minor", "some")] == ["none", "Minor", None]
    assert [fitting(policy, one) for one in ("AB123456", "xAB123456", "AB12345")] == [
        *("AB123456", None, None)
    ]


def test_a_field_is_described_to_the_model() -> None:
    """Its type or choices, whether it must be, and what it is."""
    assert described(FormField("policy", required=True, description="Its number")) == (
        "policy (text, required): Its number"
    )
    assert described(FormField("hurt", "enum", values=("no", "yes"))) == "hurt (one of no, yes)"
