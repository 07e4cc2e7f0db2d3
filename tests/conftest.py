"""What holds for every test: no property is judged by the time it takes, and the files whose
tests wait longest are begun first, so that no worker is left with one of them at the end."""

import gc

import pytest
from hypothesis import settings

# Inherits what hypothesis itself chooses, here or in CI, but its 200 ms an example.
settings.register_profile("patient", parent=settings(), deadline=None)
settings.load_profile("patient")

SLOW = (
    "tests/page/test_local_call.py",
    "tests/deploy/test_pair.py",
    "tests/test_scripts.py",
    "tests/jobs/",
    "tests/walks/test_reentry.py",
    "tests/walks/test_process.py",
    "tests/walks/test_terminal_call.py",
    "tests/page/",
    "tests/local/",
    "tests/test_",
    "tests/walks/",
)

# Thousands of tests are made, and none of them goes: looking for what can go is waste.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """Files are handed out in the order below, and not by how many tests they have."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first; the order in a file stays."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(name: str) -> int:
    return next((at for at, one in enumerate(SLOW) if name.startswith(one)), len(SLOW))


def pytest_collection_finish() -> None:
    """From here on what is forgotten is looked for; what was collected stays, unlooked at."""
    gc.collect()
    gc.freeze()
    gc.enable()
