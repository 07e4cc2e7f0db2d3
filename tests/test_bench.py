"""The benches are scripts: what they make of runs that went wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
WAY = "caller_to_model"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They import each other by name, as where they are run."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(SCRIPTS)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("nothing", [None, 0.0])
def test_a_run_without_latencies_is_called_unusable(nothing: float | None) -> None:
    """Where no frame came through there is nothing to compare, and no ratio either."""
    from bench_hold import p99_ratio
    from bench_report import RunFailedError

    good = {"calls": 4, WAY: {"p99_ms": 2.0}}
    assert p99_ratio(good, {"calls": 4, WAY: {"p99_ms": 3.0}}, WAY) == 1.5
    bad = {"calls": 4, WAY: {"p99_ms": nothing}}
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(RunFailedError, match="unusable"):
            p99_ratio(*pair, WAY)
