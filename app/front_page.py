"""From the settings to the first page: whom it asks, what it may show. Used by ``main`` alone."""

from collections.abc import Callable
from urllib.parse import urlsplit

from app.http.checklist import AtOnce, Checklist
from app.http.pages import PhoneSetup
from app.http.steps import Calls, Place
from app.services.checks import Checks, Parties
from app.settings import Settings


def front_page(
    settings: Settings,
    model: str,
    *,
    texts: bool,
    instance: str,
    phone: Callable[[], PhoneSetup | None],
    calls: Callable[[], Calls],
    at_once: AtOnce,
) -> Checklist:
    """The checklist of what the operator set; ``model`` is the agent document's. ``texts``: the
    agent reads text messages."""
    return Checklist(
        place_of(settings, model, texts=texts),
        Checks(parties_of(settings, model, instance, texts=texts)),
        phone=phone,
        calls=calls,
        at_once=at_once,
    )


def place_of(settings: Settings, model: str, *, texts: bool = False) -> Place:
    """What the operator set, as far as it may be shown."""
    return Place(
        port=settings.port,
        model=model,
        model_host=urlsplit(settings.openai_base_url).hostname or "",
        agent_file=settings.agent_file.name,
        public_url=settings.public_url,
        local_model=settings.local_model,
        local_line=settings.local_line,
        texts=texts,
        host=settings.host,
    )


def parties_of(settings: Settings, model: str, instance: str, *, texts: bool = False) -> Parties:
    key, tokens = settings.openai_api_key, settings.twilio_auth_tokens
    user, secret = settings.rest_credentials
    return Parties(
        openai_url=settings.openai_base_url,
        model=model,
        openai_key=key.get_secret_value() if key else None,
        azure=settings.is_azure,
        twilio_url=settings.twilio_api_url,
        account_sid=settings.twilio_account_sid,
        auth_token=tokens[0].get_secret_value() if tokens else "",
        rest_user=user,
        rest_secret=secret,
        public_url=settings.public_url,
        instance=instance,
        texts=texts,
    )
