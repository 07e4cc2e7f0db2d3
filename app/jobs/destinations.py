"""Which numbers may be called at all: a stolen key must not become a telephone bill.

The rule: a number is dialled only where it is valid, of an ordinary kind and in a country the
operator named; everything else is refused with a reason. What libphonenumber calls a region is
the country, so the Caribbean numbers behind +1 are not the United States.
"""

from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import PhoneNumberType as Kind

from app.number_kinds import costly

ORDINARY = frozenset({Kind.FIXED_LINE, Kind.MOBILE, Kind.FIXED_LINE_OR_MOBILE, Kind.VOIP})
TEXTED = ORDINARY - {Kind.FIXED_LINE}
"""A landline gets no text messages."""


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """The operator's rules."""

    countries: frozenset[str] = frozenset()
    """ISO 3166 codes, upper case; empty: nobody is called."""
    kinds: frozenset[int] = field(default=ORDINARY)

    def refusal(self, number: str) -> str | None:
        """Why ``number`` is not called, as a stable word; None where it may be."""
        try:
            parsed = phonenumbers.parse(number, None)
        except phonenumbers.NumberParseException:
            return "not_e164"
        if phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != number:
            return "not_e164"
        if (why := costly(parsed)) is not None:
            return why
        region = phonenumbers.region_code_for_number(parsed)
        if region is None or not phonenumbers.is_valid_number(parsed):
            return "not_valid"
        if phonenumbers.number_type(parsed) not in self.kinds:
            return "kind_not_allowed"
        return None if region in self.countries else "country_not_allowed"
