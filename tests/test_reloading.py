"""A document that changes while the server runs."""

from pathlib import Path

import pytest

from app.agents.load import AgentDocument, load_document
from app.assembly import lines, plan
from app.protocol.twiml import Fallback
from app.reloading import Reloading
from app.runtime.line import Line
from app.runtime.roster import Edition, Roster
from app.runtime.scripts import Scripts


def _edition(document: AgentDocument) -> Edition:
    scripts = Scripts("https://x.test", Fallback("Sorry."), {})
    agents = document.agents.items()
    made = {name: Line(plan(one), scripts, document.version, name) for name, one in agents}
    return Edition(document.version, made, lines(document))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "who.md").write_text("You are Contoso.")
    made = tmp_path / "agent.yaml"
    made.write_text("instructions_file: who.md\ngreeting: Hello.\n")
    return made


def _watching(file: Path) -> tuple[Reloading, Roster]:
    document = load_document(file)
    roster = Roster(_edition(document))
    return Reloading(document, roster, _edition, every_s=1), roster


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def _remove(file: Path) -> None:
    file.unlink()


async def test_new_calls_meet_the_new_document_and_old_ones_keep_theirs(file: Path) -> None:
    """L8, C21: the version of the record differs, and nobody is cut off."""
    watch, roster = _watching(file)
    before = roster.edition.first

    await watch.look()
    assert roster.edition.first is before

    _write(file, "instructions_file: who.md\ngreeting: Good morning.\n")
    await watch.look()

    assert before.plan.greeting == "Hello."
    assert roster.edition.first.plan.greeting == "Good morning."
    assert roster.edition.version != before.version


async def test_the_files_that_the_document_names_belong_to_it(file: Path) -> None:
    """Instructions are what is changed most."""
    watch, roster = _watching(file)
    before = roster.edition.version

    _write(file.parent / "who.md", "You are Contoso Dental.")
    await watch.look()

    assert roster.edition.version != before


async def test_a_document_that_cannot_be_used_changes_nothing(file: Path) -> None:
    """The next caller must not find out about a typing mistake."""
    watch, roster = _watching(file)
    before = roster.edition

    for text in ("greting: x\n", "instructions: {{\n", ""):
        _write(file, text)
        await watch.look()
        assert roster.edition is before
        assert watch.broken
    _remove(file)
    await watch.look()
    assert roster.edition is before
    assert watch.broken

    _write(file, "instructions: Mended.\n")
    await watch.look()

    assert not watch.broken
    assert roster.edition is not before
