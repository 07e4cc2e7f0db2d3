"""What the commands say to the person who typed them."""

import subprocess
import sys
from pathlib import Path

import pytest
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


def test_migrate_makes_the_tables_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy runs it every time, and several at once."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new/store.db")

    for _ in range(2):
        done = CliRunner().invoke(cli, ["migrate"])
        assert (done.exit_code, done.output) == (0, "the tables are up to date\n")

    assert (tmp_path / "new" / "store.db").is_file()
    assert (tmp_path / "new" / "store-jobs.db").is_file()


def test_migrate_says_what_to_check_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing that is typed on a new machine is wrong half of the time."""
    monkeypatch.setenv("DATABASE_URL", "postgres://user:geheim@127.0.0.1:1/nothing")

    done = CliRunner().invoke(cli, ["migrate"])

    assert done.exit_code == 1
    assert done.stderr == (
        "DATABASE_URL cannot be used (OperationalError): check that the server runs, that the"
        " database exists, and that its user may make tables there.\n"
    )


def test_check_names_documents_that_cannot_be_read(tmp_path: Path) -> None:
    """C16: the server would answer without them, and nobody would know."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.pdf").write_bytes(b"no")
    (tmp_path / "docs" / "b.md").write_text("Open from nine to six.")
    document = tmp_path / "agent.yaml"
    document.write_text("instructions: x\nknowledge: docs\n")

    broken = CliRunner().invoke(cli, ["check", str(document)])
    (tmp_path / "docs" / "a.pdf").unlink()
    good = CliRunner().invoke(cli, ["check", str(document)])

    assert broken.exit_code == 1
    assert broken.stderr.startswith(
        f'{document}: knowledge: "docs/a.pdf" is no PDF that can be read'
    )
    assert len(broken.stderr.splitlines()) == 1
    assert good.exit_code == 0


def test_a_document_is_checked_without_what_calls_need() -> None:
    """Database, model's library and server take a second and a half to import."""
    typed = (
        "import sys, app.__main__; print({'openai', 'sqlalchemy', 'fastapi'} & set(sys.modules))"
    )

    told = subprocess.run([sys.executable, "-c", typed], capture_output=True, check=True)

    assert told.stdout.decode().strip() == "set()"
