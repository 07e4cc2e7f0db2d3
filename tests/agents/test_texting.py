"""Text messages in the agent document: who may be sent one, from where, with what."""

from pathlib import Path

import pytest

from app.agents.load import load_document
from app.agents.problems import AgentFault

HEAD = """
instructions: Be kind.
transfer_targets:
  desk: {description: Claims., to: "+33612345678"}
  hall: {description: The hall., to: "+33142685300"}
  pbx: {description: The exchange., to: "sip:q@pbx.contoso.com"}
"""


def loaded(folder: Path, sms: str):  # type: ignore[no-untyped-def]
    """The document with this ``sms``."""
    file = folder / "agent.yaml"
    file.write_text(HEAD + f"sms: {sms}\n")
    return load_document(file).agent


def test_the_shortest_form_names_the_sender(tmp_path: Path) -> None:
    """W70: the number the call is on, unless another is written."""
    assert loaded(tmp_path, "line").sms.from_ == "line"
    assert loaded(tmp_path, '"+14155550123"').sms.from_ == "+14155550123"
    assert loaded(tmp_path, "{}").sms.to == ("caller",)
    assert loaded(tmp_path, "null").sms is None


def test_recipients_are_the_caller_and_targets(tmp_path: Path) -> None:
    """W71: nobody else, whatever the model writes."""
    sms = loaded(tmp_path, "{to: [caller, desk], from: MG" + "0" * 32 + "}").sms

    assert (sms.to, sms.from_) == (("caller", "desk"), "MG" + "0" * 32)


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
