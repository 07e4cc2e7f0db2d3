"""The record of a call as ``/openapi.json`` describes it, for those who write clients.

What is answered is made by ``app/call/record.py`` and is not converted here; a test
holds the two together, so a field without a description here does not pass. Unknown is
null, never absent; shape and names are those of callcentre 6.1.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Ending(_Part):
    """How the call ended, and whose doing it was."""

    result: Literal["success", "client_error", "server_error", "upstream_error", "indeterminate"]
    reason: str
    """One of the documented end reasons."""


class Failure(_Part):
    """What went wrong."""

    code: str
    """The end reason."""
    component: str | None
    """model, carrier or server."""
    message: str | None
    """Of a call that nobody picked up: Twilio's word, or why it was not placed."""
    sip_response_code: int | None
    at: str | None


class Party(_Part):
    """One end of the call."""

    number: str
    """E.164, ``client:name``, a SIP URI or a word such as ``anonymous``; may be empty."""


class Conversing(_Part):
    """An agent of the document, in one call."""

    name: str
    entered_at: str | None
    left_at: str | None


class Configuration(_Part):
    """The agent document the call was answered with."""

    version: str
    """``sha256:…``"""


class Timestamps(_Part):
    """UTC, RFC 3339 with milliseconds."""

    created_at: str
    """The voice webhook came."""
    ringing_at: str | None
    answered_at: str | None
    """The audio began."""
    model_ready_at: str | None
    first_audio_at: str | None
    ended_at: str | None


class Durations(_Part):
    """Milliseconds."""

    total: int | None
    """From the webhook to the end; null while the call lives."""
    ringing: int | None
    ai: int | None
    """The caller was on a stream of ours; null while one goes on."""
    hold: int | None
    human: int | None
    """With a person, as the carrier tells in whole seconds."""
    caller_speech: int | None
    assistant_speech: int | None
    """Heard by the caller."""


class Sip(_Part):
    """What a SIP network said of the call."""

    call_id: str | None
    headers: dict[str, str]
    """Those that Twilio passes on, by name."""


class Carrier(_Part):
    """The call as the carrier calls it."""

    provider: str
    account_sid: str
    call_sid: str
    parent_call_sid: str | None
    price: dict[str, str] | None
    stream_sids: list[str]
    sip: Sip | None
    """Of a caller who came by SIP."""


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
    cost_estimate: dict[str, str] | None


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
    longest_gap_ms: int | None
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


class KeyedTurn(_Part):
    """What the caller keyed in, and what came after it."""

    index: int
    type: Literal["dtmf"]
    text: None
    preset: str | None
    """What they had been asked for, by its name in the agent document."""
    digits: str
    """``[redacted:6]`` where they are sensitive: how many there were."""
    ok: bool
    """It was what had been asked for."""
    at_ms: int
    responses: list[Speech | ToolUse | Note]


class Turn(_Part):
    """What the caller said, and what came after it."""

    index: int
    type: Literal["start", "speech", "no_input", "sms", "sms_failed"]
    """start: nobody had said anything yet; no_input: an order made the agent speak; sms: they sent
    a text message; sms_failed: one to them did not arrive."""
    text: str | None
    at_ms: int
    """Since the call was admitted, as all ``at_ms``."""
    responses: list[Speech | ToolUse | Note]


class Transfer(_Part):
    """One attempt to put the caller through."""

    target: str
    mode: Literal["cold", "warm", "queue", "refer", "hangup"]
    summary: str | None
    """What the agent said it was about."""
    requested_at: str
    outcome: str
    """requested, ringing, accepted, joined, connected, or why it failed."""
    leg_sid: str | None
    """The CallSid of the call to the person, where they are asked first."""
    talk_s: int | None


class TextMessage(_Part):
    """A text message of the call."""

    direction: Literal["inbound", "outbound"]
    message_sid: str | None
    to: str | None
    """Of what was sent: caller, or the name of a target."""
    status: str | None
    """sent, delivered, undelivered, failed, not_sent, unclear, received."""
    error_code: int | None
    """Twilio's, of what went wrong."""
    at: str | None


class Written(_Part):
    """A text of the conversation in writing, when the call was over."""

    by: Literal["caller", "agent"]
    id: str
    """Of what the caller wrote; an answer has that of what it answers."""
    via: Literal["sms", "page"]
    text: str
    at: str


class Warned(_Part):
    """Something that was not as it should be, and how often."""

    id: str
    count: int


class CallRecord(_Part):
    """The call detail record, of a live call as far as it is known."""

    model_config = ConfigDict(title="CallRecord", populate_by_name=True)

    schema_: Literal["cdr/1"] = Field(alias="schema")
    call_id: str
    conversation_id: str | None
    """The same for all calls of one conversation."""
    resumed_from: str | None
    """The call before it in the conversation."""
    direction: str
    """As the carrier says it, mostly inbound; outbound where it was placed by an order."""
    status: Literal["queued", "in_progress", "completed"]
    """queued: it is to be placed, and nobody has picked up yet."""
    end_reason: str | None
    ending: Ending | None
    disposition: str | None
    """What came of it for the business."""
    failure: Failure | None
    """null where the result is ``success``."""
    from_: Party = Field(alias="from")
    to: Party
    answered_by: str | None
    """Of a call that was placed: human, machine, fax or unknown."""
    language: str | None
    """What the caller chose in the menu of the number."""
    agents: list[Conversing] | None
    """Which agents of the document had the conversation; null where none had."""
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
    turns: list[Turn | KeyedTurn]
    transfers: list[Transfer]
    form: dict[str, Any] | None
    """What the call was to find out, as the analysis checked it."""
    sms: list[TextMessage]
    """Text messages that were sent, and that came."""
    texts: list[Written]
    """What caller and agent wrote when the call was over."""
    reminders: list[dict[str, Any]]
    """What the agent noted: ``id``, ``title``, ``description``, ``due_at``, ``owner``."""
    analysis: dict[str, Any] | None
    """Comes after the call."""
    recording: list[dict[str, Any]] | None
    guardrails: dict[str, int]
    custom_data: dict[str, Any]
    """What the operator's programs and tools put there."""
    warnings: list[Warned]


class Versioned(_Part):
    """The agent document, where one is known by now."""

    version: str | None


class Number(_Part):
    """One end of a call in a list; null where it is not known."""

    number: str | None


class CallSummary(_Part):
    """A call in a list; its record has more."""

    call_id: str
    call_sid: str | None
    conversation_id: str
    resumed_from: str | None
    direction: str
    status: Literal["queued", "in_progress", "completed"]
    end_reason: str | None
    from_: Number = Field(alias="from")
    to: Number
    config: Versioned
    created_at: str
    ended_at: str | None


class CallPage(_Part):
    """Calls, newest first."""

    calls: list[CallSummary]
    cursor: str | None
    """What the next page is asked for with; null: this is the last."""


class CallTimeline(_Part):
    """What happened in a call, one thing after the other."""

    call_id: str
    items: list[dict[str, Any]]
    """Each with ``type``, ``at_ms`` since the call was admitted, and ``at``. Of ``speech``:
    ``sent_ms``, ``played`` (from, until), ``heard_ms``, and whether it was ``cut``."""


class CustomData(_Part):
    """What the operator's programs and tools put to a call."""

    custom_data: dict[str, Any]
