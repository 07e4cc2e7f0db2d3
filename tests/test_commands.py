"""What the commands say to the person who typed them."""

from pathlib import Path

from typer.testing import CliRunner

from app.__main__ import cli


def test_check_says_why_and_where_a_tool_cannot_be_imported(tmp_path: Path) -> None:
    """Its author can mend a line, not the sentence that something failed."""
    (tmp_path / "patchline_desk.py").write_text(
        "def load(): raise ValueError('the rates of +33612345678 need sk-proj-a1b2c3')\nload()\n"
    )
    document = tmp_path / "agent.yaml"
    document.write_text(
        "instructions: x\ntools: {find: {type: python, handler: 'patchline_desk:f'}}\n"
    )

    done = CliRunner().invoke(cli, ["check", str(document)])

    assert done.exit_code == 1
    assert done.stderr == (
        'agent.yaml tools.find: importing "patchline_desk" failed with ValueError at'
        " patchline_desk.py:1: the rates of +…78 need [secret]\n"
    )
