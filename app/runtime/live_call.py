"""A telephone call while it lives: one CallSid, any number of streams, one conversation.

What survives a stream is here: the facts of the call, its report, what the model must be told
on a new line, and the transfer under way. Runners come and go.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.call.plan import Memory
from app.call.report import END_REASONS, Report, percentiles
from app.protocol.events import CallerTyped
from app.protocol.units import ms_of_bytes
from app.runtime.readers import Readers
from app.runtime.runner import Runner


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the voice webhook said."""

    call_sid: str
    account_sid: str
    from_number: str
    to_number: str
    direction: str = "inbound"


@dataclass(frozen=True, slots=True)
class Dial:
    """A transfer that Twilio was asked for."""

    target: str
    token: str
    """Names the URL of its result; unguessable, drawn per transfer."""


@dataclass(slots=True)
class LiveCall:
    """One call; owned by the book."""

    call_id: str
    facts: CallFacts
    config_version: str
    report: Report = field(default_factory=Report)
    readers: Readers = field(default_factory=Readers)
    memories: tuple[Memory, ...] = ()
    runner: Runner | None = None
    invitation: str | None = None
    """The TwiML last answered, so that a repeated webhook gets the same."""
    returning: str | None = None
    """Why the caller comes back, as the model is told on the next line."""
    dial: Dial | None = None
    """The transfer whose result has not come; refused ones stay until the next."""
    forgetting: asyncio.TimerHandle | None = None
    """When a caller with the carrier is waited for no longer."""
    open_until_s: float = 0.0
    """When the last invitation expires, by the loop's clock."""
    gone: bool = False
    """The caller is known to have hung up."""
    streams: int = 0
    concurrency: int = 0
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

    def typed(self, text: str) -> bool:
        """The caller wrote something. False where no stream is there to take it."""
        if self.runner is None or self.runner.reason is not None or not self.runner.has_stream:
            return False
        self.runner.feed(CallerTyped(text))
        return True

    def record(self) -> dict[str, object]:
        """The call detail record as far as it is known; shape of callcentre 6.1."""
        report, facts = self.report, self.facts
        ending = report.ending
        return {
            "schema": "cdr/1",
            "call_id": self.call_id,
            "direction": facts.direction,
            "status": "completed" if ending else "in_progress",
            "end_reason": ending,
            "ending": {"result": END_REASONS[ending].value, "reason": ending} if ending else None,
            "from": {"number": facts.from_number},
            "to": {"number": facts.to_number},
            "config": {"version": self.config_version},
            "timestamps": {
                "created_at": self._utc(0),
                "answered_at": self._utc(report.answered_at_ms),
                "model_ready_at": self._utc(report.model_ready_at_ms),
                "first_audio_at": self._utc(report.first_audio_at_ms),
                "ended_at": self._utc(report.ended_at_ms),
            },
            "durations_ms": {"total": report.ended_at_ms},
            "concurrency_at_start": self.concurrency,
            "carrier": {
                "provider": "twilio",
                "account_sid": facts.account_sid,
                "call_sid": facts.call_sid,
                "stream_sids": list(report.stream_sids),
            },
            "model": {
                "provider": "openai",
                "sessions": [{"id": session} for session in report.sessions],
                "losses": report.model_losses,
                "usage": dict(report.usage),
            },
            "latency_ms": self._latency(),
            "audio": {
                "played_ms": ms_of_bytes(report.played_bytes),
                "silence_appended_ms": report.padded_ms,
                "clears": report.barge_ins,
            },
            "messages_ignored": dict(sorted(report.ignored.items())),
            "turns": report.lines(),
            "transfers": [
                {
                    "target": transfer.target,
                    "mode": "cold",
                    "requested_at": self._utc(transfer.requested_at_ms),
                    "outcome": transfer.outcome,
                    "talk_s": transfer.talk_s,
                }
                for transfer in report.transfers
            ],
            "warnings": [{"id": name, "count": n} for name, n in sorted(report.warnings.items())],
        }

    def _latency(self) -> dict[str, object]:
        turns = self.report.turns
        return {
            "answer_to_first_audio": _between(
                self.report.answered_at_ms, self.report.first_audio_at_ms
            ),
            "turn_sent": percentiles([t.sent_ms for t in turns if t.sent_ms is not None]),
            "turn_played": percentiles([t.played_ms for t in turns if t.played_ms is not None]),
            "barge_in_us": percentiles(self.report.reaction_us),
            "tool": percentiles(self.report.tool_ms),
            "turns": [{"sent_ms": turn.sent_ms, "played_ms": turn.played_ms} for turn in turns],
        }

    def _utc(self, at_ms: int | None) -> str | None:
        if at_ms is None:
            return None
        moment = datetime.fromtimestamp(self.created_at + at_ms / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _between(begin_ms: int | None, end_ms: int | None) -> int | None:
    """0 where the first audio was ready before the caller."""
    return None if begin_ms is None or end_ms is None else max(0, end_ms - begin_ms)
