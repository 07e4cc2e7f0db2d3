"""What the operator asked for when a call was ordered, and what that means to the floors below.

An order lies in the call's first fact, so that whichever process Twilio asks can answer for it.
Rule: plain JSON values; nothing here decides anything that depends on the moment.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson

from app.call.forms import Form, FormField
from app.call.plan import Memory
from app.jobs.port import Dial, Retry

SILENCE_MS = 2_000
"""Who is called and says nothing for so long is spoken to."""
OUTBOUND_PATH = "/twilio/outbound"
STATUS_PATH = "/twilio/call-status"
DETECTION_PATH = "/twilio/amd"


_LATER = frozenset({"continues", "conversation_id", "agent", "form"})
ORDERED = "order.form"
"""The name of a form that came with an order; no form of an agent document can have it."""
_NOT_ASKED = "You placed this call: the person did not call you, and does not know yet why."
_PROMISED = (
    "You placed this call: in an earlier conversation, told above where it is known, the person"
    " asked to be called back, and you promised it. Begin with who you are, that you call back as"
    " promised, and in half a sentence what about. Somebody else may have picked up: tell nothing"
    " more until you know who it is."
)


@dataclass(frozen=True, slots=True)
class Order:
    """One call to be placed."""

    to: str
    """E.164."""
    from_: str
    """A number of the account, E.164."""
    greeting: str | None = None
    """The first words, word for word; None: the agent's own where it speaks first."""
    agent_first: bool = False
    """True: the agent speaks as soon as somebody picks up."""
    task: str | None = None
    """What the call is about, for the model."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the model must know of whom it calls."""
    custom_data: Mapping[str, Any] = field(default_factory=dict)
    """For the record alone."""
    detect: bool = False
    """Find out whether a machine picks up."""
    message: str | None = None
    """What a machine is told; None: it is hung up on."""
    retries: Mapping[str, Retry] = field(default_factory=dict)
    """By Twilio's word for how an attempt ended."""
    ring_timeout_s: int | None = None
    at_ms: int | None = None
    """Epoch; not before."""
    continues: str | None = None
    """The call in which this one was promised, whose conversation goes on."""
    conversation_id: str | None = None
    """That of the call it continues; None: a new one."""
    agent: str | None = None
    """Who is to speak; None: who answers the number it is placed from."""
    form: Sequence[Mapping[str, Any]] | None = None
    """The fields of what this call is to find out, instead of the agent's form."""

    def to_json(self) -> dict[str, Any]:
        """As it lies in the call's first fact."""
        told = asdict(self)
        # Absent where they say nothing: an order has the digest that it always had.
        return {name: told[name] for name in told if name not in _LATER or told[name] is not None}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``; unknown names are a newer version's and are ignored."""
        known = {name: given[name] for name in cls.__slots__ if name in given}
        retries = {why: Retry.of(one) for why, one in known.pop("retries", {}).items()}
        return cls(**known, retries=retries)

    @property
    def digest(self) -> str:
        """The same for the same order, and for no other."""
        text = orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()

    def outset(self) -> dict[str, Any]:
        """In what the plan of this call differs from that of a call that came in."""
        outset: dict[str, Any] = {
            "message": self.message,
            "greeting_interruptible": None,
        }
        if not self.agent_first:
            outset["speaks_after_ms"] = SILENCE_MS
        if self.greeting is not None:
            outset |= {"greeting": self.greeting, "greeting_verbatim": True}
        elif not self.agent_first:
            # The agent's greeting is for people who call.
            outset["greeting"] = None
        return outset

    def memories(self) -> tuple[Memory, ...]:
        """What the model is told before anybody speaks."""
        lines = [_PROMISED if self.continues else _NOT_ASKED]
        if self.task:
            lines.append(f"Your task: {self.task}")
        lines += [f"{name}: {value}" for name, value in self.variables.items()]
        return (Memory("system", "\n".join(lines)),)

    def dial(self, call_id: str, origin: str) -> Dial:
        """The job that places it; Twilio's addresses carry the call's id and the job's run."""
        parameters: dict[str, str] = {}
        if self.ring_timeout_s is not None:
            parameters["timeout"] = str(self.ring_timeout_s)
        if self.detect:
            parameters |= {
                "machine_detection": "DetectMessageEnd" if self.message else "Enable",
                "async_amd": "true",
                "async_amd_status_callback": f"{origin}{DETECTION_PATH}?call={call_id}",
            }
        return Dial(
            to=self.to,
            from_=self.from_,
            url=f"{origin}{OUTBOUND_PATH}/{call_id}?run={{run}}",
            status_callback=f"{origin}{STATUS_PATH}?call={call_id}&run={{run}}",
            parameters=parameters,
            retries=self.retries,
        )


def form_of(order: Mapping[str, Any] | None) -> Form | None:
    """The form that came with an order, as it lies in the call's first fact."""
    fields = (order or {}).get("form")
    return Form(ORDERED, tuple(FormField(**one) for one in fields)) if fields else None
