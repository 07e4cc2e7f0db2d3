"""The operator's numbers: what may be written of them, and what each mistake is called."""

from pathlib import Path

import pytest

from app.agents.load import check_file, load_document
from app.agents.problems import AgentFault
from app.assembly import lines
from app.call.line_menu import Choice, LineMenu
from app.call.reception import CLOSED, Instead, LinePlan, Lobby, Lookup

FULL = """\
instructions: x
transfer_targets:
  desk: {description: y, to: "+33612345678"}
hours:
  office:
    timezone: Europe/Paris
    open: ["Mo-Fr 08:00-19:00", "Sa 09:00-12:00"]
    closed: ["2026-12-25"]
numbers:
  "+14155550123":
    label: Claims line
    hours: office
    max_concurrent: 40
    allow_countries: [US, FR, NO]
    before_call: {url: "https://crm.example.com/caller", timeout: 1s, then: reject}
    when_closed: {say: "We are closed right now.", then: desk}
    when_full: All lines are busy.
  "sip:claims@contoso.sip.twilio.com": {before_call: "https://crm.example.com/caller"}
  "*": {hours: office}
"""


def test_everything_about_a_number_reaches_what_decides(tmp_path: Path) -> None:
    """L6: each field of the language must do something."""
    file = tmp_path / "agent.yaml"
    file.write_text(FULL)

    found = lines(load_document(file))

    claims = found.plans["+14155550123"]
    assert claims.countries == {"US", "FR", "NO"}
    assert claims.max_concurrent == 40
    assert claims.before_call == Lookup(
        "https://crm.example.com/caller", timeout_ms=1_000, fails_open=False
    )
    assert claims.when_closed == Instead("We are closed right now.", "desk")
    assert claims.when_full == Instead("All lines are busy.")
    assert claims.hours is not None
    # 2026-11-20 is a Friday, 2026-12-25 another one; both at ten o'clock in Paris.
    assert claims.hours.open_at(1_795_165_200_000)
    assert not claims.hours.open_at(1_798_189_200_000)
    by_sip = found.plans["sip:claims@contoso.sip.twilio.com"]
    assert by_sip == LinePlan(before_call=Lookup("https://crm.example.com/caller"), agent="agent")
    assert found.others is not None
    assert found.others.when_closed == Instead(CLOSED)


@pytest.mark.parametrize(
    ("written", "number", "others", "answered"),
    [
        ("", "+14155550123", False, True),
        ("numbers:\n", "+14155550123", False, True),
        ("numbers: {}\n", "+14155550123", False, False),
        ('numbers: {"+14155550123": {}}\n', "+14155550123", False, True),
        ('numbers: {"+14155550123": {}}\n', "+15005550006", False, False),
        ('numbers: {"+14155550123": {}}\n', "+15005550006", True, True),
    ],
)
def test_without_numbers_all_are_answered_and_with_them_those(
    tmp_path: Path, written: str, number: str, others: bool, answered: bool
) -> None:
    """L1, L6: `numbers: {}` answers nobody; the local line has a number that nobody wrote."""
    file = tmp_path / "agent.yaml"
    file.write_text(f"instructions: x\n{written}")

    found = lines(load_document(file), all_others=others)

    assert (found.of(number) is not None) is answered


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("14155550123: {}", "numbers.14155550123: must be an E.164 number"),
        ('"+14155550123": {hours: offise}', 'unknown hours "offise" (did you mean "office"?)'),
        ('"+14155550123": {when_closed: x}', ".when_closed: means nothing without hours"),
        (
            '"*": {hours: office, when_closed: {then: queue}}',
            '.when_closed.then: "queue" is not available yet: write the name',
        ),
        (
            '"*": {when_full: {then: queue, otherwise: {then: dest}}}',
            ".when_full.otherwise.then: unk",
        ),
        ('"*": {when_full: {then: desk, otherwise: x}}', "means nothing without then: queue"),
        ('"*": {when_full: {then: queue, longest_wait: 5s}}', "must be from 30s to 60m"),
        ('"*": {when_full: {then: dest}}', 'unknown target "dest" (did you mean "desk"?)'),
        ('"*": {agent: intake}', 'unknown agent "intake"'),
        ('"*": {max_concurrent: 0}', "must be at least 1"),
        ('"*": {allow_countries: [UK]}', 'such as "US" or "FR" (did you mean "GB"?)'),
        ('"*": {allow_countries: []}', "allow_countries"),
        ('"*": {before_call: {url: "http://10.0.0.1/x"}}', "must begin with https://"),
        ('"*": {before_call: {url: "https://c.example/x", timeout: 8s}}', "from 100ms to 7s"),
        ('"*": {before_call: {url: "https://c.example/x", then: ask}}', '"continue" or "reject"'),
        ('"client:me": {}', "must be a number of yours"),
        (f'"*": {{when_full: "{"x" * 1001}"}}', "more than 1000 characters"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(tmp_path: Path, line: str, problem: str) -> None:
    """A caller is not the one to find out."""
    file = tmp_path / "agent.yaml"
    file.write_text(
        "instructions: x\n"
        'transfer_targets: {desk: {description: y, to: "+33612345678"}}\n'
        'hours: {office: {timezone: Europe/Paris, open: "Mo-Fr 08:00-19:00"}}\n'
        f"numbers:\n  {line}\n"
    )

    (found,) = check_file(file)

    assert problem in str(found)
    assert found.line == 5


@pytest.mark.parametrize(
    ("hours", "problem"),
    [
        ("{timezone: Europe/Pariss, open: Mo 08:00-09:00}", '(did you mean "Europe/Paris"?)'),
        ("{timezone: UTC, open: Mo 22:00-02:00}", "does not end after it begins, on the same day"),
        ("{timezone: UTC, open: Mo 8-17}", 'is not like "Mo-Fr 09:00-20:00"'),
        ("{timezone: UTC, open: []}", "open"),
        ("{timezone: UTC}", "is missing"),
        ("{timezone: UTC, open: Mo 08:00-09:00, closed: 25.12.2026}", 'such as "2026-12-25"'),
        ("{timezone: UTC, open: Mo 08:00-09:00, closed: 2026-02-30}", 'such as "2026-12-25"'),
        ("{timezone: UTC, open: 18:30}", "is not like"),
    ],
)
def test_hours_that_are_none_are_told(tmp_path: Path, hours: str, problem: str) -> None:
    """Somebody who is closed by mistake hears of it from nobody."""
    file = tmp_path / "agent.yaml"
    file.write_text(f"instructions: x\nhours:\n  office: {hours}\n")

    (found,) = check_file(file)

    assert problem in str(found)


def test_days_may_be_written_as_toml_has_them(tmp_path: Path) -> None:
    """TOML has days of its own."""
    file = tmp_path / "agent.toml"
    file.write_text(
        'instructions = "x"\n[hours.office]\ntimezone = "UTC"\nopen = "Mo-Su 00:00-24:00"\n'
        'closed = [2026-12-25]\n[numbers."*"]\nhours = "office"\n'
    )

    others = lines(load_document(file)).others

    assert others is not None
    assert others.hours is not None
    assert not others.hours.open_at(1_798_189_200_000)
    assert others.hours.open_at(1_795_165_200_000)


def test_callers_may_wait_where_it_is_full(tmp_path: Path) -> None:
    """How many, how long, and what comes then."""
    file = tmp_path / "agent.yaml"
    full = "{say: All busy., then: queue, most_waiting: 3, longest_wait: 2m, otherwise: Sorry.}"
    file.write_text(f'instructions: x\nnumbers:\n  "*": {{when_full: {full}}}\n')

    others = lines(load_document(file)).others

    assert others is not None
    assert others.lobby == Lobby(3, 120, Instead("Sorry."))
    assert others.when_full == Instead("All busy.")


MENU = """
agents:
  desk: {instructions: You are the desk.}
  accueil: {instructions: Vous répondez.}
numbers:
  "*":
    agent: desk
    menu:
      choices:
        "1": {say: Press 1., language: en-US}
        "2": {say: Tapez 2., language: fr-FR, agent: AGENT}
"""


def test_a_number_may_have_a_menu(tmp_path: Path) -> None:
    """C12: a language for each key, and who answers."""
    file = tmp_path / "agent.yaml"
    file.write_text(MENU.replace("AGENT", "accueil"), encoding="utf-8")

    others = lines(load_document(file)).others

    assert others is not None
    assert others.menu == LineMenu(
        {"1": Choice("Press 1.", "en-US"), "2": Choice("Tapez 2.", "fr-FR", "accueil")}, 5
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (MENU.replace("AGENT", "acceuil"), ':11 numbers["*"].menu.choices.2.agent: unknown agent'),
        (MENU.replace('"2"', '"#"'), "must be a key in quotes"),
        (MENU.replace("fr-FR", "French"), "must be a language code"),
    ],
)
def test_a_menu_that_leads_nowhere_does_not_load(tmp_path: Path, text: str, problem: str) -> None:
    """C12: no caller finds out first."""
    file = tmp_path / "agent.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(AgentFault) as found:
        load_document(file)

    assert problem in str(found.value)
