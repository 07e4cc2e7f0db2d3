"""Simulated calls as they are typed: the project's own agents, and one that was changed."""

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from app.settings import Settings
from app.simulation.run import NothingToPlay, planned, play
from tests.walks.test_terminal_call import ROOT, finished, started

SETTINGS = Settings(_env_file=None)
FILES = ("example.yaml", "insurance.yaml", "secret.yaml", "dental.yaml")


async def test_the_projects_own_agents_do_what_their_simulations_say(tmp_path: Path) -> None:
    """Tools, a mock, an interruption, keys, a person who is busy: over real sockets, at once."""
    files = [str(ROOT / "tests" / "simulations" / name) for name in FILES]
    report = tmp_path / "junit.xml"

    words = ("app", "simulate", *files, "--junit", str(report), "-n", "5")
    done = await finished(await started(*words, cwd=tmp_path), 120)

    assert (done.status, done.err) == (0, ""), done.out
    assert "7 passed, 0 failed" in done.out
    assert "no OPENAI_API_KEY, so no model can judge" in done.out
    assert len(Xml.fromstring(report.read_text()).findall("*/testcase")) == 7


async def test_an_agent_that_was_changed_fails_its_simulation(tmp_path: Path) -> None:
    """The tool is gone and the greeting is another: that is what simulations are for."""
    (tmp_path / "agent.yaml").write_text("instructions: x\ngreeting: Good evening.\n")
    (tmp_path / "calls.yaml").write_text(
        "agent: agent.yaml\ncases:\n"
        "  - name: hours\n    caller: [{say: When are you open?}, hang_up]\n"
        "    script: [{use: {opening_hours: {day: monday}}}, {say: At eight.}]\n"
        "    expect: {heard: [How can I help]}\n"
    )

    (result,) = await play(planned([tmp_path / "calls.yaml"], "", SETTINGS), SETTINGS, together=1)

    assert [(one.expected, one.got) for one in result.checks if one.got] == [
        (
            "script and call go together",
            "the tool opening_hours is not on offer; offered: end_call",
        ),
        ('the caller hears "How can I help"', "Good evening. / At eight."),
    ]


def test_what_cannot_begin_says_why(tmp_path: Path) -> None:
    """Before anybody is called: 2 is neither a pass nor a fail."""
    (tmp_path / "agent.yaml").write_text("instructions: x\n")
    (tmp_path / "calls.yaml").write_text("agent: agent.yaml\nmodel: real\ncases: [{name: a}]\n")

    file = tmp_path / "calls.yaml"
    with pytest.raises(NothingToPlay, match="wants the real model: set OPENAI_API_KEY"):
        planned([file], "", SETTINGS)
    with pytest.raises(NothingToPlay, match='no case has "zzz" in its name'):
        planned([file], "zzz", SETTINGS)
