"""Where a caller goes who is put through: what the operator wrote of a target, filled in for one
call. Pure.

What is about the call reaches the other side as SIP headers, as a task's attributes, or under a
key that stands for it all (``GET /v1/context/{key}``). Rule: it is text there. No value begins a
header, an address or a key of its own, and what does not fit is left to the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from app.call.templates import ALWAYS, Known, Template, Values
from app.protocol import sip_headers
from app.protocol.sip_headers import USER_TO_USER

KNOWN = Known(roots=ALWAYS | {"form", "summary"})
"""What can be said of a call when somebody else takes it."""
CONTEXT_KEY = "X-Context-Key"
QUEUE, WORKFLOW, WEBHOOK = "queue:", "workflow:", "webhook:"
_SIP = ("sip:", "sips:")
Attribute = Template | int | float | bool


@dataclass(frozen=True, slots=True)
class Route:
    """What the operator wrote."""

    to: str
    headers: Mapping[str, Template] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    mode: str = "cold"

    @property
    def keyed(self) -> bool:
        """Whether the other side can be told a key."""
        return self.mode == "hangup" or self.to.startswith((*_SIP, WORKFLOW))


@dataclass(frozen=True, slots=True)
class Way:
    """Where one caller goes."""

    to: str
    """With its headers, where it is a SIP address."""
    task: str = ""
    """Of a workflow: its attributes, as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the other side is told."""
    left_out: tuple[str, ...] = ()
    """Headers for which there was no room."""


def way(route: Route, values: Values, *, call_id: str, key: str) -> Way:
    """For the call of ``values``; ``key`` is what it can be asked about under, or empty."""
    headers = _with_key(_filled(route.headers, values), key)
    if route.to.startswith(WORKFLOW):
        return Way(route.to, task=_task(route.attributes, values, call_id, key))
    if route.mode == "hangup":
        return Way(route.to, headers=headers)
    if not route.to.startswith(_SIP):
        return Way(route.to)
    beside = route.to.partition("?")[2]
    fit, left_out = sip_headers.fitting(headers, beside=beside, keep=_key_in(headers, key))
    return Way(sip_headers.with_headers(route.to, fit), "", fit, tuple(left_out))


def filled(template: Template, values: Values) -> str:
    """As one line of text; empty where the call knows a variable of it not."""
    try:
        return sip_headers.one_line(template.text(values))
    except KeyError:
        return ""


def _filled(headers: Mapping[str, Template], values: Values) -> dict[str, str]:
    texts = {name: filled(template, values) for name, template in headers.items()}
    return {name: text for name, text in texts.items() if text}


def _with_key(headers: dict[str, str], key: str) -> dict[str, str]:
    """The key goes where PBXs look for it, unless the operator uses that for something else."""
    if not key:
        return headers
    return {CONTEXT_KEY if USER_TO_USER in headers else USER_TO_USER: key, **headers}


def _key_in(headers: Mapping[str, str], key: str) -> str:
    return next((name for name, value in headers.items() if key and value == key), "")


def _task(attributes: Mapping[str, Attribute], values: Values, call_id: str, key: str) -> str:
    told: dict[str, object] = {"call_id": call_id}
    if key:
        told["context_key"] = key
    for name, given in attributes.items():
        told[name] = filled(given, values) if isinstance(given, Template) else given
    return orjson.dumps(told).decode()
