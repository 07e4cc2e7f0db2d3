"""The account's telephone numbers and where it may call, by Twilio's REST API.

For the doctor, not for calls: what is read here is whole, and what is written is where the numbers
lead. Its errors and time limits are those of ``TwilioRest``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.services.twilio_rest import TwilioRest

MOST_NUMBERS = 200


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A number of the account; empty texts are unset."""

    sid: str
    number: str
    voice: bool
    """It can take calls."""
    sms: bool
    urls: Mapping[str, str]
    """By the names of the API: ``voice_url``, ``voice_method`` and so on."""
    elsewhere: bool
    """An application or a trunk has it: its own URLs mean nothing."""


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
        {name: str(getattr(one, name) or "") for name in URL_FIELDS},
        bool(one.voice_application_sid or one.trunk_sid),
    )


def _permission(one: Any) -> DialingPermission:
    high = one.high_risk_special_numbers_enabled or one.high_risk_tollfraud_numbers_enabled
    return DialingPermission(str(one.iso_code), bool(one.low_risk_numbers_enabled), bool(high))
