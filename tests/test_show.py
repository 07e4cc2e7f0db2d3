"""`python -m app show`: a call one can see."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.__main__ import cli
from app.show import drawn


def _record(**changes: Any) -> dict[str, Any]:
    figure = {"count": 1, "p50": 261, "p95": 505, "max": 505}
    nothing = {"count": 0, "p50": None, "p95": None, "max": None}
    agent = {
        "type": "speech",
        "text": "We are open from",
        "audio_ms": 5000,
        "heard_ms": 2500,
        "interrupted": True,
        "at_ms": 2000,
    }
    tool = {"type": "tool", "name": "opening_hours", "at_ms": 1500}
    return {
        "schema": "cdr/1",
        "call_id": "call_1",
        "end_reason": "caller_hangup",
        "ending": {"result": "success", "reason": "caller_hangup"},
        "from": {"number": "+14155550100"},
        "to": {"number": "+15005550006"},
        "timestamps": {"created_at": "2026-11-21T15:58:07.406Z"},
        "durations_ms": {"total": 10_000},
        "latency_ms": {"turn_played": figure, "turn_sent": nothing, "barge_in_us": figure},
        "turns": [
            {"type": "speech", "text": "When?", "at_ms": 1000, "responses": [tool, agent]},
        ],
        "transfers": [{"target": "billing", "outcome": "busy"}],
        "warnings": [{"id": "model_error:x", "count": 2}],
        **changes,
    }


def _screen(record: dict[str, Any]) -> list[str]:
    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(drawn(record, console.width))
        return console.export_text().splitlines()


def test_what_was_heard_is_full_and_what_was_cut_is_pale() -> None:
    """Fifty columns for ten seconds: the answer from the tenth, half of it heard."""
    lanes = {line.split()[0]: line[8:] for line in _screen(_record()) if line.strip()}

    assert lanes["agent"].rstrip() == " " * 10 + "█" * 13 + "░" * 13
    assert lanes["caller"].rstrip() == " " * 5 + "◆"
    assert lanes["tools"].rstrip() == " " * 7 + "▲"


def test_the_conversation_says_where_it_was_cut() -> None:
    """The sentence as the caller knows it."""
    text = "\n".join(_screen(_record()))

    assert "We are open from ▏cut: 2,500 of 5,000 ms heard" in " ".join(text.split())
    assert "median 261, 95 % 505 ms (1)" in text
    assert "billing: busy" in text
    assert "model_error:x (2)" in text


def test_a_call_without_a_word_is_drawn_too() -> None:
    """Somebody who hung up at once has a record as well."""
    lines = _screen(_record(turns=[], durations_ms={"total": None}, end_reason=None, ending=None))

    assert "still going on" in lines[0] + lines[1]


def test_a_record_in_a_file_is_shown(tmp_path: Path) -> None:
    """The demonstration leaves one; no server is needed to look at it."""
    file = tmp_path / "record.json"
    file.write_text(json.dumps(_record()))

    done = CliRunner().invoke(cli, ["show", str(file)])

    assert done.exit_code == 0
    assert "call_1" in done.stdout


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "other"}', "\x00"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    """A stack trace is no answer to a mistyped path."""
    file = tmp_path / "notes.txt"
    file.write_text(content)

    done = CliRunner().invoke(cli, ["show", str(file)])

    assert done.exit_code == 1
    assert "notes.txt is not a call record" in done.stderr
