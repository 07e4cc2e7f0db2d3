"""Numbers that nobody wants to be connected with by a machine: what they cost, whom they disturb.

Two ask: what an operator writes, and what a client has called. The rule: the kind is
libphonenumber's, looked up by country; a number it does not know is not judged here. Pure.
"""

import phonenumbers
from phonenumbers import PhoneNumberType as Kind

NOWHERE = "001"
"""libphonenumber's region of satellites and of services that belong to no country."""
_COSTLY = {
    Kind.PREMIUM_RATE: "premium_rate",
    Kind.SHARED_COST: "shared_cost",
    Kind.PERSONAL_NUMBER: "personal_number",
}
_SENTENCES = {
    "emergency": "is an emergency number: have people call it themselves",
    "no_country": "is a satellite's, or of no country: a minute may cost more than a day's calls",
    "premium_rate": "is a premium-rate number: every minute would be billed to you",
    "shared_cost": "is a shared-cost number: every minute would be billed to you",
}
_SHORT_DIGITS = 6
_EVERYWHERE = ("112", "911", "999", "000", "110", "118", "119")


def costly(parsed: phonenumbers.PhoneNumber) -> str | None:
    """Why a number is not connected with, as a stable word; None where nothing speaks against it.

    emergency, no_country, premium_rate, shared_cost or personal_number.
    """
    if phonenumbers.region_code_for_number(parsed) == NOWHERE:
        # Before the kind, which for satellites is an ordinary MOBILE or VOIP.
        return "no_country"
    if _is_emergency(parsed):
        return "emergency"
    return _COSTLY.get(phonenumbers.number_type(parsed))


def refusal(number: str) -> str | None:
    """Why ``number``, as somebody writes it, is not connected with, as a sentence about it."""
    text = number.removeprefix("tel:")
    if text.removeprefix("+") in _EVERYWHERE:
        return _SENTENCES["emergency"]
    if text.isdecimal() and len(text) <= _SHORT_DIGITS:
        return "is a short number, which only telephones of its own network reach"
    try:
        word = costly(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return None
    return _SENTENCES.get(word or "")  # Twilio's own numbers for tests are personal ones.


def _is_emergency(parsed: phonenumbers.PhoneNumber) -> bool:
    """Whether somebody wrote a country code before 112 or 911."""
    national = str(parsed.national_number)
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    return any(phonenumbers.is_emergency_number(national, region) for region in regions)
