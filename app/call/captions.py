"""A call as somebody reads along: what changed in its story since they last looked.

A caption is shown in place of the earlier one with the same id, so a reader may look as
seldom as they like and still ends with the whole story. Rule: captions say what was heard; of
a sentence that was cut they carry how much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.call.digits import KEYPAD
from app.call.report import Passage, Report
from app.call.transcript import Voice
from app.call.transfer import TRANSFER_CALL


@dataclass(frozen=True, slots=True)
class Caption:
    """One line of the story, as it is now."""

    kind: str
    """caller, agent, tool, note; cut: an agent's line of which only ``text`` was heard; turn:
    how long the answer in the line of this id took; end."""
    id: str
    """Stays while the line changes."""
    text: str = ""
    at_ms: int = 0
    """Since the call was admitted."""
    name: str = ""
    """Of a tool."""
    ok: bool | None = None
    """Of a tool: it has answered."""
    heard_ms: int | None = None
    sent_ms: int | None = None
    """Of a cut line: how much of how much was heard."""
    latency_ms: int | None = None
    """From the end of the caller's turn, which some silence precedes, to the first audio heard;
    to the first sent, until it is."""


class Captions:
    """One reader's view of one call."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._shown: dict[tuple[str, bool], Caption] = {}

    def changes(self) -> list[Caption]:
        """Every line that is new or differs from what was shown, in the order of the story."""
        lines = {(line.id, line.kind == "turn"): line for line in self._lines()}
        changed = {key: line for key, line in lines.items() if self._shown.get(key) != line}
        self._shown.update(changed)
        return list(changed.values())

    def _lines(self) -> Iterator[Caption]:
        report = self._report
        answers: list[Caption] = []
        for (stream, index), passage in report.passages.items():
            line = _said(f"{stream}.{index}", passage, put_through=self._put_through(passage))
            if passage.voice is Voice.AGENT:
                answers.append(line)
            yield line
        for turn in report.turns.values():
            answer = next((one for one in answers if one.at_ms >= turn.stopped_at_ms), None)
            if answer is not None:
                latency_ms = turn.sent_ms if turn.played_ms is None else turn.played_ms
                yield Caption("turn", answer.id, latency_ms=latency_ms)
        for index, transfer in enumerate(report.transfers):
            told = f"Putting through to {transfer.target}: {transfer.outcome}"
            yield Caption("note", f"transfer.{index}", told, transfer.requested_at_ms)
        if report.ending is not None:
            yield Caption("end", "end", f"The call ended: {report.ending}", report.ended_at_ms or 0)

    def _put_through(self, passage: Passage) -> bool:
        """A transfer followed: its tool call is answered only where that fails."""
        return any(one.requested_at_ms >= passage.at_ms for one in self._report.transfers)


def _said(place: str, passage: Passage, *, put_through: bool) -> Caption:
    if passage.voice is Voice.TOOL:
        # Arguments and outputs may be long and private; that it was called, and answered, is not.
        answered = True if passage.text or (passage.name == TRANSFER_CALL and put_through) else None
        return Caption("tool", place, "", passage.at_ms, passage.name, answered)
    if passage.keyed is not None:
        return Caption("caller", place, passage.keyed["digits"], passage.at_ms)
    if passage.voice is Voice.NOTE and passage.text.startswith(KEYPAD):
        return Caption("caller", place, passage.text.removeprefix(KEYPAD).strip(), passage.at_ms)
    if not passage.cut:
        return Caption(passage.voice.value, place, passage.text, passage.at_ms)
    return Caption(
        "cut",
        place,
        passage.text,
        passage.at_ms,
        heard_ms=passage.heard_ms,
        sent_ms=passage.sent_ms,
    )
