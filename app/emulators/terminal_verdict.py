"""What is left of a call from a terminal, and whether it was what was expected of it.

Rule: judged is what the caller heard, not what the agent meant to say: of a sentence that was
cut off, what was heard counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from app.audio import mulaw
from app.emulators.phone_client import LOST
from app.emulators.phone_script import CallRecording, PhoneEvent
from app.emulators.phone_wav import QUIET_RMS
from app.protocol.units import BYTES_PER_MS, FRAME_MS

GOOD_ENDS: Final = frozenset(
    {
        *("caller_hangup", "assistant_hangup", "transferred", "operator_ended"),
        *("voicemail_left", "voicemail_hangup", "canceled"),  # of calls that a server places
        *("silence_timeout", "max_duration"),
        "closed_hours",  # the caller was told so, as the document has it
    }
)
_END: Final = "The call ended: "
_LOST: Final = {
    "replaced": "another telephone took the line, which ended the call",
    LOST: "the line to the carrier broke off",
}
"""By the carrier's reasons: what the server takes for a caller who hung up."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be so for the call to count as gone well."""

    tools: tuple[str, ...] = ()
    """Names of tools the agent has to have used."""
    texts: tuple[str, ...] = ()
    """What the caller has to have heard, in any case of letters."""
    understood: tuple[str, ...] = ()
    """What the agent has to have understood."""
    max_latency_ms: int | None = None
    """Every answer has to be heard within this, from the caller's last word."""
    end: str | None = None
    """The end reason; None: any that is no failure."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that had to be so."""

    what: str
    fault: str | None = None
    """How it was instead."""


@dataclass(slots=True)
class Findings:
    """A call as it was captioned and as the phone saw it."""

    captions: dict[tuple[str, bool], Mapping[str, Any]] = field(default_factory=dict)
    """The newest of each line, in the order they first came."""
    events: list[PhoneEvent] = field(default_factory=list)

    def happened(self, event: PhoneEvent) -> None:
        """Keep it."""
        self.events.append(event)

    def captioned(self, caption: Mapping[str, Any]) -> None:
        """It takes the place of the earlier one of its line."""
        self.captions[str(caption["id"]), caption["kind"] == "turn"] = caption

    @property
    def heard(self) -> list[str]:
        """What the caller heard, in words: the agent's, and the carrier's for it."""
        return [*self._texts("agent", "cut"), *self.said]

    @property
    def said(self) -> list[str]:
        """What the carrier's voice said in the agent's place."""
        return [str(one.fields.get("text", "")) for one in self.events if one.name == "said"]

    @property
    def understood(self) -> list[str]:
        """What the agent understood."""
        return self._texts("caller")

    @property
    def tools(self) -> list[str]:
        """Names of the tools it used, in order."""
        return [str(one["name"]) for one in self.captions.values() if one["kind"] == "tool"]

    @property
    def latencies_ms(self) -> list[int]:
        """Of every answer, from the caller's last word to its first sound."""
        turns = [one for one in self.captions.values() if one["kind"] == "turn"]
        return [int(one["latency_ms"]) for one in turns if one["latency_ms"] is not None]

    @property
    def end_reason(self) -> str | None:
        """As the server tells it; None where it did not."""
        texts = self._texts("end")
        return texts[-1].removeprefix(_END) if texts else None

    @property
    def line_lost(self) -> str | None:
        """How the phone lost its line while the call went on; None: it kept it."""
        reasons = (str(one.fields.get("reason")) for one in self.events if one.name == "hungup")
        return next((_LOST[one] for one in reasons if one in _LOST), None)

    @property
    def reached(self) -> bool:
        """Whether the agent was ever on the line."""
        return any(one.name in ("start", "bridged") for one in self.events)

    def _texts(self, *kinds: str) -> list[str]:
        return [str(one["text"]) for one in self.captions.values() if one["kind"] in kinds]


def pauses_ms(recording: CallRecording) -> list[int]:
    """How long the caller waited in silence for each answer, as the ear has it.

    From the last sound of a spoken line to the agent's next; longer than an answer's latency by
    the silence in which the model waits whether the caller goes on.
    """
    lines = [
        one.media_ms for one in recording.events if one.name == "line" and "press" not in one.fields
    ]
    begins = [one.media_ms for one in recording.events if one.name == "agent-begins"]
    found = []
    for at_ms, next_ms in zip(lines, [*lines[1:], inf], strict=False):
        answer_ms = next((one for one in begins if at_ms < one < next_ms), None)
        if answer_ms is not None:
            found.append(answer_ms - _last_sound_ms(recording.caller, at_ms, answer_ms))
    return found


def _last_sound_ms(caller: bytes, from_ms: int, to_ms: int) -> int:
    for at_ms in range(to_ms - FRAME_MS, from_ms, -FRAME_MS):
        if mulaw.rms(caller[at_ms * BYTES_PER_MS : (at_ms + FRAME_MS) * BYTES_PER_MS]) > QUIET_RMS:
            return at_ms + FRAME_MS
    return from_ms


def judged(found: Findings, expected: Expected) -> list[Check]:
    """Every expectation, met or not."""
    return list(_checks(found, expected))


def _checks(found: Findings, expected: Expected) -> Iterator[Check]:
    yield _ended(found, expected.end)
    for name in expected.tools:
        used = ", ".join(found.tools) or "none"
        yield Check(
            f"the tool {name} is called", None if name in found.tools else f"tools called: {used}"
        )
    for text in expected.texts:
        yield Check(f'the caller hears "{text}"', _missing(text, found.heard, "heard"))
    for text in expected.understood:
        yield Check(
            f'the agent understands "{text}"', _missing(text, found.understood, "understood")
        )
    if expected.max_latency_ms is not None:
        yield _quick(found.latencies_ms, expected.max_latency_ms)


def _ended(found: Findings, wanted: str | None) -> Check:
    what = "the call ends well" if wanted is None else f"the call ends with {wanted}"
    reason = found.end_reason
    if found.line_lost is not None:
        return Check(what, found.line_lost)
    if reason in (GOOD_ENDS if wanted is None else {wanted}):
        return Check(what)
    return Check(what, reason or "the server did not tell how it ended")


def _missing(text: str, lines: Sequence[str], verb: str) -> str | None:
    wanted = _plain(text)
    if any(wanted in _plain(line) for line in lines):
        return None
    return f"{verb}: " + (" / ".join(line for line in lines if line) or "nothing")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _quick(latencies_ms: Sequence[int], most_ms: int) -> Check:
    what = f"every answer is heard within {most_ms:,} ms"
    if not latencies_ms:
        return Check(what, "no answer was measured")
    late = [f"answer {n} after {ms:,} ms" for n, ms in enumerate(latencies_ms, 1) if ms > most_ms]
    return Check(what, ", ".join(late) or None)
