"""What the carrier would refuse in the middle of a call is refused when it is written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from app.agents.load import load_document
from app.assembly import scripts
from app.protocol.twiml import fits_rest

HEAD = "instructions: You answer.\n"
DESK = "transfer_targets:\n  desk:\n    description: The desk.\n    to: {to}\n"
BARE = len('<?xml version="1.0" encoding="UTF-8"?><Response><Say></Say><Hangup /></Response>')


def checked(file: Path, text: str) -> tuple[int, str]:
    """Exit status and complaints of ``python -m app check``, without the folder."""
    file.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(cli, ["check", str(file)])
    return done.exit_code, done.stderr.replace(f"{file.parent}/", "")


def test_the_longest_sentence_that_fits_is_good(tmp_path: Path) -> None:
    """The bound is Twilio's and not a guess of ours."""
    file = tmp_path / "agent.yaml"
    text = HEAD + "failure:\n  say: " + "x" * (4000 - BARE) + "\n  then: end_call\n"

    assert checked(file, text) == (0, "")
    assert fits_rest(scripts(load_document(file).agent, "https://h").failure())


@pytest.mark.parametrize(
    ("sentence", "excess"), [("x" * (4001 - BARE), 1), ("&" * 1000, 1000 * 5 + BARE - 4000)]
)
def test_a_failure_sentence_too_long_for_twilio_is_named(
    tmp_path: Path, sentence: str, excess: int
) -> None:
    """Twilio would refuse the redirect when the model has failed: the caller hears silence."""
    text = HEAD + "failure:\n  then: end_call\n  say: '" + sentence + "'\n"

    assert checked(tmp_path / "agent.yaml", text) == (
        1,
        f"agent.yaml:4 failure.say: is {excess} characters too long for Twilio to say:"
        " shorten it\n",
    )


def test_the_address_that_is_dialled_counts(tmp_path: Path) -> None:
    """The sentence and the person behind it go in one document."""
    to = "sip:" + "d" * 240 + "@h.test"
    text = HEAD + DESK.format(to=to) + "failure:\n  say: " + "x" * (3999 - BARE) + "\n"

    status, said = checked(tmp_path / "agent.yaml", text)

    assert status == 1
    assert said.startswith("agent.yaml:7 failure.say: is ")


def test_a_sentence_after_a_failed_transfer_has_the_same_bound(tmp_path: Path) -> None:
    """It is said by Twilio's own voice, too."""
    text = HEAD + DESK.format(to="client:desk") + "    on_failure:\n      say: " + "x" * 5000 + "\n"

    status, said = checked(tmp_path / "agent.yaml", text)

    assert status == 1
    assert said.startswith("agent.yaml:7 transfer_targets.desk.on_failure.say: is ")


def test_a_sip_address_longer_than_twilio_dials_is_named(tmp_path: Path) -> None:
    """That it must be an address, which it is, would send its author the wrong way."""
    file = tmp_path / "agent.yaml"
    good = "sip:" + "d" * 244 + "@h.test"
    assert len(good) == 255
    assert checked(file, HEAD + DESK.format(to=good)) == (0, "")

    assert checked(file, HEAD + DESK.format(to=good + "s")) == (
        1,
        "agent.yaml:5 transfer_targets.desk.to: is longer than the 255 characters Twilio dials:"
        " shorten it\n",
    )
