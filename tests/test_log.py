"""What a log line shows, in a process of its own: logging belongs to the whole process."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.log import redacted

ROOT = Path(__file__).parents[1]
FAILING = """
import logging
import structlog
from app import log

log.configure("info", "{format}")


def fail(said, pressed):
    words_of_the_caller = said + pressed
    raise ValueError("+33612345678 and sk-proj-a1b2c3 and whsec_a1b2c3\\nBearer abc.def")


try:
    fail("my card is", "4242")
except ValueError as fault:
    try:
        raise RuntimeError("what +33687654321 said") from fault
    except RuntimeError:
        {logging}
"""
OURS = 'structlog.get_logger("x").exception("broken", number="+33612345678")'
FOREIGN = 'logging.getLogger("library").exception("broken for %s", "+33612345678")'
ATTACHED = 'structlog.get_logger("x").error("broken", exc_info=True, fault=fault)'
UVICORNS = 'logging.getLogger("uvicorn.error").error("broken\\n", exc_info=fault)'


def logged(code: str) -> str:
    """Standard error of a program."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not done.stdout
    return done.stderr


@pytest.mark.parametrize("logging", [OURS, FOREIGN, ATTACHED, UVICORNS])
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_logged_exception_shows_its_place_and_nobodys_data(form: str, logging: str) -> None:
    """A traceback is written where everybody looks, and quotes whatever it was about."""
    shown = logged(FAILING.replace("{format}", form).replace("{logging}", logging))

    assert "broken" in shown
    assert "ValueError" in shown
    for hidden in ("4242", "my card", "+336", "a1b2c3", "abc.def"):
        assert hidden not in shown.replace('fail("my card is", "4242")', ""), shown


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-a1b2c3",
        "Bearer a1b2c3",
        "Basic QUM6YTFiMmMz",
        "whsec_a1b2c3",
        "0123456789abcdef" * 2,
    ],
)
def test_a_secret_is_blotted_out_and_an_id_is_not(secret: str) -> None:
    """Without the ids of calls a log is of no use, with a token it is a danger."""
    ids = "CA" + "0123456789abcdef" * 2 + " call_0123456789abcdef01234567 sha256:" + "0a" * 32

    assert redacted(f"{ids} {secret}!") in (f"{ids} [secret]", f"{ids} [secret]!")


@pytest.mark.parametrize("form", ["json", "console"])
def test_fields_of_every_shape_are_redacted(form: str) -> None:
    """A number inside a list is a number."""
    code = FAILING.partition("def fail")[0].replace("{format}", form) + (
        "structlog.get_logger('x').info('said', to=['+33612345678'], by={'k': 'sk-proj-a1b2c3'},"
        " at=('+33612345678',), raw=b'+33612345678', fault=ValueError('+33612345678'))"
    )

    shown = logged(code)

    assert "…78" in shown or "\\u202678" in shown
    assert "+336" not in shown
    assert "a1b2c3" not in shown
