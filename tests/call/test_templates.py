"""Templates: what is filled in, what does not load, and that nothing is expanded twice."""

import pytest

from app.call.templates import BadTemplate, Known, Template, Values, parse

VALUES: Values = {
    "variables": {"company": "Contoso & Sons", "policy": "AB 123-456", "n": 3, "vip": True},
    "call": {"id": "call_1", "direction": "inbound"},
    "caller": {"number": "+33612345678", "name": "", "country": "FR"},
    "line": {"number": "+33123456789", "label": "Claims"},
    "now": "Sunday, 22 November 2026, 14:05",
    "today": "Sunday, 22 November 2026",
    "sip": {"x-conversation": "42"},
    "form": {"policy_number": "AB123456"},
    "summary": {"short": "A claim."},
    "args": {"id": "a/b"},
}
ANYWHERE = Known(roots=VALUES.keys())


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hello.", "Hello."),
        ("{{company}}", "Contoso & Sons"),
        ("Hello, {{ variables.company }}!", "Hello, Contoso & Sons!"),
        ("{{caller.number}} called {{line.label}}", "+33612345678 called Claims"),
        ("{{caller.name}}.", "."),
        ("{{now}} / {{today}}", "Sunday, 22 November 2026, 14:05 / Sunday, 22 November 2026"),
        ("{{sip.headers.X-Conversation}}", "42"),
        ("{{sip.headers.X-Other}}", ""),
        ("{{form.policy_number|hex}};encoding=hex", "4142313233343536;encoding=hex"),
        ("{{policy|digits}}", "123456"),
        ("{{ caller.number | last4 | spoken }}", "5 6 7 8"),
        ("{{policy|spoken}}", "A B 1 2 3 4 5 6"),
        ("{{company|url}}", "Contoso%20%26%20Sons"),
        ("{{n}} {{vip}}", "3 true"),
        ('{"a":{"b":1}}', '{"a":{"b":1}}'),
    ],
)
def test_a_place_is_filled_with_what_the_call_knows(text: str, filled: str) -> None:
    """The language of the document, place by place."""
    assert parse(text, ANYWHERE).text(VALUES) == filled


def test_what_is_inserted_is_never_expanded_again() -> None:
    """A caller's name is text, also where it looks like a template."""
    hostile: Values = {"variables": {"name": "{{call.id}} {{company}}"}, "call": {"id": "secret"}}

    assert parse("I am {{name}}").text(hostile) == "I am {{call.id}} {{company}}"


def test_an_address_is_percent_encoded_once() -> None:
    """Whatever a caller says cannot leave its place in an address."""
    template = parse("https://x.example/{{args.id}}?p={{policy|url}}", ANYWHERE)

    assert template.url(VALUES) == "https://x.example/a%2Fb?p=AB%20123-456"


@pytest.mark.parametrize(
    ("text", "sentence", "meant"),
    [
        ("{{compani}}", 'unknown name "compani"', "company"),
        ("{{variables.compani}}", 'unknown name "variables.compani"', "variables.company"),
        ("{{caler.number}}", 'unknown name "caler.number"', "caller.number"),
        ("{{caller.nmber}}", 'unknown name "caller.nmber"', "caller.number"),
        ("{{company|hexx}}", 'unknown filter "hexx"', "hex"),
        ("{{summary.short}}", '"summary.short" is not known here', ""),
        ("{{args.id}}", '"args.id" is not known here', ""),
        ("{{now.day}}", 'unknown name "now.day"', "now"),
        ("{{caller}}", '"caller" must be one name behind "caller"', ""),
        ("{{sip.callid}}", 'unknown name "sip.callid"', "sip.headers.…"),
        ("{{a b}}", '"{{a b}}" is no name: write one such as {{company}}', ""),
        ("{{}}", '"{{}}" is no name: write one such as {{company}}', ""),
        ("{{company", 'has "{{" and no "}}" behind it', ""),
    ],
)
def test_a_name_that_nobody_knows_does_not_load(text: str, sentence: str, meant: str) -> None:
    """Found out by the operator, not by a caller."""
    with pytest.raises(BadTemplate) as refused:
        parse(text, Known(variables={"company"}))

    assert (refused.value.sentence, refused.value.meant) == (sentence, meant)


def test_a_variable_that_the_call_did_not_bring_is_named() -> None:
    """Such a call is refused before anybody hears "Hello, !"."""
    template = parse("{{a}} {{b}} {{a|last4}} {{caller.name}}")

    assert template.missing({"variables": {"b": ""}}) == ("a",)
    with pytest.raises(KeyError):
        template.text({"variables": {"b": ""}})


def test_a_text_without_places_is_shared_by_all_calls() -> None:
    """Nothing is made per call where nothing differs."""
    assert parse("Hello.").plain
    assert not parse("{{company}}").plain
    assert Template(()).text({}) == ""
    assert parse("{{caller.number}}").uses("caller")
    assert not parse("{{caller.number}}").uses("now")
