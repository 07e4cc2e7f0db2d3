"""What Twilio's REST API says of an account and of its numbers.

The shapes are Twilio's, of its OpenAPI document, with the fields it always sends. A number is
what its owner set in the console; the emulator rings none of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.emulators.twilio_words import new_sid

LARGEST_PAGE = 1000
_SINCE = "Mon, 02 Nov 2026 09:00:00 +0000"


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A number of the account; empty texts are unset."""

    number: str
    voice_url: str = ""
    voice_fallback_url: str = ""
    voice_application_sid: str = ""
    trunk_sid: str = ""
    status_callback: str = ""
    voice_method: str = "POST"
    voice_fallback_method: str = "POST"
    status_callback_method: str = "POST"
    sms_url: str = ""
    sms_application_sid: str = ""
    sms_method: str = "POST"
    sid: str = field(default_factory=lambda: new_sid("PN"))


_WRITABLE = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "SmsUrl": "sms_url",
    "SmsMethod": "sms_method",
}


def rewired(number: OwnedNumber, form: Mapping[str, str]) -> OwnedNumber:
    """The number as a form of the API changes it; what the form does not name stays."""
    return replace(number, **{_WRITABLE[name]: form[name] for name in form if name in _WRITABLE})


def permission_resource(country: str, *, allowed: bool) -> dict[str, Any]:
    """Of a country: whether ordinary numbers may be called; risky ones never may."""
    return {
        "iso_code": country,
        "name": country,
        "continent": "EUROPE",
        "country_codes": ["+33"],
        "low_risk_numbers_enabled": allowed,
        "high_risk_special_numbers_enabled": False,
        "high_risk_tollfraud_numbers_enabled": False,
        "url": f"https://voice.twilio.com/v1/DialingPermissions/Countries/{country}",
        "links": {},
    }


def account_resource(sid: str, *, status: str, kind: str) -> dict[str, Any]:
    """``status`` is ``active``, ``suspended`` or ``closed``; ``kind`` ``Full`` or ``Trial``."""
    root = f"/2010-04-01/Accounts/{sid}"
    return {
        "sid": sid,
        "owner_account_sid": sid,
        "friendly_name": "Contoso",
        # Twilio really sends it: nobody may show what it answers.
        "auth_token": "f" * 32,
        "status": status,
        "type": kind,
        "date_created": _SINCE,
        "date_updated": _SINCE,
        "subresource_uris": {"calls": f"{root}/Calls.json"},
        "uri": f"{root}.json",
    }


def number_page(
    account_sid: str, numbers: Sequence[OwnedNumber], *, page: int, size: int
) -> dict[str, Any]:
    """One page of the account's numbers."""
    size = max(1, min(size, LARGEST_PAGE))
    root = f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers.json?PageSize={size}"
    shown = numbers[page * size : (page + 1) * size]
    more = len(numbers) > (page + 1) * size
    return {
        "incoming_phone_numbers": [number_resource(account_sid, one) for one in shown],
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": max(0, page * size + len(shown) - 1),
        "uri": f"{root}&Page={page}",
        "first_page_uri": f"{root}&Page=0",
        "next_page_uri": f"{root}&Page={page + 1}&PageToken=PNmore" if more else None,
        "previous_page_uri": f"{root}&Page={page - 1}" if page else None,
    }


def number_resource(account_sid: str, one: OwnedNumber) -> dict[str, Any]:
    """One number, as it is answered."""
    sid = one.sid
    return {
        "sid": sid,
        "account_sid": account_sid,
        "phone_number": one.number,
        "friendly_name": one.number,
        "api_version": "2010-04-01",
        "beta": False,
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        "status": "in-use",
        "date_created": _SINCE,
        "date_updated": _SINCE,
        "voice_url": one.voice_url,
        "voice_method": one.voice_method,
        "voice_fallback_url": one.voice_fallback_url,
        "voice_fallback_method": one.voice_fallback_method,
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
        "voice_application_sid": one.voice_application_sid,
        "trunk_sid": one.trunk_sid or None,
        "status_callback": one.status_callback,
        "sms_url": one.sms_url,
        "sms_application_sid": one.sms_application_sid,
        "sms_method": one.sms_method,
        "status_callback_method": one.status_callback_method,
        "uri": f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{sid}.json",
    }
