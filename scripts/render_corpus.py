"""Renders the sentences the local model's ears are tested with, once, by flite and espeak-ng.

    .venv/bin/python -m scripts.render_corpus [--held-out]

Every in-grammar sentence is spoken by five voices, every unrelated one by one of them in
turn. Of the sentences held out, other ones by six other voices, each is spoken once: nothing may
be tuned on them, so that they tell what a stranger would meet. The sound is cut to the telephone's
band, brought to -20 dBFS and kept as mu-law in one packed file with a JSON index beside it.
Rendering again with other versions of the synthesisers gives other sound: the stored files are
the test, not this script's output.
"""

import argparse
import audioop
import io
import json
import math
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CORPUS = Path(__file__).parents[1] / "tests" / "local" / "corpus"
RATE_HZ = 8000
FRAME = 160
LOW_HZ = 200.0
HIGH_HZ, SILENT_HZ = 3400.0, 3900.0
"""The edges of the telephone's band: soft ones, as a line card's filters have (ITU-T G.712)."""
LEVEL_DBFS = -20.0
KEPT_BELOW_PEAK_DB = 35.0
"""Leading and trailing frames that much quieter than the loudest one are cut off."""
VOICES = {
    "espeak us-m": ("espeak-ng", "--stdout", "-v", "en-us"),
    "espeak us-f": ("espeak-ng", "--stdout", "-v", "en-us+f3"),
    "espeak gb": ("espeak-ng", "--stdout", "-v", "en-gb"),
    "flite slt": ("flite", "-voice", "slt", "-o", "/dev/stdout", "-t"),
    "flite rms": ("flite", "-voice", "rms", "-o", "/dev/stdout", "-t"),
}
_FLITE = ("flite", "-o", "/dev/stdout", "-voice")
_HASTY = ("--setf", "duration_stretch=0.85", "--setf", "int_f0_target_mean=170")
HELD_OUT_VOICES = {
    "flite awb": (*_FLITE, "awb", "-t"),
    "flite kal16": (*_FLITE, "kal16", "-t"),
    "flite awb hasty": (*_FLITE, "awb", *_HASTY, "-t"),
    "espeak scotland": ("espeak-ng", "--stdout", "-v", "en-gb-scotland", "-s150", "-p40"),
    "espeak rp-f": ("espeak-ng", "--stdout", "-v", "en-gb-x-rp+f5", "-s165", "-p60"),
    "espeak nyc-m": ("espeak-ng", "--stdout", "-v", "en-us-nyc+m3", "-s185"),
}

Samples = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the index."""

    voice: str
    text: str
    intent: str | None
    """None for what is in no grammar."""
    offset_bytes: int
    length_bytes: int


def spoken(voice: str, text: str) -> tuple[Samples, int]:
    """What the synthesiser says, -1 to 1, and its sample rate."""
    speaking = (VOICES | HELD_OUT_VOICES)[voice]
    made = subprocess.run([*speaking, text], check=True, capture_output=True)
    with wave.open(io.BytesIO(_sized(made.stdout))) as sound:
        rate_hz = sound.getframerate()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
    return samples / 32768.0, rate_hz


def _sized(wav: bytes) -> bytes:
    """The same file with true lengths: to a pipe both programs write invented ones."""
    data = wav.index(b"data")
    length = len(wav) - data - 8
    head = wav[:4] + (len(wav) - 8).to_bytes(4, "little") + wav[8 : data + 4]
    return head + length.to_bytes(4, "little") + wav[data + 8 :]


def telephone(samples: Samples, rate_hz: int) -> Samples:
    """The telephone's band at 8 kHz: cut and resampled in one go, in the frequency domain."""
    count = len(samples)
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum *= _band(hertz)
    wanted = count * RATE_HZ // rate_hz
    return np.fft.irfft(spectrum[: wanted // 2 + 1], wanted) * (wanted / count)


def _band(hertz: Samples) -> Samples:
    """How much of each frequency passes: a fourth-order edge below, a cosine above."""
    high_pass = 1 / np.sqrt(1 + (LOW_HZ / np.maximum(hertz, 1.0)) ** 8)
    above = np.clip((hertz - HIGH_HZ) / (SILENT_HZ - HIGH_HZ), 0, 1)
    band: Samples = high_pass * (1 + np.cos(np.pi * above)) / 2
    return band


def levelled(samples: Samples) -> Samples:
    """Without the silence around it, its speech at -20 dBFS."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.maximum((frames**2).mean(axis=1), 1e-12)
    loud = np.flatnonzero(10 * np.log10(power) > 10 * math.log10(power.max()) - KEPT_BELOW_PEAK_DB)
    kept = frames[loud[0] : loud[-1] + 1].ravel()
    gain = 10 ** (LEVEL_DBFS / 20) / math.sqrt(power[loud].mean())
    return kept * gain


def mulaw(samples: Samples) -> bytes:
    """Mu-law, one byte a sample."""
    linear = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    return audioop.lin2ulaw(linear, 2)


def wanted(script: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Voice, text and intent of every utterance."""
    for intent, text in script["sentences"]:
        yield from ((voice, text, intent) for voice in VOICES)
    voices = list(VOICES)
    for number, text in enumerate(script["unrelated"]):
        yield voices[number % len(voices)], str(text), None


def held_out(script: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """The same for the sentences held out; those of a kind go round the voices."""
    voices = list(HELD_OUT_VOICES)
    said = script["sentences"] + script["paraphrases"] + [[None, t] for t in script["unrelated"]]
    for number, (intent, text) in enumerate(said):
        yield voices[number % len(voices)], text, intent


def render(folder: Path) -> int:
    """Write ``speech.ulaw`` and ``index.json``; returns the bytes of sound."""
    script = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    return _write(wanted(script), folder / "speech.ulaw", folder / "index.json")


def render_held_out(folder: Path) -> int:
    """Write ``held_out.ulaw`` and ``held_out_index.json``; returns the bytes of sound."""
    script = json.loads((folder / "held_out.json").read_text(encoding="utf-8"))
    return _write(held_out(script), folder / "held_out.ulaw", folder / "held_out_index.json")


def _write(said: Iterable[tuple[str, str, str | None]], sound_file: Path, index_file: Path) -> int:
    packed = bytearray()
    index = []
    for voice, text, intent in said:
        sound = mulaw(levelled(telephone(*spoken(voice, text))))
        index.append(asdict(Utterance(voice, text, intent, len(packed), len(sound))))
        packed += sound
    sound_file.write_bytes(packed)
    lines = ",\n".join(json.dumps(one) for one in index)
    index_file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return len(packed)


def main() -> None:
    """Render into the folder of the tests, or another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=CORPUS, help="where script.json lies")
    parser.add_argument("--held-out", action="store_true", help="those of held_out.json instead")
    given = parser.parse_args()
    missing = [name for name in ("flite", "espeak-ng") if shutil.which(name) is None]
    if missing:
        sys.exit(f"Not installed: {', '.join(missing)}.")
    written = (render_held_out if given.held_out else render)(given.folder)
    print(f"{written} bytes of mu-law")


if __name__ == "__main__":
    main()
