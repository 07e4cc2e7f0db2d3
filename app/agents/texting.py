"""Text messages, as an operator writes what the agent may do with them.

Rule: whom a message may go to and what may be attached is written here. The model chooses among
names, and never writes a number or an address.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import phonenumbers
from pydantic import BeforeValidator, Field, field_validator

from app.agents.layers import near
from app.agents.part import Part
from app.agents.values import (
    DURATION_SCHEMA,
    PresetName,
    Text,
    WebhookUrl,
    between,
    empty_if_none,
    phone_number,
    refuse,
    several,
)

LINE = "line"
"""As a sender: the number of ours that the call is on."""
CALLER = "caller"
CODE = "{{code}}"
URL = "{{url}}"
CODE_PRESET = "verification_code"
"""What the code is keyed in by; no preset of the operator's may be called that then."""
_MOST_TEXT = 140
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_LANDLINE = phonenumbers.PhoneNumberType.FIXED_LINE


def sender(value: object) -> str:
    """``line``, a number of the operator's, or a messaging service."""
    if value == LINE:
        return LINE
    if isinstance(value, str) and _SERVICE.fullmatch(value):
        return value
    if isinstance(value, str) and value[:2].upper() == "MG":
        refuse('must be a messaging service of Twilio\'s: "MG" and 32 hexadecimal digits')
    return phone_number(value)


class SmsMedia(Part):
    """Something that can be attached to a message."""

    url: WebhookUrl
    """Where Twilio fetches it."""
    description: Text | None = None
    """What it is and when to send it; the model reads it."""


class Sms(Part):
    """Text messages: the agent may send them by the tool send_sms, and reads those that come from
    the caller during the call. DIAL_COUNTRIES holds for them, where it is set."""

    from_: Annotated[str, BeforeValidator(sender)] = Field(default=LINE, alias="from")
    """line, the number the call is on; another number of yours; or a messaging service, MG…"""
    to: Annotated[
        tuple[Text, ...],
        BeforeValidator(several, json_schema_input_type=Text | list[Text]),
        Field(min_length=1),
    ] = (CALLER,)
    """Who may be sent one: caller, and names of targets that have a mobile number."""
    segments: int = Field(default=3, ge=1, le=10)
    """How long a message may be: Twilio bills every 160 characters or, with letters beyond GSM's,
    70."""
    per_call: int = Field(default=5, ge=1, le=20)
    """How many messages may be sent in a call."""
    media: Annotated[Mapping[PresetName, SmsMedia], empty_if_none] = {}
    """What the agent may attach, by name."""
    answer: bool = False
    """true: texts are answered whenever they come after a call that is on record; false: within
    timeouts.resume after it."""
    text_model: Text = "gpt-5.4-mini"
    """Who answers texts when nobody is on the line: a model of OPENAI_BASE_URL that answers in a
    JSON schema."""
    as_caller_text: bool = False
    """true: a message that comes is put to the agent as the caller's own words; false: marked
    [SMS]."""


class Verification(Part):
    """Finding out whether a caller has the telephone whose number they show: the tool verify_code
    sends them a code, which they key in. Needs sms."""

    digits: int = Field(default=6, ge=4, le=10)
    """How long the code is."""
    text: Text = "Your code is {{code}}."
    """What is sent; {{code}} stands where the code is."""
    expires_ms: Annotated[int, between("1m", "30m"), DURATION_SCHEMA] = Field(
        default=600_000, alias="expires", json_schema_extra={"default": "10m"}
    )
    """How long it is good for."""
    attempts: int = Field(default=3, ge=1, le=5)
    """How often it may be keyed in; after that a new one must be sent, three times at most."""

    @field_validator("text")
    @classmethod
    def _has_the_code(cls, value: str) -> str:
        if value.count(CODE) != 1:
            refuse(f"must have {CODE} in it, once")
        if len(value) > _MOST_TEXT:
            refuse(f"is longer than the {_MOST_TEXT} characters of one message: shorten it")
        return value


class SendLink(Part):
    """A page of the call for its caller, to read along and to go on in writing: the tool send_link
    sends its address. Needs sms."""

    text: Text = "Go on here in writing: {{url}}"
    """What is sent; {{url}} stands where the address is."""
    ttl_ms: Annotated[int, between("5m", "30d"), DURATION_SCHEMA] = Field(
        default=86_400_000, alias="ttl", json_schema_extra={"default": "24h"}
    )
    """How long the address is good for."""

    @field_validator("text")
    @classmethod
    def _has_the_address(cls, value: str) -> str:
        if value.count(URL) != 1:
            refuse(f"must have {URL} in it, once")
        if len(value) > _MOST_TEXT:
            refuse(f"is longer than {_MOST_TEXT} characters: shorten it")
        return value


def check(sms: Sms, targets: Mapping[str, str]) -> None:
    """Refuse recipients that are no targets, or have no number that takes messages.

    ``targets``: where each goes.
    """
    for name in sms.to:
        if name == CALLER:
            continue
        if name not in targets:
            sentence = f'unknown target "{name}": write caller, or the name of a target'
            refuse(sentence, at="to", meant=near(name, [CALLER, *targets]))
        number = targets[name].removeprefix("tel:")
        if not number.startswith("+"):
            refuse(f'"{name}" has no telephone number to send a message to', at="to")
        if phonenumbers.number_type(phonenumbers.parse(number)) == _LANDLINE:
            refuse(f'"{name}" is a landline, which gets no messages', at="to")
