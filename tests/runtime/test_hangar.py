"""The directory of flight logs: bounded while the process lives, not only when it starts."""

import os
from pathlib import Path

import pytest

from app.runtime import flight_log
from app.runtime.flight_log import Hangar


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three logs are many."""
    monkeypatch.setattr(flight_log, "MOST_FILES", 3)


def names(folder: Path) -> set[str]:
    """The logs that are there."""
    return {path.stem for path in folder.iterdir()}


def test_the_oldest_logs_go_as_new_ones_come(tmp_path: Path) -> None:
    """A server that is never restarted must not fill its disk."""
    hangar = Hangar(tmp_path / "flights")
    hangar.open()

    for number in range(10):
        hangar.write(f"call-{number}", b"{}\n")
    hangar.close()

    assert names(tmp_path / "flights") == {"call-7", "call-8", "call-9"}
    assert hangar.dropped == 0


def test_the_log_of_a_long_call_stays_while_it_grows(tmp_path: Path) -> None:
    """What is left of a log that lost its beginning cannot be replayed."""
    hangar = Hangar(tmp_path)
    hangar.open()

    for number in range(10):
        hangar.write("long", b"%d\n" % number)
        hangar.write(f"short-{number}", b"{}\n")
    hangar.close()

    assert names(tmp_path) == {"long", "short-8", "short-9"}
    assert hangar.path("long").read_bytes().split() == [b"%d" % number for number in range(10)]


def test_logs_of_an_earlier_process_go_first(tmp_path: Path) -> None:
    """The newest are kept, whoever wrote them."""
    for age, name in enumerate(("newest", "older", "oldest", "ancient")):
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(b"{}\n")
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    hangar = Hangar(tmp_path)
    hangar.open()
    assert names(tmp_path) == {"newest", "older", "oldest"}

    hangar.write("new", b"{}\n")
    hangar.close()

    assert names(tmp_path) == {"new", "newest", "older"}
