"""The model of the agent document: what the operator of a line may write, and nothing else.

Short forms (a text for a greeting, a name for a voice) become their long form here, so that
whoever reads an Agent meets one shape. Agents are frozen; the runtime reads their plain
attributes once per call, and pydantic has no part in the audio path.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from app.agents.dtmf import Dtmf, DtmfPreset
from app.agents.forms import FieldName, Form
from app.agents.guardrails import Guardrails
from app.agents.guardrails import check as check_guardrails
from app.agents.knowledge import Knowledge
from app.agents.limits import Limits
from app.agents.limits import check as check_limits
from app.agents.numbers import LONGEST_SAY_CHARS, Hours, LineNumber, Number, check
from app.agents.offers import Offer
from app.agents.offers import check as check_offers
from app.agents.part import Part
from app.agents.recording import Recording
from app.agents.recording import check as check_recording
from app.agents.sounds import TONES, Ambience, HoldAudio, Use, ambience, hold
from app.agents.targets import (
    CALLER,
    REQUESTED,
    TAKE_MESSAGE,
    Target,
    check_chains,
    check_hours,
    refuse_overlong,
    refuse_undialled,
)
from app.agents.texting import CODE_PRESET, SendLink, Sms, Verification
from app.agents.texting import check as check_texting
from app.agents.timeouts import Timeouts
from app.agents.timeouts import check as check_timeouts
from app.agents.tooling import AnyTool, McpTool, PythonTool
from app.agents.values import (
    DURATION_SCHEMA,
    AgentName,
    Destination,
    Language,
    Languages,
    TargetName,
    Text,
    Texts,
    ToolName,
    VariableName,
    WebhookUrl,
    between,
    empty_if_none,
    none_if_none,
    or_just,
    or_only,
    or_zero,
    refuse,
    several,
)
from app.call import notices
from app.call.analysis import NEXT_ACTION, SATISFACTION
from app.call.built_in import COLLECT_DTMF, HANDOFF, TRANSFER_CALL

HUMAN = "human"
"""The name of the target that ``transfer_to`` is short for."""
GOODBYE = "end_call"
"""The word for ending the call where the name of a target could stand."""
DEFAULT_VOICE = "marin"


Interruptible = Literal["none", "dtmf", "speech", "any"]


class Greeting(Part):
    """The first words of a call."""

    text: Text
    """What to say or, with mode: generate, how to greet."""
    interruptible: Interruptible | None = None
    """What cuts it short; none: nothing. What is said meanwhile is answered after it. Left out:
    what the agent is interrupted by."""
    mode: Literal["verbatim", "generate"] = "verbatim"


class Voice(Part):
    """How the agent sounds: a voice by name, or one of your own by id."""

    name: Text | None = None
    """marin, where no id is given either."""
    id: Text | None = None
    """A custom voice of your model account, as it is called there."""
    speed: float = Field(default=1.0, ge=0.25, le=1.5)

    @field_validator("id")
    @classmethod
    def _one_voice(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("name"):
            refuse("cannot stand beside name: a voice has one or the other")
        return value


class ServerVad(Part):
    """Turns are told apart by sound and silence."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    """How loud speech must be; higher for noisy lines."""
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    """Sound kept from before the speech was noticed."""
    silence_duration_ms: int = Field(default=500, ge=0, le=10_000)
    """Silence that ends a turn."""


class SemanticVad(Part):
    """Turns are told apart by meaning."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """How soon the agent takes the word: low waits longest."""


class NoiseReduction(Part):
    """What is filtered out of the caller's sound before the model hears it."""

    type: Literal["near_field", "far_field"] = "near_field"
    """near_field for handsets and headsets, far_field for speakerphones."""


class Transcription(Part):
    """The side transcription of what the caller says."""

    model: Text = "gpt-transcribe"
    language: Language | None = None
    """The language spoken, when there is only one."""
    languages: Languages = ()
    """The languages that may be spoken."""
    prompt: Text | None = None
    """What the calls are about."""
    keywords: Texts = ()
    """Names and words that are easily misheard."""

    @field_validator("languages")
    @classmethod
    def _one_or_many(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("language"):
            refuse("cannot stand beside language: write one or the other")
        return value


class Reasoning(Part):
    """How long a reasoning model may think before it speaks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"]


class Failure(Part):
    """What the caller hears, and where the call goes, when the agent cannot go on."""

    say: Text = "I'm sorry, we have a technical problem."
    then: Text | None = None
    """The name of a target, take_message (they may leave one after a tone), or end_call. Left
    out: the target where there is exactly one."""


class Callbacks(Part):
    """Calling people back when they want it, by the tool schedule_callback; on the number they
    are calling from and no other. DIAL_COUNTRIES and CALLING_HOURS hold for it."""

    within_ms: Annotated[int, between("1h", "30d"), DURATION_SCHEMA] = Field(
        default=7 * 86_400_000, alias="within", json_schema_extra={"default": "7d"}
    )
    """How far ahead a call-back may be."""
    attempts: int = Field(default=2, ge=1, le=5)
    """How often it is tried where nobody picks up or the line is busy, a quarter of an hour
    apart."""


class Webhook(Part):
    """A program of yours that is told what happens."""

    url: WebhookUrl
    events: Texts = ("call.ended", "call.corrected", "call.analyzed")
    """Which events, as names or patterns such as call.*; transcripts only where named."""

    @field_validator("events")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not any(notices.asked_for([pattern], kind) for kind in notices.NOTICES):
                meant = next(iter(get_close_matches(pattern, notices.NOTICES, n=1)), "")
                refuse(f'no event is called "{pattern}"', meant=meant)
        return value


class SmsSummary(Part):
    """A text message about the call, when it is over."""

    to: Annotated[
        tuple[Literal["caller"], ...], BeforeValidator(several), Field(min_length=1, max_length=1)
    ] = ("caller",)
    """To whom: caller, whoever talked with the agent."""


class Analysis(Part):
    """What a model is asked about a call that is over."""

    model: Text = "gpt-5.4-mini"
    """A model of OPENAI_BASE_URL that answers in a JSON schema."""
    summary: Annotated[
        tuple[Literal["short", "long"], ...], BeforeValidator(several), Field(min_length=1)
    ] = ("short", "long")
    satisfaction: Annotated[Texts, Field(min_length=2)] = SATISFACTION
    """The words to choose from."""
    next_action: Annotated[Texts, Field(min_length=2)] = NEXT_ACTION
    """The words to choose from."""
    success: Text | None = None
    """When a call counts as successful, as a sentence."""
    sms_summary: SmsSummary | None = None
    """A text message to the caller with what was agreed; null: none."""


class Agent(Part):
    """One agent, as all that is written of it comes to."""

    handoff_description: Text | None = None
    """What this agent is for, for the others."""
    handoffs: Texts = ()
    """The agents that this one may hand the conversation to."""
    instructions_file: Text | None = None
    """A text file beside the document, instead of instructions."""
    instructions: str = Field(default="", validate_default=True)
    """Who the agent is and what it does; also when it came from a file."""
    greeting: Annotated[Greeting, or_just("text", Greeting)] | None = None
    """Left out: the caller speaks first."""
    model: Text = "gpt-realtime-2.1"
    """The Realtime model; on Azure, the name of its deployment."""
    voice: Annotated[Voice, or_just("name", Voice), or_only(DEFAULT_VOICE, "name", "id")] = Voice(
        name=DEFAULT_VOICE
    )
    turn_detection: Annotated[
        ServerVad | SemanticVad,
        Field(discriminator="type"),
        or_just("type", ServerVad, SemanticVad),
        or_only("server_vad", "type"),
    ] = ServerVad()
    noise_reduction: Annotated[NoiseReduction, or_just("type", NoiseReduction)] | None = (
        NoiseReduction()
    )
    """null: none."""
    transcription: Annotated[Transcription, or_just("model", Transcription)] | None = (
        Transcription()
    )
    """null: none; the record then has only the agent's words."""
    reasoning: Annotated[Reasoning, or_just("effort", Reasoning)] | None = None
    """Only for models that reason."""
    ambience: Annotated[Ambience, or_just("source", Ambience)] | None = None
    """What is heard throughout, behind everything; null: nothing."""
    hold_audio: Annotated[HoldAudio, or_just("source", HoldAudio)] | None = None
    """What callers on hold hear. Left out: a soft tone, and the agent itself may not hold."""
    variables: Annotated[Mapping[VariableName, str | int | float | bool | None], empty_if_none] = {}
    """What {{name}} stands for in texts. A call may bring others; null: each call must."""
    tools: Annotated[Mapping[ToolName, AnyTool], empty_if_none] = {}
    """What the model may call, by name. A list of names instead: these, and of the built-in ones
    only those that it names too; a name may have options."""
    interruptible: Interruptible = "any"
    """What cuts the agent short. Without speech: the caller is heard, and answered afterwards;
    without dtmf: keys that are pressed meanwhile are ignored."""
    min_interruption_ms: Annotated[int, between("0s", "2s"), DURATION_SCHEMA, or_zero] = Field(
        default=0, alias="min_interruption", json_schema_extra={"default": "0s"}
    )
    """So long the caller must be heard before the agent is cut short."""
    max_tool_rounds: int = Field(default=6, ge=1, le=20)
    """So often the agent may call tools in a row before it must speak, unless the caller does."""
    echo_guard: bool = False
    """true: noise, and the agent's own voice coming back, do not cut it short."""
    dtmf: Dtmf = Dtmf()
    """What callers can be asked to key in."""
    transfer_targets: Annotated[Mapping[TargetName, Target], empty_if_none] = {}
    """Whom the caller can be put through to, by name."""
    transfer_to: Destination | None = None
    """Short for one target with the name human."""
    failure: Failure = Field(default=Failure(), validate_default=True)
    timeouts: Timeouts = Field(default=Timeouts(), validate_default=True)
    limits: Limits = Limits()
    """What a call may cost."""
    callbacks: Callbacks | None = None
    """Whether the agent may promise to call back; null: it may not."""
    analysis: Annotated[Analysis, or_just("model", Analysis)] | None = None
    """What is asked about a call that is over; null: nothing."""
    reminders: bool = Field(default=False, validate_default=True)
    """Whether the agent may note what is to be done after the call, by the tool set_reminder."""
    forms: Annotated[Mapping[FieldName, Form], empty_if_none] = {}
    """What calls are to find out, by name."""
    form: Text | None = Field(default=None, validate_default=True)
    """Which of the forms the agent fills, by the tool update_form; analysis checks it when the
    call is over."""
    knowledge: Annotated[Knowledge, or_just("paths", Knowledge)] | None = None
    """What the agent may look things up in, by the tool search_knowledge; null: nothing."""
    sms: Annotated[Sms, or_just("from", Sms)] | None = Field(default=None, validate_default=True)
    """Whether the agent may send text messages, by the tool send_sms; null: it may not."""
    verification: Verification | None = Field(default=None, validate_default=True)
    """Whether the agent may have callers prove their number, by the tool verify_code; null: it may
    not."""
    send_link: SendLink | None = Field(default=None, validate_default=True)
    """Whether the agent may send a page of the call, by the tool send_link; null: it may not."""
    webhooks: Annotated[tuple[Webhook, ...], none_if_none] = Field(
        default=(), validate_default=True
    )
    """Programs of yours that are told what happens."""
    guardrails: Guardrails | None = Field(default=None, validate_default=True)
    """What must not be said, and what callers must not ask for; null: nobody looks."""
    recording: Recording | None = Field(default=None, validate_default=True)
    """Whether calls are recorded; null: they are not."""
    hours: Annotated[Mapping[FieldName, Hours], empty_if_none] = Field(
        default={}, validate_default=True
    )
    """When somebody is there, by name."""
    built_ins: SkipJsonSchema[Mapping[str, Offer] | None] = None
    """The built-in tools that were listed; None: all that can work. Nobody writes it: it is what a
    list of tools comes to."""
    colleagues: SkipJsonSchema[Mapping[str, str]] = Field(default={})
    """Those of ``handoffs``, with what each is for. Nobody writes it: it is what they say of
    themselves."""
    numbers: Mapping[LineNumber, Number] | None = None
    """Which of your numbers the agent answers, and when; "*" is every other one. Calls to a
    number that is not here are rejected. Left out: it answers all of them, always."""

    @field_validator("guardrails")
    @classmethod
    def _can_be_looked_at(cls, value: Guardrails | None, info: ValidationInfo) -> Guardrails | None:
        if (
            value is None
            or not {"transfer_targets", "transfer_to", "transcription"} <= info.data.keys()
        ):
            return value
        people = [HUMAN] if info.data["transfer_to"] else []
        transcribed = info.data["transcription"] is not None
        check_guardrails(value, [*info.data["transfer_targets"], *people], transcribed=transcribed)
        return value

    @field_validator("recording")
    @classmethod
    def _known_presets(cls, value: Recording | None, info: ValidationInfo) -> Recording | None:
        if value is not None and "dtmf" in info.data:
            check_recording(value, info.data["dtmf"].presets)
        return value

    @field_validator("hours")
    @classmethod
    def _hours_of_targets(
        cls, value: Mapping[str, Hours], info: ValidationInfo
    ) -> Mapping[str, Hours]:
        check_hours(info.data.get("transfer_targets", {}), value)
        return value

    @field_validator("webhooks")
    @classmethod
    def _told_before(cls, value: tuple[Webhook, ...], info: ValidationInfo) -> tuple[Webhook, ...]:
        left = [
            name
            for name, target in info.data.get("transfer_targets", {}).items()
            if target.mode == "hangup"
        ]
        if left and not any(notices.asked_for(one.events, REQUESTED) for one in value):
            refuse(f'must name {REQUESTED} among its events: "{left[0]}" hangs up after it')
        return value

    @field_validator("numbers")
    @classmethod
    def _known_names(
        cls, value: Mapping[str, Number] | None, info: ValidationInfo
    ) -> Mapping[str, Number] | None:
        if value is None or not {"hours", "transfer_targets", "transfer_to"} <= info.data.keys():
            return value
        people = [HUMAN] if info.data["transfer_to"] else []
        targets = info.data["transfer_targets"]
        check(value, info.data["hours"], [*targets, *people])
        for number, one in value.items():
            for instead in (one.when_closed, one.when_full):
                refuse_undialled(instead.then if instead else "", targets, at=number)
        return value

    @field_validator("built_ins")
    @classmethod
    def _known_options(
        cls, value: Mapping[str, Offer] | None, info: ValidationInfo
    ) -> Mapping[str, Offer] | None:
        if value and {"transfer_targets", "transfer_to", "dtmf"} <= info.data.keys():
            people = [HUMAN] if info.data["transfer_to"] else []
            targets = [*info.data["transfer_targets"], *people]
            check_offers(value, targets, info.data["dtmf"].presets)
        return value

    @field_validator("instructions")
    @classmethod
    def _one_source(cls, value: str, info: ValidationInfo) -> str:
        value = value.strip()
        if "instructions_file" not in info.data:
            return value
        from_file = info.data["instructions_file"] is not None
        if value and from_file:
            refuse("cannot stand beside instructions_file: write one or the other")
        if not value and not from_file:
            refuse("are missing: say who the agent is and what it does")
        return value

    @field_validator("transfer_to")
    @classmethod
    def _one_human(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and HUMAN in info.data.get("transfer_targets", {}):
            refuse('is short for a target named "human", and there is one: remove either')
        return value

    @field_validator("transfer_targets")
    @classmethod
    def _lead_somewhere(cls, value: Mapping[str, Target]) -> Mapping[str, Target]:
        check_chains(value)
        return value

    @field_validator("reminders")
    @classmethod
    def _messages_noted(cls, value: bool, info: ValidationInfo) -> bool:
        takes = [
            name
            for name, target in info.data.get("transfer_targets", {}).items()
            if target.on_failure.then == TAKE_MESSAGE
        ]
        if takes and not value:
            refuse(f"must be true: messages for {takes[0]} are noted as reminders")
        return value

    @field_validator("verification")
    @classmethod
    def _can_be_sent(cls, value: Verification | None, info: ValidationInfo) -> Verification | None:
        if value is None or not {"sms", "dtmf"} <= info.data.keys():
            return value
        if info.data["sms"] is None:
            refuse("sends a text message: add sms")
        if CODE_PRESET in info.data["dtmf"].presets:
            refuse(f"has a preset of its own named {CODE_PRESET}: call yours something else")
        return value

    @field_validator("send_link")
    @classmethod
    def _can_be_texted(cls, value: SendLink | None, info: ValidationInfo) -> SendLink | None:
        if value is not None and info.data.get("sms", value) is None:
            refuse("sends a text message: add sms")
        return value

    @field_validator("sms")
    @classmethod
    def _known_recipients(cls, value: Sms | None, info: ValidationInfo) -> Sms | None:
        if value is None or not {"transfer_targets", "transfer_to"} <= info.data.keys():
            return value
        people = {name: target.to for name, target in info.data["transfer_targets"].items()}
        if info.data["transfer_to"]:
            people[HUMAN] = info.data["transfer_to"]
        check_texting(value, people)
        return value

    @field_validator("limits")
    @classmethod
    def _counted(cls, value: Limits, info: ValidationInfo) -> Limits:
        check_limits(value, info.data.get("model", ""))
        return value

    @field_validator("timeouts")
    @classmethod
    def _lead_to_somebody(cls, value: Timeouts, info: ValidationInfo) -> Timeouts:
        if {"transfer_targets", "transfer_to"} <= info.data.keys():
            people = [HUMAN] if info.data["transfer_to"] else []
            check_timeouts(value, [*info.data["transfer_targets"], *people])
        return value

    @field_validator("form")
    @classmethod
    def _known_form(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or "forms" not in info.data:
            return value
        if value not in info.data["forms"]:
            meant = next(iter(get_close_matches(value, info.data["forms"], n=1)), "")
            refuse(f'unknown form "{value}"', meant=meant)
        return value

    @field_validator("failure")
    @classmethod
    def _known_target(cls, value: Failure, info: ValidationInfo) -> Failure:
        if not {"transfer_targets", "transfer_to"} <= info.data.keys():
            return value
        known = [*info.data["transfer_targets"], GOODBYE, TAKE_MESSAGE]
        if info.data["transfer_to"]:
            known.append(HUMAN)
        if value.then is not None and value.then not in known:
            meant = next(iter(get_close_matches(value.then, known, n=1)), "")
            refuse(f'unknown target "{value.then}"', at="then", meant=meant)
        refuse_undialled(value.then or "", info.data["transfer_targets"], at="then")
        people = {
            name: (target.to, target.caller_id)
            for name, target in info.data["transfer_targets"].items()
            if target.dialled
        }
        if info.data["transfer_to"]:
            people[HUMAN] = info.data["transfer_to"], CALLER
        if value.then == TAKE_MESSAGE and len(value.say) > LONGEST_SAY_CHARS:
            refuse(f"has more than {LONGEST_SAY_CHARS} characters: nobody listens", at="say")
        person = people[name] if (name := _failing_to(value, people)) else (None, CALLER)
        refuse_overlong(value.say, *person, at="say")
        return value

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """Every target by name, the one of ``transfer_to`` included."""
        if self.transfer_to is None:
            return self.transfer_targets
        person = Target(description="A person who can help.", to=self.transfer_to)
        return {HUMAN: person, **self.transfer_targets}

    @property
    def dialled(self) -> Mapping[str, Target]:
        """The targets that whoever has no agent can be put through to."""
        return {name: target for name, target in self.targets.items() if target.dialled}

    def has(self, tool: str) -> bool:
        """Whether a built-in tool was chosen, or nobody chose."""
        chosen = self.built_ins is None or tool in self.built_ins
        return chosen or tool == HANDOFF  # Naming somebody to hand over to is choosing it.

    @cached_property
    def offered_targets(self) -> Mapping[str, Target]:
        """Those of the targets that the model may choose."""
        offer = (self.built_ins or {}).get(TRANSFER_CALL)
        wanted = offer.targets if offer is not None else None
        return self.targets if wanted is None else {name: self.targets[name] for name in wanted}

    @cached_property
    def offered_presets(self) -> Mapping[str, DtmfPreset]:
        """Those of the presets that the model may have keyed in."""
        offer, known = (self.built_ins or {}).get(COLLECT_DTMF), self.dtmf.presets
        wanted = offer.presets if offer is not None else None
        return known if wanted is None else {name: known[name] for name in wanted}

    @cached_property
    def sounds(self) -> Mapping[str, Use]:
        """What can be heard besides the agent, by the name of its occasion."""
        music = self.hold_audio or HoldAudio(source=TONES)
        heard = ambience(self.ambience) | hold("hold", (), music)
        for name, tool in self.tools.items():
            if not isinstance(tool, McpTool):
                heard |= hold(f"tool:{name}", ("tools", name), tool.hold_audio)
        for name, target in self.transfer_targets.items():
            heard |= hold(f"target:{name}", ("transfer_targets", name), target.hold_audio)
        return heard

    @property
    def asks_afterwards(self) -> bool:
        """Whether something is to be done when a call is over."""
        return bool(self.webhooks or self.analysis or self.answers_texts)

    @property
    def answers_texts(self) -> bool:
        """Whether texts that come when a call is over are answered."""
        return self.sms is not None and bool(self.sms.answer or self.timeouts.resume)

    def tells(self, kind: str) -> bool:
        """Whether a program of the operator's wants to know of events of this kind."""
        return any(notices.asked_for(one.events, kind) for one in self.webhooks)

    @property
    def failure_target(self) -> str | None:
        """Where the call goes when the agent cannot go on; None: an apology and a goodbye."""
        return _failing_to(self.failure, self.dialled)


def _failing_to(failure: Failure, targets: Mapping[str, object]) -> str | None:
    if failure.then in {GOODBYE, TAKE_MESSAGE}:
        return None
    if failure.then is None and len(targets) == 1:
        return next(iter(targets))
    return failure.then


def handlers(agent: Agent) -> list[tuple[str, str]]:
    """Each Python tool's name with its ``module:function``, for whoever imports them."""
    python = {name: tool for name, tool in agent.tools.items() if isinstance(tool, PythonTool)}
    return [(name, tool.handler) for name, tool in python.items()]


class Document(Agent):
    """The whole document: one agent, or several with what they have in common. Only its schema is
    made of this; what holds for each agent is found out by ``app.agents.layers``."""

    version: Literal[1] = 1
    """Of the language."""
    defaults: Agent | None = None
    """Merged under every agent; null takes a field away, lists replace lists."""
    agents: Mapping[AgentName, Agent] | None = None
    """Several agents, by name. What is written beside this holds for all of them. Left out: the
    document is the one agent."""
