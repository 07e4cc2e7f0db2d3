"""<Dial> and <Refer>: the verbs that bring in somebody else.

Nobody is really called: a person's phone rings where there is one, and other destinations
behave as the test said they would. Rule: what the
server is told about the outcome is what Twilio tells it, including the trap that a leg which
answered and was never connected reports ``completed``: only ``DialBridged`` says the truth.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from app.emulators.carrier_dial import PersonsPhone
from app.emulators.carrier_room import Member
from app.emulators.phone import Phone
from app.emulators.twilio_call import EmulatedCall, Fetch
from app.emulators.twilio_run import Ended, Run, Step, number, talk
from app.emulators.twilio_twiml import Document, parse, words_of
from app.emulators.twilio_words import DialOutcome, Violation, monotonic_ms, new_sid

_DIAL_TIMEOUT_S = 30
_DIAL_LIMIT_S = 14_400
_KEY_THAT_ACCEPTS = "1"
_SCREEN_DOCUMENTS = 10


async def dial(run: Run, verb: Element) -> Step:
    """Ring every destination, connect the first that answers, then follow ``action``."""
    conference = verb.find("Conference")
    if conference is not None:
        return await _confer(run, verb, conference)
    child_sid = new_sid("CA")
    run.call.far_end_left.clear()
    run.owe_action(verb, {"DialCallStatus": "canceled", "DialCallSid": child_sid})
    noun, party = _party(run, verb, child_sid)
    patience_ms = number(verb, "timeout", _DIAL_TIMEOUT_S) * 1000 * run.carrier.pace.pause_factor
    try:
        outcome = await party.ring(patience_ms)
        if outcome.status == "completed" and noun.get("url"):
            outcome = await party.screen(run, noun, outcome)
        run.call.dial_results.append(outcome)
        run.call.pulse.beat()
        result = _result(outcome, child_sid)
        run.owe_action(verb, result)
        await _talk_for(party, outcome, result, _limits(run, verb))
    finally:
        party.leave()
    return run.action(verb, result)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What ends a conversation though nobody puts the receiver down."""

    call: EmulatedCall
    seconds: float
    star: bool

    async def around(self, talking: Coroutine[Any, Any, None]) -> bool:
        """Until ``talking`` is over, or the star key ends it; True when the time was up first."""
        talk = asyncio.create_task(talking, name="conversation")
        self.call.on_star = talk.cancel if self.star else None
        try:
            await asyncio.wait({talk}, timeout=self.seconds)
            if talk.done() and not talk.cancelled():
                talk.result()
            return not talk.done()
        finally:
            self.call.on_star = None
            talk.cancel()
            await asyncio.wait({talk})


def _limits(run: Run, verb: Element) -> _Limits:
    seconds = number(verb, "timeLimit", _DIAL_LIMIT_S) * run.carrier.pace.pause_factor
    return _Limits(run.call, seconds, verb.get("hangupOnStar", "false").lower() == "true")


async def _talk_for(
    party: "_Actor | PersonsPhone", outcome: DialOutcome, result: dict[str, str], limits: _Limits
) -> None:
    """The conversation, and how long it was, which is told even if the caller ends it."""
    began = monotonic_ms()
    try:
        if outcome.kind == "bridged":
            time_is_up = await limits.around(party.talk())
            if time_is_up:
                party.leave("carrier", "time_limit")
    finally:
        if outcome.status == "completed":
            result["DialCallDuration"] = str(round((monotonic_ms() - began) / 1000))


class _Actor:
    """A destination that behaves as the test said."""

    def __init__(self, run: Run, outcome: DialOutcome, child_sid: str) -> None:
        self._run = run
        self._outcome = outcome
        self._child_sid = child_sid

    async def ring(self, patience_ms: float) -> DialOutcome:
        """Ring as long as the outcome says, or until patience is out."""
        outcome = self._outcome
        if outcome.ring_ms > patience_ms:
            outcome = DialOutcome("no-answer", ring_ms=int(patience_ms))
        await self._run.take(outcome.ring_ms)
        return outcome

    async def screen(self, run: Run, noun: Element, outcome: DialOutcome) -> DialOutcome:
        """Listen to what <Number url> says, and do what the outcome says."""
        return await _screen(run, noun, outcome, self._child_sid)

    async def talk(self) -> None:
        """Until the time is over or the test lets it hang up."""
        await talk(self._run, self._outcome)

    def leave(self, by: str = "", reason: str = "") -> None:
        """It holds nothing."""


def _party(run: Run, verb: Element, child_sid: str) -> tuple[Element, _Actor | PersonsPhone]:
    """Whom a <Dial> reaches, and by which noun: a person with a phone before any actor."""
    phones = run.carrier.phones
    for noun in list(verb) or [verb]:
        destination = words_of(noun)
        extension = phones.reached_by(destination) if phones is not None else None
        if phones is not None and extension is not None:
            run.call.dialled.append(destination)
            run.call.pulse.beat()
            caller_id = verb.get("callerId") or run.call.from_
            return noun, PersonsPhone(
                run.call,
                extension,
                child_sid=child_sid,
                caller_id=caller_id,
                destination=destination,
                unattended_ms=phones.unattended_ms,
            )
    noun, outcome = _first_to_answer(run, verb)
    return noun, _Actor(run, outcome, child_sid)


async def refer(run: Run, verb: Element) -> Step:
    """Hand a SIP caller to another address; other callers cannot be referred (13801)."""
    target = words_of(verb)
    run.call.referred.append(target)
    run.call.pulse.beat()
    if not run.call.from_.startswith("sip:"):
        run.call.complain(Violation(13801, "only a SIP call can be referred"))
        return None
    outcome = run.outcome(target, target.partition("?")[0]) or DialOutcome()
    await run.take(outcome.ring_ms)
    moved = outcome.kind == "bridged"
    extra = {
        "ReferCallStatus": "in-progress" if moved else outcome.status,
        "ReferSipResponseCode": "202",
        "NotifySipResponseCode": str(outcome.sip_response_code or (200 if moved else 486)),
    }
    step = run.action(verb, extra)
    if not moved:
        return step
    if isinstance(step, Fetch):
        form = {**run.call.form(), **step.extra}
        await run.carrier.webhooks.send(step.url, form, run.call.requests, method=step.method)
    return Ended("refer")


async def _confer(run: Run, verb: Element, conference: Element) -> Step:
    name = words_of(conference)
    run.call.conferences.append(name)
    run.call.far_end_left.clear()
    run.call.pulse.beat()
    extra = {"DialCallStatus": "answered", "DialBridged": "true"}
    run.owe_action(verb, extra)
    if run.call.phone is not None:
        await _limits(run, verb).around(_meet(run, conference, name, run.call.phone))
        return run.action(verb, extra)
    outcome = run.outcome(f"conference:{name}")
    if outcome is None:
        await run.stay()
        return None
    await talk(run, outcome)
    return run.action(verb, extra)


async def _meet(run: Run, conference: Element, name: str, phone: Phone) -> None:
    """Be in a room with another telephone, or wait there for one."""
    member = Member(
        run.call,
        phone,
        starts=conference.get("startConferenceOnEnter", "true").lower() != "false",
        ends=conference.get("endConferenceOnExit", "false").lower() == "true",
    )
    if not await run.carrier.rooms.attend(name, member):
        run.call.complain(Violation(16020, "the conference is full: two telephones meet here"))
        run.note("The conference is full: on the local carrier two telephones meet.")


def _first_to_answer(run: Run, verb: Element) -> tuple[Element, DialOutcome]:
    """The noun that answers and how; the last refusal where none does."""
    nouns = list(verb) or [verb]
    best: tuple[Element, DialOutcome] | None = None
    for noun in nouns:
        destination = words_of(noun)
        run.call.dialled.append(destination)
        known = run.outcome(destination, destination.partition("?")[0])
        outcome = known or DialOutcome()
        if best is None or best[1].status != "completed":
            best = (noun, outcome)
    run.call.pulse.beat()
    return best or (verb, DialOutcome("failed"))


def _result(outcome: DialOutcome, child_sid: str) -> dict[str, str]:
    result = {
        "DialCallStatus": outcome.status,
        "DialCallSid": child_sid,
        "DialBridged": "true" if outcome.kind == "bridged" else "false",
    }
    if outcome.sip_response_code is not None:
        result["DialSipResponseCode"] = str(outcome.sip_response_code)
    return result


async def _screen(run: Run, noun: Element, outcome: DialOutcome, child_sid: str) -> DialOutcome:
    """Run the TwiML of <Number url> on the callee, who presses 1 if the outcome is bridged."""
    leg = {
        "CallSid": child_sid,
        "ParentCallSid": run.call.call_sid,
        "Direction": "outbound-dial",
        "CallStatus": "in-progress",
        "To": words_of(noun),
    }
    refused = DialOutcome("unbridged", ring_ms=outcome.ring_ms)
    url, extra = run.resolve(noun.attrib["url"]), dict[str, str]()
    for _ in range(_SCREEN_DOCUMENTS):
        if url is None:
            return refused
        form = {**run.call.form(), **leg, **extra}
        reply = await run.carrier.webhooks.send(url, form, run.call.requests)
        page = parse(reply.body, url)
        if reply.error is not None or isinstance(page, Violation):
            code = page.code if isinstance(page, Violation) else 11200
            run.call.complain(Violation(reply.error or code, f"screening at {url} failed"))
            return refused
        verdict = _listen(run, page, presses=outcome.kind == "bridged")
        if verdict is None:
            return outcome
        if verdict == "":
            return refused
        url, extra = verdict, {"Digits": _KEY_THAT_ACCEPTS}
    return refused


def _listen(run: Run, page: Document, *, presses: bool) -> str | None:
    """What the callee does: None accepts, empty hangs up, a URL is where the key leads."""
    for violation in page.violations:
        run.call.complain(violation)
    for verb in page.verbs:
        for said in [verb] if verb.tag == "Say" else verb.findall("Say"):
            run.call.whispered.append(words_of(said))
        if verb.tag == "Hangup":
            return ""
        if verb.tag == "Redirect":
            return urljoin(page.base_url or "", words_of(verb))
        if verb.tag == "Gather" and presses:
            return urljoin(page.base_url or "", verb.get("action"))
    return None
