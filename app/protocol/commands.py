"""Everything a call can ask for: the output of the machine.

A command is carried out by exactly one of three hands: the caller line, the model line, or
an effect beside both (REST, a tool), whose outcome comes back as an event. Commands of one
answer are carried out in the order given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class PlayAudio:
    """Append speech to what Twilio plays. Not frozen: it is on the audio path."""

    payload_b64: str
    """Base64 of mu-law, 8 kHz, mono; 198 ms at most."""
    length_bytes: int


@dataclass(slots=True)
class SendMark:
    """Ask to be told when everything sent before has been played. Not frozen: five a second."""

    name: str
    covers_ms: int
    """Audio between the previous mark, or the beginning of the burst, and this one."""


@dataclass(frozen=True, slots=True)
class ClearPlayback:
    """Throw away everything the caller has not heard yet, here and at Twilio."""


@dataclass(frozen=True, slots=True)
class PlayComfort:
    """Let the caller hear that the line lives although nobody speaks; nothing waits for it."""


@dataclass(frozen=True, slots=True)
class SetSound:
    """From now on this is heard behind everything that is played; an empty name: nothing is."""

    name: str
    at_bytes: int = 0
    """Where in it to go on."""


@dataclass(frozen=True, slots=True)
class PlaySound:
    """Append so much of that sound, alone, to what Twilio plays; nothing waits for it."""

    length_bytes: int


@dataclass(frozen=True, slots=True)
class PlayKeys:
    """Append a key, with the silence behind it, to what Twilio plays, and nothing behind it."""

    payload_b64: str
    """Base64 of mu-law, 8 kHz, mono."""
    length_bytes: int


@dataclass(frozen=True, slots=True)
class MeasureVoice:
    """Ask how much voice there is on the caller's line; answered by VoiceMeasured."""


@dataclass(slots=True)
class AppendAudio:
    """Let the model hear caller audio. Not frozen: fifty a second a call."""

    payload_b64: str


@dataclass(frozen=True, slots=True)
class AppendSilence:
    """Let the model hear silence where the line brought nothing, or must not be heard."""

    length_ms: int


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Ask the model to speak. The machine sends one at a time."""

    purpose: str
    """Travels as metadata, so that the answer can be told from the server's own responses."""
    instructions: str | None = None
    """Replaces the session's instructions for this response only."""
    tools: bool = True
    """False: the model must speak and may not call a tool."""


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop a response that the server would not stop by itself."""

    response_id: str


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Make the model's memory of an item what the caller heard of it."""

    item_id: str
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Make the model forget an item: a turn in which nobody spoke."""

    item_id: str


@dataclass(frozen=True, slots=True)
class SetTurnTaking:
    """Whether the server interrupts and answers by itself, or only tells of the caller's turns."""

    by_server: bool


@dataclass(frozen=True, slots=True)
class ChangeSession:
    """The session is to be what its line was set up with, and this (``session_changes``)."""

    replace: Mapping[str, Any]
    merge: Mapping[str, Any]
    strategy: str = ""
    """How somebody changed it: replace, replace_once, merge or merge_once; ``restored`` where that
    is over; empty: nobody did, the line is new."""
    lasting: Mapping[str, Any] = field(default_factory=dict)
    """``replace`` and ``merge`` as they are without what is for a turn alone."""


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Put a text item into the conversation."""

    role: str
    """user, assistant or system."""
    text: str


@dataclass(frozen=True, slots=True)
class AddToolCall:
    """Put a past tool call into a new model line's conversation."""

    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AddToolOutput:
    """Answer a tool call; every call gets exactly one output."""

    tool_call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class AskAlive:
    """Ask the model for any event at all; answered by ModelAlive, and it changes nothing."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """Open a model line; answered by ModelReady or ModelRefused."""

    timeout_ms: int


@dataclass(frozen=True, slots=True)
class CloseModel:
    """Close the model line; nothing is expected back."""


@dataclass(frozen=True, slots=True)
class OpenSpare:
    """Open a model line beside the one in use; answered by SpareReady or SpareRefused."""

    timeout_ms: int
    agent: str = ""
    """Whose; empty: of the agent who has the conversation."""


@dataclass(frozen=True, slots=True)
class CloseSpare:
    """Close the spare line, or stop opening it; nothing is expected back."""


@dataclass(frozen=True, slots=True)
class SwitchModel:
    """The spare line is the model line from now on; the one before it is closed.

    Nothing more comes of that one, not even what was on its way: its ids mean nothing to the
    new one.
    """


@dataclass(frozen=True, slots=True)
class HandOver:
    """The conversation is this agent's from now on: tools, targets and every later line."""

    agent: str
    reason: str = ""
    """Why, in the words of the one before."""


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool beside the audio; answered by ToolDone, whatever happens."""

    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Have the carrier put the caller through to a target of the document, by its name."""

    target: str
    mode: str = "cold"
    """cold, queue, refer, or hangup, where whoever handed the call to us takes it back."""
    summary: str = ""
    """What the call is about, for whoever takes it; may be empty."""


@dataclass(frozen=True, slots=True)
class RedirectKeys:
    """Redirect the call to where Twilio presses these, and from there to a stream of ours again;
    answered by KeysAnswered."""

    symbols: str
    """0-9 * # A-D, w and W; or how long each takes, where they are secret."""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PlaceSideCall:
    """Call a target of the document beside the caller's call, who hears music meanwhile.

    Answered by SideCallPlaced or SideCallOver, and then by what becomes of it.
    """

    target: str
    attempt: int
    """Counts those of the stream, from 1."""
    summary: str
    """What the person is told before they take the call; may be empty."""


@dataclass(frozen=True, slots=True)
class DropSideCall:
    """Nobody wants the call to the person any more, whatever has become of it."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Join:
    """Redirect the call into the room where the person waits; answered like Transfer."""

    target: str
    attempt: int


@dataclass(frozen=True, slots=True)
class NotReached:
    """A person was not reached: for the record, nothing is done."""

    target: str
    reason: str
    then: str
    """What follows, in the document's words; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class FailOver:
    """Redirect the call to the failure treatment: a sentence, then a person or a goodbye."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the telephone call by REST."""


@dataclass(frozen=True, slots=True)
class VerifyCall:
    """Ask REST whether the call is still in progress; answered by CallEnded or CallStillUp."""


@dataclass(frozen=True, slots=True)
class KeepDigits:
    """Keep what the caller keyed in for tools, which are given it where the model writes its
    name; nobody else is, and no log."""

    name: str
    """Of the preset."""
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DigitsCollected:
    """A collection of digits has come to its end: for the record, nothing is done."""

    preset: str
    shown: str
    """The digits or, where they are sensitive, how many there are."""
    length: int
    ok: bool
    reason: str
    """How it ended, or why it failed: short and stable."""


@dataclass(frozen=True, slots=True)
class AskJudge:
    """Find out whether something that was said is against a rule; answered by Judged."""

    question: int
    """Counts those of the stream, from 1."""
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class GuardrailTripped:
    """Something was said that a rule forbids: for the record, nothing is done."""

    name: str
    """Of the rule."""
    direction: str
    """input or output."""
    type: str
    action: str
    """cancel, refuse, end_call, transfer, or note, where it had been heard already."""


@dataclass(frozen=True, slots=True)
class GuardrailFailed:
    """Nobody could say whether a rule was kept: for the record, nothing is done."""

    name: str
    type: str
    reason: str
    """Short and stable."""


@dataclass(frozen=True, slots=True)
class AskRecording:
    """Have the carrier begin to record the call, or rest; answered by RecordingAnswered."""

    wish: str
    """start, pause, resume, or stop, which is for good."""


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """The call is not recorded although it should be: for the record, nothing is done."""

    reason: str
    """Short and stable."""


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """Keys were pressed on the caller's line, or were not: for the record, nothing is done."""

    shown: str
    """The keys or, where they are secret, how many there are."""
    length: int
    via: str
    """inband or play."""
    ok: bool
    reason: str = ""
    """Why they were not: short and stable."""


@dataclass(frozen=True, slots=True)
class MenuRepeated:
    """A menu goes round, and the model was told: for the record, nothing is done."""

    warning: str


@dataclass(frozen=True, slots=True)
class CallerHeld:
    """The caller is on hold: for the record, nothing is done."""

    by: str
    """operator, agent or transfer."""


@dataclass(frozen=True, slots=True)
class CallerReleased:
    """The caller is on hold no longer: for the record, nothing is done."""


@dataclass(frozen=True, slots=True)
class LatencyHigh:
    """The caller has waited for an answer for long: for the record, nothing is done."""


@dataclass(frozen=True, slots=True)
class ModelBilled:
    """A response has cost something: for the record, nothing is done."""

    microusd: int
    """Millionths of a dollar."""
    prices: str
    """The name of the price list."""


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """The caller has said nothing for long and is reminded: for the record, nothing is done."""

    count: int
    """Reminders in a row."""


@dataclass(frozen=True, slots=True)
class OrderDone:
    """An order of the operator's has come to its end: for the record, nothing is done."""

    command_id: str
    state: str
    """completed, failed, refused (it never began) or dropped (what was before it failed)."""
    reason: str = ""
    """Short and stable; empty where it was completed."""


@dataclass(frozen=True, slots=True)
class EndStream:
    """The last command of a stream: close both lines and let the runner go."""

    reason: str
    """An end reason of app/call/report.py, or ``transferring`` when the call itself goes on."""


ToCaller = PlayAudio | SendMark | ClearPlayback
ToModel = (
    AppendAudio
    | AppendSilence
    | CreateResponse
    | CancelResponse
    | TruncateItem
    | DeleteItem
    | SetTurnTaking
    | ChangeSession
    | AddMessage
    | AddToolCall
    | AddToolOutput
    | AskAlive
)
Effect = (
    PlayComfort
    | SetSound
    | PlaySound
    | PlayKeys
    | MeasureVoice
    | OpenModel
    | CloseModel
    | OpenSpare
    | CloseSpare
    | SwitchModel
    | HandOver
    | RunTool
    | Transfer
    | RedirectKeys
    | PlaceSideCall
    | DropSideCall
    | Join
    | NotReached
    | FailOver
    | HangUp
    | VerifyCall
    | KeepDigits
    | DigitsCollected
    | AskJudge
    | GuardrailTripped
    | GuardrailFailed
    | AskRecording
    | NotRecorded
    | KeysPressed
    | MenuRepeated
    | CallerHeld
    | CallerReleased
    | CallerSilent
    | ModelBilled
    | LatencyHigh
    | OrderDone
    | EndStream
)
Command = ToCaller | ToModel | Effect
