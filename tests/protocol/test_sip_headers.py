"""Headers on SIP calls: encoded, bounded, and never more than one at a time."""

import pytest

from app.protocol.sip_headers import encoded, fitting, header_name, with_headers


def test_w33_w44_headers_stand_in_the_address_as_in_the_recipe() -> None:
    """The exact text of recipe 8.2: the semicolon of ``encoding=hex`` belongs to the value."""
    headers = {
        "User-to-User": "637573746f6d;encoding=hex",
        "X-Call-Summary": "Caller needs help",
    }

    assert with_headers("sip:queue@pbx.example.com", headers) == (
        "sip:queue@pbx.example.com?User-to-User=637573746f6d%3Bencoding%3Dhex"
        "&X-Call-Summary=Caller%20needs%20help"
    )


def test_headers_follow_those_that_the_address_has() -> None:
    """One question mark to an address."""
    assert with_headers("sip:a@b?X-A=1", {"X-B": "2"}) == "sip:a@b?X-A=1&X-B=2"
    assert with_headers("sip:a@b", {}) == "sip:a@b"


@pytest.mark.parametrize(
    "value", ["a\r\nX-Admin: yes", "a\nb", "a\x00b", "a&X-B=c", "a?b", "a#b", "a<b>", "a;b", "%0d"]
)
def test_no_value_ends_its_header(value: str) -> None:
    """A caller's name may be anything."""
    text = encoded({"X-A": value})

    assert not set(text.removeprefix("X-A=")) & set("\r\n\x00&?#<>;= ")
    assert "%0D" not in text
    assert "%0A" not in text


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("X-Conversation", "X-Conversation"),
        ("x-a", "x-a"),
        ("user-to-user", "User-to-User"),
        ("P-Called-Party-ID", "P-Called-Party-ID"),
        ("Via", None),
        ("X-", None),
        ("X-A\r\nVia", None),
        ("X-A: b", None),
        ("X-A=b&Via", None),
        ("X-A;b", None),
        ("X-A#b", None),
        ("X-A%0d", None),
        ("X-<b>", None),
        ("X-" + "a" * 61, None),
    ],
)
def test_only_headers_that_twilio_passes_on(name: str, known: str | None) -> None:
    """Others are error 13252, and a name could hold another header."""
    assert header_name(name) == known


def test_w43_the_longest_header_is_left_out_where_they_do_not_fit() -> None:
    """2 kB of summary cost their own place, not that of the key to the rest."""
    headers = {"User-to-User": "k" * 43, "X-Summary": "s" * 2_000, "X-Conversation": "call_1"}

    fit, left_out = fitting(headers, keep="User-to-User")

    assert left_out == ["X-Summary"]
    assert fit == {"User-to-User": "k" * 43, "X-Conversation": "call_1"}
    assert len(encoded(fit)) < 1024


def test_what_is_to_be_kept_is_kept_though_it_is_the_longest() -> None:
    """Without the key nobody can ask what the call was about."""
    headers = {"User-to-User": "k" * 600, "X-Summary": "s" * 500, "X-Conversation": "call_1"}

    fit, left_out = fitting(headers, keep="User-to-User")

    assert left_out == ["X-Summary"]
    assert "User-to-User" in fit


def test_headers_just_fit_into_1023_characters_beside_those_of_the_address() -> None:
    """The bound is Twilio's, of everything behind the question mark."""
    room = 1023 - len("X-A=")

    assert fitting({"X-A": "a" * room})[1] == []
    assert fitting({"X-A": "a" * (room + 1)})[1] == ["X-A"]
    assert fitting({"X-A": "a" * room}, beside="X-B=1")[1] == ["X-A"]
