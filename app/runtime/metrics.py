"""What ``/metrics`` tells: few names, few labels, nothing personal, nothing per frame."""

from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from app.call.report import Report
from app.protocol.commands import GuardrailFailed, GuardrailTripped

TURN_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.3, 1.6, 2, 3, 5)
FINE_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

CALLS_ACTIVE = Gauge("voice_calls_active", "Calls that hold a place now")
CALLS_TOTAL = Counter("voice_calls_total", "Calls that ended", ["reason"])
CALLS_REFUSED = Counter("voice_calls_refused_total", "Calls that got a sentence instead", ["why"])
CALL_SECONDS = Histogram(
    "voice_call_duration_seconds",
    "From the webhook to the end",
    buckets=(5, 15, 30, 60, 120, 300, 600, 1200, 3600),
)
ANSWER_SECONDS = Histogram(
    "voice_answer_delay_seconds", "Webhook to first audio sent", buckets=TURN_BUCKETS
)
TURN_SECONDS = Histogram(
    "voice_turn_latency_seconds",
    "Caller stopped to first audio, sent and played",
    ["stage"],
    buckets=TURN_BUCKETS,
)
BARGE_IN_SECONDS = Histogram(
    "voice_barge_in_stop_seconds", "Interruption arrived to clear written", buckets=FINE_BUCKETS
)
RECORDINGS = Counter("voice_recordings_total", "What became of recordings", ["what"])
GUARDRAILS_TRIPPED = Counter(
    "voice_guardrails_tripped_total",
    "Things said that a rule forbids",
    ["direction", "type", "action"],
)
GUARDRAILS_FAILED = Counter(
    "voice_guardrails_failed_total", "Questions about what was said without an answer", ["type"]
)
MODEL_LOST = Counter("voice_model_lines_lost_total", "Model lines that ended under a call")
TOKENS = Counter("voice_tokens_total", "Tokens billed by the model", ["kind"])
SIGNATURE_FAILURES = Counter(
    "voice_signature_failures_total", "Requests refused at the edge", ["kind"]
)

AGENT_FILE_BROKEN = Gauge("voice_agent_file_broken", "The agent document cannot be used as it is")
EVENT_BACKLOG = Gauge("voice_event_backlog", "Changes about calls that wait to be written")
EVENT_DROPPED = Gauge("voice_event_dropped", "Facts of calls let go of since the start")


class Backlog(Protocol):
    """What waits to be written."""

    @property
    def backlog(self) -> int:
        """Changes that are not durable yet."""

    @property
    def dropped(self) -> int:
        """Facts that nobody will read."""


def watch(written: Backlog) -> None:
    """Tell what waits for the database, as it is whenever somebody asks."""
    EVENT_BACKLOG.set_function(lambda: written.backlog)
    EVENT_DROPPED.set_function(lambda: written.dropped)


def tripped(command: GuardrailTripped) -> None:
    """Count something that a rule forbids."""
    GUARDRAILS_TRIPPED.labels(command.direction, command.type, command.action).inc()


def unjudged(command: GuardrailFailed) -> None:
    """Count a question that nobody has answered."""
    GUARDRAILS_FAILED.labels(command.type).inc()


def ended(report: Report) -> None:
    """Count a call whose record has closed."""
    CALLS_TOTAL.labels(report.ending or "unknown").inc()
    CALL_SECONDS.observe((report.ended_at_ms or 0) / 1000)
    MODEL_LOST.inc(report.model_losses)
    if report.first_audio_at_ms is not None:
        ANSWER_SECONDS.observe(report.first_audio_at_ms / 1000)
    for turn in report.turns.values():
        if turn.sent_ms is not None:
            TURN_SECONDS.labels("sent").observe(turn.sent_ms / 1000)
        if turn.played_ms is not None:
            TURN_SECONDS.labels("played").observe(turn.played_ms / 1000)
    for kind, count in report.usage.items():
        TOKENS.labels(kind).inc(count)
