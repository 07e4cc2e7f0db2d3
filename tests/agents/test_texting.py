"""Text messages in the agent document: who may be sent one, from where, with what."""

from pathlib import Path

import pytest

from app.agents.load import load_document
from app.agents.problems import AgentFault
from app.agents.texting import Sms
from app.assembly import plan

HEAD = """
instructions: Be kind.
transfer_targets:
  desk: {description: Claims., to: "+33612345678"}
  hall: {description: The hall., to: "+33142685300"}
  pbx: {description: The exchange., to: "sip:q@pbx.contoso.com"}
"""


def loaded(folder: Path, sms: str) -> Sms | None:
    """What the document with this ``sms`` comes to."""
    file = folder / "agent.yaml"
    file.write_text(HEAD + f"sms: {sms}\n")
    return load_document(file).agent.sms


def test_the_shortest_form_names_the_sender(tmp_path: Path) -> None:
    """W70: the number the call is on, unless another is written."""
    assert loaded(tmp_path, "line") == loaded(tmp_path, "{}") == Sms()
    assert loaded(tmp_path, '"+14155550123"') == Sms(**{"from": "+14155550123"})
    assert loaded(tmp_path, "null") is None


def test_recipients_are_the_caller_and_targets(tmp_path: Path) -> None:
    """W71: nobody else, whatever the model writes."""
    sms = loaded(tmp_path, "{to: [caller, desk], from: MG" + "0" * 32 + "}")

    assert sms is not None
    assert (sms.to, sms.from_) == (("caller", "desk"), "MG" + "0" * 32)


def test_a_code_has_a_preset_of_its_own(tmp_path: Path) -> None:
    """W2: the model asks for it by that name, with so many digits."""
    file = tmp_path / "agent.yaml"
    file.write_text(HEAD + "sms: line\nverification: {digits: 4, expires: 5m}\n")

    agent = load_document(file).agent

    assert agent.verification is not None
    assert agent.verification.expires_ms == 300_000
    preset = plan(agent).presets["verification_code"]
    assert (preset.num_digits, preset.sensitive) == (4, True)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("verification: {}", "add sms"),
        ("sms: line\nverification: {text: Your code}", "{{code}} in it"),
        ("sms: line\nverification: {text: '{{code}} {{code}}'}", "once"),
        ("sms: line\nverification: {digits: 3}", "at least 4"),
        ("sms: line\nverification: {attempts: 6}", "at most 5"),
        (
            "sms: line\ndtmf: {presets: {verification_code: {num_digits: 4}}}\nverification: {}",
            "call yours something else",
        ),
    ],
)
def test_a_code_that_could_not_work_does_not_load(tmp_path: Path, lines: str, words: str) -> None:
    """W2: told with file, line and fix."""
    file = tmp_path / "agent.yaml"
    file.write_text(HEAD + lines + "\n")

    with pytest.raises(AgentFault) as caught:
        load_document(file)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("sms", "words"),
    [
        ("{to: [boss]}", 'sms.to: unknown target "boss"'),
        ("{to: [pbx]}", "no telephone number"),
        ("{to: [hall]}", "is a landline"),
        ("{from: MG12}", "messaging service"),
        ("{from: contoso}", "E.164"),
        ("{segments: 11}", "at most 10"),
        ("{media: {map: {url: 'http://contoso.com/map.png'}}}", "https://"),
        ("{media: {map: {}}}", "is missing"),
        ("{text: x}", "unknown field"),
    ],
)
def test_what_could_never_be_sent_does_not_load(tmp_path: Path, sms: str, words: str) -> None:
    """W64, W69: told with file, line and fix instead of to a caller."""
    with pytest.raises(AgentFault, match=words):
        loaded(tmp_path, sms)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("send_link: {}", "send_link: sends a text message: add sms"),
        ("sms: line\nsend_link: {text: Write here}", "{{url}} in it"),
        ("sms: line\nsend_link: {ttl: 1m}", "5m"),
    ],
)
def test_a_link_needs_text_messages(tmp_path: Path, lines: str, words: str) -> None:
    """W64: told when the document is checked, not when a caller waits for the message."""
    file = tmp_path / "agent.yaml"
    file.write_text(HEAD + lines + "\n")

    with pytest.raises(AgentFault) as fault:
        load_document(file)

    assert words in str(fault.value)
