"""A telephone call while it lives: one CallSid, any number of streams, one conversation.

What survives a stream is here: the facts of the call, its report, what the model must be told
on a new line, and the transfer under way. Runners come and go.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import partial
from typing import Any

import orjson

from app.call.facts import Fact
from app.call.plan import Memory
from app.call.record import record
from app.call.report import Report, merged
from app.call.templates import Values
from app.call.whereto import Answer
from app.errors import CallerFault
from app.protocol.events import CallerTyped
from app.runtime.line import Line
from app.runtime.readers import Readers
from app.runtime.runner import Runner
from app.runtime.scripts import Dial, Scripts
from app.services.store.instants import utc_of

MOST_CUSTOM_BYTES = 65_536
"""Of a call's ``custom_data``, as JSON."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the voice webhook said."""

    call_sid: str
    account_sid: str
    from_number: str
    to_number: str
    direction: str = "inbound"
    caller_name: str = ""
    """What the network says; empty where it does not."""
    sip_call_id: str = ""
    """Of a caller who came by SIP."""
    sip_headers: Mapping[str, str] = field(default_factory=dict)
    """Those that Twilio passed on, by name; bounded where they come in."""
    pressed: str | None = None
    """The key pressed in the menu of the number, empty: none; None: there was no menu yet."""


@dataclass(slots=True)
class LiveCall:
    """One call; owned by the book."""

    call_id: str
    facts: CallFacts
    keep: Callable[[str, int, Fact], None]
    """Where facts are kept: ``(call_id, seq, fact)``."""
    line: Line | None = None
    """What it meets; None before anybody has picked up."""
    report: Report = field(default_factory=Report)
    readers: Readers = field(default_factory=Readers)
    recording: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held by who asks the carrier about its recording: one after the other."""
    memories: tuple[Memory, ...] = ()
    outset: Mapping[str, Any] = field(default_factory=dict)
    """In what its plan differs from that of other calls on the line."""
    runner: Runner | None = None
    invitation: str | None = None
    """The TwiML last answered, so that a repeated webhook gets the same."""
    returning: str | None = None
    """Why the caller comes back, as the model is told on the next line."""
    kept: dict[str, str] = field(default_factory=dict, repr=False)
    """What the caller keyed in for tools alone, by the name of its preset: in no fact, no log."""
    led: dict[str, Answer] = field(default_factory=dict, repr=False)
    """Where the operator's program says that targets are, by name."""
    dial: Dial | None = None
    """The transfer whose result has not come; refused ones stay until the next."""
    forgetting: asyncio.TimerHandle | None = None
    """When a caller with the carrier is waited for no longer."""
    open_until_s: float = 0.0
    """When the last invitation expires, by the loop's clock."""
    token_digest: str = ""
    """Of the last invitation's token; other processes know the token by it."""
    drawn_ms: int = 0
    """When that was drawn, in ms since the call was created: which invitation it is."""
    followed_ms: int = 0
    """The same of the one that brought the last stream; 0: not known."""
    shared_digest: str = ""
    """The last one that they do know."""
    invited_at_s: float = 0.0
    """When that was drawn, by the loop's clock."""
    invited: int = 0
    """So often since its last stream."""
    gone: bool = False
    """The caller is known to have hung up."""
    ends_as: str | None = None
    """Twilio was asked to end the call for this reason: it is not the caller who hangs up."""
    cut_off: bool = False
    """The last stream was lost and the telephone call may go on: Twilio asks, or is asked."""
    leaving_process: bool = False
    """This process ends, and the next one that is asked for the call shall have it."""
    given_away: bool = False
    """Another process has the call: what is still seen here is not told."""
    streams: int = 0
    created_at: float = field(default_factory=time.time)
    began_ns: int = field(default_factory=time.monotonic_ns)

    def now_ms(self) -> int:
        """Milliseconds since the call was admitted, monotonic."""
        return (time.monotonic_ns() - self.began_ns) // 1_000_000

    @property
    def at_carrier(self) -> bool:
        """The caller was put through and has not come back; the last stream may be settling."""
        gone = self.runner is None or self.runner.reason == "transferring"
        return self.dial is not None and gone

    @property
    def awaited(self) -> bool:
        """A model line is parked for the caller, whose stream has not come yet."""
        runner = self.runner
        return runner is not None and runner.reason is None and not runner.has_stream

    @property
    def met(self) -> Line:
        """Its line, which every call has that is in the book."""
        if self.line is None:
            raise LookupError("nobody has picked up")
        return self.line

    def of(self, agent: str) -> "LiveCall":
        """The same call as it is when this agent has it: to look at, and to change nothing."""
        return replace(self, line=self.met.colleague(agent, self.line_number))

    def hand_over(self, agent: str) -> None:
        """From now on it meets another agent."""
        self.line = self.met.colleague(agent, self.line_number)

    @property
    def scripts(self) -> Scripts:
        """The documents of its line, with what this call knows."""
        return self.met.scripts.filled(self.values)

    @property
    def brought(self) -> dict[str, object]:
        """The variables of this call."""
        order = self.report.order or {}
        return {**order.get("variables", {}), **self.report.party.variables}

    @property
    def values(self) -> Values:
        """What the places in its line's texts stand for, by now."""
        outbound = self.facts.direction.startswith("outbound")
        return self.met.lore.values(
            ours=self.line_number,
            theirs=self.facts.to_number if outbound else self.facts.from_number,
            direction=self.facts.direction,
            call_id=self.call_id,
            brought=self.brought,
            form=self.report.form.holding,
        )

    @property
    def clock(self) -> tzinfo:
        """By which times are meant: the caller's where their number tells it, or the line's."""
        return self.met.lore.clock_of(self.caller_number)

    @property
    def targets(self) -> tuple[str, ...]:
        """Whom it can be put through to."""
        return tuple(self.met.scripts.destinations)

    @property
    def by_sip(self) -> bool:
        """The other end is a SIP address, and can be referred to another."""
        by_address = self.caller_number.startswith(("sip:", "sips:"))
        return by_address or bool(self.facts.sip_call_id)

    @property
    def caller_number(self) -> str:
        """The other end of the call."""
        outbound = self.facts.direction.startswith("outbound")
        return self.facts.to_number if outbound else self.facts.from_number

    @property
    def line_number(self) -> str:
        """Our end of the call."""
        outbound = self.facts.direction.startswith("outbound")
        return self.facts.from_number if outbound else self.facts.to_number

    @property
    def has_keys(self) -> bool:
        """The other end is a telephone. Twilio's clients are programs, most of them browsers."""
        outbound = self.facts.direction.startswith("outbound")
        other = self.facts.to_number if outbound else self.facts.from_number
        return not other.startswith("client:")

    def typed(self, text: str) -> bool:
        """The caller wrote something. False where no stream is there to take it."""
        if self.runner is None or self.runner.reason is not None or not self.runner.has_stream:
            return False
        self.runner.feed(CallerTyped(text))
        return True

    def tell(self, at_ms: int, kind: str, data: Mapping[str, Any]) -> None:
        """Something became known about the call: learnt here, kept by the store, for readers."""
        if self.given_away:
            return
        fact = Fact(kind, at_ms, data)
        self.report.learn(fact)
        self.keep(self.call_id, self.report.seq, fact)
        self.readers.tell()

    def put(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into the call's custom data: all of it then. Raises ``CallerFault``."""
        now = patched(self.report.custom_data, patch)
        self.tell(self.now_ms(), "call.custom_data", dict(patch))
        return now

    def transfer_ended(self, outcome: str, talk_s: int | None = None) -> None:
        """What became of the latest transfer; ``talk_s`` where the two talked."""
        self.tell(self.now_ms(), "transfer.ended", {"outcome": outcome, "talk_s": talk_s})

    def record(self) -> dict[str, object]:
        """The call detail record as far as it is known."""
        return record(self.call_id, self.report, partial(utc_of, self.created_at))


def patched(custom_data: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """``custom_data`` with ``patch`` merged into it. Raises ``CallerFault``, ``too_much``."""
    now = merged(custom_data, patch)
    if len(orjson.dumps(now)) > MOST_CUSTOM_BYTES:
        raise CallerFault("too_much", "a call's custom data may have 64 KiB in all")
    return now
