"""Values of settings: what may stand behind the ``=`` of each kind, and what is wrong with it.

One type for each kind of value. Which settings there are, how they are called and what they are
without belongs to ``settings``: an ``Unusable`` is the end of a sentence that begins with the
setting's name, tells the fix, and never shows a secret.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from app import addresses, hours

_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_SID = {
    "AC": re.compile(r"AC[0-9a-fA-F]{32}"),
    "SK": re.compile(r"SK[0-9a-fA-F]{32}"),
}
_PLACEHOLDER = re.compile(
    r"""
    \.{3} | \u2026 | [<>]                       # sk-...   <your key>
    | ^(sk-(proj-)?|ac|sk)?[x*]+$ | [x*]{6,}    # sk-xxxx   ************
    | (^|[-_/\s\[{])your[-_\s]?                 # your-key, sk-your_key
    | change[-_ ]?me | replace[-_ ]?(me|this|with) | placeholder | ^example
    | ^(todo|none|null|secret|password|token|key|api[-_]?key)$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PLACEHOLDER_HOST = re.compile(
    r"(^|\.)example\.(com|net|org)$|^(example|x{3,}|your[-_]?\w*|my[-_]?domain)\.", re.IGNORECASE
)


_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,}={0,2}")


class Unusable(Exception):
    """The value cannot be used; the message is what the name of its setting is followed by."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A secret Twilio may sign webhooks with instead of the auth token."""

    id: str
    secret: SecretStr


def _secret(value: object) -> object:
    return _secret_of(value) if isinstance(value, str) else value


def _secrets(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(_secret_of(part) for part in _parts(value))


def _shared_keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(_shared_key(part) for part in _parts(value))


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _secret_of(value: str) -> SecretStr | None:
    """``value`` as a secret that can travel in a header; None where it is blank."""
    value = value.strip()
    if not value:
        return None
    if _PLACEHOLDER.search(value):
        raise Unusable("is still a placeholder: put the real value, or leave it empty.")
    if not re.fullmatch(r"[!-~]+", value):
        raise Unusable("contains a space or a character no key has: copy it again, without quotes.")
    return SecretStr(value)


def _shared_key(value: str) -> SharedKey:
    key_id, separator, text = value.partition(":")
    secret = _secret_of(text)
    if not separator or not key_id.strip() or secret is None:
        raise Unusable("must be pairs of id:secret, separated by commas.")
    return SharedKey(key_id.strip(), secret)


def _sid(value: str, *, prefix: str) -> str:
    if not _SID[prefix].fullmatch(value):
        raise Unusable(
            f"must be {prefix} followed by 32 hexadecimal digits: copy it from the Twilio console."
        )
    return value


def _address(value: str) -> SplitResult:
    """``value`` taken apart, when it is an absolute http or https URL of a real place."""
    fault = Unusable('must be a URL such as "https://host" without user, query or fragment.')
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise fault from None
    if _PLACEHOLDER.search(value) or _PLACEHOLDER_HOST.search(parts.hostname or ""):
        raise Unusable("is still a placeholder: put the real address.")
    clean = re.fullmatch(r"[!-~]+", value) and not re.search(r"[@?#\\]", value)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not clean:
        raise fault
    return parts


def _base_url(value: str) -> str:
    if fault := addresses.fault_of_base(_address(value)):
        raise Unusable(fault)
    return value.rstrip("/")


def _public_origin(value: str) -> str:
    parts = _address(value)
    host = parts.hostname or ""
    if parts.path not in ("", "/"):
        raise Unusable(f'must be an origin: remove "{parts.path}" from its end.')
    if parts.scheme == "http" and not addresses.is_loopback(host):
        raise Unusable("must begin with https://: Twilio sends calls to nothing else.")
    if parts.scheme == "https" and not addresses.is_public(host):
        raise Unusable(
            f'names "{host}", where Twilio cannot ring: set the address of your tunnel or'
            " server, or http://127.0.0.1 with its port for the local Twilio."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _interface(value: str) -> str:
    if re.search(r"[\s/@\[\]]", value) or value.count(":") == 1:
        raise Unusable(
            'must be an address to listen on, such as "0.0.0.0":'
            " remove scheme and brackets, and put the port into PORT."
        )
    return value


def _file(value: Path, *, what: str) -> Path:
    if not value.is_file():
        raise Unusable(f'names "{value}", which is not a file: set the path of {what}.')
    return value


def _database_url(value: SecretStr) -> SecretStr:
    if not _names_a_database(value.get_secret_value()):
        raise Unusable(
            'must be "sqlite:///" and the path of a file, or'
            ' "postgresql://user:password@host:5432/name" (in the password, write @ as %40,'
            " / as %2F, : as %3A)."
        )
    return value


def _names_a_database(text: str) -> bool:
    if re.fullmatch(r"sqlite(\+\w+)?:///(?!:memory:)[^\s?]+(\?\S*)?", text):
        return True
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    # Without a host a query may name one, or a socket's folder.
    named = re.fullmatch(r"/[^\s/]+", parts.path) and (parts.hostname or "host=" in parts.query)
    scheme = re.fullmatch(r"postgres(ql)?(\+\w+)?", parts.scheme)
    return bool(scheme and named and port != 0 and not re.search(r"\s", text))


def _countries(value: object) -> object:
    if not isinstance(value, str):
        return value
    codes = tuple(part.upper() for part in _parts(value))
    if bad := next((code for code in codes if not re.fullmatch(r"[A-Z]{2}", code)), None):
        raise Unusable(f'must be country codes such as "US,CA,FR": "{bad}" is none.')
    return codes


def _hosts(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(part.lower() for part in _parts(value))
    if bad := next((one for one in names if not re.fullmatch(r"[a-z0-9.-]+", one)), None):
        raise Unusable(f'must be names of hosts such as "core.contoso.com": "{bad}" is none.')
    return names


def _phone_number(value: str) -> str:
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
        raise Unusable('must be an E.164 number of your account, such as "+15005550006".')
    return value


def _hours(value: str) -> str:
    for part in _parts(value):
        try:
            hours.rule(part)
        except ValueError:
            raise Unusable(
                f'must be hours of the week such as "Mo-Fr 09:00-20:00, Sa 10:00-14:00": "{part}"'
                " is none."
            ) from None
    return value


def _webhook_secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all(_WEBHOOK_SECRET.fullmatch(one.get_secret_value()) for one in value):
        raise Unusable("must be secrets of Standard Webhooks: whsec_ and 24 or more bytes, base64.")
    return value


def _log_level(value: str) -> str:
    if value.lower() not in _LOG_LEVELS:
        raise Unusable(f"must be one of {', '.join(_LOG_LEVELS)}.")
    return value.lower()


Secret = Annotated[SecretStr | None, BeforeValidator(_secret)]
"""Blank is absent."""
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
"""Separated by commas."""
SharedKeys = Annotated[tuple[SharedKey, ...], NoDecode, BeforeValidator(_shared_keys)]
"""``id:secret``, separated by commas."""
AccountSid = Annotated[str, AfterValidator(partial(_sid, prefix="AC"))]
KeySid = Annotated[str, AfterValidator(partial(_sid, prefix="SK"))]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""Where an API begins; kept without a slash at the end."""
PublicOrigin = Annotated[str, AfterValidator(_public_origin)]
"""Where Twilio can ring; kept in lower case, without a slash at the end."""
Interface = Annotated[str, AfterValidator(_interface)]
AgentFile = Annotated[Path, AfterValidator(partial(_file, what="an agent document"))]
ScenarioFile = Annotated[Path, AfterValidator(partial(_file, what="a scenario"))]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
LogLevel = Annotated[str, AfterValidator(_log_level)]
PhoneNumber = Annotated[str, AfterValidator(_phone_number)]
Countries = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_countries)]
"""ISO 3166 codes, separated by commas; kept in upper case."""
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
"""Separated by commas; kept in small letters."""
Hours = Annotated[str, AfterValidator(_hours)]
"""As schema.org writes opening hours; ``app/hours.py`` reads them."""
WebhookSecrets = Annotated[Secrets, AfterValidator(_webhook_secrets)]
"""Of Standard Webhooks, separated by commas."""
