"""What the demonstration is judged by: both sockets, the caller's ear and the server's record.

Rule: whatever was not as scripted is one check that says how it was instead.
"""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.emulators import demo_script as script
from app.emulators.demo_kill import Death
from app.emulators.demo_story import Story
from app.emulators.realtime import RealtimeEmulator
from app.emulators.twilio_call import EmulatedCall

SAME_MS = 100
"""How far the server's idea of what was heard may be from what the ear heard."""
WAITED_MS = 15_000
"""As long as Twilio waits for an answer: a process that starts on a busy machine takes some."""
KEPT_MS = 300
"""How much of that may be missing on record where the process was killed."""
STREAM_BROKE = 31903
"""What Twilio says of the stream of a process that was killed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that had to be so."""

    what: str
    fault: str | None = None
    """How it was instead."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is left of the call when it is over."""

    call: EmulatedCall
    story: Story
    openai: RealtimeEmulator
    record: dict[str, Any]
    flights: list[Path]
    trouble: str | None
    """What broke the conversation off, if something did."""
    death: Death | None = None
    """The kill in its middle, where there was one."""

    def numbered_flights(self) -> Iterator[tuple[int, Path]]:
        """The flight logs by the numbers of their streams; that of a killed process is gone."""
        return enumerate(self.flights, 1 if self.death is None else 2)


def judged(evidence: Evidence, *, killed: bool) -> Iterator[Check]:
    """Everything that had to be so; ``killed``: a process had to die in the middle."""
    yield Check("the conversation came to its end", evidence.trouble)
    yield _asserted(
        "the model's script was used up, and nothing broke OpenAI's rules",
        evidence.openai.assert_clean,
    )
    allowed = (STREAM_BROKE,) if killed else ()
    yield _asserted(
        "nothing broke Twilio's rules", lambda: evidence.call.assert_clean(allow=allowed)
    )
    yield _equal("the agent hung up", evidence.call.ended_by, "rest")
    yield _equal("no model session is left open", len(evidence.openai.open_connections), 0)
    if killed:
        yield from _went_on(evidence)
    else:
        yield _cut_where_heard(evidence.story)
    yield from _recorded(evidence.record, killed=killed)


def _asserted(what: str, verdict: Any) -> Check:
    try:
        verdict()
    except AssertionError as exc:
        return Check(what, str(exc))
    return Check(what)


def _equal(what: str, found: object, wanted: object) -> Check:
    return Check(what, None if found == wanted else f"{found!r} instead of {wanted!r}")


def _cut_where_heard(story: Story) -> Check:
    what = f"the one interrupted answer was cut where the ear lost it, within {SAME_MS} ms"
    cuts = [(one.heard_ms, one.truncated_ms) for one in story.interrupted]
    good = [1 for ear, told in cuts if ear and told and abs(ear - told) <= SAME_MS]
    return Check(what, None if len(cuts) == len(good) == 1 else f"heard and told: {cuts}")


def _went_on(evidence: Evidence) -> Iterator[Check]:
    death, fault = evidence.death, None
    if death is None or death.silence_ms > WAITED_MS:
        fault = "not at all" if death is None else f"after {death.silence_ms} ms"
    yield Check(
        f"the caller was answered again within {WAITED_MS / 1000:g} s of the kill",
        fault,
    )
    streams = [one.stream_sid for one in evidence.call.streams]
    yield _equal("the record has the streams", evidence.record["carrier"]["stream_sids"], streams)
    kept_ms = on_record_ms(evidence.record)
    heard_ms = death.heard_ms if death is not None else 0
    good = kept_ms is not None and heard_ms - KEPT_MS <= kept_ms <= heard_ms + SAME_MS
    yield Check(
        f"the record has the answer that broke off, but for {KEPT_MS} ms at most",
        None if good else f"heard {heard_ms} ms, on record {kept_ms}",
    )


def on_record_ms(record: dict[str, Any]) -> int | None:
    """How much of the answer that was cut was heard, as the record tells; None where it does
    not."""
    cut = [one["heard_ms"] for one in _speech(record) if one["interrupted"]]
    return cut[0] if len(cut) == 1 else None


def _speech(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for turn in record["turns"] for one in turn["responses"] if one["type"] == "speech"]


def _recorded(record: dict[str, Any], *, killed: bool) -> Iterator[Check]:
    turns = record["turns"]
    said = [turn["text"] for turn in turns if turn["type"] == "speech"]
    speech = _speech(record)
    tools = [one["name"] for turn in turns for one in turn["responses"] if one["type"] == "tool"]
    transfers = [(one["target"], one["outcome"]) for one in record["transfers"]]
    yield _equal("the record has its ending", record["end_reason"], "assistant_hangup")
    yield _equal(
        "the record has every word of the caller",
        said,
        [script.QUESTION, script.INTERRUPTION, script.CONSENT],
    )
    heard = [one["text"] for one in speech if not one["interrupted"]]
    yield _equal(
        "the record has every sentence that was heard to its end",
        heard,
        [
            script.GREETING,
            *([script.APOLOGY] if killed else []),
            *(script.ANNOUNCEMENT, script.RETURN, script.GOODBYE),
        ],
    )
    cut = [one["text"] for one in speech if one["interrupted"]]
    begun = len(cut) == 1 and 0 < len(cut[0]) < len(script.HOURS)
    fault = None if begun and script.HOURS.startswith(cut[0].rstrip(" .…")) else repr(cut)
    yield Check("the record has the interrupted answer as far as it was heard", fault)
    yield _equal("the record has the tools", tools, ["opening_hours", "transfer_call", "end_call"])
    yield _equal("the record has the transfer", transfers, [(script.TARGET, "busy")])


async def replayed(evidence: Evidence) -> list[Check]:
    """Each flight log led through the machine again, by the command a person would use."""
    checks = []
    for number, flight in evidence.numbered_flights():
        replay = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "replay", str(flight)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await replay.communicate()
        fault = said.decode(errors="replace").strip() if replay.returncode else None
        checks.append(Check(f"flight log {number}, replayed, decides the same", fault))
    return checks
