"""A sound file as what is mixed: any WAV, MP3, FLAC or Ogg, as 16-bit samples at 8 kHz, mono.

Read once, when the agent document is, and never on the audio path. ``soundfile`` decodes;
resampling is a windowed sinc of our own, because what folds back from above 4 kHz is what makes
music on hold ugly. Rule: whatever the bytes are, they become samples or one sentence, within
bounds of time and memory.
"""

import io
import math
from typing import TYPE_CHECKING, Any

from app.protocol.units import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import numpy as np

LONGEST_S = 300
MOST_BYTES = 64 * 1024 * 1024
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "MP3", "FLAC", "OGG")
_RATES_HZ = (4_000, 192_000)
_MOST_CHANNELS = 8
_BLOCK_FRAMES = 65_536
_FULL_SCALE = 32_768
_PASSED = 0.92
"""Of the band that 8 kHz can carry; above it the filter falls."""
_CROSSINGS = 16
"""Of the sinc's zeros, on either side: 60 dB down at the band's end."""


class NotASound(Exception):
    """The bytes cannot be played; the message is a sentence about the file."""


def samples(content: bytes) -> bytes:
    """16-bit little-endian mono samples at 8 kHz of a sound file; as loud as the file is.

    A file that is already like that comes back sample by sample. Raises ``NotASound``. Takes up
    to a second, and 250 MB, for the longest files; blocks.
    """
    import numpy as np  # noqa: PLC0415 - 20 MiB that a server without sounds never needs

    mono, rate_hz = _decoded(content)
    at_rate = _resampled(mono, rate_hz)
    whole = np.clip(np.rint(at_rate * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    return bytes(whole.astype("<i2").data)


def _decoded(content: bytes) -> tuple["np.ndarray[Any, Any]", int]:
    try:
        import soundfile  # noqa: PLC0415 - as above
    except OSError:  # Its wheels bring libsndfile; where there is none, the system has to.
        raise NotASound("cannot be read: libsndfile is missing on this machine") from None
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file)
            return _mono(file), int(file.samplerate)
    except soundfile.LibsndfileError:
        raise NotASound("is no sound file that can be read: save it as WAV or MP3") from None


def _check(file: Any) -> None:
    if file.format not in FORMATS:
        raise NotASound(f"is a {file.format} file: save it as WAV or MP3")
    slowest, fastest = _RATES_HZ
    if not slowest <= file.samplerate <= fastest:
        raise NotASound(f"has {file.samplerate} samples a second: save it with 8000 to 48000")
    if not 0 < file.channels <= _MOST_CHANNELS:
        raise NotASound(f"has {file.channels} channels: save it with one or two")


def _mono(file: Any) -> "np.ndarray[Any, Any]":
    """The mean of the channels. A header may lie about the length, so what comes is counted."""
    import numpy as np  # noqa: PLC0415 - as above

    blocks, frames = [], 0
    while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        frames += len(block)
        if frames > LONGEST_S * file.samplerate:
            raise NotASound(f"is longer than {LONGEST_S // 60} minutes: cut it, it can be looped")
        blocks.append(block.mean(axis=1, dtype="float32"))
    if not frames:
        raise NotASound("has no sound in it")
    mono: np.ndarray[Any, Any] = np.concatenate(blocks)
    np.nan_to_num(mono, copy=False, posinf=1, neginf=-1)
    return mono


def _resampled(mono: "np.ndarray[Any, Any]", rate_hz: int) -> "np.ndarray[Any, Any]":
    """The same sound at 8 kHz; output ``k`` lies at input ``k * down / up``."""
    import numpy as np  # noqa: PLC0415 - as above

    if rate_hz == SAMPLE_RATE_HZ:
        return mono
    common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // common, rate_hz // common
    cutoff = min(1.0, SAMPLE_RATE_HZ / rate_hz) * _PASSED
    half = math.ceil(_CROSSINGS / cutoff)
    out = np.zeros(max(1, len(mono) * up // down), dtype="float32")
    edge = np.zeros(half, dtype="float32")
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([edge, mono, edge]), 2 * half)
    offsets = np.arange(2 * half) - half
    for phase in range(min(up, len(out))):
        first, rest = divmod(phase * down, up)
        at = offsets + 1 - rest / up
        kernel = np.sinc(cutoff * at) * np.cos(np.clip(at / half, -1, 1) * np.pi / 2) ** 2
        kernel = (kernel / kernel.sum()).astype("float32")
        wanted = len(range(phase, len(out), up))
        out[phase::up] = windows[first + 1 :: down][:wanted] @ kernel
    return out
