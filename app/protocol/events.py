"""Everything that can happen to a call: the input of the machine.

An event is a fact in our own words, already validated at the boundary that produced it;
vendors' messages never get past the codecs. Every class is a value. Audio travels as the
base64 text it arrived in (mu-law, 8 kHz, mono), with its length beside it, because nothing
between the two sockets needs the samples. Facts that no decision needs are counted where
they arrive and never become events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Twilio's ``start``: the caller is on the line. A call may see several streams."""

    stream_sid: str


@dataclass(slots=True)
class CallerAudio:
    """One Twilio ``media`` message, as a rule one frame. Not frozen: fifty a second a call."""

    payload_b64: str
    length_bytes: int
    timestamp_ms: int
    """Presentation time since the stream began, by Twilio's clock."""


@dataclass(frozen=True, slots=True)
class CallerDigit:
    """A key the caller pressed: ``0-9 * # A-D``."""

    digit: str


@dataclass(frozen=True, slots=True)
class CallerTyped:
    """What the caller wrote instead of saying it, on a phone that can."""

    text: str


@dataclass(slots=True)
class MarkReturned:
    """Twilio played everything up to this mark, or a ``clear`` threw it back. Not frozen: five
    a second a call."""

    name: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """Twilio's ``stop``: the stream ended because the call did or because it was redirected."""


@dataclass(frozen=True, slots=True)
class StreamReportedOver:
    """Twilio's status callback says that the stream ended, not why; ``stop`` may yet come."""


@dataclass(frozen=True, slots=True)
class CallerLineLost:
    """The media socket is gone, with or without ``stop`` before it."""

    code: int
    """WebSocket close code; 1006 when none came."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Twilio's status callback or REST API says the telephone call is over."""

    status: str
    """completed, busy, failed, no-answer or canceled."""


@dataclass(frozen=True, slots=True)
class PickedUp:
    """Twilio's detection says who picked up a call that we placed. May come late, or never."""

    who: str
    """human, machine, fax or unknown."""
    records: bool = False
    """A machine's greeting is over: it takes a message now."""


@dataclass(frozen=True, slots=True)
class CallStillUp:
    """REST confirms that the call is in progress although no media arrives."""


@dataclass(frozen=True, slots=True)
class ModelReady:
    """``session.updated`` confirmed ``audio/pcmu`` both ways: the model line may carry audio."""

    session_id: str
    life_ms: int | None = None
    """How long the server grants the session from now; None where it does not say."""


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """An attempt to open the model line failed."""

    reason: str
    """Short and stable: http_401, timeout, closed_3000, wrong_format …"""
    retryable: bool


@dataclass(frozen=True, slots=True)
class ModelLineLost:
    """The model line ended after it had been ready, however politely."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class SpareReady:
    """A spare model line may carry audio, as ``ModelReady`` says of the one in use."""

    session_id: str
    life_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpareRefused:
    """An attempt to open a spare line failed; the one in use goes on."""

    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SpareLost:
    """A spare line ended before it was used."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class SwapOrdered:
    """Somebody wants another model line in place of this one, at a quiet moment."""

    reason: str
    """Short and stable, for the log: what another line is needed for."""


@dataclass(frozen=True, slots=True)
class ModelAlive:
    """``session.updated`` on a line that was ready: the answer to ``AskAlive``."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The model's voice activity detection heard the caller begin."""

    item_id: str


@dataclass(frozen=True, slots=True)
class VoiceMeasured:
    """How much of what the caller's line brought last is a voice, and theirs: the answer to
    ``MeasureVoice``."""

    voice_ms: int
    """Of a voice that is still heard, from its beginning; 0 where there is none."""
    echo_ms: int = 0
    """Within the last half second, of the agent's own voice coming back."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The model's voice activity detection heard the caller end."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerTurnCommitted:
    """What the caller said became an item; the model owes a response to it."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerTranscribed:
    """The side transcription of a caller's turn; may come late, or never."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """``response.created`` in the default conversation."""

    response_id: str
    purpose: str | None
    """What we asked for (metadata of our ``response.create``); None when the server began it."""


@dataclass(slots=True)
class SpeechAudio:
    """A delta of the model's speech. Not frozen: it is on the audio path."""

    response_id: str
    item_id: str
    content_index: int
    payload_b64: str
    length_bytes: int


@dataclass(frozen=True, slots=True)
class SpeechAudioDone:
    """No more audio of this content part will come."""

    response_id: str
    item_id: str
    content_index: int


@dataclass(slots=True)
class SpeechText:
    """A delta of the transcript of the model's speech; runs ahead of what is heard. Not frozen:
    as many as there are of audio.

    Without a word it is a sign of life: the model is writing what is not said, such as the
    arguments of a tool.
    """

    response_id: str
    item_id: str
    content_index: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model called a tool and its arguments are complete."""

    response_id: str
    item_id: str
    tool_call_id: str
    name: str
    arguments: str
    """JSON text as the model wrote it: unvalidated."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response, as ``response.done`` reports them."""

    input_text: int = 0
    input_audio: int = 0
    input_cached: int = 0
    output_text: int = 0
    output_audio: int = 0
    input_cached_audio: int = 0
    """So much of ``input_cached`` is audio; the rest is text."""


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """``response.done``; always comes, also after a cancellation."""

    response_id: str
    status: str
    """completed, cancelled, incomplete or failed."""
    reason: str | None = None
    """turn_detected, client_cancelled, max_output_tokens, content_filter, or an error code."""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ModelError:
    """An ``error`` event; most leave the session alive."""

    code: str
    """The server's code, its type where it has none, ``unknown`` where it has neither."""
    event_id: str | None = None
    """The id of our message that it answers."""
    param: str | None = None


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A tool call came to its end, one way or another."""

    tool_call_id: str
    output: str
    """Text for the model: the result or, where ``ok`` is false, what went wrong."""
    ok: bool
    background: bool = False
    """True: give the output to the model without asking it to speak."""
    elapsed_ms: int = 0
    source: str = "builtin"
    """Whose tool it is: builtin, python, http or mcp."""
    error: str = ""
    """What went wrong, short and stable; never anything that was said or found."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Whoever was asked about something that was said has answered, or has not."""

    question: int
    """As in ``AskJudge``."""
    tripped: bool
    failed: str = ""
    """Why there is no answer: short and stable; empty where there is one."""


@dataclass(frozen=True, slots=True)
class TransferAccepted:
    """Twilio took the new TwiML; ``stop`` will follow."""


@dataclass(frozen=True, slots=True)
class TransferRefused:
    """Twilio did not take the new TwiML; the caller is still on the stream."""

    reason: str


@dataclass(frozen=True, slots=True)
class TransferUnclear:
    """The answer to the redirect failed or got lost: Twilio may have taken the new TwiML."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeysAnswered:
    """Twilio was asked to press keys."""

    outcome: str
    """accepted: ``stop`` will follow; refused: the caller is still on the stream; unclear: the
    answer got lost."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SideCallPlaced:
    """Twilio took the order for the call to the person; it rings, or will."""

    attempt: int
    """Of the stream, as in the command; an event about another one changes nothing."""
    target: str
    leg_sid: str
    """The CallSid of the person's call."""


@dataclass(frozen=True, slots=True)
class SideCallAnswered:
    """Somebody or something picked up, and is being told what it is about."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SideCallAccepted:
    """A person pressed the key, and waits in the room."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SideCallOver:
    """The call to the person came to nothing; it is over, or is seen to."""

    attempt: int
    reason: str
    """no_answer, busy, declined, not_accepted, machine, failed, canceled, or why REST refused."""


@dataclass(frozen=True, slots=True)
class FailoverDone:
    """The failure treatment was asked for by REST."""

    accepted: bool
    unclear: bool = False
    """Not accepted as far as we know, but the answer got lost: Twilio may have taken it."""


@dataclass(frozen=True, slots=True)
class HangUpDone:
    """The hang-up was asked for by REST; a call already over counts as accepted."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class RecordingAnswered:
    """The carrier was asked to record, to rest, to go on or to stop."""

    wish: str
    """As in AskRecording."""
    ok: bool
    """False of a start: certainly nothing is recorded; of a pause: something may be."""


@dataclass(frozen=True, slots=True)
class HangUpOrdered:
    """Somebody with the right to do so wants the call to end."""

    reason: str
    """An end reason of app/call/report.py."""
    command_id: str = ""
    """What the order is known by; empty where nobody asks what became of it."""
    after: str = ""
    """The order that must have been carried out before; empty: at once, whatever goes on."""


@dataclass(frozen=True, slots=True)
class TransferOrdered:
    """The operator has the caller put through to a target of the document, by its name."""

    command_id: str
    target: str
    announcement: str = ""
    """What the caller is told before, word for word; empty: in the model's own words."""
    after: str = ""
    """The order that must have been carried out before; empty: in its turn."""
    summary: str = ""
    """What the person is told before they take the call; empty: that somebody waits."""
    at_once: bool = False
    """The agent is cut off, and says nothing of it."""


@dataclass(frozen=True, slots=True)
class SayOrdered:
    """The operator has the agent say something, word for word."""

    command_id: str
    text: str
    after: str = ""
    interruptible: str = ""
    """none, dtmf, speech or any; empty: like whatever the agent says."""


@dataclass(frozen=True, slots=True)
class RespondOrdered:
    """The operator has the agent speak now, in its own words."""

    command_id: str
    instructions: str = ""
    """What the model is told before; empty: nothing."""
    after: str = ""


@dataclass(frozen=True, slots=True)
class MuteOrdered:
    """The operator mutes the caller, whom the agent does not hear then, or the agent."""

    command_id: str
    who: str
    """caller or agent."""
    after: str = ""


@dataclass(frozen=True, slots=True)
class UnmuteOrdered:
    """The operator lets them be heard again."""

    command_id: str
    who: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class ConfigureOrdered:
    """The operator wants something to be otherwise than the agent document has it."""

    command_id: str
    after: str = ""
    interruptible: str = ""
    """none, dtmf, speech or any; empty: as it was."""
    min_interruption_ms: int | None = None
    """None: as it was."""
    strategy: str = ""
    """How ``session`` is changed: replace, replace_once, merge or merge_once; empty: not at all."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """The fields of ``session_changes.FIELDS`` that are changed."""


@dataclass(frozen=True, slots=True)
class MessageOrdered:
    """The operator tells the model something, who is not asked to speak about it."""

    command_id: str
    role: str
    """system, or user: as if the caller had written it."""
    text: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A text message of the caller's came while they are on the line."""

    text: str
    as_caller: bool = False
    """It counts as the caller's own words; otherwise it is marked."""


@dataclass(frozen=True, slots=True)
class TextFailed:
    """A text message that was sent in this call did not arrive."""

    to: str
    """``caller``, or the name of a target."""
    reason: str
    why: str
    """In words for the model."""


@dataclass(frozen=True, slots=True)
class DigitsOrdered:
    """The operator has digits collected or, without a preset, keys listened to again."""

    command_id: str
    preset: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class KeysOrdered:
    """The operator has keys pressed on the caller's line."""

    command_id: str
    symbols: str
    """0-9 * # A-D, w and W for pauses; where they are secret, an ``x`` for each key."""
    after: str = ""
    secret: str = field(default="", repr=False)
    """The same with the keys in it; in no log, so that a replay has none."""


@dataclass(frozen=True, slots=True)
class HoldOrdered:
    """The operator puts the caller on hold."""

    command_id: str
    turn: str = ""
    """What the model is told, and asked to answer at once; the hold ends with the first sound of
    it. Empty: it lasts until ``UnholdOrdered``."""
    after: str = ""


@dataclass(frozen=True, slots=True)
class UnholdOrdered:
    """The operator takes the caller back."""

    command_id: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class FailoverOrdered:
    """This process cannot keep the call: give it the failure treatment."""

    reason: str
    """An end reason of app/call/report.py."""


Event = (
    StreamStarted
    | CallerAudio
    | CallerDigit
    | CallerTyped
    | MarkReturned
    | StreamStopped
    | StreamReportedOver
    | CallerLineLost
    | CallEnded
    | PickedUp
    | CallStillUp
    | ModelReady
    | ModelRefused
    | ModelLineLost
    | SpareReady
    | SpareRefused
    | SpareLost
    | SwapOrdered
    | ModelAlive
    | SpeechStarted
    | VoiceMeasured
    | SpeechStopped
    | CallerTurnCommitted
    | CallerTranscribed
    | ResponseStarted
    | SpeechAudio
    | SpeechAudioDone
    | SpeechText
    | ToolCalled
    | ResponseDone
    | ModelError
    | ToolDone
    | Judged
    | TransferAccepted
    | TransferRefused
    | TransferUnclear
    | KeysAnswered
    | SideCallPlaced
    | SideCallAnswered
    | SideCallAccepted
    | SideCallOver
    | FailoverDone
    | HangUpDone
    | RecordingAnswered
    | HangUpOrdered
    | TransferOrdered
    | SayOrdered
    | ConfigureOrdered
    | RespondOrdered
    | MuteOrdered
    | UnmuteOrdered
    | MessageOrdered
    | TextReceived
    | TextFailed
    | DigitsOrdered
    | KeysOrdered
    | HoldOrdered
    | UnholdOrdered
    | FailoverOrdered
)
