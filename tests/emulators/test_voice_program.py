"""A program that speaks, and a caller who does not want to hear it any more."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.emulators.carrier_voice import FliteVoice
from app.emulators.demo_voice import AGENT, Studio
from app.emulators.voice_program import VoiceFault
from app.local.speak import Program
from tests.waiting import until

Say = Callable[[str], Awaitable[bytes]]

SCRIPT = """#!/bin/sh
echo $$ > {folder}/pid.new
mv {folder}/pid.new {folder}/pid
head -c 400000 /dev/zero
exec sleep 30
"""
"""More than a pipe and its reader hold, and then no end."""


def _program(folder: Path) -> str:
    path = folder / "speaks"
    path.write_text(SCRIPT.format(folder=folder))
    path.chmod(0o755)
    return str(path)


def _carrier(program: str) -> Say:
    return FliteVoice(program, "slt").say


def _demonstration(program: str) -> Say:
    studio = Studio(program)
    return lambda text: studio.say(text, AGENT)


def _local(program: str) -> Say:
    return Program("a voice", [program]).sentence


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


VOICES = pytest.mark.parametrize(
    "voice", [_carrier, _demonstration, _local], ids=["carrier", "demonstration", "local"]
)


@VOICES
@pytest.mark.parametrize("turns", range(6))
async def test_a_voice_that_is_interrupted_ends_with_its_program(
    tmp_path: Path, voice: Callable[[str], Say], turns: int
) -> None:
    """Neither may the line wait for it, nor may it run on for nobody: whenever it is."""
    saying = asyncio.ensure_future(voice(_program(tmp_path))("Hello."))
    await until((tmp_path / "pid").exists)
    time.sleep(0.01)  # noqa: ASYNC251 - a recogniser holds the loop as long
    for _ in range(turns):
        await asyncio.sleep(0)
    pid = int((tmp_path / "pid").read_text())

    saying.cancel()
    done, _ = await asyncio.wait({saying}, timeout=60)

    assert done
    await until(lambda: not _alive(pid))


@VOICES
@pytest.mark.parametrize("turns", range(12))
async def test_a_voice_that_is_interrupted_before_it_began_leaves_nothing(
    tmp_path: Path, voice: Callable[[str], Say], turns: int
) -> None:
    """A program that was just being started has nobody else to end it."""
    saying = asyncio.ensure_future(voice(_program(tmp_path))("Hello."))
    for _ in range(turns):
        await asyncio.sleep(0)

    saying.cancel()
    done, _ = await asyncio.wait({saying}, timeout=60)

    assert done
    async with asyncio.timeout(60):  # whatever thread was on its way
        await asyncio.get_running_loop().shutdown_default_executor()
    if (tmp_path / "pid").exists():
        pid = int((tmp_path / "pid").read_text())
        await until(lambda: not _alive(pid))


@VOICES
async def test_a_voice_is_told_nothing_but_where_its_files_are(
    tmp_path: Path, voice: Callable[[str], Say], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed what strangers say: a program that can be tricked has no key to give away."""
    secrets = ("LOCAL_MODEL_KEY", "LLM_API_KEY", "TWILIO_AUTH_TOKEN", "KEY_OF_ANOTHER_PROGRAM")
    for name in secrets:
        monkeypatch.setenv(name, f"secret {name}")
    monkeypatch.setenv("ESPEAK_DATA_PATH", "/where/espeak/is")
    path = tmp_path / "speaks"
    path.write_text(f"#!/bin/sh\nexport -p > {tmp_path}/given\n")
    path.chmod(0o755)

    with contextlib.suppress(VoiceFault):  # it says nothing
        await voice(str(path))("Hello.")

    given = (tmp_path / "given").read_text()
    assert [name for name in secrets if name in given] == []
    assert os.environ["PATH"] in given
    assert "/where/espeak/is" in given
