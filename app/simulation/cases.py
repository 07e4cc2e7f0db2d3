"""The model of a file of simulated calls: as strict as an agent document's."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from app.agents.part import Part
from app.agents.values import between, phone_number, refuse

Duration = Annotated[int, between("0s", "10m")]
_KEYS = re.compile(r"[0-9A-D*#]{1,100}")


def _keys(value: object) -> object:
    if isinstance(value, str) and not _KEYS.fullmatch(value):
        refuse('must be keys of a telephone: 0-9 * # A-D, such as "1234#"')
    return value


def _step(value: object) -> object:
    return {value: True} if value == "hang_up" else value


class Wait(Part):
    """Wait until something was heard."""

    heard: Annotated[str, Field(min_length=1)]
    """Words of the agent, in any case of letters."""
    within_ms: Duration = Field(default=10_000, alias="within")


class StepTaken(Part):
    """What the caller does next, when the agent is silent: exactly one thing."""

    say: Annotated[str, Field(min_length=1)] | None = None
    """Words."""
    keys: Annotated[str, BeforeValidator(_keys)] | None = None
    """Keys of the telephone."""
    text: Annotated[str, Field(min_length=1, max_length=1600)] | None = None
    """A text message to the number that was called."""
    wait: Wait | None = None
    """Wait to hear something."""
    silence_ms: Duration | None = Field(default=None, alias="silence")
    """Say nothing for so long, whatever the agent does."""
    hang_up: bool | None = None
    """Put the receiver down; without it the caller listens once more and then does."""
    interrupt_after_ms: Duration | None = Field(default=None, alias="interrupt_after")
    """So long after the agent began to speak, instead of when it is silent."""

    @model_validator(mode="after")
    def _one_thing(self) -> "StepTaken":
        things = (self.say, self.keys, self.text, self.wait, self.silence_ms, self.hang_up)
        if sum(one is not None for one in things) != 1:
            refuse("must be one of say, keys, text, wait, silence or hang_up")
        if self.interrupt_after_ms is not None and (self.wait or self.silence_ms is not None):
            refuse("belongs to something the caller says, keys, writes or hangs up with",
                   at="interrupt_after")  # fmt: skip
        return self


class Scripted(Part):
    """One answer of the scripted model, given when it is its turn."""

    say: str = ""
    """What it says."""
    use: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Tools it calls behind that, by name, with their arguments."""
    to: str = ""
    """What the caller has to have said last."""

    @model_validator(mode="after")
    def _something(self) -> "Scripted":
        if not self.say and not self.use:
            refuse("must have say, use, or both")
        return self


class Mock(Part):
    """What is answered in a tool's place."""

    result: Any = None
    """What it answers."""
    error: Annotated[str, Field(min_length=1)] | None = None
    """It fails, and the model is told this."""
    delay_ms: Duration = Field(default=0, alias="delay")
    """How long it takes; beyond the tool's own time limit it is overdue."""

    @model_validator(mode="after")
    def _one_answer(self) -> "Mock":
        if self.error is not None and "result" in self.model_fields_set:
            refuse("has a result already: a tool that fails has none", at="error")
        return self


class Words(Part):
    """Words, written as text; or a pattern they match."""

    says: str | None = None
    """Words, in any case of letters."""
    matches: str | None = None
    """A regular expression, in any case of letters."""

    @model_validator(mode="after")
    def _compiles(self) -> "Words":
        if not self.says and not self.matches:
            refuse("must be words, or a pattern such as {matches: 'open(s|ed)'}")
        try:
            re.compile(self.matches or "")
        except re.error as fault:
            refuse(f"is no regular expression: {fault}", at="matches")
        return self


class Tools(Part):
    """Which tools are called."""

    in_order: list[str] = Field(default_factory=list)
    any: list[str] = Field(default_factory=list)


def _as(name: str, kind: type) -> BeforeValidator:
    """A value of that type is short for the one field of a table."""
    return BeforeValidator(lambda value: {name: value} if type(value) is kind else value)


Said = Annotated[Words, _as("says", str)]


class Moment(Part):
    """One of several things that have to happen in this order."""

    heard: Said | None = None
    understood: Said | None = None
    tool: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Moment":
        if sum(one is not None for one in (self.heard, self.understood, self.tool)) != 1:
            refuse("must be one of heard, understood or tool")
        return self


class Latency(Part):
    """How late answers may be heard, in ms after the caller's last word."""

    p50: Annotated[int, Field(ge=1)] | None = None
    p95: Annotated[int, Field(ge=1)] | None = None
    max: Annotated[int, Field(ge=1)] | None = None


class Transferred(Part):
    """Where the caller was put through to."""

    target: str | None = None
    outcome: str | None = None
    """``bridged``, ``busy``, ``no_answer`` …, as in the record."""
    none: bool = False
    """To nobody."""


def _exactly(value: object) -> object:
    return {"min": value, "max": value} if type(value) is int else value


_nobody = BeforeValidator(lambda value: {"none": True} if value == "none" else value)


class Bounds(Part):
    """How many; a number is exactly so many."""

    least: Annotated[int, Field(ge=0)] = Field(default=0, alias="min")
    most: Annotated[int, Field(ge=0)] = Field(default=1_000, alias="max")


class Expect(Part):
    """What has to be so in the record of the call."""

    end_reason: str | None = None
    """As in the record; without it the call has to end well."""
    tools: Annotated[Tools, _as("in_order", list)] | None = None
    """Tools that are called, in this order (or ``{any: …}``); others may be between them."""
    no_tools: list[str] = Field(default_factory=list)
    """Tools that are not called."""
    form: dict[str, Any] = Field(default_factory=dict)
    """Fields of the form that was filled in."""
    heard: list[Said] = Field(default_factory=list)
    """What the caller hears."""
    not_heard: list[Said] = Field(default_factory=list)
    """What the caller does not hear."""
    understood: list[Said] = Field(default_factory=list)
    """What the agent understands."""
    order: list[Moment] = Field(default_factory=list)
    """What happens in this order; other things may be between."""
    latency_ms: Latency | None = None
    turns: Annotated[Bounds, BeforeValidator(_exactly)] | None = None
    """How often the caller spoke, keyed something in or wrote."""
    transfer: Annotated[Transferred, _nobody] | None = None
    """To whom the caller is put through; ``none``: to nobody."""


class Case(Part):
    """One call."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    variables: dict[str, str] = Field(default_factory=dict)
    """What ``{{name}}`` stands for here, besides the file's."""
    from_: Annotated[str, BeforeValidator(phone_number)] = Field("+14155550100", alias="from")
    """Who calls."""
    to: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{1,14}$")] = "+15005550006"
    """The number that is called."""
    caller: list[Annotated[StepTaken, BeforeValidator(_step)]] = Field(default_factory=list)
    script: list[Scripted] = Field(default_factory=list)
    """What a scripted model answers, one after the other."""
    tools: dict[str, Mock] = Field(default_factory=dict)
    """Tools that are not really run."""
    people: dict[str, Literal["bridged", "busy", "no-answer", "failed"]] = Field(
        default_factory=dict
    )
    """What becomes of calls to these numbers; who is not here picks up."""
    expect: Expect = Expect()
    judge: Annotated[str, Field(min_length=1)] | None = None
    """A sentence that has to be true of the call; a model is asked, where there is a key."""
    timeout_ms: Duration = Field(default=60_000, alias="timeout")


class Simulations(Part):
    """The file."""

    agent: Annotated[str, Field(min_length=1)]
    """The agent document, from where the file is."""
    model: Literal["scripted", "local", "real"] = "scripted"
    """Who answers: the cases' script, the local model, or the one of OPENAI_API_KEY."""
    variables: dict[str, str] = Field(default_factory=dict)
    """What ``{{name}}`` stands for in the cases."""
    cases: Annotated[list[Case], Field(min_length=1)]

    @property
    def scripted(self) -> bool:
        """Whether the answers are written down."""
        return self.model == "scripted"


def steps_of(case: Case) -> list[Mapping[str, Any]]:
    """What the caller does, as it is told to whoever plays it."""
    return [_told(step) for step in case.caller]


def _told(step: StepTaken) -> Mapping[str, Any]:
    after = {"after_ms": step.interrupt_after_ms}
    if step.wait is not None:
        told = {"kind": "wait", "value": step.wait.heard, "within_ms": step.wait.within_ms}
        return after | told
    kinds = {"say": step.say, "keys": step.keys, "text": step.text, "silence": step.silence_ms}
    found = next(((kind, value) for kind, value in kinds.items() if value is not None), None)
    kind, value = found or ("hang_up", True)
    return after | {"kind": kind, "value": value}
