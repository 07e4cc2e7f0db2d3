"""What the carrier would refuse in the middle of a call is refused when it is written."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from app.agents.load import load_document
from app.assembly import scripts
from app.protocol.twiml import fits_rest

HEAD = "instructions: You answer.\n"
DESK = "transfer_targets:\n  desk:\n    description: The desk.\n    to: {to}\n"
NUMBER = '"+33612345678"'
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


@pytest.mark.parametrize(
    ("caller_id", "shown"), [("caller", None), ("+15005550006", "+15005550006")]
)
def test_the_failure_treatment_shows_the_number_of_its_target(
    tmp_path: Path, caller_id: str, shown: str | None
) -> None:
    """Whom a person sees calling is the target's to say, however the caller comes to them."""
    file = tmp_path / "agent.yaml"
    file.write_text(HEAD + DESK.format(to=NUMBER) + f'    caller_id: "{caller_id}"\n')

    document = scripts(load_document(file).agent, "https://h").failure()

    dial = ElementTree.fromstring(document).find("Dial")
    assert dial is not None
    assert dial.get("callerId") == shown


def test_the_number_that_is_shown_counts(tmp_path: Path) -> None:
    """It goes into the same document; ringing is counted at its longest, 600 s."""
    file = tmp_path / "agent.yaml"
    number = '    caller_id: "+15005550006"\n'
    text = HEAD + DESK.format(to=NUMBER)
    file.write_text(text + number)
    room = 3999 - len(scripts(load_document(file).agent, "https://h").failure())
    sentence = "We have a problem." + "x" * room
    default = len("I'm sorry, we have a technical problem.") - len("We have a problem.")
    failure = "failure:\n  say: " + sentence + "x" * default

    assert checked(file, text + number + failure + "\n") == (0, "")
    assert checked(file, text + number + failure + "x\n")[0] == 1
    assert checked(file, text + failure + "x\n") == (0, "")


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
