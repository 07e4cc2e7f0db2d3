"""The jobs process beside the server, for who does not want to start two.

It is started where it has something to do: where the agent may call somebody, webhooks are
signed, or the agent document wants something done after a call. Rule: it gets the settings of
its work and nothing else, and ends with the server.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from app.companions import Companion, Programme
from app.settings import Settings, bare_environment

_ITS_SETTINGS = (
    *("twilio_account_sid", "twilio_api_key", "twilio_api_secret", "twilio_api_url", "public_url"),
    *("agent_file", "dial_countries", "calling_hours", "calls_per_second", "max_outbound_calls"),
    *("webhook_secrets", "webhook_loopback", "retention_days", "log_level", "log_format"),
)


@contextlib.contextmanager
def jobs_beside(
    settings: Settings, *, asked: bool = False, analyses: bool = False
) -> Iterator[Companion | None]:
    """Run it for as long as the block lasts; None where there is none. ``asked``: the agent
    document wants something done after a call; ``analyses``: with the model account. Raises
    ``CompanionFault``."""
    wanted = asked or settings.dial_countries or settings.webhook_secrets
    if settings.jobs == "none" or not wanted:
        yield None
        return
    with Companion(_programme(settings, analyses=analyses)) as companion:
        yield companion


def _programme(settings: Settings, *, analyses: bool = False) -> Programme:
    own = {name.upper(): _written(getattr(settings, name)) for name in _ITS_SETTINGS}
    own["TWILIO_AUTH_TOKEN"] = _written(settings.twilio_auth_tokens)
    if analyses and settings.openai_api_key is not None:
        own["OPENAI_API_KEY"] = settings.openai_api_key.get_secret_value()
        own["OPENAI_BASE_URL"] = settings.openai_base_url
    own["AGENT_FILE"] = str(settings.agent_file.absolute())
    own["DATABASE_URL"] = _absolute(settings.database_url.get_secret_value())
    return Programme("jobs", ("app", "jobs"), bare_environment(own))


def _absolute(address: str) -> str:
    """The same file, also from another folder: companions are started in the project's."""
    url = make_url(address)
    if url.get_backend_name() != "sqlite" or not url.database:
        return address
    return f"sqlite:///{Path(url.database).resolve()}"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_written(one) for one in value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)
