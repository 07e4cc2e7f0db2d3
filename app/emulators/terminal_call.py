"""A call from a terminal: placed on the local line, told, recorded and judged.

Here a terminal is one more telephone of the local carrier, and the server is not told the
difference. Rule: whatever becomes of the call, its recording is written, and what was
expected and did not come is said in one line each.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from app.emulators import carrier_voice
from app.emulators.demo_story import Screen
from app.emulators.demo_voice import PROGRAM, VoiceFault
from app.emulators.phone import Voice
from app.emulators.phone_client import LineFault, PhoneClient
from app.emulators.phone_script import CallRecording, PhoneEvent, Say, ScriptedPhone, Step
from app.emulators.preflight import NotReady, claim_folder
from app.emulators.terminal_server import Place
from app.emulators.terminal_story import Nobody, TerminalStory, Witness
from app.emulators.terminal_verdict import Check, Expected, Findings, judged, pauses_ms
from app.protocol.units import ms_of_bytes

FOLDER = Path("calls")
_END_S = 5.0
"""How long the captions of a call that is over may take to say so."""
_SILENT_S = 60.0
_DATA = b"data: "


@dataclass(frozen=True, slots=True)
class Options:
    """What to do in the call, what has to come of it, and where it is kept."""

    steps: tuple[Step, ...]
    expected: Expected
    out: Path | None = None
    """None: a folder of the call's name in ``FOLDER``."""
    warnings: tuple[str, ...] = ()
    patience_ms: int = 15_000
    """How long an agent that says nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that is over."""

    reached: bool
    """False: there was no agent to talk to; ``trouble`` says why."""
    trouble: str | None
    """What the carrier told, or the caller was told in the agent's place."""
    checks: tuple[Check, ...]
    report: dict[str, Any]
    """What ``call.json`` holds."""
    folder: Path

    @property
    def met(self) -> bool:
        """Whether everything was as expected."""
        return all(check.fault is None for check in self.checks)


async def call(place: Place, options: Options, screen: Screen | None) -> Outcome:
    """Place the call and keep it; told on ``screen``, if there is one.

    Raises ``NotReady`` where it cannot be placed.
    """
    claim_folder(options.out or FOLDER)
    findings = Findings()
    witnesses: list[Witness] = [findings, TerminalStory(screen) if screen else Nobody()]
    recording, trouble = await _placed(place, options, _Witnesses(place.url, witnesses))
    checks = judged(findings, options.expected)
    record = await place.record(recording.call_sid)
    folder = options.out or FOLDER / recording.call_sid
    report = _report(place, options, recording, findings, checks)
    await asyncio.to_thread(_keep, folder, recording, report, record)
    told = trouble or " ".join(findings.said) or None
    return Outcome(findings.reached, told, tuple(checks), report, folder)


async def _placed(
    place: Place, options: Options, witnesses: "_Witnesses"
) -> tuple[CallRecording, str | None]:
    phone = ScriptedPhone(
        options.steps,
        voice=_Speaks(_voice(options.steps)),
        patience_ms=options.patience_ms,
        told=witnesses.happened,
    )
    try:
        async with PhoneClient(place.line) as line, witnesses.reading():
            recording = await phone.place(line)
            return recording, line.trouble
    except (LineFault, VoiceFault) as fault:
        raise NotReady(str(fault)) from None


class _Witnesses:
    """Tells everybody, and reads the captions as soon as there are any."""

    def __init__(self, url: str, every: Sequence[Witness]) -> None:
        self._url = url
        self._every = every
        self._call_sid = ""
        self._begun = asyncio.Event()

    def happened(self, event: PhoneEvent) -> None:
        """Something happened on the phone."""
        for one in self._every:
            one.happened(event)
        if event.name == "start":
            self._call_sid = str(event.fields["callSid"])
            self._begun.set()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read the captions meanwhile, and to their end where they have begun."""
        task = asyncio.create_task(self._read(), name="captions")
        try:
            yield
            if self._begun.is_set():
                await asyncio.wait({task}, timeout=_END_S)
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _read(self) -> None:
        await self._begun.wait()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async for caption in captions(self._url, self._call_sid):
                for one in self._every:
                    one.captioned(caption)


async def captions(url: str, call_sid: str) -> AsyncIterator[dict[str, Any]]:
    """The captions of a call until its end; none where nobody knows it. Raises ``ClientError``."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.get(f"{url}/phone/events", params={"callSid": call_sid}) as answer,
    ):
        if answer.status != 200:
            return
        async for line in answer.content:
            if line.startswith(_DATA):
                yield json.loads(line.removeprefix(_DATA))


def _voice(steps: Sequence[Step]) -> Voice:
    _, voice = carrier_voice.found()
    if voice.rung == "none" and any(isinstance(step, Say) for step in steps):
        raise NotReady("There is no voice for --say: install flite or espeak-ng, or use --wav.")
    return voice


def voice_warning(steps: Sequence[Step]) -> str | None:
    """What is to be known of the voice that would say these steps."""
    if any(isinstance(step, Say) for step in steps) and carrier_voice.found()[1].rung == PROGRAM:
        return f"--say speaks with {PROGRAM}, which the local model hardly understands: try flite."
    return None


class _Speaks:
    """A voice whose silence is a fault: a caller who says nothing tests nothing."""

    def __init__(self, voice: Voice) -> None:
        self.rung = voice.rung
        self._voice = voice

    async def say(self, text: str) -> bytes:
        """``text`` as mu-law. Raises ``VoiceFault``."""
        audio = await self._voice.say(text)
        if not audio:
            raise VoiceFault(f'{self.rung} cannot say "{text}".')
        return audio


def _report(
    place: Place,
    options: Options,
    recording: CallRecording,
    findings: Findings,
    checks: Sequence[Check],
) -> dict[str, Any]:
    return {
        "call_sid": recording.call_sid,
        "server": place.url,
        "length_ms": ms_of_bytes(len(recording.agent)),
        "ended_by": recording.ended_by,
        "end_reason": findings.end_reason,
        "met": all(check.fault is None for check in checks),
        "expectations": [
            {"what": one.what, "met": one.fault is None, "found": one.fault} for one in checks
        ],
        "warnings": list(options.warnings),
        "latencies_ms": findings.latencies_ms,
        "pauses_ms": pauses_ms(recording),
        "captions": [_brief(one) for one in findings.captions.values()],
        "events": [asdict(event) for event in recording.events],
    }


def _brief(caption: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that say nothing of a line of its kind."""
    return {name: value for name, value in caption.items() if value not in (None, "")}


def _keep(
    folder: Path, recording: CallRecording, report: dict[str, Any], record: dict[str, Any] | None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "call.wav").write_bytes(recording.wav())
    files = {"call.json": report, "record.json": record}
    for name, content in files.items():
        if content is not None:
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (folder / name).write_text(text + "\n", encoding="utf-8")
