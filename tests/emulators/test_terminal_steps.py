"""What is typed for a caller to do: its order, its files, and what cannot be done."""

import audioop
import contextlib
import math
import struct
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.audio import mulaw
from app.audio.tones import strength, tone
from app.emulators.demo_voice import VoiceFault
from app.emulators.phone_script import Pause, Play, Press, Say, Write
from app.emulators.phone_wav import read, silent
from app.emulators.terminal_steps import InOrder, StepFault, order_of, script

SOUND = tone(1000, 500)
LINEAR = mulaw.decode(SOUND)
FLOATS = b"".join(struct.pack("<f", one / 32768) for (one,) in struct.iter_unpack("<h", LINEAR))


def typed(*words: str) -> list[str]:
    """The order a command of ours finds in these words."""
    found: list[str] = []
    cli = typer.Typer()

    def command(
        ctx: typer.Context,
        say: list[str] | None = None,
        dtmf: list[str] | None = None,
        other: str = "",
    ) -> None:
        given = {"say": iter(say or []), "dtmf": iter(dtmf or [])}
        found.extend(next(given[name]) for name in order_of(ctx))

    cli.command(cls=InOrder)(command)
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return found


def riff(code: int, bits: int, data: bytes, rate_hz: int = 8000, channels: int = 1) -> bytes:
    """A WAV as programs write it that know more formats than Python's ``wave``."""
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def kept(folder: Path, content: bytes) -> Path:
    """A file with it."""
    file = folder / "caller.wav"
    file.write_bytes(content)
    return file


def level(audio: bytes, frequency_hz: float) -> float:
    """How much of a frequency is in the middle of it, against everything."""
    return strength(audio[len(audio) // 2 : len(audio) // 2 + 800], frequency_hz)


@pytest.mark.parametrize(
    "words",
    [
        ["--say", "a", "--dtmf", "1", "--say", "b", "--dtmf", "2"],
        ["--dtmf=1", "--say=a", "--other", "x", "--dtmf=2"],
        ["--say", "--dtmf", "--say", "b"],
        [],
    ],
)
def test_steps_keep_the_order_they_were_typed_in(words: Sequence[str]) -> None:
    """Option parsers gather what is repeated; a call is not to be gathered."""
    values = [word.partition("=")[2] for word in words if "=" in word]
    values = values or [word for at, word in enumerate(words) if at % 2]

    assert typed(*words) == values


def test_a_script_is_made_of_the_steps_in_their_order(tmp_path: Path) -> None:
    """An interruption belongs to the next line, and pauses are no lines."""
    file = kept(tmp_path, riff(1, 16, LINEAR))
    order = ["say", "interrupt_after_ms", "pause", "wav", "dtmf", "text", "say"]
    values: dict[str, list[Any]] = {
        "say": ["Good  morning.", "Bye."],
        "interrupt_after_ms": [900],
        "pause": [1.5],
        "wav": [file],
        "dtmf": ["1 *d"],
        "text": ["12 Main Street"],
    }

    found = script(order, values)

    assert found.steps == (
        Say("Good morning."),
        Pause(1500),
        Play(SOUND, "caller.wav", 900),
        Press("1*D"),
        Write("12 Main Street"),
        Say("Bye."),
    )
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("say", "  ", "--say has no words"),
        ("dtmf", "12x", "x is on no telephone"),
        ("dtmf", "", "there is no key"),
        ("text", " ", "--text is 1 to 1600"),
        ("text", "x" * 1601, "--text is 1 to 1600"),
        ("pause", 0.0, "--pause is a number of seconds above 0"),
        ("pause", float("nan"), "--pause is a number"),
        ("interrupt_after_ms", 0, "above 0"),
        ("interrupt_after_ms", 500, "there is none"),
    ],
)
def test_a_step_that_cannot_be_done_is_a_sentence(name: str, value: Any, said: str) -> None:
    """It is told before anybody is called."""
    with pytest.raises(StepFault, match=said):
        script([name], {name: [value]})


def test_a_silent_file_is_played_and_warned_of(tmp_path: Path) -> None:
    """Silence may be meant; a muted recording is not, and looks like a deaf agent."""
    file = kept(tmp_path, riff(1, 16, bytes(16_000)))

    found = script(["wav"], {"wav": [file]})

    assert found.warnings == ("caller.wav is silent: nobody will hear anything of it.",)
    assert len(found.steps) == 1


@pytest.mark.parametrize(
    ("code", "bits", "data"),
    [
        (1, 16, LINEAR),
        (1, 8, audioop.bias(audioop.lin2lin(LINEAR, 2, 1), 1, 128)),
        (1, 24, audioop.lin2lin(LINEAR, 2, 3)),
        (1, 32, audioop.lin2lin(LINEAR, 2, 4)),
        (
            3,
            32,
            b"".join(struct.pack("<f", n[0] / 32768) for n in struct.iter_unpack("<h", LINEAR)),
        ),
        (6, 8, audioop.lin2alaw(LINEAR, 2)),
        (7, 8, SOUND),
    ],
    ids=["16", "8", "24", "32", "float", "a-law", "mu-law"],
)
def test_every_usual_kind_of_wav_is_played(
    tmp_path: Path, code: int, bits: int, data: bytes
) -> None:
    """Telephone recordings are mu-law, editors write float, and Python's ``wave`` reads neither."""
    audio = read(kept(tmp_path, riff(code, bits, data)))

    assert len(audio) == len(SOUND)
    assert level(audio, 1000) > 0.95
    assert abs(mulaw.rms(audio) - mulaw.rms(SOUND)) < mulaw.rms(SOUND) * 0.05
    assert not silent(audio)


def test_stereo_at_another_rate_is_mixed_down_and_resampled(tmp_path: Path) -> None:
    """What a music program saves: both sides are heard, at their pitch and length."""
    fast, _ = audioop.ratecv(LINEAR, 2, 1, 8000, 44_100, None)
    other, _ = audioop.ratecv(mulaw.decode(tone(600, 500)), 2, 1, 8000, 44_100, None)
    both = audioop.add(audioop.tostereo(fast, 2, 1, 0), audioop.tostereo(other, 2, 0, 1), 2)

    audio = read(kept(tmp_path, riff(1, 16, both, 44_100, 2)))

    assert abs(len(audio) - len(SOUND)) <= 8
    assert level(audio, 1000) > 0.3
    assert level(audio, 600) > 0.3


def test_what_a_telephone_cannot_carry_does_not_come_back_as_another_tone(tmp_path: Path) -> None:
    """10 kHz resampled carelessly is a whistle of 2 kHz, and a hiss is a roar."""
    high = [round(15_000 * math.sin(math.tau * 10_000 * n / 44_100)) for n in range(22_050)]
    data = struct.pack(f"<{len(high)}h", *high)

    audio = read(kept(tmp_path, riff(1, 16, data, 44_100)))

    assert mulaw.rms(audio[800:-800]) < 300


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a WAV file"),
        (b"ID3\x03" + bytes(100), "is not a WAV file"),
        (riff(1, 16, LINEAR)[:40], "without sound"),
        (riff(1, 16, b""), "has no sound in it"),
        (riff(85, 0, bytes(400)), "format 85, which cannot be played"),
        (riff(1, 16, bytes(1200), channels=6), "has 6 channels"),
        (riff(1, 16, bytes(400), rate_hz=0), "has 0 samples a second"),
        (riff(7, 8, bytes(8000 * 601)), "longer than 10 minutes"),
    ],
)
def test_a_file_that_cannot_be_played_is_a_sentence(
    tmp_path: Path, content: bytes, said: str
) -> None:
    """It names the file and what is wrong with it."""
    with pytest.raises(VoiceFault, match=f"caller.wav.* {said}"):
        read(kept(tmp_path, content))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """No errno, no traceback."""
    with pytest.raises(VoiceFault, match=r"none\.wav cannot be read: No such file"):
        read(tmp_path / "none.wav")
    with pytest.raises(VoiceFault, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_no_beginning_of_a_file_is_more_than_a_sentence(tmp_path: Path) -> None:
    """Downloads break off anywhere."""
    whole = riff(1, 24, audioop.lin2lin(LINEAR[:400], 2, 3), 44_100, 2)

    for length in range(len(whole)):
        with contextlib.suppress(VoiceFault):
            assert read(kept(tmp_path, whole[:length]))


def test_a_file_that_was_written_as_a_stream_is_read_to_its_end(tmp_path: Path) -> None:
    """The length in its header was never filled in."""
    content = riff(1, 16, LINEAR)
    at = content.index(b"data") + 4
    untold = content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]

    assert read(kept(tmp_path, untold)) == SOUND


def test_what_pythons_own_wave_writes_is_read(tmp_path: Path) -> None:
    """The reader is ours; the file is not."""
    file = tmp_path / "a.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(LINEAR)

    assert read(file) == SOUND
