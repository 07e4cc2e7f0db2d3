"""The account's telephone numbers and where it may call, by Twilio's REST API.

For the doctor and the operator, not for calls: what is read is whole, and what is written is where
the numbers lead. Its errors and time limits are those of ``TwilioRest``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.agents.document import Agent
from app.errors import CarrierFault
from app.services.twilio_rest import Patience, TwilioRest
from app.settings import Settings

MOST_NUMBERS = 200


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A number of the account; empty texts are unset."""

    sid: str
    number: str
    voice: bool
    """It can take calls."""
    sms: bool
    mms: bool
    urls: Mapping[str, str]
    """By the names of the API: ``voice_url``, ``voice_method`` and so on."""
    elsewhere: bool
    """An application or a trunk has it: its own URLs mean nothing."""
    texts_elsewhere: bool = False
    """An application has its messages: ``sms_url`` means nothing."""


@dataclass(frozen=True, slots=True)
class DialingPermission:
    """What the account may call in a country."""

    country: str
    low_risk: bool
    high_risk: bool
    """Special or toll-fraud numbers, as Twilio has them."""


class TwilioNumbers(TwilioRest):
    """Asks and changes; ``close`` it afterwards."""

    async def owned(self) -> list[OwnedNumber]:
        """The first ``MOST_NUMBERS``. Raises CarrierFault."""
        listed = self._client.api.v2010.account.incoming_phone_numbers.list
        found: Any = await self._ask(lambda: [_number(one) for one in listed(limit=MOST_NUMBERS)])
        return list(found)

    async def lead(self, sid: str, urls: Mapping[str, str]) -> None:
        """Write where a number leads; what is not named stays. Raises CarrierFault."""
        number = self._client.api.v2010.account.incoming_phone_numbers(sid)
        await self._ask(lambda: number.update(**urls))

    async def permissions(self, countries: Sequence[str]) -> list[DialingPermission]:
        """What the account may call. Raises CarrierFault."""
        asked = self._client.voice.v1.dialing_permissions.countries
        found: Any = await self._ask(
            lambda: [_permission(asked(country).fetch()) for country in countries]
        )
        return list(found)


URL_FIELDS = (
    *("voice_url", "voice_method", "voice_fallback_url", "voice_fallback_method"),
    *("status_callback", "status_callback_method", "sms_url", "sms_method"),
)


def _number(one: Any) -> OwnedNumber:
    able = one.capabilities
    can = able if isinstance(able, dict) else vars(able or object())
    return OwnedNumber(
        one.sid,
        str(one.phone_number),
        bool(can.get("voice")),
        bool(can.get("sms")),
        bool(can.get("mms")),
        {name: str(getattr(one, name) or "") for name in URL_FIELDS},
        bool(one.voice_application_sid or one.trunk_sid),
        bool(one.sms_application_sid),
    )


def _permission(one: Any) -> DialingPermission:
    high = one.high_risk_special_numbers_enabled or one.high_risk_tollfraud_numbers_enabled
    return DialingPermission(str(one.iso_code), bool(one.low_risk_numbers_enabled), bool(high))


def wiring(origin: str, *, texts: bool) -> dict[str, str]:
    """Where a number must lead, by the names of Twilio's API; ``texts``: messages, too."""
    messages = {"sms_url": f"{origin}/incoming-message", "sms_method": "POST"}
    return (messages if texts else {}) | {
        "voice_url": f"{origin}/incoming-call",
        "voice_method": "POST",
        "voice_fallback_url": f"{origin}/twilio/fallback",
        "voice_fallback_method": "POST",
        "status_callback": f"{origin}/twilio/call-status",
        "status_callback_method": "POST",
    }


def amiss(number: OwnedNumber, wanted: Mapping[str, str]) -> dict[str, str]:
    """What has to be written for a number to lead here; empty where nothing has."""
    texts = number.sms and not number.texts_elsewhere
    able = {name: url for name, url in wanted.items() if texts or not name.startswith("sms_")}
    return {name: url for name, url in able.items() if number.urls.get(name, "") != url}


def at_twilio(settings: Settings) -> TwilioNumbers:
    """The account of the settings. Raises CarrierFault where there is none."""
    if settings.twilio_account_sid is None:
        raise CarrierFault("credentials")
    user, secret = settings.rest_credentials
    return TwilioNumbers(
        account_sid=settings.twilio_account_sid,
        username=user,
        password=secret,
        base_url=settings.twilio_api_url,
        patience=Patience(total_s=20),
        threads=1,
    )


def listing(settings: Settings, agent: Agent) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
    """What tells the operator of the account's numbers."""
    wanted = wiring(settings.public_url or "", texts=agent.sms is not None)

    async def listed() -> list[dict[str, Any]]:
        twilio = at_twilio(settings)
        try:
            numbers = await twilio.owned()
        finally:
            twilio.close()
        return [_told(one, agent, sorted(amiss(one, wanted))) for one in numbers]

    return listed


def _told(one: OwnedNumber, agent: Agent, wrong: list[str]) -> dict[str, Any]:
    known = (agent.numbers or {}).get(one.number)
    return {
        "number": one.number,
        "label": known.label if known else None,
        "voice": one.voice,
        "sms": one.sms,
        "mms": one.mms,
        "leads_here": not (wrong or one.elsewhere),
        "amiss": wrong,
    }
