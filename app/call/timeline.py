"""What happened in a call, one thing after the other: of every reply what was sent, played, heard.

A fold over its facts, like the report, for whoever asks why a caller did not hear something.
``heard_ms`` is the end of what the carrier's marks confirmed; ``played`` is when that was, as
far as facts tell it, which is five times a second.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.call.facts import Fact
from app.call.report import Passage, Report
from app.call.transcript import Voice

Utc = Callable[[int | None], str | None]
_TYPES = {
    Voice.AGENT: "speech",
    Voice.CALLER: "caller",
    Voice.TOOL: "tool",
    Voice.NOTE: "note",
}
_MOMENTS = {
    "call.stream_started": "stream_started",
    "call.stream_stopped": "stream_stopped",
    "call.model_connected": "model_connected",
    "call.model_lost": "model_lost",
    "caller.interrupted": "interrupted",
    "dtmf.received": "dtmf",
    "dtmf.collected": "dtmf_collected",
    "dtmf.failed": "dtmf_failed",
    "hold.started": "hold_started",
    "hold.ended": "hold_ended",
    "transfer.started": "transfer_started",
    "transfer.ended": "transfer_ended",
    "call.ended": "ended",
}


class Timeline:
    """Teach it every fact, in their order."""

    def __init__(self) -> None:
        self._report = Report()
        self._moments: list[dict[str, Any]] = []
        self._played: dict[tuple[int, int], tuple[int, int]] = {}
        """By stream and place: when the sound began, and until when it was followed."""

    def learn(self, fact: Fact) -> None:
        """One more fact, the next in order."""
        self._report.learn(fact)
        if fact.type in _MOMENTS:
            self._moments.append({"type": _MOMENTS[fact.type], "at_ms": fact.at_ms})
        if fact.type == "transcript.heard" and "unwritable" not in fact.data:
            self._followed(fact.at_ms, fact.data)

    def _followed(self, at_ms: int, told: Mapping[str, Any]) -> None:
        place = (told["stream"], told["entry"])
        began_at_ms, _ = self._played.get(place, (at_ms - told["heard_ms"], 0))
        self._played[place] = (max(0, began_at_ms), at_ms)

    def items(self, utc: Utc) -> list[dict[str, Any]]:
        """Everything known by now, in the order of its beginning."""
        said = [self._item(place, passage, utc) for place, passage in self._report.passages.items()]
        moments = [{**one, "at": utc(one["at_ms"])} for one in self._moments]
        return sorted([*said, *moments], key=lambda item: item["at_ms"])

    def _item(self, place: tuple[int, int], passage: Passage, utc: Utc) -> dict[str, Any]:
        told: dict[str, Any] = {
            "type": _TYPES[passage.voice],
            "at_ms": passage.at_ms,
            "at": utc(passage.at_ms),
            "stream": place[0],
            "item_id": passage.key,
        }
        if passage.voice is Voice.TOOL:
            return {**told, "name": passage.name}
        if passage.keyed is not None:
            return {**told, "type": "keyed", **passage.keyed}
        if passage.voice is not Voice.AGENT:
            return {**told, "text": passage.text}
        began_at_ms, until_ms = self._played.get(place, (None, None))
        return {
            **told,
            "text": passage.heard_text,
            "sent_ms": passage.sent_ms,
            "played": {"from": utc(began_at_ms), "until": utc(until_ms)},
            "heard_ms": passage.heard_ms,
            "cut": passage.cut,
        }
