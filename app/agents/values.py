"""The small values of an agent document: durations, phone numbers, destinations, names.

Each is written as text, because YAML makes numbers of what are none (``+33…``, ``18:30``),
and each refusal is a sentence with the right way to write it.
"""

import re
from typing import Annotated, NoReturn, Union
from urllib.parse import urlsplit

import phonenumbers
from pydantic import BaseModel, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from app import number_kinds
from app.call import built_in
from app.call.templates import ROOTS
from app.protocol.sip_headers import STANDARD, header_name

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_MS_OF = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SIP = re.compile(r"sips?:[^\s@<>\"]+@[^\s@<>\"]+")
_MOST_SIP_CHARS = 255
_CLIENT = re.compile(r"client:[^\s<>\"]{1,120}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUEUE = re.compile(r"[\w.-][\w .-]{0,63}")
_WORKFLOW = re.compile(r"WW[0-9a-fA-F]{32}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_KEY = re.compile(r"[0-9A-D*#]")
_KEYS = re.compile(r"[0-9A-D*#]{1,100}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def refuse(sentence: str, *, at: str = "", meant: str = "") -> NoReturn:
    """Make ``sentence`` the problem of the value under validation.

    ``at`` names the field below it that is to blame; ``meant`` is what was probably meant.
    """
    raise PydanticCustomError(
        "refused", "{sentence}", {"sentence": sentence, "at": at, "meant": meant}
    )


def duration_ms(value: object) -> int:
    """Milliseconds of a duration such as ``500ms 20s 30m 3h 90d``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        refuse('must be a duration with its unit, such as "500ms", "20s" or "30m"')
    return int(found[1]) * _MS_OF[found[2]]


def between(low: str, high: str) -> BeforeValidator:
    """A duration of ``low`` to ``high``, both included."""

    def check(value: object) -> int:
        length_ms = duration_ms(value)
        if not duration_ms(low) <= length_ms <= duration_ms(high):
            refuse(f"must be from {low} to {high}")
        return length_ms

    return BeforeValidator(check)


or_zero = BeforeValidator(lambda value: "0s" if value in (0, "0") and value is not False else value)
"""A plain 0 is a duration, too."""


def phone_number(value: object) -> str:
    """An E.164 number that a telephone network could know."""
    if isinstance(value, int) and not isinstance(value, bool):
        refuse(f'must be text: write it in quotes, "+{abs(value)}"')
    if not isinstance(value, str):
        refuse('must be a phone number in quotes, such as "+33612345678"')
    text = value.removeprefix("tel:")
    if why := number_kinds.refusal(text):
        refuse(why)
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        refuse('must be an E.164 number with "+" and country code, such as "+33612345678"')
    if not phonenumbers.is_valid_number(number):
        refuse("is not a number of any telephone network: check its digits")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if text != e164 or not _E164.fullmatch(text):
        refuse(f'must be in E.164: write "{e164}"')
    return str(e164)


def destination(value: object) -> str:
    """Where a call can be put through to: a number, ``sip:`` or ``client:``."""
    if isinstance(value, str) and value.startswith(("sip:", "sips:")):
        if not _SIP.fullmatch(value):
            refuse('must be a SIP address such as "sip:desk@pbx.contoso.com"')
        if len(value) > _MOST_SIP_CHARS:
            refuse(f"is longer than the {_MOST_SIP_CHARS} characters Twilio dials: shorten it")
        return value
    if isinstance(value, str) and value.startswith("client:"):
        if not _CLIENT.fullmatch(value):
            refuse('must be a client address such as "client:reception"')
        return value
    return phone_number(value)


def reachable(value: object) -> str:
    """Where a target is: a ``destination``, a queue, a workflow of TaskRouter's, or whatever a
    program answers when it is asked."""
    if not isinstance(value, str):
        return destination(value)
    kind, colon, rest = value.partition(":")
    if colon and kind == "queue":
        if not _QUEUE.fullmatch(rest):
            refuse("must be the name of a queue of 1 to 64 letters, digits, spaces, _ . and -")
    elif colon and kind == "workflow":
        if not _WORKFLOW.fullmatch(rest):
            refuse('must be "workflow:" and the SID of one, "WW" and 32 hexadecimal digits')
    elif colon and kind == "webhook":
        webhook_url(rest)
    else:
        return destination(value)
    return value


def header(value: object) -> str:
    """The name of a SIP header that Twilio passes on."""
    found = header_name(value) if isinstance(value, str) else None
    if found is None:
        refuse(f"is no header that Twilio passes on: X-…, {', '.join(STANDARD)}")
    return found


def caller_id(value: object) -> str:
    """``caller``, or a number of the operator's."""
    return "caller" if value == "caller" else phone_number(value)


def handler(value: object) -> str:
    """``module:function``; that both exist is not looked into."""
    if not isinstance(value, str) or not _HANDLER.fullmatch(value):
        refuse('must be "module:function", such as "bookings:find_slot"')
    return value


def webhook_url(value: object) -> str:
    """Where a program of the operator's is told something; http only on this machine."""
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not isinstance(value, str) or not host or any(c.isspace() for c in value):
        refuse('must be an address such as "https://crm.example.com/hooks"')
    if parts.username or parts.password:
        refuse("must hold no password: who is told is proven by WEBHOOK_SECRETS")
    here = host in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        refuse("must begin with https://")
    return value


def name(value: object) -> str:
    """A name the model can say."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        refuse("must be a name of 1 to 64 letters, digits, _ and -")
    return value


def tool_name(value: object) -> str:
    """A name that no built-in tool has."""
    if value in built_in.NAMES:
        refuse("is the name of a built-in tool: choose another")
    return name(value)


def key(value: object) -> str:
    """One key of a telephone."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9:
        refuse(f'must be text: write it in quotes, "{value}"')
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        refuse('must be one key, 0 to 9, *, # or A to D, in quotes: "#"')
    return value


def keys(value: object) -> str:
    """What can be keyed in."""
    if isinstance(value, int) and not isinstance(value, bool):
        refuse(f'must be text: write it in quotes, "{value}"')
    if not isinstance(value, str) or not _KEYS.fullmatch(value):
        refuse("must be keys of a telephone, 0 to 9, *, # or A to D")
    return value


def target_name(value: object) -> str:
    """A name that is no word of ``then:``."""
    if value in ("resume", "end_call", "take_message"):
        refuse("is a word of the language: choose another name")
    return name(value)


def variable_name(value: object) -> str:
    """A name that stands in ``{{…}}`` and is none of the language's own."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        refuse("must be a name of 1 to 64 letters, digits, _ and -, a letter first")
    if value in ROOTS:
        refuse("is a word of the language: choose another name")
    return value


def language(value: object) -> str:
    """A BCP 47 language such as ``en`` or ``pt-BR``."""
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        refuse('must be a language code such as "en" or "pt-BR"')
    return value


def several(value: object) -> object:
    """One text, or a list of them, as a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def or_just(field: str, *models: type[BaseModel]) -> BeforeValidator:
    """Take a bare text for one of ``models`` of which only ``field`` is given."""
    return BeforeValidator(
        lambda value: {field: value} if isinstance(value, str) else value,
        json_schema_input_type=Union[(*models, str, None)],
    )


def or_only(default: str, field: str, *instead: str) -> BeforeValidator:
    """Fill ``field`` in where neither it nor one of ``instead`` is given."""

    def fill(value: object) -> object:
        if not isinstance(value, dict) or any(key in value for key in (field, *instead)):
            return value
        return {field: default, **value}

    return BeforeValidator(fill)


def soon(*words: str) -> BeforeValidator:
    """Tell a word of a coming release from a mistake."""

    def check(value: object) -> object:
        if isinstance(value, str) and value in words:
            refuse(f'"{value}" is not available yet')
        return value

    return BeforeValidator(check)


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Texts = Annotated[
    tuple[Text, ...], BeforeValidator(several, json_schema_input_type=Text | list[Text])
]
Destination = Annotated[
    str,
    BeforeValidator(destination),
    _written(r"^((tel:)?\+[1-9][0-9]{1,14}|(sips?|client):.+)$", "+33612345678"),
]
Reachable = Annotated[
    str,
    BeforeValidator(reachable),
    _written(
        r"^((tel:)?\+[1-9][0-9]{1,14}|(sips?|client|queue|workflow|webhook):.+)$",
        *("+33612345678", "queue:claims"),
    ),
]
Header = Annotated[str, BeforeValidator(header)]
CallerId = Annotated[
    str, BeforeValidator(caller_id), _written(r"^(caller|(tel:)?\+[1-9][0-9]{1,14})$", "caller")
]
WebhookUrl = Annotated[
    str, BeforeValidator(webhook_url), _written("^https?://.+$", "https://crm.example.com/hooks")
]
Handler = Annotated[str, BeforeValidator(handler), _written(r"^[\w.]+:\w+$", "bookings:find_slot")]
ToolName = Annotated[str, BeforeValidator(tool_name)]
Key = Annotated[str, BeforeValidator(key), _written(f"^{_KEY.pattern}$", "#")]
Keyed = Annotated[str, BeforeValidator(keys)]
PresetName = Annotated[str, BeforeValidator(name)]
TargetName = Annotated[str, BeforeValidator(target_name)]
AgentName = Annotated[str, BeforeValidator(name)]
VariableName = Annotated[str, BeforeValidator(variable_name)]
Language = Annotated[
    str, BeforeValidator(language), _written(f"^{_LANGUAGE.pattern}$", "en", "pt-BR")
]
Languages = Annotated[
    tuple[Language, ...], BeforeValidator(several, json_schema_input_type=Language | list[Language])
]
empty_if_none = BeforeValidator(lambda value: {} if value is None else value)
"""A heading under which everything is commented out."""
none_if_none = BeforeValidator(lambda value: () if value is None else several(value))
"""The same where the heading is a list's."""
DURATION_SCHEMA = _written(f"^{_DURATION.pattern}$", "500ms", "20s", "30m")
