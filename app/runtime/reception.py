"""The reception: whether a call that rings is the agent's, found out before anything is opened.

What the operator wrote about their numbers decides, then a program of theirs where one is to be
asked. Rule: Twilio waits for the answer and the caller hears it ring, so the program has so many
milliseconds, and where it does not answer as it should the document says what happens.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import phonenumbers
import structlog

from app.call import lookup
from app.call.lookup import NOTHING_KNOWN, Guest, Misunderstood
from app.call.reception import (
    ALL_LINES,
    ANYBODY_ANYTIME,
    LinePlan,
    Lines,
    Lookup,
    Refusal,
    refusal,
)
from app.runtime.continuing import NOBODYS
from app.runtime.live_call import CallFacts

INBOUND = "inbound"

log = structlog.get_logger("reception")

Ask = Callable[[str, str, str, float], Awaitable[bytes]]
"""Post a question: ``(url, id, body, seconds)`` to the body of the answer, whose status was a
success. Raises ``Unanswered``."""


class Unanswered(Exception):
    """The operator's program did not answer; the message is a stable word."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The agent answers, where there is room."""

    line: LinePlan = ANYBODY_ANYTIME
    guest: Guest = NOTHING_KNOWN


WELCOME = Welcome()


async def _nobody_to_ask(_url: str, _id: str, _body: str, _within_s: float) -> bytes:
    raise Unanswered("nobody_asks")


class Reception:
    """Who answers which call. Holds nothing between calls."""

    def __init__(
        self,
        lines: Callable[[], Lines] = lambda: ALL_LINES,
        targets: Callable[[str], Collection[str]] = lambda _number: (),
        ask: Ask = _nobody_to_ask,
        *,
        has_room: Callable[[], bool] = lambda: True,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """``lines``: the operator's numbers as they are now. ``targets``: whom a program may put
        callers of a number through to. Where there is no room nobody is asked."""
        self._lines = lines
        self._targets = targets
        self._ask = ask
        self._has_room = has_room
        self._now_s = now_s

    async def receive(self, facts: CallFacts) -> Welcome | Refusal:
        """Whether the agent answers this call. Raises nothing; cancelling is safe."""
        if facts.direction != INBOUND:
            return WELCOME
        line = self._lines().of(facts.to_number)
        found = refusal(
            line,
            caller=facts.from_number,
            country=country_of(facts.from_number),
            now_ms=round(self._now_s() * 1000),
        )
        if found is not None:
            return found
        assert line is not None
        asks_first = line.menu is not None and facts.pressed is None
        if line.before_call is None or asks_first or not self._has_room():
            return Welcome(line)
        said = await self._looked_up(facts, line.before_call)
        return said if isinstance(said, Refusal) else Welcome(line, said)

    async def _looked_up(self, facts: CallFacts, program: Lookup) -> Guest | Refusal:
        """What the operator's program says of a call, in time."""
        stamp = datetime.fromtimestamp(self._now_s(), UTC).isoformat(timespec="milliseconds")
        question = lookup.question(
            call_sid=facts.call_sid,
            from_number=facts.from_number,
            to_number=facts.to_number,
            timestamp=stamp.replace("+00:00", "Z"),
        )
        # The same each time Twilio asks: a receiver that has answered it knows that it has.
        name, body = f"msg_{facts.call_sid}", orjson.dumps(question).decode()
        within_s = program.timeout_ms / 1000
        try:
            async with asyncio.timeout(within_s):
                answer = await self._ask(program.url, name, body, within_s)
            return lookup.answer(answer, self._targets(facts.to_number))
        except (Unanswered, Misunderstood, TimeoutError) as exc:
            why = "timed_out" if isinstance(exc, TimeoutError) else str(exc)
            log.warning("before_call_failed", reason=why, call_sid=facts.call_sid)
            return Guest(fault=why) if program.fails_open else Refusal("unanswered")


def country_of(number: str) -> str:
    """The country a telephone number belongs to; empty where it is none, or withheld."""
    if number in NOBODYS:
        return ""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_number(parsed) or ""


ALL_LINES_OPEN = Reception()
"""Where the operator wrote nothing about numbers."""
