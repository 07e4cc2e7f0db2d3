"""Comparing what was said into the microphone with what arrived on the line."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.protocol.units import SAMPLE_RATE_HZ

Samples = NDArray[np.float64]
FINER = 8
"""Fractions of a sample in which two recordings may be shifted against each other."""


def babble(seconds: float) -> Samples:
    """Noise in the band and with the syllables of a voice; no two seconds of it are alike."""
    chance = np.random.default_rng(20261121)
    count = int(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(chance.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    spectrum[(hertz < 250) | (hertz > 3000)] = 0
    noise: Samples = np.fft.irfft(spectrum, count)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(count) / SAMPLE_RATE_HZ)
    spoken: Samples = noise * syllables
    return 0.5 * spoken / np.abs(spoken).max()


def write_wav(path: Path, samples: Samples) -> None:
    """16-bit mono: Chromium takes mu-law files for silence, without a word."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def decode(mulaw: bytes) -> Samples:
    """Mu-law to samples from -1 to 1, straight from the tables of G.711."""
    code = ~np.frombuffer(mulaw, dtype=np.uint8)
    magnitude = ((((code & 0x0F).astype(np.int32) << 3) + 132) << ((code >> 4) & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude) / 32768


def likeness(piece: Samples, whole: Samples) -> float:
    """The best normalised correlation of ``piece`` with any part of ``whole``, 0 to 1."""
    fine, long = _finer(piece), _finer(whole)
    size = len(fine) + len(long)
    product = np.fft.rfft(long, size) * np.conj(np.fft.rfft(fine, size))
    correlation = np.fft.irfft(product, size)[: len(long) - len(fine)]
    energy = np.concatenate(([0], np.cumsum(long**2)))
    windows = energy[len(fine) : len(fine) + len(correlation)] - energy[: len(correlation)]
    return float(np.max(correlation / np.sqrt(np.maximum(windows, 1e-9) * np.sum(fine**2))))


def _finer(samples: Samples) -> Samples:
    finer: Samples = np.fft.irfft(np.fft.rfft(samples), len(samples) * FINER) * FINER
    return finer
