"""The judge of messages and the reader of TwiML meet hostile input and do not fall over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emulators.twilio_judge import ClearMessage, MarkMessage, MediaMessage, judge
from app.emulators.twilio_twiml import Document, parse
from app.emulators.twilio_words import Violation
from tests.emulators.tiny_server import CONNECT

SID = "MZ1"
GOOD = [
    ({"event": "media", "streamSid": SID, "media": {"payload": "AAEC"}}, MediaMessage(b"\0\1\2")),
    ({"event": "mark", "streamSid": SID, "mark": {"name": "r1:2"}}, MarkMessage("r1:2")),
    ({"event": "clear", "streamSid": SID}, ClearMessage()),
]


@pytest.mark.parametrize(("message", "judged"), GOOD)
def test_the_three_messages_of_the_protocol_are_understood(
    message: dict[str, object], judged: object
) -> None:
    """Strictness is worth nothing if it refuses what is right."""
    assert judge(json.dumps(message), SID) == judged


@pytest.mark.parametrize("message", [message for message, _ in GOOD])
def test_every_truncation_of_a_message_is_a_violation(message: dict[str, object]) -> None:
    """A message cut off anywhere must not be half obeyed."""
    text = json.dumps(message)
    for length in range(len(text)):
        assert isinstance(judge(text[:length], SID), Violation)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("event"), inner),
)


@given(st.text() | st.binary() | _JSON.map(json.dumps))
def test_nothing_makes_the_judge_fall_over(message: str | bytes) -> None:
    """A crash here would be read as the server's fault."""
    assert isinstance(judge(message, SID), Violation)


@pytest.mark.parametrize("message", ["[" * 100_000, "1" * 10_000, '{"event":NaN}', "\ud800"])
def test_json_made_to_hurt_a_parser_is_a_violation(message: str) -> None:
    """Deep nesting, endless numbers, no-numbers, half characters."""
    assert isinstance(judge(message, SID), Violation)


def test_every_truncation_of_a_document_is_refused() -> None:
    """12100, or 11770 for nothing at all; never a document that runs in part."""
    text = CONNECT.format(behind="<Hangup/>")
    for length in range(len(text)):
        assert isinstance(parse(text[:length], None), Violation)
    assert isinstance(parse(text, None), Document)


def test_a_document_type_is_refused() -> None:
    """Entities that grow without end are an old trick."""
    bomb = '<!DOCTYPE a [<!ENTITY b "bb">]><Response><Say>&b;</Say></Response>'

    assert isinstance(parse(bomb, None), Violation)
