"""Ways: where a caller goes who is put through, found out when it comes to that.

A target's address may be asked of the operator's program, within bounds; what the other side is
told is filled in with what is known of the call by then, and a key is kept under which the rest
can be asked for. Rule: whatever cannot be found out is a refusal in a stable word, before anybody
is redirected.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from app.call import whereto
from app.call.lookup import Misunderstood
from app.call.notices import About, notice
from app.call.openness import CLOSED, NEEDS_SIP, Openness, closed_spans
from app.call.templates import Template, Values
from app.call.ways import WEBHOOK, Route, Way, filled, way
from app.errors import OurFault
from app.protocol.twiml import destination_noun
from app.runtime.invitations import digest_of
from app.runtime.live_call import LiveCall
from app.runtime.reception import Ask, Unanswered, country_of
from app.runtime.scripts import SOMEBODY_WAITS, Destination

KEY_BYTES = 24

log = structlog.get_logger("ways")


async def _nobody_to_ask(_url: str, _id: str, _body: str, _within_s: float) -> bytes:
    raise Unanswered("nobody_asks")


class Ways:
    """Of all calls. Holds nothing between them."""

    def __init__(
        self,
        ask: Ask = _nobody_to_ask,
        keep: Callable[[str, str], None] | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """``keep``: have the digest of a key stand for a call, ``(digest, call_id)``; None: calls
        have no keys."""
        self._ask = ask
        self._keep = keep
        self._now_s = now_s

    def of(self, call: LiveCall, target: str, summary: str = "") -> Way:
        """Where the call goes. Raises ``OurFault``: ``unknown_target``, which a document of today
        may have lost that a transfer of yesterday began with, or a word of ``app.call.openness``
        where it cannot go there."""
        destination = call.scripts.destinations.get(target)
        if destination is None:
            raise OurFault("unknown_target")
        if (why := self.refusal(call, destination)) is not None:
            raise OurFault(why)
        route = self._route(call, target, destination)
        key = self._key(call) if route.keyed else ""
        found = way(route, self.values(call, summary), call_id=call.call_id, key=key)
        if found.left_out:
            told = {"id": "transfer_headers_left_out", "count": len(found.left_out)}
            call.tell(call.now_ms(), "warning", told)
        return found

    def refusal(self, call: LiveCall, destination: Destination) -> str | None:
        """Why the call cannot be put through there now."""
        if destination.mode == "refer" and not call.by_sip:
            return NEEDS_SIP
        opening = destination.opening
        if opening is not None and not opening.open_at(round(self._now_s() * 1000)):
            return CLOSED
        return None

    async def find(self, call: LiveCall, target: str, summary: str = "") -> None:
        """Ask the operator's program where the call goes, if that is to be asked, within
        ``WITHIN_S``. Raises ``KeyError``, and ``OurFault``, unanswered or misunderstood."""
        to = call.scripts.destinations[target].route.to
        if not to.startswith(WEBHOOK):
            return
        call.led.pop(target, None)
        body = self._question(call, target, summary)
        name = f"msg_{secrets.token_hex(16)}"
        try:
            async with asyncio.timeout(whereto.WITHIN_S):
                url = to.removeprefix(WEBHOOK)
                said = await self._ask(url, name, body, whereto.WITHIN_S)
            call.led[target] = whereto.answer(said, destination_noun)
        except (Unanswered, TimeoutError) as exc:
            log.warning("way_not_told", reason=str(exc) or "timed_out", call_id=call.call_id)
            raise OurFault("unanswered") from exc
        except Misunderstood as exc:
            log.warning("way_not_understood", field=str(exc), call_id=call.call_id)
            raise OurFault("misunderstood") from exc

    def whisper(self, call: LiveCall, target: str, summary: str) -> str:
        """What a person who is asked first is told; empty where nobody knows anything."""
        said = call.led[target].whisper if target in call.led else None
        template = call.scripts.destinations[target].whisper
        if said is not None or template is None:
            return said or ""
        return filled(template, self.values(call, summary or SOMEBODY_WAITS))

    def _question(self, call: LiveCall, target: str, summary: str) -> str:
        stamp = datetime.fromtimestamp(self._now_s(), UTC).isoformat(timespec="milliseconds")
        stamp = stamp.replace("+00:00", "Z")
        told = notice(whereto.REQUESTED, stamp, call.report.seq, about(call), {})
        return orjson.dumps(
            whereto.question(told["data"], target=target, summary=summary, timestamp=stamp)
        ).decode()

    def _route(self, call: LiveCall, target: str, destination: Destination) -> Route:
        route = destination.route
        if not route.to.startswith(WEBHOOK):
            return route
        answer = call.led.get(target)
        if answer is not None:
            plain = {name: Template((value,)) for name, value in answer.headers.items()}
            return replace(route, to=answer.to, headers={**route.headers, **plain})
        last = call.report.transfers[-1] if call.report.transfers else None
        if last is not None and last.target == target and last.to:
            return replace(route, to=last.to)  # Another process has asked.
        raise OurFault("unanswered")

    def _key(self, call: LiveCall) -> str:
        if self._keep is None:
            return ""
        key = secrets.token_urlsafe(KEY_BYTES)
        self._keep(digest_of(key), call.call_id)
        return key

    def values(self, call: LiveCall, summary: str = "") -> Values:
        """What templates may say of a call."""
        party, number = call.report.party, call.caller_number
        now = datetime.fromtimestamp(self._now_s(), UTC)
        variables: Mapping[str, str] = party.variables
        return {
            "variables": variables,
            "call": {"id": call.call_id, "direction": party.direction},
            "caller": {
                "number": number,
                "name": call.facts.caller_name or variables.get("name", ""),
                "country": country_of(number),
            },
            "line": {"number": call.line_number},
            "now": now.strftime("%Y-%m-%d %H:%M UTC"),
            "today": now.strftime("%Y-%m-%d"),
            "form": call.report.form.holding,
            **call.scripts.values,
            "summary": {"short": summary},
            "sip": {name.lower(): value for name, value in call.facts.sip_headers.items()},
        }


def about(call: LiveCall) -> About:
    """What every notice says of a call."""
    facts, report = call.facts, call.report
    return About(
        call.call_id,
        report.party.conversation_id or "",
        facts.direction,
        facts.from_number,
        facts.to_number,
        report.custom_data,
    )


def openness_of(call: LiveCall) -> dict[str, Any]:
    """What a call's plan says of who can be had when, in the call's own time."""
    targets = call.scripts.destinations
    began_ms = round(call.created_at * 1000)
    return {
        "impossible": {
            name: NEEDS_SIP
            for name, one in targets.items()
            if one.mode == "refer" and not call.by_sip
        },
        "closed": {
            name: closed_spans(one.opening.open_at, began_ms)
            for name, one in targets.items()
            if one.opening is not None
        },
    }


def unavailable(call: LiveCall) -> frozenset[str]:
    """The targets that the call cannot be put through to as it is."""
    known = Openness(**openness_of(call))
    now_ms = call.now_ms()
    return frozenset(one for one in call.scripts.destinations if known.refusal(one, now_ms))
