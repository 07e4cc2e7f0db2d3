"""What callers can be asked to key in, as an operator writes it: row W56 and section 5.2."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.agents.load import check_file, load_agent
from app.assembly import plan, session
from app.call.plan import CallPlan, DigitsPreset
from app.tools.registry import Registry

WRITTEN = """
instructions: x
dtmf:
  presets:
    policy_pin:
      {num_digits: 6, finish_on_key: "#", first_digit_timeout: 5s, sensitive: true, retries: 2}
    menu: {num_digits: 1, choices: {"1": a new claim, "0": a person}}
    account: {description: The account number., min_digits: 4, max_digits: 9, finish_on_key: "*"}
"""


def loaded(folder: Path, presets: str) -> list[str]:
    """What is wrong with these presets."""
    file = folder / "agent.yaml"
    file.write_text(f"instructions: x\ndtmf:\n  presets:\n    pin: {presets}\n", encoding="utf-8")
    return [str(problem).removeprefix(f"{file}:") for problem in check_file(file)]


def test_presets_become_what_the_call_goes_by(tmp_path: Path) -> None:
    """The words of the document, and their defaults."""
    (tmp_path / "agent.yaml").write_text(WRITTEN, encoding="utf-8")
    agent = load_agent(tmp_path / "agent.yaml")

    assert plan(agent).presets == {
        "policy_pin": DigitsPreset(
            num_digits=6,
            finish_on_key="#",
            first_digit_timeout_ms=5_000,
            inter_digit_timeout_ms=4_000,
            sensitive=True,
            retries=2,
        ),
        "menu": DigitsPreset(num_digits=1, choices={"1": "a new claim", "0": "a person"}),
        "account": DigitsPreset(min_digits=4, max_digits=9, finish_on_key="*"),
    }
    assert plan(agent).interruptible == "any"


def test_the_model_is_told_what_it_can_ask_for(tmp_path: Path) -> None:
    """And what to tell the caller to press."""
    (tmp_path / "agent.yaml").write_text(WRITTEN, encoding="utf-8")
    tools = session(load_agent(tmp_path / "agent.yaml"), Registry()).tools

    (schema,) = [one for one in tools if one["name"] == "collect_dtmf"]
    preset = schema["parameters"]["properties"]["preset"]
    assert preset["enum"] == ["policy_pin", "menu", "account"]
    assert preset["description"].splitlines() == [
        "policy_pin: 6 digits, secret",
        "menu: 1 for a new claim; 0 for a person",
        "account: The account number., 4 to 9 digits, to be finished with the key *",
    ]


def test_an_agent_without_presets_is_offered_no_keypad(tmp_path: Path) -> None:
    """A tool is offered only where it can work."""
    (tmp_path / "agent.yaml").write_text("instructions: x\n", encoding="utf-8")
    tools = session(load_agent(tmp_path / "agent.yaml"), Registry()).tools

    assert [one["name"] for one in tools] == ["end_call"]


@pytest.mark.parametrize(
    "written",
    [
        "{num_digits: 100}",
        "{num_digits: 1, choices: {1: one}}",
        '{finish_on_key: "#"}',
        "{max_digits: 1}",
        "{min_digits: 1, max_digits: 100}",
        '{min_digits: 3, finish_on_key: "D"}',
        "{num_digits: 1, first_digit_timeout: 100s, inter_digit_timeout: 200ms}",
        '{max_digits: 2, choices: {"1": one, "22": two}}',
    ],
)
def test_what_can_be_complete_is_taken(written: str, tmp_path: Path) -> None:
    """W50, W52, W53: the limits themselves are within."""
    assert loaded(tmp_path, written) == []


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{}", "4 dtmf.presets.pin: never ends: write num_digits, max_digits or finish_on_key"),
        ("{min_digits: 4}", "4 dtmf.presets.pin: never ends: write num_digits, max_digits or"),
        ("{num_digits: 0}", "4 dtmf.presets.pin.num_digits: must be at least 1"),
        ("{num_digits: 101}", "4 dtmf.presets.pin.num_digits: must be at most 100"),
        ("{num_digits: 4, max_digits: 6}", "4 dtmf.presets.pin.num_digits: cannot stand beside"),
        ("{min_digits: 6, max_digits: 6}", "4 dtmf.presets.pin.min_digits: must be less than"),
        (
            "{finish_on_key: 5}",
            "4 dtmf.presets.pin.finish_on_key: must be text: write it in quotes",
        ),
        ('{finish_on_key: "##"}', "4 dtmf.presets.pin.finish_on_key: must be one key"),
        ("{num_digits: 4, inter_digit_timeout: 101s}", "inter_digit_timeout: must be from 200ms"),
        ("{num_digits: 4, retries: 11}", "4 dtmf.presets.pin.retries: must be at most 10"),
        ('{num_digits: 1, choices: {"12": x}}', 'dtmf.presets.pin.choices: "12" has not as many'),
        ("{num_digits: 1, choices: {one: x}}", "must be keys of a telephone"),
        (
            '{num_digits: 1, sensitive: true, choices: {"1": x}}',
            "4 dtmf.presets.pin.choices: cannot stand beside sensitive",
        ),
        (
            '{max_digits: 2, finish_on_key: "#", choices: {"1#": x}}',
            '4 dtmf.presets.pin.choices: "1#" has the key in it that ends it',
        ),
        (
            "{num_digit: 4}",
            '4 dtmf.presets.pin.num_digit: unknown field (did you mean "num_digits"?)',
        ),
    ],
)
def test_what_cannot_be_complete_is_named_at_load(
    written: str, problem: str, tmp_path: Path
) -> None:
    """W56: the sentence names the preset, before a port opens."""
    problems = loaded(tmp_path, written)

    assert any(problem in one for one in problems), problems


TIMES = {"silence": None, "max_call_ms": None, "bill": None, "filler_after_ms": None}
"""What is there without being asked for, and not looked at here."""


@pytest.mark.parametrize(
    ("written", "expected", "by_server"),
    [
        ("interruptible: any", CallPlan(), True),
        ("interruptible: speech", CallPlan(interruptible="speech"), True),
        ("interruptible: dtmf", CallPlan(interruptible="dtmf"), False),
        ("interruptible: none", CallPlan(interruptible="none"), False),
        ("min_interruption: 250ms", CallPlan(min_interruption_ms=250), False),
        ("min_interruption: 0", CallPlan(), True),
        ("echo_guard: true", CallPlan(echo_guard=True), False),
    ],
)
def test_what_interrupts_is_the_operators_choice(
    tmp_path: Path, written: str, expected: CallPlan, by_server: bool
) -> None:
    """W23-W26, S7: where anything stands in the way the server only tells of turns."""
    file = tmp_path / "agent.yaml"
    file.write_text(f"instructions: x\n{written}\n", encoding="utf-8")
    agent = load_agent(file)

    assert replace(plan(agent), **TIMES) == expected
    detection = session(agent, Registry()).turn_detection
    assert (detection["create_response"], detection["interrupt_response"]) == (by_server,) * 2


@pytest.mark.parametrize("written", ["none", "dtmf", "speech"])
def test_the_greeting_has_its_own_choice(tmp_path: Path, written: str) -> None:
    """W23-W26: whatever cuts the rest of the call."""
    file = tmp_path / "agent.yaml"
    greeting = f"greeting: {{text: Hello, interruptible: {written}}}"
    file.write_text(f"instructions: x\n{greeting}\n", encoding="utf-8")
    made = plan(load_agent(file))

    assert made.greeting_interruptible == written


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("interruptible: some", "must be"),
        ("min_interruption: 3s", "must be from 0s to 2s"),
        ("min_interruption: 250", "must be a duration with its unit"),
    ],
)
def test_a_choice_that_is_none_is_told(tmp_path: Path, written: str, problem: str) -> None:
    """S7, W23-W26: before a port opens."""
    file = tmp_path / "agent.yaml"
    file.write_text(f"instructions: x\n{written}\n", encoding="utf-8")
    assert problem in str(check_file(file)[0])
