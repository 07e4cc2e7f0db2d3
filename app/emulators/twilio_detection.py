"""Answering machine detection, as a request for a call asks for it and as it comes out.

The verdict comes beside the call (``AsyncAmd``) or before its first document, and says what
whoever picked up made known: a person at once, a machine when it begins (``Enable``) or when it
is ready to record (``DetectMessageEnd``). Rule: ranges are Twilio's and are judged here, so a
request that Twilio would refuse is refused.

https://www.twilio.com/docs/voice/answering-machine-detection
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_run import http_method
from app.emulators.twilio_twiml import is_absolute
from app.emulators.twilio_words import PickUp, Violation, monotonic_ms

KINDS = ("Enable", "DetectMessageEnd")
_RANGES = {
    "MachineDetectionTimeout": (3, 59),
    "MachineDetectionSpeechThreshold": (1000, 6000),
    "MachineDetectionSpeechEndThreshold": (500, 5000),
    "MachineDetectionSilenceTimeout": (2000, 10_000),
    "Timeout": (1, 600),
}
DEFAULT_TIMEOUT_S = 30
UNHEARD_CALLBACK = 21262
"""AsyncAmd without anybody to tell."""


class Refused(ValueError):
    """Twilio would refuse the request; the message says which parameter is to blame."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What a request for a call wants to know about who picks up."""

    kind: str
    beside: bool
    """True: the call goes on meanwhile."""
    callback: str = ""
    method: Literal["GET", "POST"] = "POST"
    timeout_s: int = DEFAULT_TIMEOUT_S


def wanted(form: Mapping[str, object]) -> Detection | None:
    """The detection a request asks for; None where it asks for none. Raises Refused."""
    for name, (low, high) in _RANGES.items():
        text = str(form.get(name, low))
        if not (text.isdecimal() and low <= int(text) <= high):
            raise Refused(f"{name} must be from {low} to {high}")
    kind = str(form.get("MachineDetection", ""))
    if not kind or kind == "none":
        return None
    if kind not in KINDS:
        raise Refused(f"MachineDetection must be one of {', '.join(KINDS)}")
    callback = str(form.get("AsyncAmdStatusCallback", ""))
    if callback and not is_absolute(callback):
        raise Refused("AsyncAmdStatusCallback is not a valid URL")
    return Detection(
        kind,
        beside=str(form.get("AsyncAmd", "")).lower() == "true",
        callback=callback,
        method=http_method(str(form.get("AsyncAmdStatusCallbackMethod", "POST"))),
        timeout_s=int(str(form.get("MachineDetectionTimeout", DEFAULT_TIMEOUT_S))),
    )


def judge(call: EmulatedCall, detection: Detection) -> None:
    """Complain about what Twilio only warns of."""
    if detection.beside and not detection.callback:
        call.complain(Violation(UNHEARD_CALLBACK, "AsyncAmd without AsyncAmdStatusCallback"))


async def verdict(call: EmulatedCall, detection: Detection, who: PickUp) -> str:
    """``AnsweredBy``, when it is known; ``unknown`` where the time is over first."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(detection.timeout_s):
            if who.who != "machine" or detection.kind == "Enable":
                await asyncio.sleep(who.known_after_ms / 1000)
                return "machine_start" if who.who == "machine" else who.who
            # Said on the stream, in its time; before it comes nobody hears anything.
            await call.until(lambda: call.voice.silent, detection.timeout_s)
            return f"machine_end_{who.ending}"
    return "unknown"


def form_of(call: EmulatedCall, answered_by: str) -> dict[str, str]:
    """The parameters of the asynchronous callback: no others, as Twilio documents it."""
    since_ms = call.answered_at_ms if call.answered_at_ms is not None else monotonic_ms()
    return {
        "AccountSid": call.account_sid,
        "CallSid": call.call_sid,
        "AnsweredBy": answered_by,
        "MachineDetectionDuration": str(round(monotonic_ms() - since_ms)),
    }
