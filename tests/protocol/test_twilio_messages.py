"""Twilio's forms about text messages, also such as it would never send."""

import pytest

from app.protocol.twilio_messages import parse_incoming_message, parse_message_status
from app.protocol.twilio_webhooks import MalformedForm

SID = "SM" + "0123456789abcdef" * 2
FORM = [("MessageSid", SID), ("From", "+12125551234"), ("To", "+14155550100"), ("NumMedia", "0")]


@pytest.mark.parametrize(
    ("body", "opt_out"),
    [
        *(("STOP", "STOP"), (" stop. ", "STOP"), ("Unsubscribe", "STOP"), ("ARRÊT", "STOP")),
        *(("Start", "START"), ("HELP", "HELP"), ("info", "HELP")),
        *(("Stop by at nine", ""), ("", ""), ("Please help", "")),
    ],
)
def test_a_keyword_is_one_where_nothing_else_is_said(body: str, opt_out: str) -> None:
    """Whoever writes "stop by at nine" wants to be read."""
    assert parse_incoming_message([*FORM, ("Body", body)]).opt_out == opt_out


def test_twilios_own_word_on_it_counts() -> None:
    """With advanced opt-out the operator chose the keywords, in whatever language."""
    form = [*FORM, ("Body", "Basta"), ("OptOutType", "STOP")]

    assert parse_incoming_message(form).opt_out == "STOP"


@pytest.mark.parametrize("sid", ["", "SM1", "CA" + "0" * 32, SID + "\n", "SM" + "x" * 32])
def test_a_message_without_a_name_is_malformed(sid: str) -> None:
    """Nothing could be known of it twice."""
    with pytest.raises(MalformedForm):
        parse_incoming_message([("MessageSid", sid), ("Body", "x")])
    with pytest.raises(MalformedForm):
        parse_message_status([("MessageSid", sid), ("MessageStatus", "sent")])


def test_a_status_says_whether_the_message_arrived() -> None:
    """W74."""
    form = [("MessageSid", SID), ("MessageStatus", "undelivered"), ("ErrorCode", "30003")]
    failed = parse_message_status(form)
    read = parse_message_status([("MessageSid", SID), ("MessageStatus", "read")])

    assert (failed.failed, failed.delivered, failed.error_code) == (True, False, 30003)
    assert (read.failed, read.delivered, read.error_code) == (False, True, None)
    with pytest.raises(MalformedForm):
        parse_message_status([("MessageSid", SID)])


def test_the_longest_body_is_bounded() -> None:
    """Twilio's limit is 1,600 characters; another sender may know none."""
    assert len(parse_incoming_message([*FORM, ("Body", "x" * 9_999)]).body) == 1_600
