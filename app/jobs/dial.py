"""Placing a call exactly once, whatever dies or does not answer meanwhile.

Twilio has no idempotency key for placing a call, so a request whose fate is unknown must never
be sent again. Before a request is sent, who is about to send it is written down (``intend``).
``place`` sends only for the intent of the very process that it runs in, once; in any other case,
the process before it died, and in doubt after an error, Twilio is asked for a call between the
two numbers instead:

    found                        it is that one, adopted
    none, and the sender is dead nothing was sent (what a dead process sent is there within
                                 ``settle_s``): the call may be intended anew
    none, and Twilio had erred   indeterminate: nobody calls again, somebody is told
    Twilio cannot be asked       indeterminate

The parts here are steps: the engine remembers their results and repeats none that has one.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from app.errors import CarrierFault
from app.jobs.destinations import DestinationPolicy
from app.jobs.hours import CallingHours
from app.jobs.pace import Turnstile
from app.jobs.port import Dial

FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
SETTLE_S = 15.0
"""How long a call may take to be listed by Twilio after it was ordered."""
_CLOCKS_APART = timedelta(seconds=30)
"""By how much our clock and Twilio's may differ."""
_WORTH_LATER = frozenset({"rate_limited", "unreachable"})
_LOOK_EVERY_S = 1.0

Result = dict[str, Any]


class PlacedCall(Protocol):
    """A call as the carrier lists it."""

    @property
    def call_sid(self) -> str:
        """Its CallSid."""


class Carrier(Protocol):
    """Twilio's REST API; all raise ``CarrierFault``."""

    async def place(self, to: str, from_: str, url: str, more: dict[str, Any]) -> str:
        """Order a call; its CallSid."""

    async def placed_since(self, to: str, from_: str, since: datetime) -> Collection[PlacedCall]:
        """The calls ordered between two numbers, oldest first."""

    async def call_status(self, call_sid: str) -> str:
        """What became of one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may be called, when, how fast."""

    destinations: DestinationPolicy
    hours: CallingHours
    per_second: float
    settle_s: float = SETTLE_S


class Dialler:
    """The steps of the dial workflow, for one life of one process."""

    def __init__(
        self,
        rules: Rules,
        carrier: Carrier | None,
        *,
        me: str,
        unwanted: Callable[[str], Awaitable[bool]],
        alive: Callable[[], bool],
    ) -> None:
        """``me``: the id of this process's life. ``unwanted``: whether a number is on the
        do-not-call list. ``alive``: whether this process's word that it lives still holds."""
        self._rules = rules
        self._carrier = carrier
        self._me = me
        self._unwanted = unwanted
        self._alive = alive
        self._turns = Turnstile(rules.per_second, time.monotonic())
        self._doors = Turnstile(rules.per_second, time.monotonic())
        self._sent: set[str] = set()
        self._leaving = False
        self._under_way = 0
        self._idle = threading.Event()
        self._idle.set()

    @property
    def settle_s(self) -> float:
        """How long Twilio may take to list a call."""
        return self._rules.settle_s

    async def admit(self, to: str) -> Result:
        """``{}`` for a number that is to be called now, else ``refused`` or ``wait_s``."""
        reason = self._rules.destinations.refusal(to)
        if self._carrier is None:
            reason = "no_account"
        if reason is None and await self._unwanted(to):
            reason = "do_not_call"
        if reason is not None:
            return {"refused": reason}
        now_ms = round(time.time() * 1000)
        opens_at_ms = self._rules.hours.opens_at_ms(to, now_ms)
        if opens_at_ms is None:
            return {"refused": "hours_unknown"}
        return {"wait_s": (opens_at_ms - now_ms) / 1000} if opens_at_ms > now_ms else {}

    async def intend(self, run_id: str, number: int) -> Result:
        """Wait for a turn, then say who is about to send the request, and from when on."""
        await asyncio.sleep(self._turns.take(time.monotonic()))
        return {"id": f"{run_id}/{number}", "by": self._me, "at_ms": round(time.time() * 1000)}

    async def place(self, job: Dial, intent: Result, known: Collection[str]) -> Result:
        """Order the call for this intent, or find out whether it was ordered.

        ``known``: CallSids of earlier attempts. Returns ``placed`` with the CallSid, or
        ``not_sent``, ``later``, ``refused`` or ``indeterminate`` with a reason.
        """
        if intent["by"] != self._me or intent["id"] in self._sent:
            return await self._find(job, intent, known, died=intent["by"] != self._me)
        # Turns were a gap apart; writing the intents down may have pushed some together.
        await asyncio.sleep(self._doors.take(time.monotonic()))
        if self._leaving or not self._alive() or self._carrier is None:
            # Somebody else may take this job over at any moment.
            return {"later": "leaving"}
        self._sent.add(intent["id"])
        self._under_way += 1
        self._idle.clear()
        try:
            more = dict(job.parameters) | _callback(job)
            return {"placed": await self._carrier.place(job.to, job.from_, job.url, more)}
        except CarrierFault as fault:
            if not fault.unclear:
                kind = "later" if fault.reason in _WORTH_LATER else "refused"
                return {kind: fault.reason}
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        return await self._find(job, intent, known, died=False)

    async def leave(self, within_s: float) -> None:
        """Send nothing more, and wait for what is on its way, from any loop."""
        self._leaving = True
        await asyncio.to_thread(self._idle.wait, within_s)

    async def ask(self, call_sid: str) -> str | None:
        """The call's status; None where Twilio does not say."""
        try:
            return await self._asked().call_status(call_sid)
        except CarrierFault as fault:
            return "failed" if fault.reason == "call_over" else None

    def _asked(self) -> Carrier:
        if self._carrier is None:
            raise CarrierFault("unreachable")
        return self._carrier

    async def _find(
        self, job: Dial, intent: Result, known: Collection[str], *, died: bool
    ) -> Result:
        since = datetime.fromtimestamp(intent["at_ms"] / 1000, UTC) - _CLOCKS_APART
        until_s = time.monotonic() + self._rules.settle_s
        while True:
            asked = True
            try:
                listed = await self._asked().placed_since(job.to, job.from_, since)
                fresh = [one.call_sid for one in listed if one.call_sid not in known]
            except CarrierFault:
                asked, fresh = False, []
            if fresh:
                return {"placed": fresh[0], "adopted": True}
            if time.monotonic() >= until_s:
                break
            # Nobody tells us: Twilio can only be asked.
            await asyncio.sleep(min(_LOOK_EVERY_S, self._rules.settle_s))
        if died and asked:
            return {"not_sent": True}
        return {"indeterminate": "nothing_listed" if asked else "carrier_silent"}


def _callback(job: Dial) -> Result:
    if not job.status_callback:
        return {}
    events = ["initiated", "ringing", "answered", "completed"]
    return {"status_callback": job.status_callback, "status_callback_event": events}
