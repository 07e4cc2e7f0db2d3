"""A sound file as what a telephone sends: any common WAV, mixed down, resampled, mu-law.

The standard library's ``wave`` knows plain samples only, and telephone recordings are mu-law
as often as not. Rule: a file is played as loud as it is, since whoever tests a quiet caller
means it; what cannot be played is one sentence, before anybody is called.
"""

import audioop
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from app.audio import mulaw
from app.emulators.demo_voice import VoiceFault
from app.protocol.units import FRAME_BYTES, SAMPLE_RATE_HZ

LONGEST_MIN = 10
QUIET_RMS = 150
"""What no frame is above is silence to every ear on the way."""
_LARGEST_BYTES = 256 * 1024 * 1024
_FORMAT_BYTES = 16
_EXTENSIBLE = 0xFFFE
_SUBFORMAT_AT = 24
_UNTOLD_LENGTHS = frozenset({0, 0xFFFFFFFF})
"""In the header of what was written as a stream."""
_PASSED_HZ = 3_600
_TAPS_PER_RATIO = 24
_WIDTH = 2


@dataclass(frozen=True, slots=True)
class _Layout:
    code: int
    channels: int
    rate_hz: int
    bits: int


def read(file: Path) -> bytes:
    """What is in the file, as mu-law. Raises ``VoiceFault`` with a sentence that names it."""
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise VoiceFault(_too_long(file))
        content = file.read_bytes()
    except OSError as exc:
        raise VoiceFault(f"{file} cannot be read: {exc.strerror}.") from exc
    return heard_in(file, content)


def heard_in(file: Path | str, content: bytes) -> bytes:
    """What is in the content of a WAV file, as mu-law. Raises ``VoiceFault`` that names it."""
    layout, samples = _chunks(file, content)
    audio = _telephone(layout, _linear(file, layout, samples))
    if not audio:
        raise VoiceFault(f"{file} has no sound in it.")
    return audio


def silent(audio: bytes) -> bool:
    """Whether nothing in this mu-law is loud enough to be heard."""
    pieces = (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
    return all(mulaw.rms(piece) <= QUIET_RMS for piece in pieces)


def _chunks(file: Path | str, content: bytes) -> tuple[_Layout, bytes]:
    """The layout and the samples. What a broken header promises and is not there is left out."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise VoiceFault(f"{file} is not a WAV file.")
    layout, at = None, 12
    while at + 8 <= len(content):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt " and length >= _FORMAT_BYTES:
            layout = _layout(content[at : at + length])
        if name == b"data" and layout is not None:
            end = len(content) if length in _UNTOLD_LENGTHS else at + length
            return layout, content[at:end]
        at += length + length % 2
    raise VoiceFault(f"{file} is a WAV file without sound: it was cut off, or never finished.")


def _layout(chunk: bytes) -> _Layout:
    def number(at: int, length: int) -> int:
        return int.from_bytes(chunk[at : at + length], "little")

    code = number(0, 2)
    if code == _EXTENSIBLE:
        code = number(_SUBFORMAT_AT, 2)
    return _Layout(code, number(2, 2), number(4, 4), number(14, 2))


def _linear(file: Path | str, layout: _Layout, samples: bytes) -> bytes:
    """16-bit samples of every channel."""
    decode = _DECODERS.get((layout.code, layout.bits))
    if decode is None:
        raise VoiceFault(
            f"{file} holds {layout.bits}-bit samples of WAV format {layout.code}, which cannot be"
            " played: save it as PCM, 16 bits."
        )
    if layout.channels not in (1, 2):
        raise VoiceFault(f"{file} has {layout.channels} channels: save it with one or two.")
    if not _SLOWEST_HZ <= layout.rate_hz <= _FASTEST_HZ:
        raise VoiceFault(
            f"{file} has {layout.rate_hz} samples a second: save it with 8000 to 48000."
        )
    sample_bytes = layout.channels * layout.bits // 8
    if len(samples) // sample_bytes > LONGEST_MIN * 60 * layout.rate_hz:
        raise VoiceFault(_too_long(file))
    return decode(samples[: len(samples) // sample_bytes * sample_bytes])


_SLOWEST_HZ = 4_000
_FASTEST_HZ = 192_000


def _too_long(file: Path | str) -> str:
    return f"{file} is longer than {LONGEST_MIN} minutes: cut it."


def _telephone(layout: _Layout, linear: bytes) -> bytes:
    if layout.channels == 2:
        linear = audioop.tomono(linear, _WIDTH, 0.5, 0.5)
    if layout.rate_hz > SAMPLE_RATE_HZ:
        linear = _softened(linear, layout.rate_hz)
    if layout.rate_hz != SAMPLE_RATE_HZ:
        linear, _ = audioop.ratecv(linear, _WIDTH, 1, layout.rate_hz, SAMPLE_RATE_HZ, None)
    return mulaw.encode(linear)


def _softened(linear: bytes, rate_hz: int) -> bytes:
    """Without what a telephone cannot carry: resampled as it is, it would come back as noise."""
    reach = math.ceil(_TAPS_PER_RATIO * rate_hz / SAMPLE_RATE_HZ / 2)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    taps = np.sinc(2 * _PASSED_HZ / rate_hz * steps) * np.hamming(len(steps))
    samples = np.frombuffer(linear, dtype="<i2").astype(np.float32)
    if not len(samples):
        return linear
    soft = np.convolve(samples, (taps / taps.sum()).astype(np.float32))[
        reach : reach + len(samples)
    ]
    return bytes(np.clip(np.rint(soft), -32768, 32767).astype("<i2").tobytes())


def _floats(samples: bytes) -> bytes:
    values = np.nan_to_num(np.frombuffer(samples, dtype="<f4"), posinf=1, neginf=-1)
    return bytes((np.clip(values, -1, 1) * 32767).astype("<i2").tobytes())


_DECODERS: Final[dict[tuple[int, int], Callable[[bytes], bytes]]] = {
    (1, 8): lambda samples: audioop.lin2lin(audioop.bias(samples, 1, -128), 1, _WIDTH),
    (1, 16): lambda samples: samples,
    (1, 24): lambda samples: audioop.lin2lin(samples, 3, _WIDTH),
    (1, 32): lambda samples: audioop.lin2lin(samples, 4, _WIDTH),
    (3, 32): _floats,
    (6, 8): lambda samples: audioop.alaw2lin(samples, _WIDTH),
    (7, 8): lambda samples: audioop.ulaw2lin(samples, _WIDTH),
}
"""By format code and bits: PCM, float, A-law, mu-law."""
