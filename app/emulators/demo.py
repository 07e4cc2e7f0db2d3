"""The demonstration: one call from the first ring to the hang-up, watched, recorded, judged.

A caller asks, interrupts, is put through, comes back and says goodbye; or, instead of the
interruption, the process that has the call is killed. The server between the emulators is the
real one. Rule: it passes only if everything went as scripted, on both
sockets, in the caller's ear and in the server's own record.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.emulators import demo_script as script
from app.emulators.demo_front import Front
from app.emulators.demo_kill import Voices, voices
from app.emulators.demo_server import (
    ACCOUNT,
    AUTH_TOKEN,
    PUBLIC_URL,
    Server,
    ServerFault,
    free_port,
    own,
    own_environment,
    running,
)
from app.emulators.demo_story import Narrated, Screen, Story
from app.emulators.demo_verdict import Check, Evidence, judged, on_record_ms, replayed
from app.emulators.demo_voice import Studio, stereo_wav
from app.emulators.realtime import RealtimeEmulator
from app.emulators.twilio import TwilioEmulator
from app.emulators.twilio_call import EmulatedCall

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
    kill: bool = False
    """Kill who has the call in its middle; not with ``server``."""
    database_url: str | None = None
    """With ``kill``: a PostgreSQL that two processes share; None: one process on SQLite."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration plays on."""

    server: Server
    twilio: TwilioEmulator
    openai: RealtimeEmulator
    brain: Narrated
    voices: Voices | None = None
    """Its processes, where one is to be killed."""


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
    brain = Narrated(script.scenario(lines, killed=options.kill))
    async with _stage(options, brain) as stage:
        screen.write(f"The server under test listens at {stage.server.url}\n")
        evidence = await _place(stage, lines, screen)
        files = await asyncio.to_thread(_keep, options.out, evidence)
        await _closed(stage.openai)
        checks = [*judged(evidence, killed=options.kill), *await replayed(evidence)]
        if options.database_url is not None:
            # The operator's own database, and nobody's call.
            await stage.server.erase(evidence.record["call_id"])
    _conclude(screen, evidence, files, checks)
    return all(check.fault is None for check in checks)


@contextlib.asynccontextmanager
async def _stage(options: Options, brain: Narrated) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        openai = await stack.enter_async_context(RealtimeEmulator(brain, port=options.openai_port))
        port, front, known = free_port(), None, options.server
        if options.kill:
            ports = [free_port() for _ in range(2 if options.database_url else 1)]
            front = await stack.enter_async_context(Front(ports).up())
            port = front.port
        twilio = TwilioEmulator(
            account_sid=known.account_sid if known else ACCOUNT,
            auth_token=known.auth_token if known else AUTH_TOKEN,
            public_url=known.public_url if known else PUBLIC_URL,
            server_url=known.url if known else f"http://127.0.0.1:{port}",
            api_port=options.twilio_port,
            answers={script.BILLING_DESK: script.BUSY},
        )
        await stack.enter_async_context(twilio)
        processes = None
        if known is None:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="patchline-demo-"))
            known = own(Path(name), port)
            settings = own_environment(port, openai_url=openai.base_url, twilio_url=twilio.api_url)
            if options.database_url:
                settings["DATABASE_URL"] = options.database_url
            if front is None:
                await stack.enter_async_context(running(Path(name), known.url, settings))
            else:
                processes = await stack.enter_async_context(voices(Path(name), front, settings))
        yield Stage(known, twilio, openai, brain, processes)


async def _place(stage: Stage, lines: script.Lines, screen: Screen) -> Evidence:
    """Place the call and see it through; what is left of it."""
    screen.begin()
    call = await stage.twilio.call()
    screen.tell("call", f"{call.from_} calls {call.to}")
    story = Story(screen, call)
    stage.brain.on_plan, stage.brain.on_event = story.planned, story.noticed
    watching = asyncio.create_task(story.watch(), name="story")
    trouble = death = None

    async def kill(voices: Voices) -> int:
        nonlocal death
        death = await voices.kill(call, story, screen)
        return death.before_ms

    killing = None if stage.voices is None else partial(kill, stage.voices)
    try:
        await script.Caller(call, lines, story.caller_says, killing).converse()
    except (TimeoutError, script.CutShort) as exc:
        trouble = str(exc)
        await call.hang_up()
        await call.ended()
    finally:
        watching.cancel()
    story.look()
    try:
        record, flights = await _written(stage.server, call, killed=death is not None)
    except ServerFault as fault:
        raise ServerFault(f"{fault}; {call.story()}") from fault
    return Evidence(call, story, stage.openai, record, flights, trouble, death)


async def _written(
    server: Server, call: EmulatedCall, *, killed: bool
) -> tuple[dict[str, Any], list[Path]]:
    """The server's record of the call, and its flight logs; a process that is killed takes the
    one that it was writing with it."""
    sids = [stream.stream_sid for stream in call.streams if stream.started_at_ms is not None]
    if not sids:
        raise ServerFault("the call never reached the media socket")
    return await server.record(call.call_sid), await server.flights(sids[killed:])


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
    for number, flight in evidence.numbered_flights():
        files[f"flight log {number}"] = Path(shutil.copy(flight, out / f"flight-{number}.jsonl"))
    return files


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
    if (death := evidence.death) is not None:
        screen.write(
            f"Of {death.heard_ms:,} ms of the answer that broke off"
            f" {on_record_ms(evidence.record) or 0:,} are on record;\n"
            f"from the kill to the next word the caller waited {death.silence_ms:,} ms.\n"
        )
    screen.write(f"{'CallSid':<14} {evidence.call.call_sid}")
    for name, path in files.items():
        screen.write(f"{name:<14} {path}")
    failed = sum(check.fault is not None for check in checks)
    verdict = f"Not as scripted: {failed} of {len(checks)}." if failed else "All as scripted."
    screen.write("\n" + screen.painted("bad" if failed else "good", verdict))
