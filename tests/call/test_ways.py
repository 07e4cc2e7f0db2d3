"""Where one caller goes: what the operator wrote, filled in with what is known of the call."""

import orjson
import pytest

from app.call.lookup import Misunderstood
from app.call.templates import Known, parse
from app.call.ways import Attribute, Route, Way, way
from app.call.whereto import Answer, answer
from app.protocol.sip_headers import encoded
from app.protocol.twiml import destination_noun

ANY = Known(roots={"variables", "call", "caller", "form", "summary", "sip"})
VALUES = {
    "call": {"id": "call_1"},
    "caller": {"name": "Ada\r\nX-Admin: yes; <&>", "number": "+33612345678"},
    "form": {"policy": "custom"},
    "summary": {"short": "s" * 2_000},
    "sip": {"x-desk": "7"},
    "variables": {},
}


def route(to: str, mode: str = "cold", **headers: str) -> Route:
    """Of a document that says this."""
    named = {name.replace("_", "-"): parse(text, ANY) for name, text in headers.items()}
    return Route(to, named, mode=mode)


def led(wanted: Route, key: str = "KEY") -> Way:
    """Where the caller goes."""
    return way(wanted, VALUES, call_id="call_1", key=key)


def test_w32_w33_w44_headers_are_templates_in_the_address() -> None:
    """The user-to-user information of recipe 8.2, made from the form."""
    wanted = route("sip:q@pbx", User_to_User="{{form.policy|hex}};encoding=hex")

    assert led(wanted, key="").to == "sip:q@pbx?User-to-User=637573746f6d%3Bencoding%3Dhex"


def test_w42_the_key_is_the_user_to_user_information_unless_that_is_taken() -> None:
    """Then it has a header of its own, before the others."""
    assert led(route("sip:q@pbx")).to == "sip:q@pbx?User-to-User=KEY"
    taken = led(route("sip:q@pbx", User_to_User="00"))
    assert taken.to == "sip:q@pbx?X-Context-Key=KEY&User-to-User=00"


def test_w43_a_long_summary_gives_way_to_the_key() -> None:
    """2 kB: the header part stays under 1,024 characters, and who has the key has the rest."""
    found = led(route("sip:q@pbx", X_Summary="{{summary.short}}", X_Call="{{call.id}}"))

    assert found.left_out == ("X-Summary",)
    assert found.to == "sip:q@pbx?User-to-User=KEY&X-Call=call_1"
    assert len(encoded(found.headers)) < 1024


def test_a_callers_name_is_one_header_whatever_it_is() -> None:
    """XML in a name, and a line break: the issue's bad input."""
    found = led(route("sip:q@pbx", X_Name="{{caller.name}}"), key="")

    assert found.to == "sip:q@pbx?X-Name=Ada%20X-Admin%3A%20yes%3B%20%3C%26%3E"


def test_sip_headers_of_the_caller_may_be_passed_on() -> None:
    """``{{sip.headers.X-…}}``."""
    assert led(route("sip:q@pbx", X_D="{{sip.headers.X-Desk}}"), key="").to == "sip:q@pbx?X-D=7"


def test_what_a_call_does_not_know_has_no_header() -> None:
    """An empty one says nothing."""
    assert led(route("sip:q@pbx", X_A="{{nobody}}", X_B="{{form.no}}"), key="").to == "sip:q@pbx"


def test_a_telephone_is_told_nothing() -> None:
    """Nothing survives the telephone network."""
    assert led(route("+33612345678")) == Way("+33612345678")


def test_l27_a_task_has_its_attributes_as_json() -> None:
    """What is inserted is a JSON text, and cannot be another attribute."""
    attributes: dict[str, Attribute] = {"name": parse("{{caller.name}}", ANY), "vip": True, "n": 3}

    found = led(Route("workflow:WW1", attributes=attributes, mode="queue"))

    assert orjson.loads(found.task) == {
        "call_id": "call_1",
        "context_key": "KEY",
        "name": "Ada X-Admin: yes; <&>",
        "vip": True,
        "n": 3,
    }


def test_a_program_says_where_to_go() -> None:
    """7.3: ``{to, whisper?, headers?}``."""
    said = b'{"to":"sip:a@b","whisper":"Ada.","headers":{"X-A":"b"}}'

    assert answer(said, destination_noun) == Answer("sip:a@b", {"X-A": "b"}, "Ada.")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b"{}", "to"),
        (b'{"to":"911"}', "to"),
        (b'{"to":"+19005551234"}', "to"),
        (b'{"to":"+870776512345"}', "to"),
        (b'{"to":"queue:a"}', "to"),
        (b'{"to":"webhook:https://x.example/"}', "to"),
        (b'{"to":"sip:a@b>"}', "to"),
        (b'{"to":"sip:a@b\\r\\nX: y"}', "to"),
        (b'{"to":"sip:a@b","headers":{"Via":"b"}}', "headers"),
        (b'{"to":"sip:a@b","headers":{"X-A":"b\\r\\nVia: c"}}', "headers"),
        (b'{"to":"sip:a@b","headers":{"X-A":1}}', "headers"),
        (b'{"to":"sip:a@b","whisper":7}', "whisper"),
        (b'{"to":"sip:a@b","end_call":true}', "end_call"),
    ],
)
def test_a_programs_answer_is_judged_like_the_document(said: bytes, field: str) -> None:
    """A stolen CRM must not put callers through to a number that costs a fortune."""
    with pytest.raises(Misunderstood) as misunderstood:
        answer(said, destination_noun)

    assert str(misunderstood.value) == field
