"""The recordings of a call, as facts tell them: a pure fold for the record and for later streams.

A recording is known by its SID. Twilio's word of how it ended comes after the call, and may come
twice; what is final stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.call.plan import RecordingPlan
from app.call.recording import ON, OVER, RESTING, STOPPING

STARTED, PAUSED, RESUMED = "recording.started", "recording.paused", "recording.resumed"
STOPPED, FAILED, COMPLETED = "recording.stopped", "recording.failed", "recording.completed"
TAKEN = "message.taken"
KINDS = (STARTED, PAUSED, RESUMED, STOPPED, FAILED, COMPLETED, TAKEN)
FINAL = frozenset({"completed", "absent", "failed"})
UNCLEAR = "unclear"
"""How the reason begins of a start that nobody knows of whether it was carried out."""
_STATUS = {STARTED: "in-progress", RESUMED: "in-progress", PAUSED: "paused", STOPPED: "stopped"}
_REACHED = {STARTED: ON, RESUMED: ON, PAUSED: RESTING, STOPPED: OVER}


def told(known: Sequence[Mapping[str, Any]], kind: str, fact: Mapping[str, Any]) -> list[Any]:
    """``known`` with what a fact of ``KINDS`` says of one recording."""
    entries = [dict(one) for one in known]
    sid = fact.get("recording_sid")
    if sid is None or kind == FAILED:
        return entries
    entry = next((one for one in entries if one["sid"] == sid), None)
    if entry is None:
        entry = _unheard(sid, "message" if kind == TAKEN else "call")
        entries.append(entry)
    if entry["status"] not in FINAL:
        entry["status"] = fact.get("status") or _STATUS.get(kind, "completed")
    for name in ("channels", "duration_s"):
        if fact.get(name) is not None:
            entry[name] = fact[name]
    return entries


def _unheard(sid: str, kind: str) -> dict[str, Any]:
    url = f"/v1/recordings/{sid}"
    return {
        "sid": sid,
        "kind": kind,
        "status": None,
        "channels": None,
        "duration_s": None,
        "paused_ms": 0,
        "url": url,
    }


def is_final(known: Sequence[Mapping[str, Any]], sid: str) -> bool:
    """How this recording ended is known."""
    return any(one["sid"] == sid and one["status"] in FINAL for one in known)


def taken_up(plan: RecordingPlan | None, so_far: "Recorded") -> RecordingPlan | None:
    """The plan of a later stream of the same call."""
    return None if plan is None else replace(plan, reached=so_far.reached)


class Recorded:
    """Of one call. Teach it its facts in their order."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        """sid, kind (call or message), status, channels, duration_s, paused_ms, url."""
        self.reached = ""
        """How far it has come, for a later stream: as in ``RecordingPlan``."""
        self._rests_since_ms: int | None = None

    @property
    def sid(self) -> str | None:
        """Of the recording of the call; None where there is none, or nobody knows it."""
        return next((one["sid"] for one in self.entries if one["kind"] == "call"), None)

    def learn(self, kind: str, at_ms: int, fact: Mapping[str, Any]) -> None:
        """A fact of ``KINDS``."""
        self.entries = told(self.entries, kind, fact)
        if kind == FAILED:
            self._failed(fact)
        self.reached = _REACHED.get(kind, self.reached)
        if kind == PAUSED:
            self._rests_since_ms = at_ms
        elif kind in {RESUMED, STOPPED}:
            self.ended(at_ms)

    def _failed(self, fact: Mapping[str, Any]) -> None:
        if fact["wish"] == "start":
            self.reached = ON if fact["reason"].startswith(UNCLEAR) else OVER
        elif fact["wish"] == "pause":
            self.reached = STOPPING

    def ended(self, at_ms: int) -> None:
        """It rests no longer."""
        since_ms, self._rests_since_ms = self._rests_since_ms, None
        for one in self.entries:
            if since_ms is not None and one["sid"] == self.sid:
                one["paused_ms"] += at_ms - since_ms
