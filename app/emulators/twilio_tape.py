"""A recording of the local Twilio: what both sides of a call heard, cut out of it, as a WAV.

Rule: it is made of what the call kept of its sound, by the clock of the call, so that a pause is
silence of its own length and what was said in it is nowhere. A call that keeps no sound leaves
recordings of silence.
"""

import audioop
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

from app.audio import mulaw
from app.emulators.demo_voice import mono_wav, stereo_wav
from app.emulators.twilio_words import monotonic_ms, new_sid
from app.protocol.units import BYTES_PER_MS, MULAW_SILENCE

Status = Literal["in-progress", "paused", "stopped", "completed", "absent"]
_SILENCE = bytes([MULAW_SILENCE])


@dataclass(slots=True)
class Tape:
    """One recording. ``tracks`` gives the caller's and the other side's sound since the call
    began."""

    account_sid: str
    call_sid: str
    tracks: Callable[[], tuple[bytes, bytes]]
    call_began_at_ms: float
    channels: int = 2
    source: str = "StartCallRecordingAPI"
    callback: str = ""
    events: frozenset[str] = frozenset({"completed"})
    sid: str = field(default_factory=lambda: new_sid("RE"))
    status: Status = "in-progress"
    began_at_ms: float = field(default_factory=monotonic_ms)
    ended_at_ms: float | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """From when to when, on the clock of the call."""
    _paused_at_ms: float | None = None

    @property
    def over(self) -> bool:
        """Nothing more comes to it."""
        return self.ended_at_ms is not None

    @property
    def duration_s(self) -> int:
        """Begun seconds."""
        end_ms = self.ended_at_ms if self.ended_at_ms is not None else monotonic_ms()
        return math.ceil((end_ms - self.began_at_ms) / 1000)

    def change(self, status: str) -> None:
        """Pause, go on, stop. Raises ValueError for anything else."""
        if status not in {"paused", "in-progress", "stopped"}:
            raise ValueError(status)
        now = monotonic_ms()
        if self._paused_at_ms is not None and status != "paused":
            self.pauses.append((self._paused_at_ms, now))
            self._paused_at_ms = None
        elif self._paused_at_ms is None and status == "paused":
            self._paused_at_ms = now
        self.status = status  # type: ignore[assignment]
        if status == "stopped":
            self.ended_at_ms = now

    def finish(self) -> None:
        """The call is over, or it was stopped: it can be fetched."""
        if not self.over:
            self.change("stopped")
        self.status = "completed"

    def wav(self) -> bytes:
        """PCM, 16 bits, 8 kHz; of two channels the caller's is the left."""
        caller, other = (self._cut(track) for track in self.tracks())
        if self.channels == 2:
            return stereo_wav(caller, other)
        return mono_wav(audioop.add(mulaw.decode(caller), mulaw.decode(other), 2))

    def _cut(self, track: bytes) -> bytes:
        end_ms = self.ended_at_ms if self.ended_at_ms is not None else monotonic_ms()
        pauses = [*self.pauses]
        if self._paused_at_ms is not None:
            pauses.append((self._paused_at_ms, end_ms))
        audio = bytearray(track.ljust(self._byte(end_ms), _SILENCE))
        for begin_ms, until_ms in pauses:
            begin, until = self._byte(begin_ms), self._byte(until_ms)
            audio[begin:until] = _SILENCE * (until - begin)
        return bytes(audio[self._byte(self.began_at_ms) : self._byte(end_ms)])

    def _byte(self, at_ms: float) -> int:
        return max(0, int((at_ms - self.call_began_at_ms) * BYTES_PER_MS))

    def resource(self) -> dict[str, Any]:
        """As the REST API shows it."""
        where = f"/2010-04-01/Accounts/{self.account_sid}"
        now = format_datetime(datetime.now(UTC))
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "call_sid": self.call_sid,
            "conference_sid": None,
            "api_version": "2010-04-01",
            "status": self.status,
            "channels": self.channels,
            "source": self.source,
            "track": "both",
            "start_time": format_datetime(self.began_at),
            "date_created": format_datetime(self.began_at),
            "date_updated": now,
            "duration": str(self.duration_s) if self.over else None,
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "encryption_details": None,
            "uri": f"{where}/Calls/{self.call_sid}/Recordings/{self.sid}.json",
        }

    def form(self) -> dict[str, str]:
        """What a status callback says of it."""
        return {
            "AccountSid": self.account_sid,
            "CallSid": self.call_sid,
            "RecordingSid": self.sid,
            "RecordingUrl": (
                f"https://api.twilio.com/2010-04-01/Accounts/{self.account_sid}/Recordings/{self.sid}"
            ),
            "RecordingStatus": self.status,
            "RecordingChannels": str(self.channels),
            "RecordingSource": self.source,
            "RecordingStartTime": format_datetime(self.began_at),
            "RecordingTrack": "both",
            "ErrorCode": "0",
            **({"RecordingDuration": str(self.duration_s)} if self.status == "completed" else {}),
        }


def message(account_sid: str, call_sid: str, callback: str) -> tuple[Tape, bytearray]:
    """What a <Record> takes down, and where its sound is to go."""
    heard, now = bytearray(), monotonic_ms()
    tape = Tape(
        account_sid,
        call_sid,
        lambda: (bytes(heard), b""),
        now,
        channels=1,
        source="RecordVerb",
        callback=callback,
        began_at_ms=now,
    )
    return tape, heard
