"""A server without accounts as a user starts it, and a browser whose microphone was written.

What the test of a spoken call, its bench and the README's picture have in common. Rule: the
server is the command `python -m app serve` in a process of its own, with none of our settings
around it; nothing in it is replaced (the bench's has a probe on its loop).
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright

from app.audio import mulaw
from app.emulators.carrier_voice import FliteVoice
from app.protocol.units import BYTES_PER_MS, SAMPLE_RATE_HZ

ROOT = Path(__file__).parents[2]
API_KEY = "operator-key-of-the-rehearsal"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLITE = shutil.which("flite")
_CALLERS_VOICE = "rms"
_UP_WITHIN_S = 60.0
_END_WITHIN_S = 60.0
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class House:
    """A server that answers, and the processes beside it."""

    url: str
    pid: int
    folder: Path
    """Where it was started: its data and what it logged."""
    up_s: float
    """From the command to the first answer of ``/health``."""

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return (self.folder / "serve.log").read_text(encoding="utf-8")

    def companion(self, module: str) -> int | None:
        """The process beside the server that runs ``module``, while there is one."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        for line in listed.stdout.splitlines():
            pid, parent, arguments = line.split(None, 2)
            if int(parent) == self.pid and f"-m {module}" in arguments:
                return int(pid)
        return None

    async def record(self, call_sid: str) -> dict[str, Any]:
        """What the server tells of a call now. Raises ``aiohttp.ClientResponseError``."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers, raise_for_status=True) as client,
            client.get(f"{self.url}/v1/calls/{call_sid}") as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return found


@asynccontextmanager
async def house(
    folder: Path, *, command: Sequence[str] = ("app", "serve"), **settings: str
) -> AsyncIterator[House]:
    """A server started in ``folder``, on ports of its own, with these settings and no others.

    ``command`` goes behind ``python -m``; the bench's serves with a probe on the loop.
    """
    port = free_port()
    own = {"HOST": "127.0.0.1", "PORT": str(port), "LOCAL_LINE_PORT": "0", "API_KEY": API_KEY}
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    began_s = monotonic()
    with (folder / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            cwd=folder,
            env=kept | {"PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"} | own | settings,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://localhost:{port}"
        await _answers(url, process)
        yield House(url, process.pid, folder, monotonic() - began_s)
    finally:
        await _ended(process)


async def _answers(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait for the first answer. Raises ``TimeoutError`` and, where it ended, ``RuntimeError``."""
    async with asyncio.timeout(_UP_WITHIN_S), aiohttp.ClientSession() as client:
        while process.returncode is None:
            try:
                async with client.get(f"{url}/health"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
    raise RuntimeError(f"the server ended with {process.returncode} before it answered")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Two signals: nobody waits for calls that a failed test left."""
    for _ in range(2):
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
    try:
        async with asyncio.timeout(_END_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence that the microphone hears."""

    at_ms: int
    """From the beginning of the file, which begins when the browser opens the device."""
    text: str


async def microphone(file: Path, said: Sequence[Spoken], length_ms: int) -> list[tuple[int, int]]:
    """Write what the microphone hears; returns where each sentence begins and ends, in ms.

    16-bit samples: Chromium takes mu-law files for silence, without a word. Needs flite.
    """
    voice = FliteVoice(FLITE or "flite", _CALLERS_VOICE)
    heard = bytearray(mulaw.silence(length_ms))
    places = []
    for one in said:
        sound = await voice.say(one.text)
        begin = one.at_ms * BYTES_PER_MS
        heard[begin : begin + len(sound)] = sound
        places.append((one.at_ms, one.at_ms + len(sound) // BYTES_PER_MS))
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(SAMPLE_RATE_HZ)
        written.writeframes(mulaw.decode(bytes(heard)))
    return places


def hearing(file: Path) -> tuple[str, ...]:
    """Arguments for a Chromium whose microphone is this file, heard once, with leave to use it."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}%noloop",
    )


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    """The system's Chromium, headless, without a sound card."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*root, *arguments]
        )
        try:
            yield browser
        finally:
            await browser.close()
