"""Whom callers can be put through to, as the operator writes it, and what follows where nobody
takes the call. The rule: a field that would change nothing is refused, and so is a way that the
carrier does not have."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from app.agents.part import Part
from app.agents.sounds import HoldAudio
from app.agents.values import (
    DURATION_SCHEMA,
    CallerId,
    Header,
    Key,
    Reachable,
    Text,
    WebhookUrl,
    between,
    empty_if_none,
    or_just,
    refuse,
)
from app.call import templates
from app.call.ways import KNOWN
from app.protocol import twiml
from app.protocol.sip_headers import STANDARD

REQUESTED = "transfer.requested"
"""What whoever takes a call back is told, before it ends."""
CALLER = "caller"
"""As a caller id: the caller's own number."""
RESUME, END_CALL, TAKE_MESSAGE = "resume", "end_call", "take_message"
WORDS = (RESUME, END_CALL, TAKE_MESSAGE)
"""What can follow, besides another target."""
SUMMARY = "{{summary.short}}"
_HARMLESS = {"hex", "digits"}
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST_WHISPER_CHARS = 500
_WARM, _RUNG = ("warm",), ("cold", "warm")
_MEANT_FOR = {
    **dict.fromkeys(("whisper", "accept_key", "reject_machines"), _WARM),
    **dict.fromkeys(("ring_timeout_ms", "caller_id"), _RUNG),
    **dict.fromkeys(("wait_url", "attributes"), ("queue",)),
    "target_header": ("hangup",),
}
"""In which modes a field changes anything."""
_OTHERS_WORDS = {
    "transfer_method": "is called mode here: cold, warm, queue, refer or hangup",
    "transfer_headers": "are called headers here",
    "transfer_target_header": "is called target_header here, with mode: hangup",
    "transfer_headers_send_method": (
        "follows from the mode: in the INVITE with cold and warm, in Refer-To with refer"
    ),
}
"""What watsonx calls it."""
_CONTACT = "contact_header"
_NO_CONTACT = (
    "contact_header is not possible on Twilio, which writes Contact itself: leave it out, and"
    " headers go into the INVITE, or into Refer-To with mode: refer"
)


def _attribute(value: object) -> str:
    if not isinstance(value, str) or not _ATTRIBUTE.fullmatch(value):
        refuse("must be a name of 1 to 64 letters, digits and _")
    return value


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        refuse('must be the name of a header, such as "Transfer-Target"')
    return value


HeaderToken = Annotated[str, BeforeValidator(_token)]
Attribute = Annotated[str, BeforeValidator(_attribute)]


class OnFailure(Part):
    """What happens to the caller when nobody takes the call."""

    say: Text | None = None
    then: Text = RESUME
    """resume: back to the agent, who knows why. take_message: the same, and the agent offers to
    note a message. end_call, or the name of another target."""

    @field_validator("say")
    @classmethod
    def _fits(cls, value: str | None) -> str | None:
        refuse_overlong(value or "", None)
        return value


class Target(Part):
    """Somebody the caller can be put through to. The model knows its name, not its number."""

    description: Text
    """Who this is and when to transfer; the model reads it."""
    to: Reachable
    """A phone number in E.164, tel:, sip: or client:; queue: and a name, workflow: and the SID of
    TaskRouter's; or webhook: and the https address of a program of yours, which is asked."""
    mode: Literal["cold", "warm", "queue", "refer", "hangup"] = "cold"
    """cold: the caller leaves the agent and hears it ring. warm: the person is called first, while
    the caller hears music, and takes the call with a key. queue: the caller waits until somebody
    takes them. refer: who came by SIP is sent on by where they came from. hangup: a webhook says
    where the caller is to go, and the call ends."""
    ring_timeout_ms: Annotated[int, between("1s", "10m"), DURATION_SCHEMA] = Field(
        default=20_000, alias="ring_timeout", json_schema_extra={"default": "20s"}
    )
    caller_id: CallerId = CALLER
    """Whose number the person sees: the caller's, or one of your account's. With mode: warm,
    caller is the number that was called: Twilio lets nobody else's be shown."""
    hold_audio: Annotated[HoldAudio, or_just("source", HoldAudio)] | None = None
    """What the caller hears from the announcement until the telephone rings; with mode: warm,
    until the person has taken the call."""
    whisper: Annotated[Text, Field(max_length=_MOST_WHISPER_CHARS)] = SUMMARY
    """With mode: warm, what the person is told first. {{summary.short}} is the agent's sentence
    about the call; {{caller.name}}, {{form.…}} and the other names are known, too."""
    accept_key: Key = "1"
    """With mode: warm, the key that takes the call."""
    reject_machines: bool = True
    """With mode: warm, whether an answering machine is hung up on as soon as it is known to be
    one; it cannot take the call anyway."""
    hours: Text | None = None
    """The name of the hours in which somebody is there. Left out: always."""
    headers: Annotated[Mapping[Header, Text], empty_if_none] = {}
    """What a SIP address is told besides; with mode: hangup, what the webhook says besides."""
    attributes: Annotated[Mapping[Attribute, Text | int | float | bool], empty_if_none] = {}
    """With to: workflow:…, what the task says besides call_id and context_key."""
    wait_url: WebhookUrl | None = None
    """With mode: queue, where Twilio asks what the caller hears: music or TwiML, which may hold
    <Leave>. Left out: Twilio's music."""
    target_header: HeaderToken = "Transfer-Target"
    """With mode: hangup, under which name the webhook's headers have the address."""
    on_failure: OnFailure = OnFailure()

    @property
    def dialled(self) -> bool:
        """Whether it can be rung by a document alone, which is all there is where the agent is
        not."""
        return self.mode in _RUNG and not self.to.startswith("webhook:")

    @property
    def told(self) -> bool:
        """Whether anybody there can be told what the call is about."""
        return self.mode != "cold" or self.to.startswith(("sip:", "sips:", "webhook:"))

    @property
    def follows(self) -> bool:
        """Whether it can take the place of another one, when the caller has left the agent."""
        return self.mode == "queue" or (self.dialled and self.mode == "cold")

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for word, sentence in _OTHERS_WORDS.items():
            if word in given:
                refuse(_NO_CONTACT if given[word] == _CONTACT else sentence, at=word)
        where = given.get("to")
        if isinstance(where, str) and where.startswith(("queue:", "workflow:")):
            return {"mode": "queue", **given}
        return given

    @field_validator("mode")
    @classmethod
    def _leads_there(cls, value: str, info: ValidationInfo) -> str:
        to = info.data.get("to", "")
        queued = to.startswith(("queue:", "workflow:"))
        if to and queued != (value == "queue"):
            refuse("must be queue where to is queue: or workflow:, and nowhere else")
        if value == "refer" and to and not to.startswith(("sip:", "sips:")):
            refuse("can only be refer where to is a SIP address")
        if value in {"refer", "hangup"} and to.startswith("webhook:"):
            refuse("must be cold or warm where a program is asked")
        return value

    @field_validator(*_MEANT_FOR)
    @classmethod
    def _means_something(cls, value: object, info: ValidationInfo) -> object:
        meant_for = _MEANT_FOR[info.field_name or ""]
        if info.data.get("mode", meant_for[0]) not in meant_for:
            refuse(f"has no effect: add mode: {' or '.join(meant_for)}")
        return value

    @field_validator("attributes")
    @classmethod
    def _of_a_task(cls, value: Mapping[str, object], info: ValidationInfo) -> Mapping[str, object]:
        if value and not info.data.get("to", "workflow:").startswith("workflow:"):
            refuse("have no effect: only a workflow: takes them")
        return value

    @field_validator("headers")
    @classmethod
    def _told_somebody(cls, value: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        to = info.data.get("to", "sip:")
        by_sip = to.startswith(("sip:", "sips:", "webhook:"))
        if value and not by_sip and info.data.get("mode", "hangup") != "hangup":
            refuse("have no effect: only a SIP address takes them")
        return value

    @field_validator("whisper")
    @classmethod
    def _known(cls, value: str) -> str:
        _read(value)
        return value

    @field_validator("headers", "attributes")
    @classmethod
    def _filled_in(cls, value: Mapping[str, object]) -> Mapping[str, object]:
        for name, text in value.items():
            read = _read(text, at=name) if isinstance(text, str) else templates.Template()
            if name in STANDARD and any(not _harmless(one) for one in read.parts):
                refuse("has parameters, which a caller could add to: write |hex", at=name)
        return value

    @field_validator("accept_key")
    @classmethod
    def _pressable(cls, value: str) -> str:
        if value in "ABCD":
            refuse("is a key that most telephones lack: choose 0 to 9, * or #")
        return value


_GONE = {
    "warm": "must not be a warm target: the caller has left the agent by then",
    "refer": "must not be a refer target: the caller has left where they came from by then",
    "hangup": "must not be a hangup target: the caller has left the agent by then",
    "cold": "must not be a target that a program is asked for: the caller would wait in silence",
}


def _read(text: str, *, at: str = "") -> templates.Template:
    try:
        return templates.parse(text, KNOWN)
    except templates.BadTemplate as bad:
        refuse(bad.sentence, at=at, meant=bad.meant)


def _harmless(part: str | templates.Place) -> bool:
    """Whether nobody but the operator decides where a parameter begins."""
    return isinstance(part, str) or bool(_HARMLESS & set(part.filters))


def check_chains(targets: Mapping[str, Target]) -> None:
    """Refuse a ``then`` that leads nowhere, in a circle, or to where nobody can go."""
    for name, target in targets.items():
        at, then = f"{name}.on_failure.then", target.on_failure.then
        if then in WORDS:
            continue
        if then not in targets:
            meant = next(iter(get_close_matches(then, [*targets, *WORDS], n=1)), "")
            refuse(f'unknown target "{then}"', at=at, meant=meant)
        if target.on_failure.say and target.mode == "warm":
            refuse("is not said: the caller hears music until the next one", at=_say(name))
        if target.mode != "warm" and not targets[then].follows:
            refuse(_GONE[targets[then].mode], at=at)
        _refuse_circle(name, targets)


def check_hours(targets: Mapping[str, Target], hours: Collection[str]) -> None:
    """Refuse hours that nobody wrote."""
    for name, target in targets.items():
        if target.hours is not None and target.hours not in hours:
            meant = next(iter(get_close_matches(target.hours, hours, n=1)), "")
            refuse(f'unknown hours "{target.hours}"', at=f"{name}.hours", meant=meant)


def refuse_undialled(name: str, targets: Mapping[str, Target], *, at: str) -> None:
    """Refuse a target that callers cannot be left to by whoever has no agent."""
    if name in targets and not targets[name].dialled:
        refuse(f'"{name}" is not rung where there is no agent: name a cold or warm one', at=at)


def _say(name: str) -> str:
    return f"{name}.on_failure.say"


def _refuse_circle(name: str, targets: Mapping[str, Target]) -> None:
    seen, then = [name], targets[name].on_failure.then
    while then in targets and then not in seen:
        seen.append(then)
        then = targets[then].on_failure.then
    if then in seen:
        refuse(f"goes in a circle: {' to '.join([*seen, then])}", at=f"{name}.on_failure.then")


def refuse_overlong(say: str, to: str | None, caller_id: str = CALLER, *, at: str = "") -> None:
    """A live call takes its last document by REST, where Twilio takes no more than so much."""
    shown = None if caller_id == CALLER else caller_id
    document = twiml.failure(twiml.Fallback(say, to, ring_timeout_s=600, caller_id=shown))
    if not twiml.fits_rest(document):
        excess = len(document) - twiml.REST_LIMIT_CHARS
        refuse(f"is {excess} characters too long for Twilio to say: shorten it", at=at)
