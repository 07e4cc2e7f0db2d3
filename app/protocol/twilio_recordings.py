"""What Twilio's webhooks say of recordings: their form, read into a value.

As in ``twilio_webhooks`` unknown parameters are ignored, and only what nobody can do without
makes a form malformed. The form's ``RecordingUrl`` is not read: where a recording is kept is
known, and an address out of a form is never fetched.

https://www.twilio.com/docs/voice/api/recording#recordingstatuscallback
"""

import re
from dataclasses import dataclass

from app.protocol.twilio_signature import FormPairs
from app.protocol.twilio_webhooks import MalformedForm, is_call_sid

_SID = re.compile(r"RE[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_STATUSES = frozenset({"in-progress", "completed", "absent", "failed"})


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How far a recording has come; may come late, twice and out of order."""

    call_sid: str
    recording_sid: str
    status: str
    """in-progress, completed, absent (nothing was heard) or failed."""
    duration_s: int | None = None
    channels: int | None = None

    @property
    def began(self) -> bool:
        """It goes on."""
        return self.status == "in-progress"


def is_recording_sid(text: str) -> bool:
    """Whether this could be a RecordingSid."""
    return _SID.fullmatch(text) is not None


def parse_recording_status(form: FormPairs) -> RecordingStatus:
    """Read a recording's status callback. Raises MalformedForm."""
    fields = dict(form)
    call_sid, sid = fields.get("CallSid", ""), fields.get("RecordingSid", "")
    if not is_call_sid(call_sid):
        raise MalformedForm("CallSid")
    if not is_recording_sid(sid):
        raise MalformedForm("RecordingSid")
    status = fields.get("RecordingStatus", "")
    if status not in _STATUSES:
        raise MalformedForm("RecordingStatus")
    duration_s, channels = (_number(fields, x) for x in ("RecordingDuration", "RecordingChannels"))
    return RecordingStatus(call_sid, sid, status, duration_s, channels)


def _number(fields: dict[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if _NUMBER.fullmatch(text) else None
