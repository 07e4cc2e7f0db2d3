"""Sound files as operators have them, made for tests."""

import io
import math

import numpy as np
import soundfile

from app.audio import mulaw


def sine_file(
    frequency_hz: float = 1_000,
    length_s: float = 1.0,
    *,
    rate_hz: int = 8_000,
    kind: str = "WAV",
    channels: int = 1,
    amplitude: float = 0.5,
    subtype: str | None = None,
) -> bytes:
    """A file of one sine, in any format that ``soundfile`` writes."""
    moments = np.arange(int(rate_hz * length_s)) / rate_hz
    wave = amplitude * np.sin(2 * math.pi * frequency_hz * moments)
    return written(np.stack([wave] * channels, axis=1), rate_hz, kind=kind, subtype=subtype)


def written(
    samples: np.ndarray, rate_hz: int, *, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """A file of these samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=kind, subtype=subtype)
    return file.getvalue()


def level(linear: bytes) -> float:
    """Of 16-bit samples, without their edges: 1.0 for a sine of full scale."""
    middle = np.frombuffer(linear, "<i2").astype(float)[800:-800]
    return float(np.sqrt(np.mean(middle**2)) * math.sqrt(2) / 32_768)


def as_mulaw(linear: bytes) -> bytes:
    """What a telephone gets of 16-bit samples."""
    return mulaw.encode(linear)
