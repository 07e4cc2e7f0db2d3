"""The record of a call as ``/openapi.json`` describes it, for those who write clients.

What is answered is made by ``app/runtime/live_call.py`` and is not converted here; a test
holds the two together, so a field without a description here does not pass. Unknown is
null, never absent; shape and names are those of callcentre 6.1.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Ending(_Part):
    """How the call ended, and whose doing it was."""

    result: Literal["success", "client_error", "server_error", "upstream_error", "indeterminate"]
    reason: str
    """One of the documented end reasons."""


class Party(_Part):
    """One end of the call."""

    number: str
    """E.164, ``client:name``, a SIP URI or a word such as ``anonymous``; may be empty."""


class Configuration(_Part):
    """The agent document the call was answered with."""

    version: str
    """``sha256:…``"""


class Timestamps(_Part):
    """UTC, RFC 3339 with milliseconds."""

    created_at: str
    """The voice webhook came."""
    answered_at: str | None
    """The audio began."""
    model_ready_at: str | None
    first_audio_at: str | None
    ended_at: str | None


class Durations(_Part):
    """Milliseconds."""

    total: int | None
    """From the webhook to the end; null while the call lives."""


class Carrier(_Part):
    """The call as the carrier calls it."""

    provider: str
    account_sid: str
    call_sid: str
    stream_sids: list[str]


class ModelSession(_Part):
    """One model line."""

    id: str


class Model(_Part):
    """What the model was asked and cost."""

    provider: str
    sessions: list[ModelSession]
    losses: int
    """Model lines that ended under the call."""
    usage: dict[str, int]
    """Tokens by kind."""


class Spread(_Part):
    """Count, median, 95th percentile and maximum; null where there is nothing."""

    count: int
    p50: int | None
    p95: int | None
    max: int | None


class TurnLatency(_Part):
    """Milliseconds after the caller stopped."""

    sent_ms: int | None
    """The first audio of the answer was handed to the carrier."""
    played_ms: int | None
    """It was heard."""


class Latency(_Part):
    """Milliseconds, but for ``barge_in_us``."""

    answer_to_first_audio: int | None
    turn_sent: Spread
    turn_played: Spread
    barge_in_us: Spread
    """Microseconds from an interruption's arrival to the ``clear`` being written."""
    tool: Spread
    turns: list[TurnLatency]


class Audio(_Part):
    """What went over the caller line."""

    played_ms: int
    silence_appended_ms: int
    """Put in where the carrier left something out."""
    clears: int
    """How often the caller interrupted."""


class Speech(_Part):
    """The agent spoke."""

    type: Literal["speech"]
    text: str
    audio_ms: int
    heard_ms: int
    """Of ``audio_ms``: as much as the caller heard."""
    interrupted: bool
    at_ms: int


class ToolUse(_Part):
    """The agent used a tool."""

    type: Literal["tool"]
    name: str
    at_ms: int


class Note(_Part):
    """Something happened that the model was told."""

    type: Literal["note"]
    text: str
    at_ms: int


class Turn(_Part):
    """What the caller said, and what came after it."""

    index: int
    type: Literal["start", "speech"]
    """start: nobody had said anything yet."""
    text: str | None
    at_ms: int
    """Since the call was admitted, as all ``at_ms``."""
    responses: list[Speech | ToolUse | Note]


class Transfer(_Part):
    """One attempt to put the caller through."""

    target: str
    mode: Literal["cold"]
    requested_at: str
    outcome: str
    """requested, ringing, connected, or why it failed."""
    talk_s: int | None


class Warned(_Part):
    """Something that was not as it should be, and how often."""

    id: str
    count: int


class CallRecord(_Part):
    """The call detail record, of a live call as far as it is known."""

    model_config = ConfigDict(title="CallRecord", populate_by_name=True)

    schema_: Literal["cdr/1"] = Field(alias="schema")
    call_id: str
    direction: str
    """As the carrier says it: inbound, outbound-api or outbound-dial."""
    status: Literal["in_progress", "completed"]
    end_reason: str | None
    ending: Ending | None
    from_: Party = Field(alias="from")
    to: Party
    config: Configuration
    timestamps: Timestamps
    durations_ms: Durations
    concurrency_at_start: int
    """Live calls when this one came, itself included."""
    carrier: Carrier
    model: Model
    latency_ms: Latency
    audio: Audio
    messages_ignored: dict[str, int]
    """Messages of both lines that were not needed or not understood."""
    turns: list[Turn]
    transfers: list[Transfer]
    warnings: list[Warned]
