"""What the operator sets from outside: the environment and ``.env``, read here and nowhere else.

Every value is checked before a port opens. A missing, malformed or placeholder value is a
SettingsFault whose one sentence names the setting and the fix, and never shows a secret. An
empty value is an absent one, and names this file does not know are somebody else's.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import addresses
from app.setting_values import (
    AccountSid,
    AgentFile,
    BaseUrl,
    Countries,
    DatabaseUrl,
    Hosts,
    Hours,
    Interface,
    KeySid,
    LogLevel,
    PhoneNumber,
    PublicOrigin,
    ScenarioFile,
    Secret,
    Secrets,
    SharedKeys,
    Unusable,
    WebhookSecrets,
)

EXAMPLE_AGENT = Path(__file__).parent / "agents" / "example.yaml"

_SHORTEST_KEY = 16
_SHAPES = {
    "PORT": "a whole number from 0 to 65535",
    "LOCAL_LINE_PORT": "a whole number from 0 to 65535",
    "MAX_CONCURRENT_CALLS": "a whole number from 1 to 10000",
    "MAX_TOTAL_CALLS": "a whole number from 1 to 1000000, or empty",
    "MAX_COST_PER_DAY": "an amount of US dollars from 0.01 to 1000000, or empty",
    "DRAIN_SECONDS": "a whole number of seconds from 0 to 86400",
    "RETENTION_DAYS": "a whole number of days from 1 to 36500, or empty",
    "CALLS_PER_SECOND": "a number from 0.01 to 100",
    "MAX_OUTBOUND_CALLS": "a whole number from 1 to 10000",
    "MCP_SERVER": "true or false",
    "WEBHOOK_LOOPBACK": "true or false",
    "JOBS": "child or none",
    "LOG_FORMAT": '"console" or "json"',
    "REALTIME_DIALECT": "openai, azure, xai, localai or hf-speech-to-speech",
}


class SettingsFault(Exception):
    """The settings do not allow a start; the message is one sentence with the fix."""


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

    openai_api_key: Secret = None
    """Absent: there is no model, and no call is taken."""
    openai_base_url: BaseUrl = "https://api.openai.com/v1"
    """Any server that speaks the same API; without a slash at the end."""
    realtime_dialect: Literal["openai", "azure", "xai", "localai", "hf-speech-to-speech"] = "openai"
    """In what the server there differs from OpenAI's."""

    twilio_account_sid: AccountSid | None = None
    """Absent: Twilio's routes answer 503."""
    twilio_auth_tokens: Secrets = Field(default=(), validation_alias="TWILIO_AUTH_TOKEN")
    """The first one is the primary token; each of them may have signed a webhook."""
    twilio_shared_keys: SharedKeys = ()
    """Keys that may have signed a webhook, found by the id the request names."""
    twilio_api_key: KeySid | None = None
    """With its secret: what REST requests use instead of the auth token."""
    twilio_api_secret: Secret = None
    twilio_api_url: BaseUrl = "https://api.twilio.com"
    """Base of the REST API; without a slash at the end."""

    public_url: PublicOrigin | None = None
    """The origin Twilio sees, without a slash at the end; signatures are checked over it."""
    host: Interface = "0.0.0.0"
    port: int = Field(default=5050, ge=0, le=65535)
    """0 lets the system choose."""

    agent_file: AgentFile = EXAMPLE_AGENT
    agent_reload_s: int = Field(default=5, ge=0, le=60)
    """Seconds from one look at the agent document to the next; 0: it is read at the start alone."""
    database_url: DatabaseUrl = SecretStr("sqlite:///data/patchline.db")
    """SQLite or PostgreSQL; ``python -m app migrate`` makes its tables."""
    api_key: Secret = None
    """Absent: one is generated and printed at the first start."""
    mcp_server: bool = False
    """The telephone is a tool of other programs' models, who have the key: ``/mcp``."""

    dial_countries: Countries = ()
    """Where the agent may call; empty: nowhere."""
    dial_from: PhoneNumber | None = None
    """Whose number is shown, where an order names none."""
    calling_hours: Hours = "Mo-Su 08:00-21:00"
    """By the clock of who is called."""
    calls_per_second: float = Field(default=1.0, ge=0.01, le=100)
    """What the account allows, over all processes."""
    max_outbound_calls: int = Field(default=10, ge=1, le=10_000)
    """Calls the agent placed that are up or ringing, over all processes."""
    webhook_secrets: WebhookSecrets = ()
    """What webhooks are signed with; while one is being replaced, the old and the new."""
    webhook_loopback: bool = False
    """Webhooks may go to this machine, without TLS: for tests."""
    private_hosts: Hosts = ()
    """Where tools may be led although it is a private network, besides what is plainly one."""
    jobs: Literal["child", "none"] = "child"
    """child: ``serve`` starts the process that calls and delivers; none: somebody else does."""

    local_line_port: int = Field(default=5051, ge=0, le=65535)
    """Of the local carrier, where the softphone rings; on loopback only. 0: any."""
    local_scenario: ScenarioFile | None = None
    """What callers say to the local model and what it answers; absent: it follows the agent."""
    stt_base_url: BaseUrl | None = None
    """An OpenAI-compatible server that hears better than the local model."""
    stt_api_key: Secret = None
    stt_model: str = ""
    tts_base_url: BaseUrl | None = None
    """An OpenAI-compatible server that speaks better."""
    tts_api_key: Secret = None
    tts_model: str = ""
    tts_voice: str = ""
    llm_base_url: BaseUrl | None = None
    """An OpenAI-compatible server that thinks better."""
    llm_api_key: Secret = None
    llm_model: str = ""

    max_concurrent_calls: int = Field(default=100, ge=1, le=10_000)
    """Of this process."""
    max_total_calls: int | None = Field(default=None, ge=1, le=1_000_000)
    """Over all processes; None: as many as they take."""
    max_cost_per_day: float | None = Field(default=None, ge=0.01, le=1_000_000)
    """US dollars for the model, over all processes; None: any amount."""
    drain_seconds: int = Field(default=600, ge=0, le=86_400)
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """How long calls are kept after their end; None: for ever."""
    log_level: LogLevel = "info"
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
    def several_processes(self) -> bool:
        """True where others may answer under PUBLIC_URL as well: they share a PostgreSQL."""
        return self.database_url.get_secret_value().lower().startswith("postgres")

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

    @field_validator("*", mode="wrap")
    @classmethod
    def _named(
        cls, value: object, take: Callable[[object], object], info: ValidationInfo
    ) -> object:
        try:
            return take(value)
        except Unusable as fault:
            raise SettingsFault(f"{_name(info)} {fault}") from None

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


def named_secret(name: str, env_file: str | Path = ".env") -> str | None:
    """What ``${name}`` in the agent document stands for: of the environment, or of ``env_file``;
    None where it is in neither, or empty."""
    return os.environ.get(name) or dotenv_values(env_file, encoding="utf-8-sig").get(name) or None


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for one beside it, without its settings, and with ``more``."""
    ours = {name.upper() for name in setting_names()}
    # Settings are read in either case, and a secret in lower case is as secret.
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return kept | dict(more)


_OF_ANY_PROCESS = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR"),
        *("TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "PATHEXT", "USERPROFILE"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
        *("PYTHONWARNINGS", "PYTHONASYNCIODEBUG", "PYTHONFAULTHANDLER"),
        # Of the local model's ears and voices, and of the arithmetic beneath them.
        *("POCKETSPHINX_PATH", "ESPEAK_DATA_PATH"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    }
)
"""What a program needs to run at all. No proxy: companions' clients ask none, and its address
often carries a password."""


def bare_environment(more: Mapping[str, str]) -> dict[str, str]:
    """For a process beside this one that is to know nothing but ``more``.

    Of ours it has where programs, libraries, certificates and temporary files are, language
    and time zone: what else is around a server may be a secret of its tools or its machine.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _OF_ANY_PROCESS or name.startswith("LC_")
    }
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
