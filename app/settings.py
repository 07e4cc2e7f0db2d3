"""What the operator sets from outside: the environment and ``.env``, read here and nowhere else.

Every value is checked before a port opens. A missing, malformed or placeholder value is a
SettingsFault whose one sentence names the setting and the fix, and never shows a secret. An
empty value is an absent one, and names this file does not know are somebody else's.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, quote, urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import addresses

EXAMPLE_AGENT = Path(__file__).parent / "agents" / "example.yaml"

_SHORTEST_KEY = 16
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_SHAPES = {
    "PORT": "a whole number from 0 to 65535",
    "LOCAL_LINE_PORT": "a whole number from 0 to 65535",
    "MAX_CONCURRENT_CALLS": "a whole number from 1 to 10000",
    "DRAIN_SECONDS": "a whole number of seconds from 0 to 86400",
    "LOG_FORMAT": '"console" or "json"',
    "REALTIME_DIALECT": "openai, azure, xai, localai or hf-speech-to-speech",
}
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


class SettingsFault(Exception):
    """The settings do not allow a start; the message is one sentence with the fix."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A secret Twilio may sign webhooks with instead of the auth token."""

    id: str
    secret: SecretStr


class Settings(BaseSettings):
    """All settings, validated. Secrets are SecretStr, so that printing them shows nothing."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        validate_by_name=True,
    )

    openai_api_key: SecretStr | None = None
    """Absent: there is no model, and no call is taken."""
    openai_base_url: str = "https://api.openai.com/v1"
    """Any server that speaks the same API; without a slash at the end."""
    realtime_dialect: Literal["openai", "azure", "xai", "localai", "hf-speech-to-speech"] = "openai"
    """In what the server there differs from OpenAI's."""

    twilio_account_sid: str | None = None
    """Absent: Twilio's routes answer 503."""
    twilio_auth_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), validation_alias="TWILIO_AUTH_TOKEN"
    )
    """The first one is the primary token; each of them may have signed a webhook."""
    twilio_shared_keys: Annotated[tuple[SharedKey, ...], NoDecode] = ()
    """Keys that may have signed a webhook, found by the id the request names."""
    twilio_api_key: str | None = None
    """With its secret: what REST requests use instead of the auth token."""
    twilio_api_secret: SecretStr | None = None
    twilio_api_url: str = "https://api.twilio.com"
    """Base of the REST API; without a slash at the end."""

    public_url: str | None = None
    """The origin Twilio sees, without a slash at the end; signatures are checked over it."""
    host: str = "0.0.0.0"
    port: int = Field(default=5050, ge=0, le=65535)
    """0 lets the system choose."""

    agent_file: Path = EXAMPLE_AGENT
    database_url: SecretStr = SecretStr("sqlite:///data/patchline.db")
    """Checked today, used by a coming release: calls are kept in memory for now."""
    api_key: SecretStr | None = None
    """Absent: one is generated and printed at the first start."""

    local_line_port: int = Field(default=5051, ge=0, le=65535)
    """Of the local carrier, where the softphone rings; on loopback only. 0: any."""
    local_scenario: Path | None = None
    """What callers say to the local model and what it answers; absent: it follows the agent."""
    stt_base_url: str | None = None
    """An OpenAI-compatible server that hears better than the local model."""
    stt_api_key: SecretStr | None = None
    stt_model: str = ""
    tts_base_url: str | None = None
    """An OpenAI-compatible server that speaks better."""
    tts_api_key: SecretStr | None = None
    tts_model: str = ""
    tts_voice: str = ""
    llm_base_url: str | None = None
    """An OpenAI-compatible server that thinks better."""
    llm_api_key: SecretStr | None = None
    llm_model: str = ""

    max_concurrent_calls: int = Field(default=100, ge=1, le=10_000)
    drain_seconds: int = Field(default=600, ge=0, le=86_400)
    log_level: str = "info"
    log_format: Literal["console", "json"] | None = None
    """None: console on a terminal, json elsewhere."""

    @property
    def local_model(self) -> bool:
        """True where no model account is set."""
        return self.openai_api_key is None

    @property
    def local_line(self) -> bool:
        """True where no Twilio account is set."""
        return self.twilio_account_sid is None

    @property
    def rest_credentials(self) -> tuple[str, str]:
        """User and password of Twilio's REST API: an API key where one is set; else empty."""
        if self.twilio_api_key is not None and self.twilio_api_secret is not None:
            return self.twilio_api_key, self.twilio_api_secret.get_secret_value()
        if self.twilio_account_sid is None:
            return "", ""
        return self.twilio_account_sid, self.twilio_auth_tokens[0].get_secret_value()

    @property
    def is_azure(self) -> bool:
        """True where the model is served by Azure, which wants an ``api-key`` header as well."""
        return self.dialect == "azure"

    @property
    def dialect(self) -> str:
        """What the server speaks: Azure is known by its host where nothing else is said."""
        here = self.realtime_dialect
        if here == "openai" and addresses.on_azure(urlsplit(self.openai_base_url)):
            return "azure"
        return here

    def realtime_url(self, model: str) -> str:
        """The address of a Realtime socket for ``model`` (on Azure: the deployment's name)."""
        scheme, _, rest = self.openai_base_url.partition("://")
        socket = "wss" if scheme == "https" else "ws"
        return f"{socket}://{rest}/realtime?model={quote(model, safe='')}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What allows a start and is probably not meant, a sentence each with its fix."""
        return tuple(sentence for doubtful, sentence in self._doubts() if doubtful)

    def _doubts(self) -> Iterator[tuple[bool, str]]:
        model, carrier = urlsplit(self.openai_base_url), urlsplit(self.twilio_api_url)
        origin = urlsplit(self.public_url or "")
        yield (
            model.path == "",
            "OPENAI_BASE_URL has no path: most servers want /v1 at its end.",
        )
        yield (
            addresses.in_clear(model) or addresses.in_clear(carrier),
            f"{'OPENAI_BASE_URL' if addresses.in_clear(model) else 'TWILIO_API_URL'} is not https:"
            " keys and words cross the network for all to read; write https://.",
        )
        yield (
            not self.local_line
            and addresses.is_loopback(origin.hostname or "")
            and not addresses.is_loopback(carrier.hostname or ""),
            "PUBLIC_URL is this machine alone, where Twilio cannot ring: set the https address"
            " of your tunnel or server.",
        )
        yield (
            self.api_key is not None and len(self.api_key.get_secret_value()) < _SHORTEST_KEY,
            f"API_KEY has less than {_SHORTEST_KEY} characters and can be guessed:"
            " leave it empty to have one drawn.",
        )

    @field_validator(
        "openai_api_key",
        "twilio_api_secret",
        "api_key",
        "stt_api_key",
        "tts_api_key",
        "llm_api_key",
        mode="before",
    )
    @classmethod
    def _one_secret(cls, value: object, info: ValidationInfo) -> object:
        return _secret(_name(info), value) if isinstance(value, str) else value

    @field_validator("twilio_auth_tokens", mode="before")
    @classmethod
    def _several_secrets(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        return tuple(_secret(_name(info), part) for part in _parts(value))

    @field_validator("twilio_shared_keys", mode="before")
    @classmethod
    def _pairs(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        return tuple(_shared_key(_name(info), part) for part in _parts(value))

    @field_validator("twilio_account_sid", "twilio_api_key")
    @classmethod
    def _sid(cls, value: str | None, info: ValidationInfo) -> str | None:
        prefix = "SK" if info.field_name == "twilio_api_key" else "AC"
        if value is not None and not _SID[prefix].fullmatch(value):
            raise SettingsFault(
                f"{_name(info)} must be {prefix} followed by 32 hexadecimal digits:"
                " copy it from the Twilio console."
            )
        return value

    @field_validator(
        "openai_base_url", "twilio_api_url", "stt_base_url", "tts_base_url", "llm_base_url"
    )
    @classmethod
    def _base(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = _address(_name(info), value)
        if fault := addresses.fault_of_base(parts):
            raise SettingsFault(f"{_name(info)} {fault}")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else _public_origin(_name(info), value)

    @field_validator("host")
    @classmethod
    def _interface(cls, value: str) -> str:
        if re.search(r"[\s/@\[\]]", value) or value.count(":") == 1:
            raise SettingsFault(
                'HOST must be an address to listen on, such as "0.0.0.0":'
                " remove scheme and brackets, and put the port into PORT."
            )
        return value

    @field_validator("agent_file", "local_scenario")
    @classmethod
    def _exists(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not value.is_file():
            what = "an agent document" if info.field_name == "agent_file" else "a scenario"
            raise SettingsFault(
                f'{_name(info)} names "{value}", which is not a file: set the path of {what}.'
            )
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        if not re.match(r"(sqlite|postgresql)(\+\w+)?://\S+$", value.get_secret_value()):
            raise SettingsFault(
                "DATABASE_URL must be an SQLAlchemy URL that begins with sqlite:// or"
                ' postgresql://, such as "sqlite:///data/patchline.db".'
            )
        return value

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in _LOG_LEVELS:
            raise SettingsFault(f"LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}.")
        return value.lower()

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        for name, value, needed, there in self._needs():
            if value and not there:
                raise SettingsFault(f"{needed} is missing: set it as well, or remove {name}.")
        if self.twilio_account_sid and not self.public_url:
            raise SettingsFault(
                "PUBLIC_URL is missing: with Twilio credentials, set the https address"
                " under which Twilio reaches this server."
            )
        return self

    def _needs(self) -> Iterator[tuple[str, object, str, object]]:
        """A setting, its value, the setting it is of no use without, and that one's value."""
        account, tokens = self.twilio_account_sid, self.twilio_auth_tokens
        key, secret = self.twilio_api_key, self.twilio_api_secret
        other = self.realtime_dialect != "openai"
        yield "REALTIME_DIALECT", other, "OPENAI_API_KEY", self.openai_api_key
        yield "TWILIO_ACCOUNT_SID", account, "TWILIO_AUTH_TOKEN", tokens
        yield "TWILIO_AUTH_TOKEN", tokens, "TWILIO_ACCOUNT_SID", account
        yield "TWILIO_SHARED_KEYS", self.twilio_shared_keys, "TWILIO_ACCOUNT_SID", account
        yield "TWILIO_API_KEY", key, "TWILIO_API_SECRET", secret
        yield "TWILIO_API_SECRET", secret, "TWILIO_API_KEY", key
        yield "TWILIO_API_KEY", key, "TWILIO_ACCOUNT_SID", account


def load_settings(env_file: str | Path | None = ".env") -> Settings:
    """Read the environment over ``env_file``, which need not exist (None: no file at all).

    Raises SettingsFault, with the first thing to mend, when the values do not allow a start.
    """
    _check_lines(env_file)
    source: dict[str, Any] = {"_env_file": env_file, "_env_file_encoding": "utf-8-sig"}
    try:
        return Settings(**source)
    except ValidationError as fault:
        # Not chained: a traceback is no place for what somebody typed into a secret.
        first = fault.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]).upper()
        raise SettingsFault(f"{name} must be {_SHAPES.get(name, 'text')}.") from None


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for one beside it, without its settings, and with ``more``."""
    ours = {name.upper() for name in setting_names()}
    # Settings are read in either case, and a secret in lower case is as secret.
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return kept | dict(more)


def setting_names() -> tuple[str, ...]:
    """Every setting as it is written in ``.env``, in the order of the class."""
    return tuple(
        str(field.validation_alias or name.upper()) for name, field in Settings.model_fields.items()
    )


def _check_lines(env_file: str | Path | None) -> None:
    """Refuse a file that dotenv would read only in part, with a warning nobody sees."""
    if env_file is None or not Path(env_file).is_file():
        return
    try:
        with Path(env_file).open(encoding="utf-8-sig") as lines:
            bad = next((one.original.line for one in parse_stream(lines) if one.error), None)
    except UnicodeDecodeError:
        raise SettingsFault(f"{env_file} is not UTF-8 text: save it as UTF-8.") from None
    if bad is not None:
        raise SettingsFault(f"{env_file} line {bad} cannot be read: write NAME=value.")


def _name(info: ValidationInfo) -> str:
    """The setting under validation, as the operator writes it."""
    field = info.field_name or ""
    return str(Settings.model_fields[field].validation_alias or field.upper())


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _secret(name: str, value: str) -> SecretStr | None:
    """``value`` as a secret that can travel in a header; None where it is blank."""
    value = value.strip()
    if not value:
        return None
    if _PLACEHOLDER.search(value):
        raise SettingsFault(
            f"{name} is still a placeholder: put the real value, or leave it empty."
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise SettingsFault(
            f"{name} contains a space or a character no key has: copy it again, without quotes."
        )
    return SecretStr(value)


def _shared_key(name: str, value: str) -> SharedKey:
    key_id, separator, text = value.partition(":")
    secret = _secret(name, text)
    if not separator or not key_id.strip() or secret is None:
        raise SettingsFault(f"{name} must be pairs of id:secret, separated by commas.")
    return SharedKey(key_id.strip(), secret)


def _address(name: str, value: str) -> SplitResult:
    """``value`` taken apart, when it is an absolute http or https URL of a real place."""
    fault = SettingsFault(
        f'{name} must be a URL such as "https://host" without user, query or fragment.'
    )
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise fault from None
    if _PLACEHOLDER.search(value) or _PLACEHOLDER_HOST.search(parts.hostname or ""):
        raise SettingsFault(f"{name} is still a placeholder: put the real address.")
    clean = re.fullmatch(r"[!-~]+", value) and not re.search(r"[@?#\\]", value)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not clean:
        raise fault
    return parts


def _public_origin(name: str, value: str) -> str:
    parts = _address(name, value)
    host = parts.hostname or ""
    if parts.path not in ("", "/"):
        raise SettingsFault(f'{name} must be an origin: remove "{parts.path}" from its end.')
    if parts.scheme == "http" and not addresses.is_loopback(host):
        raise SettingsFault(f"{name} must begin with https://: Twilio sends calls to nothing else.")
    if parts.scheme == "https" and not addresses.is_public(host):
        raise SettingsFault(
            f'{name} names "{host}", where Twilio cannot ring: set the address of your tunnel or'
            " server, or http://127.0.0.1 with its port for the local Twilio."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"
