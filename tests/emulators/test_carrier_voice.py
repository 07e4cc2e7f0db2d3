"""The carrier's voices: programs of other people, given text of other people."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from app.audio import mulaw
from app.emulators import carrier_voice
from app.emulators.carrier_voice import FliteVoice, StudioVoice
from app.emulators.demo_voice import AGENT, Studio, stereo_wav

TRAP = "-f /etc/passwd"


def program(folder: Path, *, fails: bool = False) -> str:
    """A speaking program that writes down how it was called."""
    wav = folder / "silence.wav"
    wav.write_bytes(stereo_wav(b"", b""))
    path = folder / "speaker"
    end = "sys.exit(1)" if fails else "sys.stdout.buffer.write(tone())"
    path.write_text(
        f"#!{sys.executable}\n"
        "import io, pathlib, sys, wave\n"
        f"pathlib.Path({str(folder / 'called')!r}).write_text(chr(10).join(sys.argv[1:]))\n"
        "def tone():\n"
        "    out = io.BytesIO()\n"
        "    with wave.open(out, 'wb') as file:\n"
        "        file.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "        file.writeframes(b'\\x00\\x40\\x00\\xc0' * 4000)\n"
        "    return out.getvalue()\n"
        f"{end}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return os.fspath(path)


async def test_text_is_no_option_of_espeak(tmp_path: Path) -> None:
    """With -f it would read a file aloud: to whoever calls, and of whose choice."""
    await StudioVoice(Studio(program(tmp_path)), AGENT).say(TRAP)

    assert (tmp_path / "called").read_text().splitlines()[-2:] == ["--", TRAP]


async def test_text_is_no_option_of_flite(tmp_path: Path) -> None:
    """What stands behind -t is text, whatever it begins with."""
    await FliteVoice(program(tmp_path), "rms").say(TRAP)

    assert (tmp_path / "called").read_text().splitlines()[-2:] == ["-t", TRAP]


async def test_a_program_that_fails_says_nothing(tmp_path: Path) -> None:
    """The caption is still there; the call goes on."""
    broken = program(tmp_path, fails=True)

    assert await FliteVoice(broken, "rms").say("Hello.") == b""
    assert await StudioVoice(Studio(broken), AGENT).say("Hello.") == b""


async def test_without_a_program_nothing_is_said() -> None:
    """Beeps would be taken for a fault of the line."""
    voice = StudioVoice(Studio(None), AGENT)

    assert (voice.rung, await voice.say("Hello.")) == ("none", b"")


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
async def test_flite_speaks_telephone_audio_in_two_voices() -> None:
    """The agent's carrier and the caller are told apart."""
    voice, speaker = carrier_voice.found()

    spoken = [await one.say("My name is Maria. I would like a table.") for one in (voice, speaker)]

    assert voice.rung == speaker.rung == "flite"
    assert spoken[0] != spoken[1]
    for audio in spoken:
        assert 1_000 < len(audio) / 8 < 6_000
        assert 1_500 < mulaw.rms(audio) < 6_000
