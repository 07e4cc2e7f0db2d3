"""What takes the place of an account that is not set: the local model, the local carrier.

The server behind them is the one that takes real calls: it gets an account, a token and a key
drawn for this run, checks signatures and tokens as ever, and does not know that the company
at the other end is a process beside it.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.companions import Companion, CompanionFault, Programme
from app.http.pages import PhoneSetup, Rung
from app.settings import Settings, bare_environment, environment

PUBLIC_URL = "https://patchline.localhost"
"""What is signed between the local carrier and the server; nobody resolves it."""
MODEL = "app.local"
CARRIER = ("app.emulators", "carrier")
_ANYWHERE = frozenset({"0.0.0.0", "::", ""})
_HOSTED = {
    "hears": "OPENAI_API_KEY for a model that understands everything.",
    "thinks": "OPENAI_API_KEY for a model that thinks.",
    "speaks": "OPENAI_API_KEY for a natural voice.",
}


@dataclass(frozen=True, slots=True)
class StandIns:
    """The settings with which the server is started, and the telephone on the page."""

    settings: Settings
    phone: Callable[[], PhoneSetup | None]


@contextlib.contextmanager
def stand_in(settings: Settings) -> Iterator[StandIns]:
    """Start what is missing for as long as the block lasts. Raises ``CompanionFault``."""
    if settings.local_line and not settings.port:
        raise CompanionFault("PORT is 0: the local line has to know it, so set one.")
    with contextlib.ExitStack() as open_:
        rungs: Callable[[], tuple[Rung, ...]] = partial(_hosted, settings)
        account, key = _Account.drawn(), secrets.token_urlsafe(24)
        model, carrier = Companion(_model(settings, key)), Companion(_carrier(settings, account))
        for companion, wanted in ((model, settings.local_model), (carrier, settings.local_line)):
            if wanted:  # both at once: each takes a second
                companion.begin()
        if settings.local_model:
            open_.enter_context(model)
            asked = settings
            rungs = lambda: _rungs(model.newest, asked)  # noqa: E731 - as it is by then
            settings = settings.model_copy(
                update={
                    "openai_api_key": SecretStr(key),
                    "openai_base_url": f"http://127.0.0.1:{model.ready['port']}/v1",
                }
            )
        if not settings.local_line:
            yield StandIns(settings, lambda: None)
            return
        open_.enter_context(carrier)
        line = f"ws://localhost:{carrier.ready['port']}/phone"
        yield StandIns(
            _with_account(settings, account, carrier.ready),
            lambda: PhoneSetup(line, account.ticket, (*rungs(), _CARRIER)),
        )


_CARRIER_SENTENCE = (
    "Calls go over a carrier on this machine: the caller's page dials, and the person's rings when"
    " the agent puts a caller through."
)
_REAL_CALLS = "Set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and PUBLIC_URL to be rung by anybody."
_CARRIER = Rung("carrier", "local carrier", _CARRIER_SENTENCE, _REAL_CALLS)


@dataclass(frozen=True, slots=True)
class _Account:
    sid: str
    token: str
    ticket: str

    @classmethod
    def drawn(cls) -> "_Account":
        return cls(f"AC{secrets.token_hex(16)}", secrets.token_hex(16), secrets.token_urlsafe(32))


def _with_account(settings: Settings, account: _Account, ready: Mapping[str, Any]) -> Settings:
    return settings.model_copy(
        update={
            "twilio_account_sid": account.sid,
            "twilio_auth_tokens": (SecretStr(account.token),),
            "twilio_api_url": ready["api"],
            "public_url": PUBLIC_URL,
        }
    )


def _carrier(settings: Settings, account: _Account) -> Programme:
    host = "127.0.0.1" if settings.host in _ANYWHERE else settings.host
    address = f"[{host}]" if ":" in host else host
    return Programme(
        "carrier",
        (
            *CARRIER,
            *("--server", f"http://{address}:{settings.port}"),
            *("--port", str(settings.local_line_port)),
        ),
        bare_environment(
            {
                "PUBLIC_URL": PUBLIC_URL,
                "TWILIO_ACCOUNT_SID": account.sid,
                "TWILIO_AUTH_TOKEN": account.token,
                "PHONE_TICKET": account.ticket,
            }
        ),
    )


def local_environment(settings: Settings) -> dict[str, str]:
    """For a server that is set as this one, but has a line and a port of its own."""
    own = {
        name.upper(): _written(getattr(settings, name))
        for name in Settings.model_fields
        if not name.startswith("twilio_") and name not in _OF_ONE_SERVER
    }
    return environment(own)


_OF_ONE_SERVER = frozenset({"public_url", "host", "port", "local_line_port", "database_url"})


def _written(value: object) -> str:
    """A setting as it is written in an environment; empty where it is absent."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, tuple):
        return ",".join(_written(one) for one in value)
    return "" if value is None else str(value)


def _model(settings: Settings, key: str) -> Programme:
    own = {
        "LOCAL_MODEL_KEY": key,
        "LOCAL_SCENARIO": str(settings.local_scenario.resolve()) if settings.local_scenario else "",
    }
    for part in ("stt", "tts", "llm"):
        secret = getattr(settings, f"{part}_api_key")
        own[f"{part.upper()}_BASE_URL"] = getattr(settings, f"{part}_base_url") or ""
        own[f"{part.upper()}_API_KEY"] = secret.get_secret_value() if secret else ""
        own[f"{part.upper()}_MODEL"] = getattr(settings, f"{part}_model")
    own["TTS_VOICE"] = settings.tts_voice
    return Programme("model", (MODEL,), bare_environment(own))


def _rungs(told: Mapping[str, Any], settings: Settings) -> tuple[Rung, ...]:
    """What the local model said that it has now, and why that is not the best."""
    parts = (("hears", "hear"), ("thinks", "think"), ("speaks", "speak"))
    whys = told.get("why") or {}
    return tuple(
        Rung(
            part,
            str(told[name]),
            " ".join(filter(None, (f"The local model {part} with: {told[name]}.", whys.get(name)))),
            _better(part, settings),
        )
        for part, name in parts
    )


def _better(part: str, settings: Settings) -> str:
    """What may still be set; what is set already is no advice."""
    ways = {
        "hears": () if settings.stt_base_url else ("STT_BASE_URL",),
        "thinks": () if settings.llm_base_url else ("LLM_BASE_URL",),
        "speaks": () if settings.tts_base_url else ("TTS_BASE_URL",),
    }
    scenario = part == "thinks" and not (settings.llm_base_url or settings.local_scenario)
    written = ("LOCAL_SCENARIO",) if scenario else ()
    return f"Set {', or '.join((*ways[part], *written, _HOSTED[part]))}"


def _hosted(settings: Settings) -> tuple[Rung, ...]:
    does = f"The model at {settings.openai_base_url} does it all."
    return (Rung("thinks", "hosted model", does),)
