"""What an operator may type into the environment, and what the start says when it is wrong."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.services.store.database import database_url
from app.settings import (
    EXAMPLE_AGENT,
    Settings,
    SettingsFault,
    environment,
    load_settings,
    setting_names,
)

ROOT = Path(__file__).parents[1]
SID = "AC" + "0123456789abcdef" * 2
REST_KEY = "SK" + "0123456789abcdef" * 2
TWILIO = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "f00dfeed" * 4,
    "PUBLIC_URL": "https://phone.contoso.test",
}


def sentence_or_none() -> str | None:
    try:
        load_settings(None)
    except SettingsFault as fault:
        return str(fault)
    return None


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests may leak into them."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


def settings_of(folder: Path, **values: str) -> Settings:
    env_file = folder / ".env"
    env_file.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))
    return load_settings(env_file)


def fault_of(folder: Path, **values: str) -> str:
    with pytest.raises(SettingsFault) as caught:
        settings_of(folder, **values)
    return str(caught.value)


def test_nothing_set_is_the_local_line_with_the_local_model() -> None:
    """A newcomer has no account and must still hear a conversation."""
    settings = load_settings(None)

    assert settings.local_model
    assert settings.local_line
    assert (settings.host, settings.port) == ("0.0.0.0", 5050)
    assert settings.agent_file == EXAMPLE_AGENT
    assert (settings.max_concurrent_calls, settings.drain_seconds) == (100, 600)
    assert settings.retention_days is None
    assert settings.max_total_calls is None
    assert (settings.log_level, settings.log_format) == ("info", None)


def test_a_missing_env_file_is_no_fault(tmp_path: Path) -> None:
    """Containers set the environment and ship no file."""
    assert load_settings(tmp_path / "absent").local_line


def test_everything_set_is_read(tmp_path: Path) -> None:
    """Every documented name must reach its attribute."""
    settings = settings_of(
        tmp_path,
        **TWILIO | {"TWILIO_AUTH_TOKEN": "first1, second2"},
        OPENAI_API_KEY="sk-proj-Ab3dE",
        OPENAI_BASE_URL="http://127.0.0.1:8765/v1/",
        TWILIO_SHARED_KEYS="WK1:one:1,WK2:two",
        TWILIO_API_KEY=REST_KEY,
        TWILIO_API_SECRET="s3cr3t",
        TWILIO_API_URL="http://127.0.0.1:4010/",
        HOST="127.0.0.1",
        PORT="0",
        AGENT_FILE=str(EXAMPLE_AGENT),
        DATABASE_URL="postgresql+psycopg://u:p@db/patchline",
        API_KEY="operators-key",
        MAX_CONCURRENT_CALLS="7",
        DRAIN_SECONDS="0",
        RETENTION_DAYS="30",
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="json",
    )

    assert not settings.local_line
    assert not settings.local_model
    assert [one.get_secret_value() for one in settings.twilio_auth_tokens] == ["first1", "second2"]
    assert [(one.id, one.secret.get_secret_value()) for one in settings.twilio_shared_keys] == [
        ("WK1", "one:1"),
        ("WK2", "two"),
    ]
    assert settings.twilio_api_key == REST_KEY
    assert settings.twilio_api_secret == SecretStr("s3cr3t")
    assert settings.twilio_api_url == "http://127.0.0.1:4010"
    assert settings.openai_base_url == "http://127.0.0.1:8765/v1"
    assert (settings.host, settings.port) == ("127.0.0.1", 0)
    assert settings.api_key == SecretStr("operators-key")
    assert (settings.max_concurrent_calls, settings.drain_seconds) == (7, 0)
    assert settings.retention_days == 30
    assert (settings.log_level, settings.log_format) == ("debug", "json")


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a supervisor sets must not be undone by a forgotten file."""
    monkeypatch.setenv("PORT", "6000")

    assert settings_of(tmp_path, PORT="7000").port == 6000


def test_an_empty_value_is_an_absent_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied .env.example with nothing filled in must start."""
    monkeypatch.setenv("OPENAI_API_KEY", "")

    settings = settings_of(tmp_path, TWILIO_AUTH_TOKEN="", PORT="", TWILIO_SHARED_KEYS=" , ")

    assert settings.local_model
    assert settings.local_line
    assert settings.port == 5050


def test_unknown_names_are_somebody_elses(tmp_path: Path) -> None:
    """One .env often serves several programs."""
    assert settings_of(tmp_path, POSTGRES_PASSWORD="x").local_line


def test_secrets_do_not_show_when_printed(tmp_path: Path) -> None:
    """A settings object ends up in a log sooner or later."""
    settings = settings_of(
        tmp_path, **TWILIO, TWILIO_SHARED_KEYS="WK1:hush", OPENAI_API_KEY="sk-hush"
    )

    assert "hush" not in repr(settings)
    assert TWILIO["TWILIO_AUTH_TOKEN"] not in repr(settings)


@pytest.mark.parametrize(
    ("base", "url", "azure"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=a%2Fb%20c", False),
        ("http://127.0.0.1:8765/v1/", "ws://127.0.0.1:8765/v1/realtime?model=a%2Fb%20c", False),
        (
            "https://contoso.openai.azure.com/openai/v1/",
            "wss://contoso.openai.azure.com/openai/v1/realtime?model=a%2Fb%20c",
            True,
        ),
        (
            "https://azure.com.evil.test/v1",
            "wss://azure.com.evil.test/v1/realtime?model=a%2Fb%20c",
            False,
        ),
    ],
)
def test_the_realtime_socket_is_under_the_base_url(
    tmp_path: Path, base: str, url: str, azure: bool
) -> None:
    """The same build must talk to OpenAI, to Azure and to the local model; a model's name is
    no way to change the address."""
    settings = settings_of(tmp_path, OPENAI_BASE_URL=base)

    assert settings.realtime_url("a/b c") == url
    assert settings.is_azure is azure


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://Phone.Contoso.test/", "https://phone.contoso.test"),
        ("https://phone.contoso.test:8443", "https://phone.contoso.test:8443"),
        ("http://localhost:5050", "http://localhost:5050"),
        ("http://127.0.0.1:5050/", "http://127.0.0.1:5050"),
        ("http://[::1]:5050", "http://[::1]:5050"),
        ("https://a1b2c3.ngrok-free.app", "https://a1b2c3.ngrok-free.app"),
    ],
)
def test_public_url_is_kept_as_an_origin(tmp_path: Path, written: str, origin: str) -> None:
    """Signatures are computed over this string: a slash too many refuses every call."""
    assert settings_of(tmp_path, PUBLIC_URL=written).public_url == origin


PUBLIC_SHAPE = 'PUBLIC_URL must be a URL such as "https://host" without user, query or fragment.'
PUBLIC_PLACEHOLDER = "PUBLIC_URL is still a placeholder: put the real address."
OPENAI_BASE = 'OPENAI_BASE_URL must be "https://api.openai.com/v1" on api.openai.com.'


def unreachable(host: str) -> str:
    return (
        f'PUBLIC_URL names "{host}", where Twilio cannot ring: set the address of your tunnel or'
        " server, or http://127.0.0.1 with its port for the local Twilio."
    )


SID_SHAPE = (
    "TWILIO_ACCOUNT_SID must be AC followed by 32 hexadecimal digits:"
    " copy it from the Twilio console."
)
HOST_SHAPE = (
    'HOST must be an address to listen on, such as "0.0.0.0":'
    " remove scheme and brackets, and put the port into PORT."
)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PUBLIC_URL", "phone.contoso.test", PUBLIC_SHAPE),
        ("PUBLIC_URL", "ftp://phone.contoso.test", PUBLIC_SHAPE),
        ("PUBLIC_URL", "wss://phone.contoso.test", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://a:b@phone.contoso.test", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://phone.contoso.test?x=1", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://phone.contoso.test/#x", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://phone.contoso.test:99999", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://[::1", PUBLIC_SHAPE),
        ("PUBLIC_URL", "https://phone contoso.test", PUBLIC_SHAPE),
        (
            "PUBLIC_URL",
            "https://phone.contoso.test/prefix",
            'PUBLIC_URL must be an origin: remove "/prefix" from its end.',
        ),
        (
            "PUBLIC_URL",
            "http://phone.contoso.test",
            "PUBLIC_URL must begin with https://: Twilio sends calls to nothing else.",
        ),
        ("PUBLIC_URL", "https://localhost", unreachable("localhost")),
        ("PUBLIC_URL", "https://127.0.0.1:5050", unreachable("127.0.0.1")),
        ("PUBLIC_URL", "https://[::1]", unreachable("::1")),
        ("PUBLIC_URL", "https://192.168.1.20", unreachable("192.168.1.20")),
        ("PUBLIC_URL", "https://patchline", unreachable("patchline")),
        ("PUBLIC_URL", "https://desk.local", unreachable("desk.local")),
        ("PUBLIC_URL", "https://example.ngrok.app", PUBLIC_PLACEHOLDER),
        ("PUBLIC_URL", "https://xxxx.ngrok-free.app", PUBLIC_PLACEHOLDER),
        ("PUBLIC_URL", "https://yourdomain.com", PUBLIC_PLACEHOLDER),
        ("PUBLIC_URL", "https://phone.example.com", PUBLIC_PLACEHOLDER),
        ("PUBLIC_URL", "https://<your-domain>", PUBLIC_PLACEHOLDER),
        ("TWILIO_ACCOUNT_SID", "ACxxxx", SID_SHAPE),
        ("TWILIO_ACCOUNT_SID", SID[:-1], SID_SHAPE),
        ("TWILIO_ACCOUNT_SID", SID + "0", SID_SHAPE),
        (
            "TWILIO_API_KEY",
            SID,
            "TWILIO_API_KEY must be SK followed by 32 hexadecimal digits:"
            " copy it from the Twilio console.",
        ),
        (
            "TWILIO_SHARED_KEYS",
            "WK1",
            "TWILIO_SHARED_KEYS must be pairs of id:secret, separated by commas.",
        ),
        (
            "TWILIO_SHARED_KEYS",
            ":hush",
            "TWILIO_SHARED_KEYS must be pairs of id:secret, separated by commas.",
        ),
        (
            "OPENAI_API_KEY",
            "sk-abc def",
            "OPENAI_API_KEY contains a space or a character no key has:"
            " copy it again, without quotes.",
        ),
        (
            "OPENAI_BASE_URL",
            "api.openai.com/v1",
            'OPENAI_BASE_URL must be a URL such as "https://host" without user, query or fragment.',
        ),
        (
            "OPENAI_BASE_URL",
            "https://contoso.openai.azure.com/openai",
            "OPENAI_BASE_URL must end in /openai/v1 on Azure:"
            " the addresses of its dated previews are not supported.",
        ),
        (
            "OPENAI_BASE_URL",
            "https://your-resource.openai.azure.com/openai/v1",
            "OPENAI_BASE_URL is still a placeholder: put the real address.",
        ),
        ("OPENAI_BASE_URL", "https://api.openai.com", OPENAI_BASE),
        ("OPENAI_BASE_URL", "http://api.openai.com/v1", OPENAI_BASE),
        ("OPENAI_BASE_URL", "https://api.openai.com/v1/chat", OPENAI_BASE),
        (
            "OPENAI_BASE_URL",
            "https://eu.api.openai.com/",
            'OPENAI_BASE_URL must be "https://eu.api.openai.com/v1" on api.openai.com.',
        ),
        (
            "OPENAI_BASE_URL",
            "https://models.contoso.test/v1/realtime",
            'OPENAI_BASE_URL must be the base of the API: remove "/realtime" from its end.',
        ),
        (
            "TWILIO_API_URL",
            "https://api.twilio.com/2010-04-01",
            'TWILIO_API_URL must be "https://api.twilio.com" on twilio.com.',
        ),
        ("HOST", "http://0.0.0.0", HOST_SHAPE),
        ("HOST", "0.0.0.0:5050", HOST_SHAPE),
        ("HOST", "[::1]", HOST_SHAPE),
        ("PORT", "http", "PORT must be a whole number from 0 to 65535."),
        ("PORT", "65536", "PORT must be a whole number from 0 to 65535."),
        ("PORT", "50.5", "PORT must be a whole number from 0 to 65535."),
        (
            "MAX_CONCURRENT_CALLS",
            "0",
            "MAX_CONCURRENT_CALLS must be a whole number from 1 to 10000.",
        ),
        ("DRAIN_SECONDS", "-1", "DRAIN_SECONDS must be a whole number of seconds from 0 to 86400."),
        (
            "RETENTION_DAYS",
            "0",
            "RETENTION_DAYS must be a whole number of days from 1 to 36500, or empty.",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of debug, info, warning, error, critical."),
        ("LOG_FORMAT", "xml", 'LOG_FORMAT must be "console" or "json".'),
        (
            "AGENT_FILE",
            "no/such.yaml",
            'AGENT_FILE names "no/such.yaml", which is not a file:'
            " set the path of an agent document.",
        ),
        (
            "DATABASE_URL",
            "postgres://db",
            'DATABASE_URL must be "sqlite:///" and the path of a file, or'
            ' "postgresql://user:password@host:5432/name" (in the password, write @ as %40,'
            " / as %2F, : as %3A).",
        ),
    ],
)
def test_a_malformed_value_is_one_sentence_with_the_fix(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    """The operator reads this sentence on a terminal and must know what to do."""
    assert fault_of(tmp_path, **{name: value}) == sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-..."),
        ("OPENAI_API_KEY", "sk-xxxx"),
        ("OPENAI_API_KEY", "sk-proj-xxxxxxxxxxxx"),
        ("OPENAI_API_KEY", "your-key"),
        ("OPENAI_API_KEY", "your_openai_api_key_here"),
        ("OPENAI_API_KEY", "sk-your-key"),
        ("OPENAI_API_KEY", "<key>"),
        ("TWILIO_AUTH_TOKEN", "changeme"),
        ("TWILIO_AUTH_TOKEN", "********"),
        ("TWILIO_AUTH_TOKEN", "f00dfeed,change-me"),
        ("TWILIO_SHARED_KEYS", "WK1:secret"),
        ("TWILIO_API_SECRET", "REPLACE_ME"),
        ("API_KEY", "placeholder"),
        ("API_KEY", "TODO"),
    ],
)
def test_a_placeholder_is_recognised(tmp_path: Path, name: str, value: str) -> None:
    """The commonest first mistake; unnoticed, it becomes a 401 in the middle of a call."""
    sentence = f"{name} is still a placeholder: put the real value, or leave it empty."

    assert fault_of(tmp_path, **{name: value}) == sentence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "f00d"},
            "PUBLIC_URL is missing: with Twilio credentials, set the https address"
            " under which Twilio reaches this server.",
        ),
        (
            {"TWILIO_ACCOUNT_SID": SID},
            "TWILIO_AUTH_TOKEN is missing: set it as well, or remove TWILIO_ACCOUNT_SID.",
        ),
        (
            {"TWILIO_AUTH_TOKEN": "f00d"},
            "TWILIO_ACCOUNT_SID is missing: set it as well, or remove TWILIO_AUTH_TOKEN.",
        ),
        (
            {"TWILIO_SHARED_KEYS": "WK1:hush"},
            "TWILIO_ACCOUNT_SID is missing: set it as well, or remove TWILIO_SHARED_KEYS.",
        ),
        (
            TWILIO | {"TWILIO_API_KEY": REST_KEY},
            "TWILIO_API_SECRET is missing: set it as well, or remove TWILIO_API_KEY.",
        ),
        (
            TWILIO | {"TWILIO_API_SECRET": "hush"},
            "TWILIO_API_KEY is missing: set it as well, or remove TWILIO_API_SECRET.",
        ),
        (
            {"TWILIO_API_KEY": REST_KEY, "TWILIO_API_SECRET": "hush"},
            "TWILIO_ACCOUNT_SID is missing: set it as well, or remove TWILIO_API_KEY.",
        ),
    ],
)
def test_settings_that_need_each_other_say_so(
    tmp_path: Path, values: dict[str, str], sentence: str
) -> None:
    """Half an account would fail at the first call instead of at the start."""
    assert fault_of(tmp_path, **values) == sentence


def test_a_line_that_is_no_setting_stops_the_start(tmp_path: Path) -> None:
    """dotenv skips such a line with a warning, and the setting would silently be absent."""
    env_file = tmp_path / ".env"
    env_file.write_text('PORT=6000\nOPENAI_API_KEY="sk-abc\n')

    with pytest.raises(SettingsFault, match=r"line 2 cannot be read: write NAME=value\.$"):
        load_settings(env_file)


def test_a_file_in_another_encoding_stops_the_start(tmp_path: Path) -> None:
    """Notepad's UTF-16 must not become an UnicodeDecodeError."""
    env_file = tmp_path / ".env"
    env_file.write_bytes("PORT=6000".encode("utf-16"))

    with pytest.raises(SettingsFault, match=r"is not UTF-8 text: save it as UTF-8\.$"):
        load_settings(env_file)


def test_a_byte_order_mark_does_not_hide_the_first_setting(tmp_path: Path) -> None:
    """Windows editors write one."""
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"\xef\xbb\xbfPORT=6000\r\nHOST=::1\r\n")

    settings = load_settings(env_file)

    assert (settings.port, settings.host) == (6000, "::1")


@given(
    name=st.sampled_from(setting_names()),
    value=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
)
def test_whatever_is_typed_is_taken_or_refused_in_one_sentence(name: str, value: str) -> None:
    """A traceback at the start is a sentence nobody wrote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        sentence = sentence_or_none()

    assert sentence is None or re.fullmatch(r"[A-Z_]+ .*\.", sentence, re.DOTALL)


def test_a_secret_is_never_in_the_fault(tmp_path: Path) -> None:
    """The sentence goes to logs and tickets."""
    sentence = fault_of(tmp_path, OPENAI_API_KEY="sk-hush hush")

    assert "hush" not in sentence


def test_the_example_file_lists_every_setting_and_no_other() -> None:
    """An undocumented setting is unusable, a documented one that does nothing is worse."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    written = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]

    assert tuple(written) == setting_names()


def test_the_example_file_starts_as_it_is() -> None:
    """Copying it is the first thing people do."""
    assert load_settings(ROOT / ".env.example") == load_settings(None)


def test_every_setting_of_the_example_file_has_its_comment() -> None:
    """A name alone does not say what happens when it is left empty."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    for above, line in pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert above.startswith("# "), line


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"OPENAI_BASE_URL": "https://models.contoso.test"}, "OPENAI_BASE_URL has no path"),
        ({"OPENAI_BASE_URL": "http://models.contoso.test/v1"}, "OPENAI_BASE_URL is not https"),
        ({"TWILIO_API_URL": "http://twilio.contoso.test"}, "TWILIO_API_URL is not https"),
        (TWILIO | {"PUBLIC_URL": "http://localhost:5050"}, "PUBLIC_URL is this machine alone"),
        ({"API_KEY": "abc"}, "API_KEY has less than 16 characters"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning_with_the_fix(
    tmp_path: Path, values: dict[str, str], word: str
) -> None:
    """Somebody may mean it, so the start goes on; the others must not have to find out."""
    (warning,) = settings_of(tmp_path, **values).warnings

    assert warning.startswith(word)
    assert ":" in warning


@pytest.mark.parametrize(
    "values",
    [
        {},
        TWILIO,
        TWILIO
        | {
            "PUBLIC_URL": "http://127.0.0.1:5050",
            "TWILIO_API_URL": "http://127.0.0.1:4010",
            "OPENAI_BASE_URL": "http://localhost:8765/v1",
        },
        {"OPENAI_BASE_URL": "https://contoso.openai.azure.com/openai/v1"},
        {"TWILIO_API_URL": "https://api.dublin.ie1.twilio.com/"},
    ],
)
def test_what_is_meant_is_started_without_a_warning(tmp_path: Path, values: dict[str, str]) -> None:
    """A warning at every start is read by nobody; the emulators live on this machine."""
    assert settings_of(tmp_path, **values).warnings == ()


@pytest.mark.parametrize(
    ("base", "dialect", "spoken"),
    [
        ("https://api.openai.com/v1", "", "openai"),
        ("https://contoso.openai.azure.com/openai/v1", "", "azure"),
        ("https://gateway.contoso.test/openai/v1", "azure", "azure"),
        ("http://localhost:8080/v1", "localai", "localai"),
    ],
)
def test_azure_is_known_by_its_host_and_others_by_name(
    tmp_path: Path, base: str, dialect: str, spoken: str
) -> None:
    """Who follows Azure's instructions must not have to know of dialects."""
    settings = settings_of(
        tmp_path, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=base, REALTIME_DIALECT=dialect
    )

    assert settings.dialect == spoken
    assert settings.is_azure is (spoken == "azure")


def test_a_dialect_nobody_speaks_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """A typing mistake would otherwise be static on the telephone."""
    fault = fault_of(tmp_path, OPENAI_API_KEY="sk-1", REALTIME_DIALECT="grok")

    assert fault == ("REALTIME_DIALECT must be openai, azure, xai, localai or hf-speech-to-speech.")


def test_a_dialect_without_a_model_to_speak_it_is_refused(tmp_path: Path) -> None:
    """The local model, which would answer then, speaks strict GA."""
    fault = fault_of(tmp_path, REALTIME_DIALECT="localai")

    assert fault.startswith("OPENAI_API_KEY is missing")


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "openai_api_key", "OpenAI_Api_Key"])
def test_a_setting_in_any_case_stays_with_this_process(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is read in any case, so in any case it is a secret that no companion needs."""
    monkeypatch.setenv(name, "sk-mine")

    assert environment({"PHONE_TICKET": "t"}).get(name) is None
    assert environment({"OPENAI_API_KEY": "own"})["OPENAI_API_KEY"] == "own"


@pytest.mark.parametrize(
    "value",
    [
        "sqlite:///data/patchline.db",
        "sqlite:////var/lib/patchline.db",
        "postgres://u:p@h/db",
        "postgresql://u:p%40@h:5433/db?sslmode=require",
        "postgresql+psycopg://h/db",
        "postgresql:///db?host=/var/run/postgresql",
    ],
)
def test_the_address_of_a_database_is_taken_as_hosters_write_it(value: str) -> None:
    """What is taken here can be opened by the store."""
    settings = Settings(database_url=SecretStr(value), _env_file=None)

    assert settings.database_url.get_secret_value() == value
    assert database_url(value).database
    assert settings.several_processes == value.startswith("postgres")


@pytest.mark.parametrize(
    "value",
    [
        "data/patchline.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "mysql://u:geheim@h/db",
        "postgres://u:geheim@h",
        "postgres://u:geheim@h/",
        "postgres://u:geheim@h:port/db",
        "postgres://u:ge/heim@h/db",
        "postgres://u:p@h/d b",
    ],
)
def test_no_other_address_is_taken_nor_shown(tmp_path: Path, value: str) -> None:
    """Half an address would be found out when the first call comes."""
    sentence = fault_of(tmp_path, DATABASE_URL=value)

    assert sentence.startswith('DATABASE_URL must be "sqlite:///" and the path')
    assert "heim" not in sentence
