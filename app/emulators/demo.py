"""The demonstration: one call from the first ring to the hang-up, watched, recorded, judged.

A caller asks, interrupts, is put through, comes back and says goodbye; the server between the
emulators is the real one. Rule: it passes only if everything went as scripted, on both
sockets, in the caller's ear and in the server's own record.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.emulators import demo_script as script
from app.emulators.demo_server import (
    ACCOUNT,
    AUTH_TOKEN,
    PUBLIC_URL,
    Server,
    ServerFault,
    free_port,
    own_server,
)
from app.emulators.demo_story import Narrated, Screen, Story
from app.emulators.demo_voice import Studio, stereo_wav
from app.emulators.realtime import RealtimeEmulator
from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_call import EmulatedCall

SAME_MS = 100
"""How far the server's idea of what was heard may be from what the ear heard."""
_CLOSING_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """How the demonstration is to be given."""

    out: Path
    """Where its files go; made if it is missing."""
    server: Server | None = None
    """A running server; None starts one."""
    openai_port: int = 0
    twilio_port: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration plays on."""

    server: Server
    twilio: TwilioEmulator
    openai: RealtimeEmulator
    brain: Narrated


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


async def demonstrate(options: Options, screen: Screen) -> bool:
    """Give the demonstration; whether everything went as scripted.

    Raises ``ServerFault``, ``VoiceFault`` or ``OSError`` where it cannot be given.
    """
    studio = Studio.found()
    screen.write(
        "Both voices are espeak-ng's."
        if studio.speaks
        else "espeak-ng is not installed: both voices beep, a beep for every word."
    )
    lines = await script.Lines.spoken(studio)
    brain = Narrated(script.scenario(lines))
    async with _stage(options, brain) as stage:
        screen.write(f"The server under test listens at {stage.server.url}\n")
        evidence = await _place(stage, lines, screen)
        files = await asyncio.to_thread(_keep, options.out, evidence)
        await _closed(stage.openai)
        checks = [*_judged(evidence), *await _replayed(evidence.flights)]
    _conclude(screen, evidence, files, checks)
    return all(check.fault is None for check in checks)


@contextlib.asynccontextmanager
async def _stage(options: Options, brain: Narrated) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        openai = await stack.enter_async_context(RealtimeEmulator(brain, port=options.openai_port))
        port = free_port()
        known = options.server
        twilio = TwilioEmulator(
            account_sid=known.account_sid if known else ACCOUNT,
            auth_token=known.auth_token if known else AUTH_TOKEN,
            public_url=known.public_url if known else PUBLIC_URL,
            server_url=known.url if known else f"http://127.0.0.1:{port}",
            api_port=options.twilio_port,
            answers={script.BILLING_DESK: script.BUSY},
        )
        await stack.enter_async_context(twilio)
        if known is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="patchline-demo-"))
            known = await stack.enter_async_context(
                own_server(
                    Path(folder), port, openai_url=openai.base_url, twilio_url=twilio.api_url
                )
            )
        yield Stage(known, twilio, openai, brain)


async def _place(stage: Stage, lines: script.Lines, screen: Screen) -> Evidence:
    """Place the call and see it through; what is left of it."""
    screen.begin()
    call = await stage.twilio.call()
    screen.tell("call", f"{call.from_} calls {call.to}")
    story = Story(screen, call)
    stage.brain.on_plan, stage.brain.on_event = story.planned, story.noticed
    watching = asyncio.create_task(story.watch(), name="story")
    trouble = None
    try:
        await script.Caller(call, lines, story.caller_says).converse()
    except (TimeoutError, script.CutShort) as exc:
        trouble = str(exc)
        await call.hang_up()
        await call.ended()
    finally:
        watching.cancel()
    story.look()
    try:
        record, flights = await _written(stage.server, call)
    except ServerFault as fault:
        raise ServerFault(f"{fault}; {call.story()}") from fault
    return Evidence(call, story, stage.openai, record, flights, trouble)


async def _written(server: Server, call: EmulatedCall) -> tuple[dict[str, Any], list[Path]]:
    """The server's record of the call, and its flight logs, whose names have the call's id."""
    sids = [stream.stream_sid for stream in call.streams if stream.started_at_ms is not None]
    if not sids:
        raise ServerFault("the call never reached the media socket")
    flights = await server.flights(sids)
    return await server.record(flights[0].stem.rpartition("-")[0]), flights


async def _closed(openai: RealtimeEmulator) -> None:
    """Wait a while for the model sessions to be closed; the judgement sees if they were not."""
    with contextlib.suppress(TimeoutError):
        for session in openai.connections:
            await session.until_closed(timeout_s=_CLOSING_S)


def _keep(out: Path, evidence: Evidence) -> dict[str, Path]:
    """Write recording and record, copy the flight logs; where they are."""
    out.mkdir(parents=True, exist_ok=True)
    files = {"recording": out / "call.wav", "record": out / "record.json"}
    files["recording"].write_bytes(stereo_wav(*evidence.call.recording()))
    files["record"].write_text(json.dumps(evidence.record, indent=2, ensure_ascii=False) + "\n")
    for number, flight in enumerate(evidence.flights, 1):
        files[f"flight log {number}"] = Path(shutil.copy(flight, out / f"flight-{number}.jsonl"))
    return files


def _judged(evidence: Evidence) -> Iterator[Check]:
    yield Check("the conversation came to its end", evidence.trouble)
    yield _asserted(
        "the model's script was used up, and nothing broke OpenAI's rules",
        evidence.openai.assert_clean,
    )
    yield _asserted("nothing broke Twilio's rules", evidence.call.assert_clean)
    yield _equal("the agent hung up", evidence.call.ended_by, "rest")
    yield _equal("no model session is left open", len(evidence.openai.open_connections), 0)
    yield _cut_where_heard(evidence.story)
    yield from _recorded(evidence.record)


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


def _recorded(record: dict[str, Any]) -> Iterator[Check]:
    turns = record["turns"]
    said = [turn["text"] for turn in turns if turn["type"] == "speech"]
    speech = [one for turn in turns for one in turn["responses"] if one["type"] == "speech"]
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
        [script.GREETING, script.ANNOUNCEMENT, script.RETURN, script.GOODBYE],
    )
    cut = [one["text"] for one in speech if one["interrupted"]]
    begun = len(cut) == 1 and 0 < len(cut[0]) < len(script.HOURS)
    fault = None if begun and script.HOURS.startswith(cut[0].rstrip(" .…")) else repr(cut)
    yield Check("the record has the interrupted answer as far as it was heard", fault)
    yield _equal("the record has the tools", tools, ["opening_hours", "transfer_call", "end_call"])
    yield _equal("the record has the transfer", transfers, [(script.TARGET, "busy")])


async def _replayed(flights: list[Path]) -> list[Check]:
    """Each flight log led through the machine again, by the command a person would use."""
    checks = []
    for number, flight in enumerate(flights, 1):
        replay = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "replay", str(flight)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await replay.communicate()
        fault = said.decode(errors="replace").strip() if replay.returncode else None
        checks.append(Check(f"flight log {number}, replayed, decides the same", fault))
    return checks


def _conclude(
    screen: Screen, evidence: Evidence, files: dict[str, Path], checks: list[Check]
) -> None:
    screen.write()
    for check in checks:
        colour, word = ("good", "ok  ") if check.fault is None else ("bad", "FAIL")
        screen.write(f"  {screen.painted(colour, word)} {check.what}")
        if check.fault is not None:
            screen.write(f"       {check.fault}")
    played = evidence.record["latency_ms"]["turn_played"]
    screen.write(
        f"\nFrom the end of a turn to the answer in the ear: {played['p50']} ms (median),\n"
        f"of which the scripted model thinks for {script.THOUGHT_MS}.\n"
    )
    screen.write(f"{'CallSid':<14} {evidence.call.call_sid}")
    for name, path in files.items():
        screen.write(f"{name:<14} {path}")
    failed = sum(check.fault is not None for check in checks)
    verdict = f"Not as scripted: {failed} of {len(checks)}." if failed else "All as scripted."
    screen.write("\n" + screen.painted("bad" if failed else "good", verdict))
