"""A call as somebody reads along: what changed in its story since they last looked.

A caption is shown in place of the earlier one with the same id, so a reader may look as
seldom as they like and still ends with the whole story. Rule: captions say what was heard; of
a sentence that was cut they carry how much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.call.report import Report
from app.call.transcript import Entry, Voice


@dataclass(frozen=True, slots=True)
class Caption:
    """One line of the story, as it is now."""

    kind: str
    """caller, agent, tool, note, turn, transfer, end."""
    id: str
    """Stays while the line changes."""
    text: str = ""
    at_ms: int = 0
    """Since the call was admitted."""
    name: str = ""
    """Of a tool, or of a transfer's target."""
    heard_ms: int | None = None
    """Agent: how much was heard when it was cut; None when it was not."""
    sent_ms: int | None = None
    """Agent: of how much. Turn: from the caller's last word to the first audio sent."""
    played_ms: int | None = None
    """Turn: to the first audio heard."""


class Captions:
    """One reader's view of one call."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._shown: dict[str, Caption] = {}

    def changes(self) -> list[Caption]:
        """Every line that is new or differs from what was shown, in the order of the story."""
        changed = [line for line in self._lines() if self._shown.get(line.id) != line]
        self._shown.update((line.id, line) for line in changed)
        return changed

    def _lines(self) -> Iterator[Caption]:
        report = self._report
        for stream, transcript in enumerate(report.transcripts):
            for index, entry in enumerate(transcript.entries):
                yield _said(f"{stream}.{index}", entry)
        for index, turn in enumerate(report.turns):
            yield Caption(
                "turn",
                f"turn.{index}",
                at_ms=turn.stopped_at_ms,
                sent_ms=turn.sent_ms,
                played_ms=turn.played_ms,
            )
        for index, transfer in enumerate(report.transfers):
            yield Caption(
                "transfer",
                f"transfer.{index}",
                transfer.outcome,
                transfer.requested_at_ms,
                transfer.target,
            )
        if report.ending is not None:
            yield Caption("end", "end", report.ending, report.ended_at_ms or 0)


def _said(place: str, entry: Entry) -> Caption:
    text = entry.text
    if entry.voice is Voice.TOOL:
        # Arguments and outputs may be long and private; that it was called, and answered, is not.
        text = "answered" if text else "running"
    return Caption(
        entry.voice.value,
        place,
        text,
        entry.at_ms,
        entry.name,
        entry.heard_ms,
        entry.sent_ms if entry.heard_ms is not None else None,
    )
