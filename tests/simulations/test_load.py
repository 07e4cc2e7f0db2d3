"""Files of simulated calls: every mistake has its line, its path and its fix."""

from pathlib import Path

import pytest

from app.agents.problems import AgentFault
from app.simulation.cases import steps_of
from app.simulation.load import load

AGENT = """
instructions: x
tools:
  opening_hours: {type: python, handler: "app.agents.example_tools:opening_hours"}
"""


def problems(folder: Path, text: str) -> list[str]:
    """What is said of a file, without its name."""
    (folder / "agent.yaml").write_text(AGENT)
    file = folder / "calls.yaml"
    file.write_text("agent: agent.yaml\ncases:\n" + text)
    with pytest.raises(AgentFault) as caught:
        load(file)
    return [str(one).removeprefix(f"{file}:") for one in caught.value.problems]


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("expct: {}", '3 cases[0].expct: unknown field (did you mean "expect"?)'),
        (
            "caller: [{say: a, keys: '1'}]",
            "3 cases[0].caller[0]: must be one of say, keys, text, wait, silence or hang_up",
        ),
        (
            "caller: [{keys: 12a}]",
            '3 cases[0].caller[0].keys: must be keys of a telephone: 0-9 * # A-D, such as "1234#"',
        ),
        (
            "caller: [{wait: {herd: x}}]",
            '3 cases[0].caller[0].wait.herd: unknown field (did you mean "heard"?)',
        ),
        ("caller: [{say: 'a {{nme}}'}]", '3 cases[0].caller[0].say: unknown variable "nme"'),
        (
            "tools: {opening_hour: {result: 1}}",
            "3 cases[0].tools.opening_hour: no agent of the document has this tool"
            ' (did you mean "opening_hours"?)',
        ),
        (
            "tools: {end_call: {result: 1}}",
            "3 cases[0].tools.end_call: is built in: it is carried out, on the simulated line",
        ),
        (
            "expect: {heard: [{matches: '('}]}",
            "3 cases[0].expect.heard[0].matches: is no regular expression: missing ),"
            " unterminated subpattern at position 0",
        ),
        ("script: [{to: x}]", "3 cases[0].script[0]: must have say, use, or both"),
    ],
)
def test_a_mistake_is_told_where_it_is(tmp_path: Path, case: str, problem: str) -> None:
    """Whoever wrote the file mends it without knowing what a validator is."""
    assert problem in problems(tmp_path, f"  - {{name: a, {case}}}\n")


def test_two_cases_of_one_name_are_told(tmp_path: Path) -> None:
    """A report names cases by their names."""
    told = problems(tmp_path, "  - name: a\n  - name: a\n")

    assert told == ['4 cases[1].name: "a" is the name of another case']


def test_an_agent_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The path is relative to the file, which is easily forgotten."""
    file = tmp_path / "calls.yaml"
    file.write_text("agent: none.yaml\ncases: [{name: a}]\n")

    with pytest.raises(AgentFault, match=r'agent: "none\.yaml": there is no such file'):
        load(file)


def test_variables_of_the_case_come_before_those_of_the_file(tmp_path: Path) -> None:
    """One file, several callers."""
    (tmp_path / "agent.yaml").write_text(AGENT)
    file = tmp_path / "calls.yaml"
    file.write_text(
        "agent: agent.yaml\nvariables: {who: Ann, day: Monday}\ncases:\n"
        "  - name: a\n    variables: {who: Bob}\n"
        "    caller: [{say: '{{who}} on {{ day }}', interrupt_after: 300ms}, {silence: 2s},"
        " hang_up]\n"
    )

    (case,) = load(file).simulations.cases

    assert steps_of(case) == [
        {"after_ms": 300, "kind": "say", "value": "Bob on Monday"},
        {"after_ms": None, "kind": "silence", "value": 2000},
        {"after_ms": None, "kind": "hang_up", "value": True},
    ]
