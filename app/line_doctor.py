"""What would keep calls from coming in, found out by asking, and the fix for each.

Everything is asked as it will be used: the credentials of the settings, the public address with
Twilio's signature, the numbers by REST. Rule: it changes nothing but with ``--fix``, and then only
where numbers lead; a second run finds nothing left to change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from app.agents.document import Agent
from app.errors import CarrierFault
from app.front_page import parties_of, place_of
from app.http import steps
from app.http.advice import State
from app.line_numbers import OwnedNumber, TwilioNumbers, amiss, at_twilio, wiring
from app.protocol.twilio_signature import seal
from app.services.checks import Checks
from app.settings import Settings

SHUTDOWN = {
    **dict.fromkeys(("gpt-realtime", "gpt-realtime-2025-08-28"), date(2027, 1, 20)),
    **dict.fromkeys(("gpt-realtime-mini", "gpt-realtime-mini-2025-12-15"), date(2027, 1, 20)),
    **dict.fromkeys(("gpt-audio-mini", "gpt-audio-mini-2025-12-15"), date(2027, 1, 20)),
}
"""When OpenAI turns models off: platform.openai.com/docs/deprecations, as of 2026-11."""
_SUCCESSORS = "gpt-realtime-2.1 or gpt-realtime-2.1-mini"
_WITHIN_S = 5.0
_PROBE_SID = "CA" + "0" * 32
_MARKS = {"ok": "ok", "failed": "NO", "todo": "-", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    outcome: str
    fix: str = ""


def shutdown(model: str, today: date) -> Finding:
    """Whether the model is about to be turned off."""
    ends = SHUTDOWN.get(model)
    if ends is None:
        return Finding("model", "ok", f"No end of {model} is known.")
    gone = ends <= today
    told = f"{model} {'was' if gone else 'will be'} turned off on {ends.isoformat()}."
    return Finding("model", "failed" if gone else "todo", told, f"Set model: {_SUCCESSORS}")


async def consult(settings: Settings, agent: Agent, *, fix: bool, today: date) -> list[Finding]:
    """Everything that can be found out; with ``fix`` numbers are led here. Raises nothing."""
    found = await _accounts(settings, agent)
    found.append(shutdown(agent.model, today))
    found += referring(agent)
    if settings.public_url and settings.twilio_auth_tokens:
        token = settings.twilio_auth_tokens[0].get_secret_value()
        found += await probes(settings.public_url, token)
    if settings.twilio_account_sid and settings.public_url:
        found += await _at_twilio(settings, agent, fix=fix)
    return found


def referring(agent: Agent) -> list[Finding]:
    """What a SIP trunk must allow for targets that callers are referred to."""
    told = "Callers by SIP are referred to it (REFER); others are refused with refer_needs_sip."
    fix = (
        "Allow Call Transfer (SIP REFER) on the trunk; Enable PSTN Transfer for numbers behind it."
    )
    named = (name for name, one in agent.targets.items() if one.mode == "refer")
    return [Finding(f"target {name}", "todo", told, fix) for name in named]


async def _accounts(settings: Settings, agent: Agent) -> list[Finding]:
    """What the first page of a server shows, as far as it can be asked from outside of it."""
    place = place_of(settings, agent.model)
    checks = Checks(parties_of(settings, agent.model, instance=""))
    try:
        model, account = await checks.openai(), await checks.account()
        address = await checks.public_url()
    finally:
        checks.close()
    if address.reason == "other_instance":  # It is a server of ours, and we are none.
        address = type(address)("ok")
    asked = (
        steps.openai(place, model),
        steps.twilio(account),
        steps.public_url(place, address),
    )
    return [Finding(one.title, one.state, one.sentence, one.next_step) for one in asked]


async def probes(origin: str, token: str, *, within_s: float = _WITHIN_S) -> list[Finding]:
    """A webhook and an upgrade through whatever is in front of us, signed as by Twilio."""
    timeout = aiohttp.ClientTimeout(total=within_s)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        return [await _webhook(client, origin, token), await _upgrade(client, origin, token)]


async def _webhook(client: aiohttp.ClientSession, origin: str, token: str) -> Finding:
    url, what = f"{origin}/twilio/call-status", "signed webhook"
    form = {"CallSid": _PROBE_SID, "AccountSid": "AC" + "0" * 32, "CallStatus": "initiated"}
    headers = {"X-Twilio-Signature": seal(token, url, list(form.items()))}
    try:
        async with client.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            return _judged(what, answer.status, 204)
    except (TimeoutError, aiohttp.ClientError, OSError):
        return Finding(what, "failed", "Nothing answers.", _LEAD)


async def _upgrade(client: aiohttp.ClientSession, origin: str, token: str) -> Finding:
    url, what = f"ws{origin.removeprefix('http')}/media-stream", "media socket"
    headers = {"X-Twilio-Signature": seal(token, url)}
    try:
        async with client.ws_connect(url, headers=headers) as socket:
            await socket.close()
    except aiohttp.WSServerHandshakeError as exc:
        return _judged(what, exc.status, 101)
    except (TimeoutError, aiohttp.ClientError, OSError):
        return Finding(what, "failed", "No connection can be made.", _LEAD)
    return _judged(what, 101, 101)


_LEAD = "Lead PUBLIC_URL to this server's port; start the server if it is not running."


def _judged(what: str, status: int, wanted: int) -> Finding:
    if status == wanted:
        return Finding(what, "ok", "It comes through, and its signature fits.")
    if status == 403:
        fix = "TWILIO_AUTH_TOKEN and PUBLIC_URL must be the server's, to the letter; the proxy must"
        return Finding(what, "failed", "The signature does not fit (403).", f"{fix} keep the path.")
    if what == "media socket" and status in (200, 400, 404, 426, 502):
        fix = "Have the proxy pass Upgrade and Connection on (HTTP/1.1)."
        return Finding(what, "failed", f"The upgrade does not come through ({status}).", fix)
    return Finding(what, "failed", f"HTTP {status} where {wanted} should come.", _LEAD)


async def _at_twilio(settings: Settings, agent: Agent, *, fix: bool) -> list[Finding]:
    twilio = at_twilio(settings)
    try:
        numbers = await twilio.owned()
        wanted = wiring(settings.public_url or "", texts=agent.sms is not None)
        found = [await _number(twilio, one, wanted, fix=fix) for one in numbers]
        if not numbers:
            found.append(Finding("numbers", "todo", "There is no number.", "Buy one with voice."))
        found += _written(agent, numbers)
        return found + await _permissions(twilio, settings.dial_countries)
    except CarrierFault as fault:
        return [Finding("numbers", "unknown", f"Twilio did not tell them: {fault.reason}.")]
    finally:
        twilio.close()


async def _number(
    twilio: TwilioNumbers, number: OwnedNumber, wanted: Mapping[str, str], *, fix: bool
) -> Finding:
    """Where a number leads; led here, if that is wanted."""
    what = _shown(number.number)
    if not number.voice:
        return Finding(what, "todo", "It cannot take calls.", "Use one with voice.")
    if number.elsewhere:
        told = "An application or a trunk has its calls."
        return Finding(what, "todo", told, "Take it from there in the console, if it is ours.")
    wrong = amiss(number, wanted)
    if not wrong:
        return _well(what, number, wanted)
    if fix:
        await twilio.lead(number.sid, wrong)
        return Finding(what, "ok", f"It leads here now: wrote {', '.join(sorted(wrong))}.")
    host = urlsplit(number.urls.get("voice_url", "")).hostname or "nowhere"
    told = f"It leads to {host}; amiss: {', '.join(sorted(wrong))}."
    return Finding(what, "failed", told, "python -m app doctor --fix writes them.")


def _well(what: str, number: OwnedNumber, wanted: Mapping[str, str]) -> Finding:
    """Of a number whose calls come here."""
    if "sms_url" in wanted and number.texts_elsewhere:
        told = "Its calls lead here; an application has its text messages."
        return Finding(what, "todo", told, "Take them from there in the console.")
    if "sms_url" in wanted and not number.sms:
        told = "It leads here, and takes no text messages."
        return Finding(what, "todo", told, "Use another one as the sender: sms.from.")
    return Finding(what, "ok", "It leads here.")


def _shown(number: str) -> str:
    return f"{number[:3]} ••• {number[-2:]}" if len(number) > 7 else "a short number"


def _written(agent: Agent, numbers: Sequence[OwnedNumber]) -> list[Finding]:
    """Numbers of the document that the account does not have."""
    owned = {one.number for one in numbers}
    missing = [one for one in agent.numbers or () if one.startswith("+") and one not in owned]
    told = "It is in the agent document, and not in this account."
    return [Finding(_shown(one), "todo", told, "Check its digits.") for one in missing]


async def _permissions(twilio: TwilioNumbers, countries: Sequence[str]) -> list[Finding]:
    """Whether Twilio lets us call where the settings do."""
    found = []
    for one in await twilio.permissions(countries):
        what = f"calls to {one.country}"
        if not one.low_risk:
            fix = "Allow it in the console: Voice, Settings, Geo permissions."
            found.append(Finding(what, "failed", "Twilio does not allow them.", fix))
        elif one.high_risk:
            fix = "Switch high-risk numbers off there, unless you need them: they are fraud's."
            found.append(Finding(what, "todo", "High-risk numbers are allowed, too.", fix))
        else:
            found.append(Finding(what, "ok", "Twilio allows them."))
    return found


def show(found: Sequence[Finding], console: Console) -> bool:
    """What was found, as a table; whether nothing is wrong."""
    table = Table("looked at", "found", "to do", "")
    for one in found:
        table.add_row(one.what, one.outcome, one.fix, _MARKS[one.state])
    console.print(table)
    return all(one.state != "failed" for one in found)
