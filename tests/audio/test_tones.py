"""Tones: made, and recognised by what they are rather than by their bytes."""

import pytest

from app.audio import mulaw
from app.audio.tones import loudest, strength, tone

PITCHES = [440.0, 660.0, 880.0, 1320.0]


@pytest.mark.parametrize("frequency_hz", PITCHES)
@pytest.mark.parametrize("length_ms", [20, 200])
def test_a_tone_is_recognised_among_others(frequency_hz: float, length_ms: int) -> None:
    """What the walks listen for."""
    audio = tone(frequency_hz, length_ms)

    assert len(audio) == length_ms * 8
    assert loudest(audio, PITCHES) == frequency_hz
    assert strength(audio, frequency_hz) > 0.95


def test_silence_and_noise_are_no_tone() -> None:
    """Nothing dominates."""
    noise = bytes((n * 7919 + n * n * 31) % 256 for n in range(1_600))

    assert loudest(mulaw.silence(200), PITCHES) is None
    assert loudest(b"", PITCHES) is None
    assert loudest(noise, PITCHES) is None


def test_a_quiet_tone_is_a_tone() -> None:
    """The share counts, not the loudness."""
    assert loudest(tone(440, 200, amplitude=300), PITCHES) == 440


def test_two_tones_share_the_strength() -> None:
    """Half of each: neither is a pure tone."""
    both = tone(440, 100) + tone(880, 100)

    assert 0.15 < strength(both, 440) < 0.6
    assert 0.15 < strength(both, 880) < 0.6


def test_mulaw_read_as_something_else_is_no_tone() -> None:
    """`D-OAJ-1` for the ear: bytes of another format are static."""
    linear = mulaw.decode(tone(440, 200))

    assert loudest(linear, PITCHES) is None
