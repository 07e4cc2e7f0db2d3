"""What Twilio's webhooks say: their forms, read into values, and (re-exported) their seal.

The one rule: Twilio adds parameters without notice, so whatever is unknown is ignored and
only the fields nobody can do without make a form malformed. Deliveries come twice, late and
out of order; the values carry what is needed to tell.

https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from app.protocol.twilio_signature import (
    FormPairs,
    Secrets,
    Verdict,
    verify_request,
    verify_upgrade,
)

__all__ = [
    "FINAL_STATUSES",
    "CallStatus",
    "Detection",
    "DialResult",
    "FormPairs",
    "IncomingCall",
    "MalformedForm",
    "QueueNews",
    "Secrets",
    "StreamEnded",
    "StreamStatus",
    "Verdict",
    "is_call_sid",
    "parse_call_status",
    "parse_dial_result",
    "parse_incoming_call",
    "parse_pressed",
    "parse_queue_news",
    "parse_stream_ended",
    "parse_stream_status",
    "verify_request",
    "verify_upgrade",
]

FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Values of ``CallStatus`` after which nothing happens to a call any more."""

_SIDS = {
    name: re.compile(prefix + "[0-9a-fA-F]{32}")
    for name, prefix in {
        "CallSid": "CA",
        "ParentCallSid": "CA",
        "DialCallSid": "CA",
        "AccountSid": "AC",
        "StreamSid": "MZ",
    }.items()
}
_KEY = re.compile(r"[0-9]")
_WHOLE = re.compile(r"[0-9]{1,9}")
_SIP_PREFIX = "SipHeader_"
_SIP_NAME = re.compile(_SIP_PREFIX + r"[A-Za-z0-9_.-]{1,64}")
_MOST_SIP_HEADERS = 20
_LONGEST_SIP_CHARS = 256
_LONGEST_NAME_CHARS = 100
HUNG_UP = "hangup"
"""Of a caller in a queue: they left it by hanging up."""


def is_call_sid(text: str) -> bool:
    """Whether ``text`` looks like a CallSid, and may therefore stand in a path."""
    return _SIDS["CallSid"].fullmatch(text) is not None


class MalformedForm(ValueError):
    """A webhook's form lacks a field nobody can do without, or has nonsense in it."""

    def __init__(self, field_name: str) -> None:
        super().__init__(f"the form field {field_name} is missing or malformed")
        self.field_name = field_name


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """The voice webhook: somebody calls, or somebody we called answered."""

    call_sid: str
    account_sid: str
    from_: str
    """E.164, ``client:name``, a SIP URI, or a word such as ``anonymous``; may be empty."""
    to: str
    direction: str
    """inbound, outbound-api or outbound-dial."""
    status: str
    caller_name: str | None = None
    caller_country: str | None = None
    caller_city: str | None = None
    forwarded_from: str | None = None
    parent_call_sid: str | None = None
    stir_verstat: str | None = None
    answered_by: str | None = None
    sip_call_id: str | None = None
    sip_headers: tuple[tuple[str, str], ...] = ()
    """Custom SIP headers, without Twilio's prefix ``SipHeader_``."""
    error_code: str | None = None
    """Twilio's code of what went wrong before; only in a request to the fallback URL."""
    error_url: str | None = None


@dataclass(frozen=True, slots=True)
class CallStatus:
    """A call's status callback; may come late, twice, out of order or never."""

    call_sid: str
    status: str
    sequence_number: int | None = None
    duration_s: int | None = None
    """Only with a final status."""
    sip_response_code: int | None = None
    answered_by: str | None = None

    @property
    def final(self) -> bool:
        """Whether the call is over."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class Detection:
    """Who picked up a call that was placed, as answering machine detection found out."""

    call_sid: str
    answered_by: str
    """human, machine_start, machine_end_beep, machine_end_silence, machine_end_other, fax or
    unknown."""
    took_ms: int | None = None

    @property
    def who(self) -> str:
        """human, machine, fax or unknown; what Twilio may say tomorrow is unknown."""
        kind = self.answered_by.partition("_")[0]
        return kind if kind in {"human", "machine", "fax"} else "unknown"

    @property
    def records(self) -> bool:
        """The greeting of a machine is over."""
        return self.answered_by.startswith("machine_end_")


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A stream's status callback; the only word there is about a refused upgrade."""

    call_sid: str
    stream_sid: str
    event: str
    """stream-started, stream-stopped or stream-error."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The ``action`` of ``<Connect>``: the stream is over and Twilio asks what to do next."""

    call_sid: str
    status: str


@dataclass(frozen=True, slots=True)
class QueueNews:
    """A caller who waits in a queue of ours, or has left it."""

    position: int
    """From 1, the longest first."""
    waited_s: int
    result: str
    """Why they left; empty while they wait."""


_MOST_DIGITS = 9
_TAKEN_FROM_QUEUE = frozenset(
    {"bridged", "bridging-in-process", "redirected", "redirected-from-bridged"}
)
"""Somebody took the caller: TaskRouter and operators' programs do so by redirecting the call."""
_REFERRED = frozenset({"in-progress", "completed"})


@dataclass(frozen=True, slots=True)
class DialResult:
    """The ``action`` of ``<Dial>``, ``<Enqueue>`` or ``<Refer>``: how the attempt to reach
    somebody ended."""

    call_sid: str
    status: str
    """completed, answered, busy, no-answer, failed or canceled; of a queue leave, queue-full,
    error, hangup and others; of a REFER in-progress where it went well."""
    bridged: bool | None = None
    """Whether the two ever spoke; None when Twilio did not say."""
    child_sid: str | None = None
    duration_s: int | None = None
    sip_response_code: int | None = None

    @property
    def connected(self) -> bool:
        """Whether the caller spoke with the person.

        A leg that answered and was never bridged (it hung up during a whisper) reports
        ``completed`` as well, so ``DialBridged`` decides wherever Twilio sends it.
        """
        if self.bridged is not None:
            return self.bridged
        return self.status in {"completed", "answered"} and bool(self.duration_s)


def parse_incoming_call(form: FormPairs) -> IncomingCall:
    """Read the voice webhook's parameters; unknown ones are ignored. Raises MalformedForm."""
    fields = _fields(form)
    return IncomingCall(
        call_sid=_sid(fields, "CallSid"),
        account_sid=_sid(fields, "AccountSid"),
        from_=fields.get("From", ""),
        to=fields.get("To", ""),
        direction=fields.get("Direction", "inbound"),
        status=fields.get("CallStatus", ""),
        caller_name=fields.get("CallerName", "")[:_LONGEST_NAME_CHARS] or None,
        caller_country=fields.get("FromCountry") or None,
        caller_city=fields.get("FromCity") or None,
        forwarded_from=fields.get("ForwardedFrom") or None,
        parent_call_sid=_optional_sid(fields, "ParentCallSid"),
        stir_verstat=fields.get("StirVerstat") or None,
        answered_by=fields.get("AnsweredBy") or None,
        sip_call_id=fields.get("SipCallId") or None,
        sip_headers=tuple(_sip_headers(fields)),
        error_code=fields.get("ErrorCode") or None,
        error_url=fields.get("ErrorUrl") or None,
    )


def parse_call_status(form: FormPairs) -> CallStatus:
    """Read a call's status callback. Raises MalformedForm without CallSid or CallStatus."""
    fields = _fields(form)
    return CallStatus(
        call_sid=_sid(fields, "CallSid"),
        status=_word(fields, "CallStatus"),
        sequence_number=_whole(fields, "SequenceNumber"),
        duration_s=_whole(fields, "CallDuration"),
        sip_response_code=_whole(fields, "SipResponseCode"),
        answered_by=fields.get("AnsweredBy") or None,
    )


def parse_detection(form: FormPairs) -> Detection:
    """Read the asynchronous callback of answering machine detection. Raises MalformedForm."""
    fields = _fields(form)
    return Detection(
        call_sid=_sid(fields, "CallSid"),
        answered_by=_word(fields, "AnsweredBy"),
        took_ms=_whole(fields, "MachineDetectionDuration"),
    )


def parse_stream_status(form: FormPairs) -> StreamStatus:
    """Read a stream's status callback. Raises MalformedForm without its two SIDs and event."""
    fields = _fields(form)
    return StreamStatus(
        call_sid=_sid(fields, "CallSid"),
        stream_sid=_sid(fields, "StreamSid"),
        event=_word(fields, "StreamEvent"),
        error=fields.get("StreamError") or None,
    )


def parse_stream_ended(form: FormPairs) -> StreamEnded:
    """Read the action of ``<Connect>``. Raises MalformedForm without a CallSid."""
    fields = _fields(form)
    return StreamEnded(call_sid=_sid(fields, "CallSid"), status=fields.get("CallStatus", ""))


def parse_queue_news(form: FormPairs) -> QueueNews:
    """Read what Twilio asks about a caller in a queue. Raises MalformedForm without a CallSid."""
    fields = _fields(form)
    return QueueNews(
        position=max(1, _count(fields, "QueuePosition")),
        waited_s=_count(fields, "QueueTime"),
        result=fields.get("QueueResult", ""),
    )


def parse_pressed(form: FormPairs) -> str:
    """The one key that ``<Gather>`` tells; empty where it was none, or anything else."""
    pressed = _fields(form).get("Digits", "")
    return pressed if _KEY.fullmatch(pressed) else ""


def _count(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0


def parse_dial_result(form: FormPairs) -> DialResult:
    """Read the action of ``<Dial>``, ``<Enqueue>`` or ``<Refer>``. Raises MalformedForm without
    CallSid or an outcome."""
    fields = _fields(form)
    if fields.get("QueueResult"):
        result = fields["QueueResult"]
        return DialResult(_sid(fields, "CallSid"), result, bridged=result in _TAKEN_FROM_QUEUE)
    if fields.get("ReferCallStatus"):
        return _refer_result(fields)
    return DialResult(
        call_sid=_sid(fields, "CallSid"),
        status=_word(fields, "DialCallStatus"),
        bridged={"true": True, "false": False}.get(fields.get("DialBridged", "")),
        child_sid=_optional_sid(fields, "DialCallSid"),
        duration_s=_whole(fields, "DialCallDuration"),
        sip_response_code=_whole(fields, "DialSipResponseCode"),
    )


def _refer_result(fields: Mapping[str, str]) -> DialResult:
    """What the other side made of a REFER; what counts is the last NOTIFY."""
    status = fields["ReferCallStatus"]
    notified = _whole(fields, "NotifySipResponseCode")
    answer = notified if notified is not None else _whole(fields, "ReferSipResponseCode")
    return DialResult(
        _sid(fields, "CallSid"), status, bridged=status in _REFERRED, sip_response_code=answer
    )


def _fields(form: FormPairs) -> dict[str, str]:
    """The first value of every name."""
    return dict(reversed(form))


def _sid(fields: Mapping[str, str], name: str) -> str:
    sid = _optional_sid(fields, name)
    if sid is None:
        raise MalformedForm(name)
    return sid


def _optional_sid(fields: Mapping[str, str], name: str) -> str | None:
    value = fields.get(name, "")
    return value if _SIDS[name].fullmatch(value) else None


def _word(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise MalformedForm(name)
    return value


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    value = fields.get(name, "")
    return int(value) if _WHOLE.fullmatch(value) else None


def _sip_headers(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The first of them, shortened: whoever calls may write what they like."""
    named = (name for name in reversed(list(fields)) if _SIP_NAME.fullmatch(name))
    for name in islice(named, _MOST_SIP_HEADERS):
        yield name.removeprefix(_SIP_PREFIX), fields[name][:_LONGEST_SIP_CHARS]
