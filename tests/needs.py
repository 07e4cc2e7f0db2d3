"""What a test needs of the machine: skipped where it is missing, but never in CI, where its
absence would make a green run say less than it seems to."""

import os

import pytest


def needs(what: str, *, there: bool) -> pytest.MarkDecorator:
    """A mark for tests that cannot be run without ``what``."""
    skips = not there and os.environ.get("CI") != "true"
    return pytest.mark.skipif(skips, reason=f"{what} is not installed")
