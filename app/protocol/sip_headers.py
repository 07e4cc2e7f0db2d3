"""Headers of our own on a SIP call: which ones Twilio takes, and how they stand in an address.

They go behind ``?`` of ``sip:user@host``, percent-encoded; Twilio puts them into the INVITE of
``<Dial><Sip>`` and into Refer-To of ``<Refer><Sip>``. The one rule: whatever a value holds, it
can end neither its header nor the address. Pure.

https://www.twilio.com/docs/voice/twiml/sip, errors 13252 and 21227
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

MOST_HEADER_CHARS = 1_023
"""Of the whole part behind ``?``, encoded."""
USER_TO_USER = "User-to-User"
STANDARD = (USER_TO_USER, "Remote-Party-ID", "P-Preferred-Identity", "P-Called-Party-ID")
"""The only ones without ``X-``. They have parameters, which plain text could add to."""
_OWN = re.compile(r"X-[A-Za-z0-9._-]{1,60}", re.IGNORECASE)
_STANDARD = {name.casefold(): name for name in STANDARD}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def header_name(name: str) -> str | None:
    """The header as it is spelt, where Twilio passes it on; None where it does not."""
    return _STANDARD.get(name.casefold()) or (name if _OWN.fullmatch(name) else None)


def with_headers(address: str, headers: Mapping[str, str]) -> str:
    """``address`` with these behind what it has already; names are known to be good."""
    if not headers:
        return address
    return f"{address}{'&' if '?' in address else '?'}{encoded(headers)}"


def encoded(headers: Mapping[str, str]) -> str:
    """As they stand behind ``?``; a line break, which would begin a header, is a space."""
    return "&".join(f"{name}={quote(one_line(value), safe='')}" for name, value in headers.items())


def one_line(value: str) -> str:
    """``value`` without anything that is no text."""
    return _CONTROLS.sub(" ", value).strip()


def fitting(
    headers: Mapping[str, str], *, beside: str = "", keep: str = ""
) -> tuple[dict[str, str], list[str]]:
    """The headers that fit into an address which has ``beside`` behind its ``?`` already, and the
    names of those left out: the longest first, ``keep`` never."""
    fit, left_out = dict(headers), []
    room = MOST_HEADER_CHARS - (len(beside) + 1 if beside else 0)
    while fit and len(encoded(fit)) > room:
        longest = max((name for name in fit if name != keep), key=lambda n: len(fit[n]), default="")
        if not longest:
            break
        del fit[longest]
        left_out.append(longest)
    return fit, left_out
