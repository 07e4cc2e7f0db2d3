"""What the machine must know of the agent and the call before it begins: plain values.

Made once per call from the agent document, written into the flight log's first line, and
therefore all that a replay needs besides the events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.call.prices import Price

MOST_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class ToolPlan:
    """How a tool behaves towards the conversation; running it is not the machine's business."""

    filler: str | None = None
    """What to say while it takes its time; None leaves the wording to the model."""
    only_reads: bool = False
    """It changes nothing: nobody has to be sure before it is run."""


@dataclass(frozen=True, slots=True)
class DigitsPreset:
    """One thing that the caller may be asked to key in."""

    num_digits: int | None = None
    """Exactly so many; None: ``min_digits`` to ``max_digits``."""
    min_digits: int = 1
    max_digits: int | None = None
    """None: as many as come, 100 at most."""
    finish_on_key: str = ""
    """The key that ends it and is no part of it; empty: none does."""
    first_digit_timeout_ms: int = 8_000
    """From the end of what is said to the first key."""
    inter_digit_timeout_ms: int = 4_000
    """From one key to the next."""
    ignore_speech: bool = False
    """From the first key to the end the model hears silence."""
    stop_after: bool = False
    """When it is over further keys are ignored, until they are asked for."""
    sensitive: bool = False
    """Nobody but a tool is told more than how many digits there are."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """What may be keyed in, and what it means; empty: anything."""
    retries: int = 0
    """So often it is asked for again."""


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """A target that is asked first, while the caller hears music."""

    ring_ms: int = 20_000
    """How long the person's telephone rings."""
    then: str = "resume"
    """What happens where they are not reached: resume, take_message, end_call, or a target."""
    say: str | None = None
    """What the caller is told then, word for word; None: in the model's own words."""


@dataclass(frozen=True, slots=True)
class BillPlan:
    """What the model costs, and may."""

    price: Price
    prices: str
    """The name of the price list."""
    most_microusd: int | None = None
    """A call may cost so much; None: any amount."""
    spent_microusd: int = 0
    """On earlier streams of the call."""


@dataclass(frozen=True, slots=True)
class SilencePlan:
    """What becomes of a caller who says nothing."""

    after_ms: int = 20_000
    """Of silence, before each reminder and before the end."""
    say: tuple[str, ...] = ()
    """The reminders, word for word, one after the other; empty: in the model's own words."""
    times: int = 3
    """So often they are reminded in a row."""
    then: str = "end_call"
    """What follows: end_call, or a target."""


@dataclass(frozen=True, slots=True)
class RulePlan:
    """Something that is not to be said, or not to be asked for."""

    name: str
    kind: str
    """blocklist, moderation, classifier or jailbreak."""
    side: str
    """input or output: whose words are looked at."""
    then: str
    """What follows: cancel, refuse, end_call, or a target."""
    say: str
    """What the caller is told then, word for word."""
    words: tuple[str, ...] = ()
    """Of a blocklist; the others are asked about, and know themselves for what."""
    closed: bool = False
    """Where whoever is asked does not answer, it counts as broken."""


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """What is looked at while it is said."""

    rules: tuple[RulePlan, ...]
    debounce_chars: int = 100
    """After so many more characters of an answer it is asked about again."""
    words_ms: int = 2_000
    """So long the words of a turn are waited for before a tool is run that can do harm."""
    most: int = 3
    """So often in a call; then ``then`` follows."""
    then: str = "end_call"
    """end_call, or a target."""
    tripped: int = 0
    """So often it was on earlier streams of the call."""


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """The call is to be recorded by the carrier."""

    announcement: str = ""
    """What the caller must have heard before, word for word; empty: nothing."""
    channels: str = "dual"
    """dual or mono."""
    pause_during: tuple[str, ...] = ()
    """Presets during which nothing is recorded, beside the sensitive ones."""
    reached: str = ""
    """How far it had come on an earlier stream: on, resting, stopping or over; empty: not begun."""


@dataclass(frozen=True, slots=True)
class MenuPlan:
    """A call that we placed may be answered by a menu."""

    pause_ms: int = 2_000
    """So long it must be silent to be over."""
    ends: bool = True
    """One that goes round and round ends the call."""


@dataclass(frozen=True, slots=True)
class PressPlan:
    """How keys are pressed on the caller's line."""

    by_carrier: bool = False
    """By Twilio, which takes the stream away meanwhile; else in the audio that is sent."""
    key_ms: int = 200
    gap_ms: int = 200
    """From the end of one key to the next."""
    level_dbm0: int = -8
    """Of both tones together."""


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """Something that can be heard behind the speech; what it sounds like is not our business."""

    length_bytes: int
    """Of mu-law, once."""
    loop: bool = True
    """False: it is heard once."""


@dataclass(frozen=True, slots=True)
class Memory:
    """One thing a new model line is told about the conversation so far."""

    role: str
    """user, assistant, system, or tool."""
    text: str
    """What was said or, for the assistant, heard; a tool's output."""
    tool_call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call's policies and beginnings."""

    greeting: str | None = None
    language: str = ""
    """What the caller has chosen to be spoken to in; empty: nothing."""
    greeting_verbatim: bool = True
    """False: the text tells the model how to greet instead of what to say."""
    tools: Mapping[str, ToolPlan] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    """Whom the caller can be put through to, by name."""
    offered: tuple[str, ...] | None = None
    """Those of them that the model may choose; None: all."""
    warm: Mapping[str, WarmPlan] = field(default_factory=dict)
    """Those of them that are asked first, by name."""
    modes: Mapping[str, str] = field(default_factory=dict)
    """How those are reached that are neither rung nor asked first: queue, refer or hangup."""
    impossible: Mapping[str, str] = field(default_factory=dict)
    """Targets that this call cannot be put through to, and why."""
    closed: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """When nobody is at a target, in ms of the call's time, ends excluded."""
    presets: Mapping[str, DigitsPreset] = field(default_factory=dict)
    """What the caller may be asked to key in, by name."""
    interruptible: str = "any"
    """What cuts the agent: none, dtmf, speech or any. Keys that do not are ignored while something
    is being played; what is said then is answered after it."""
    greeting_interruptible: str | None = None
    """The same of the greeting; None: like everything else."""
    min_interruption_ms: int = 0
    """So long the caller must be heard before the agent is cut."""
    echo_guard: bool = False
    """Noise, and the agent's own voice coming back, cut nothing."""
    has_keys: bool = True
    """False: the caller's line is no telephone, and has no keys as far as is known."""
    sounds: Mapping[str, SoundPlan] = field(default_factory=dict)
    """What can be heard behind the speech, by the name of its occasion: ``ambience``, ``hold``,
    ``tool:look_up``, ``target:billing``."""
    filler_after_ms: int | None = None
    """So long the caller waits for an answer before a tone tells that the line lives; None: there
    is none."""
    give_up_ms: int = 8_000
    """So long in all, before it is asked for once more or given up."""
    max_call_ms: int | None = None
    """So long the call may last; None: for ever."""
    began_at_ms: int | None = None
    """When the caller first came, on an earlier stream of the call; None: this is the first."""
    bill: BillPlan | None = None
    """None: nobody knows what the model costs."""
    silence: SilencePlan | None = None
    """None: nobody minds how long the caller says nothing."""
    guard: GuardPlan | None = None
    """None: nobody looks at what is said."""
    menus: MenuPlan | None = None
    """None: whoever is heard is a person."""
    presses: PressPlan = PressPlan()
    may_press: bool = False
    """The model may press keys."""
    may_hold: bool = False
    """The model may put the caller on hold."""
    max_tool_rounds: int = MOST_ROUNDS
    """Tool rounds in a row without a word of the caller's; then the model must speak."""
    server_interrupts: bool = True
    """The server cancels a response by itself when the caller speaks."""
    memories: tuple[Memory, ...] = ()
    """The conversation so far, when the call comes back to the agent."""
    returning: str | None = None
    """Why it comes back, for the model to know: ``transfer to billing failed: busy``."""
    returns_to_listen: bool = False
    """Of a call that comes back: nothing is said about it."""
    handoffs: tuple[str, ...] = ()
    """The agents that the conversation may be handed to, by name."""
    colleagues: Mapping[str, "CallPlan"] = field(default_factory=dict)
    """What holds with each agent that the conversation may come to, by name."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """What was changed of the session on an earlier stream: ``replace`` and ``merge``."""
    known: tuple[str, ...] = ()
    """What is known of the caller and the call, form and custom data included, as sentences:
    what every later model line is told first."""
    speaks_after_ms: int | None = None
    """Of a call we placed: who is called speaks first, and after so much silence the agent does.
    None: the agent speaks at once."""
    recording: RecordingPlan | None = None
    """None: nothing is recorded."""
    message: str | None = None
    """What an answering machine is told, word for word; None: it is hung up on."""

    @property
    def server_takes_turns(self) -> bool:
        """Nothing stands between the caller's voice and an interruption: the server interrupts
        and answers by itself. Otherwise it tells of turns, and everything is asked for."""
        by_voice = self.interruptible in {"any", "speech"}
        return by_voice and not self.min_interruption_ms and not self.echo_guard
